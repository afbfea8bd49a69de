/// A rectangle in a picture, in pixels from its left and upper edge.
public struct PictureBox: Sendable, Hashable, Codable {
    public var left, top, right, bottom: Double
    /// What is in it: any number.
    public var label: Int

    public init(left: Double, top: Double, right: Double, bottom: Double, label: Int) {
        self.left = left
        self.top = top
        self.right = right
        self.bottom = bottom
        self.label = label
    }

    public var area: Double { max(0, right - left) * max(0, bottom - top) }

    /// What of the box lies in a picture of this size.
    func clipped(width: Int, height: Int) -> PictureBox {
        PictureBox(
            left: min(max(left, 0), Double(width)), top: min(max(top, 0), Double(height)),
            right: min(max(right, 0), Double(width)), bottom: min(max(bottom, 0), Double(height)), label: label)
    }
}

/// A class for each pixel of a picture, row by row.
public struct PictureMask: Sendable, Hashable {
    public let width, height: Int
    public internal(set) var classes: [UInt8]

    /// What pixels become that lay outside of the picture before it was moved: by convention, a class that losses
    /// ignore.
    public static let outside: UInt8 = 255

    /// - Precondition: there are `width * height` classes.
    public init(width: Int, height: Int, classes: [UInt8]) {
        precondition(classes.count == width * height, "a mask has a class for each pixel")
        self.width = width
        self.height = height
        self.classes = classes
    }
}

/// A picture with what is known about its places, which follows when the picture is moved.
public struct AnnotatedPicture: Sendable, Equatable {
    public internal(set) var picture: Picture
    public internal(set) var boxes: [PictureBox]
    public internal(set) var mask: PictureMask?

    /// The least share of a moved box's area that has to lie in the picture; a box of which less does is left out.
    public var leastVisibleShare: Double

    /// - Precondition: the mask has the size of the picture.
    public init(_ picture: Picture, boxes: [PictureBox] = [], mask: PictureMask? = nil, leastVisibleShare: Double = 0.1)
    {
        precondition(
            mask.map { $0.width == picture.width && $0.height == picture.height } ?? true,
            "a mask has its picture's size")
        self.picture = picture
        self.boxes = boxes
        self.mask = mask
        self.leastVisibleShare = leastVisibleShare
    }
}

/// A random change of a picture that leaves what it means. Boxes and masks follow it.
///
/// Takes the same count of numbers from the generator whatever the picture. Give each picture of each epoch a generator
/// of its own (`Philox`), keyed by seed, epoch and item, and the result doesn't depend on threads or order.
public protocol PictureTransform: Sendable {
    func augmented(_ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator) -> AnnotatedPicture
}

extension PictureTransform {
    /// A changed copy of a picture of which nothing else is known.
    public func augmented(_ picture: Picture, using generator: inout some RandomNumberGenerator) -> Picture {
        augmented(AnnotatedPicture(picture), using: &generator).picture
    }
}
