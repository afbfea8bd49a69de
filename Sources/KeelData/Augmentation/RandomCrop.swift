internal import Foundation

/// A part of a picture of a fixed size, anywhere in it or up to `padding` pixels beyond its edges, where the edge pixel
/// goes on. Along a side that is too short for that, the picture lies in the middle.
public struct RandomCrop: PictureTransform, Hashable, Codable {
    public var width, height, padding: Int

    /// - Precondition: both sides are at least 1, and `padding` at least 0.
    public init(width: Int, height: Int, padding: Int = 0) {
        precondition(width > 0 && height > 0 && padding >= 0, "a crop has a pixel, and padding isn't negative")
        self.width = width
        self.height = height
        self.padding = padding
    }

    public func augmented(
        _ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator
    ) -> AnnotatedPicture {
        /// Where a side's part begins.
        func start(_ draw: Double, of side: Int, part: Int) -> Double {
            let room = side + 2 * padding - part
            return Double(room >= 0 ? Int(draw * Double(room + 1)) - padding : (side - part) / 2)
        }
        let left = start(generator.unit(), of: sample.picture.width, part: width)
        let top = start(generator.unit(), of: sample.picture.height, part: height)
        let (across, down) = (Double(width), Double(height))
        return sample.moved(
            by: PictureMap(left: left, top: top, across: across, down: down, width: width, height: height))
    }
}

/// A part of a picture of random area and proportions, anywhere in it, resized without aliasing: Inception's crop.
///
/// - The area is even within `area`, the logarithm of width by height within that of `proportions`; a side that would
///   be longer than the picture's is cut to it.
/// - Source: Szegedy and others, *Going deeper with convolutions*, 2015.
public struct RandomResizedCrop: PictureTransform, Hashable, Codable {
    public var width, height: Int
    /// As a share of the picture's.
    public var area: ClosedRange<Double>
    /// Width by height of the part, before it is resized.
    public var proportions: ClosedRange<Double>

    /// - Precondition: both sides are at least 1; areas lie in 0...1, above 0; proportions are above 0.
    public init(
        width: Int, height: Int, area: ClosedRange<Double> = 0.08...1, proportions: ClosedRange<Double> = 0.75...4 / 3
    ) {
        precondition(width > 0 && height > 0, "a crop has a pixel")
        precondition(area.lowerBound > 0 && area.upperBound <= 1, "areas are shares of a picture")
        precondition(proportions.lowerBound > 0, "proportions are above 0")
        self.width = width
        self.height = height
        self.area = area
        self.proportions = proportions
    }

    public func augmented(
        _ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator
    ) -> AnnotatedPicture {
        let draws = (0..<4).map { _ in generator.unit() }
        let picture = sample.picture
        let (wide, high) = (Double(picture.width), Double(picture.height))
        let part = (area.lowerBound + draws[0] * (area.upperBound - area.lowerBound)) * wide * high
        let quotient = proportions.upperBound / proportions.lowerBound
        let ratio = proportions.lowerBound * exp(draws[1] * log(quotient))
        let (across, down) = (min((part * ratio).squareRoot(), wide), min((part / ratio).squareRoot(), high))
        let (left, top) = (draws[2] * (wide - across), draws[3] * (high - down))
        let map = PictureMap(left: left, top: top, across: across, down: down, width: width, height: height)
        let cut = picture.resized(left: left, top: top, across: across, down: down, width: width, height: height)
        return sample.moved(by: map, picture: cut)
    }
}
