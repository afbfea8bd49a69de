internal import KeelDataKernels

/// How a picture of any proportions fits a size that is given.
public enum PictureFit: Sendable, Hashable, Codable {
    /// Both sides are scaled on their own; proportions change.
    case stretch
    /// The middle of the picture, as large as fits the proportions; what sticks out is cut off.
    case crop
    /// The whole picture in the middle; the rest is filled with this grey (0...255).
    case letterbox(fill: UInt8)
}

extension Picture {
    /// The picture at another size, filtered so that reducing doesn't alias.
    ///
    /// A triangle filter whose support grows with the reduction, the rows first; what Pillow calls `BILINEAR` (equal to
    /// it within one step of 255). The result is the same on every processor.
    /// - Precondition: both sides are at least 1.
    public func resized(width: Int, height: Int, fit: PictureFit = .stretch) -> Picture {
        precondition(width > 0 && height > 0, "a picture has at least one pixel")
        let whole = keel_box(left: 0, top: 0, right: Double(self.width), bottom: Double(self.height))
        switch fit {
        case .stretch:
            if width == self.width && height == self.height { return self }
            return Picture(width: width, height: height) { out in
                resize(whole, to: out, width: width, height: height, rowBytes: 3 * width)
            }
        case .crop:
            let scale = max(Double(width) / Double(self.width), Double(height) / Double(self.height))
            let across = min(Double(width) / scale, whole.right), down = min(Double(height) / scale, whole.bottom)
            let left = (whole.right - across) / 2, top = (whole.bottom - down) / 2
            return resized(left: left, top: top, across: across, down: down, width: width, height: height)
        case .letterbox(let fill):
            let scale = min(Double(width) / Double(self.width), Double(height) / Double(self.height))
            let inner = (
                width: min(width, max(1, Int((Double(self.width) * scale).rounded()))),
                height: min(height, max(1, Int((Double(self.height) * scale).rounded()))))
            let offset = 3 * ((height - inner.height) / 2 * width + (width - inner.width) / 2)
            return Picture(width: width, height: height) { out in
                out.initialize(repeating: fill, count: 3 * width * height)
                resize(whole, to: out + offset, width: inner.width, height: inner.height, rowBytes: 3 * width)
            }
        }
    }

    /// A part of the picture at another size, filtered like `resized(width:height:fit:)`.
    func resized(left: Double, top: Double, across: Double, down: Double, width: Int, height: Int) -> Picture {
        let box = keel_box(left: left, top: top, right: left + across, bottom: top + down)
        return Picture(width: width, height: height) { out in
            resize(box, to: out, width: width, height: height, rowBytes: 3 * width)
        }
    }

    private func resize(
        _ box: keel_box, to out: UnsafeMutablePointer<UInt8>, width: Int, height: Int, rowBytes: Int
    ) {
        let failed = keel_resize(pixels, self.width, self.height, box, out, width, height, rowBytes)
        precondition(failed == 0, "resizing found no memory for its filters")
    }
}

/// From 8-bit colour to what a network reads: `value = (byte / 255 - mean) / deviation`, channel by channel.
public struct PictureScaling: Sendable, Hashable, Codable {
    public var mean, deviation: [Float]

    /// - Precondition: three values each, no deviation is zero.
    public init(mean: [Float], deviation: [Float]) {
        precondition(
            mean.count == 3 && deviation.count == 3 && !deviation.contains(0), "a scaling has three means and deviations")
        self.mean = mean
        self.deviation = deviation
    }

    /// 0...1.
    public static let unit = PictureScaling(mean: [0, 0, 0], deviation: [1, 1, 1])
    /// −1...1.
    public static let symmetric = PictureScaling(mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5])
    /// The statistics of ImageNet, which networks pretrained on it expect.
    public static let imageNet = PictureScaling(mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
}

extension Picture {
    /// Writes the picture as three planes (red, green, blue) of `height` rows of `width` floats.
    ///
    /// - Precondition: `planes` holds `3 * width * height` floats.
    public func write(_ scaling: PictureScaling, to planes: UnsafeMutableBufferPointer<Float>) {
        precondition(planes.count == pixels.count, "the planes have as many values as the picture")
        let scale = scaling.deviation.map { 1 / (255 * $0) }
        let offset = zip(scaling.mean, scaling.deviation).map { -$0 / $1 }
        keel_planes(pixels, width * height, scale, offset, planes.baseAddress)
    }
}

/// All that lies between a file and a network's input. Training and serving call the same one, so they can't differ.
///
/// - Result: `[3, height, width]`, planes of float.
public struct PicturePreparation: Sendable, Hashable, Codable {
    public var width, height: Int
    public var fit: PictureFit
    public var scaling: PictureScaling

    public init(width: Int, height: Int, fit: PictureFit, scaling: PictureScaling) {
        self.width = width
        self.height = height
        self.fit = fit
        self.scaling = scaling
    }

    /// Floats of one prepared picture.
    public var count: Int { 3 * width * height }

    /// Decodes a file (a large JPEG at reduced scale) and fits it.
    public func picture(
        decoding bytes: UnsafeRawBufferPointer, limits: PictureLimits = PictureLimits()
    ) throws(PictureError) -> Picture {
        // Twice the size, so that the filter below does the last halving and decoding at reduced scale doesn't show.
        try Picture(decoding: bytes, limits: limits, minimumSide: 2 * max(width, height)).resized(
            width: width, height: height, fit: fit)
    }

    /// As `picture(decoding:limits:)`, of an array.
    public func picture(decoding bytes: [UInt8], limits: PictureLimits = PictureLimits()) throws(PictureError) -> Picture {
        try bytes.withUnsafeBufferPointer { (bytes) throws(PictureError) in
            try picture(decoding: UnsafeRawBufferPointer(bytes), limits: limits)
        }
    }
}

extension Picture {
    /// Whether the picture has colours, and not only greys; small shifts, as JPEG makes, don't count.
    public var hasColour: Bool {
        // An average of 32 x 32 parts is enough, and small.
        let small = resized(width: min(width, 32), height: min(height, 32)).pixels
        return stride(from: 0, to: small.count, by: 3).contains { pixel in
            let colours = small[pixel..<pixel + 3]
            return (colours.max() ?? 0) - (colours.min() ?? 0) > 12
        }
    }
}
