internal import Foundation
internal import KeelDataKernels

/// Random changes to training pictures that leave their meaning, each drawn anew for every picture.
///
/// All moves are one bilinear sampling, so they blur once; beyond the edge the edge pixel goes on.
public struct PictureAugmentation: Sendable, Hashable, Codable {
    /// The share of pictures that are mirrored left to right, 0...1.
    public var flip: Double
    /// The largest shift, as a share of the side, in each direction.
    public var shift: Double
    /// The largest rotation to either side, in degrees.
    public var rotation: Double
    /// The largest relative change of size: 0.1 scales by 0.9...1.1.
    public var zoom: Double
    /// The largest change of brightness, as a share of the range from black to white.
    public var brightness: Double
    /// The largest relative change of contrast around middle grey.
    public var contrast: Double

    public init(
        flip: Double = 0, shift: Double = 0, rotation: Double = 0, zoom: Double = 0, brightness: Double = 0,
        contrast: Double = 0
    ) {
        self.flip = flip
        self.shift = shift
        self.rotation = rotation
        self.zoom = zoom
        self.brightness = brightness
        self.contrast = contrast
    }

    /// A changed copy of the picture, of the same size.
    ///
    /// Takes the same count of numbers from the generator whatever the settings. Give each picture of each epoch a
    /// generator of its own, keyed by seed, epoch and item, and the result doesn't depend on threads or order.
    public func augmented(_ picture: Picture, using generator: inout some RandomNumberGenerator) -> Picture {
        let draws = (0..<7).map { _ in Double(generator.next() >> 11) * 0x1p-53 }
        /// −largest...largest.
        func around(_ draw: Double, _ largest: Double) -> Double { (2 * draw - 1) * largest }
        let isFlipped = draws[0] < flip
        let angle = around(draws[1], rotation) * .pi / 180
        let scale = 1 + around(draws[2], zoom)
        let (right, down) = (around(draws[3], shift), around(draws[4], shift))
        let moved = picture.moved(
            flip: isFlipped, angle: angle, scale: max(scale, 0.01), right: right * Double(picture.width),
            down: down * Double(picture.height))
        return moved.toned(brightness: 255 * around(draws[5], brightness), contrast: 1 + around(draws[6], contrast))
    }
}

extension Picture {
    /// Turned, scaled and shifted around its middle.
    fileprivate func moved(flip: Bool, angle: Double, scale: Double, right: Double, down: Double) -> Picture {
        guard flip || angle != 0 || scale != 1 || right != 0 || down != 0 else { return self }
        let (x, y) = (Double(width) / 2, Double(height) / 2)
        let (cosine, sine) = (cos(angle) / scale, sin(angle) / scale)
        let mirror = flip ? -1.0 : 1.0
        // Where an output pixel comes from: undo the shift, then turn and scale back, then mirror.
        let (a, b, c, d) = (mirror * cosine, mirror * sine, -sine, cosine)
        let matrix = [a, b, x - a * (x + right) - b * (y + down), c, d, y - c * (x + right) - d * (y + down)]
        return Picture(width: width, height: height) { keel_warp(pixels, width, height, matrix, $0, width, height) }
    }

    /// With every value `v` changed to `(v − 128) · contrast + 128 + brightness`.
    fileprivate func toned(brightness: Double, contrast: Double) -> Picture {
        guard brightness != 0 || contrast != 1 else { return self }
        let table = (0...255).map { UInt8(min(255, max(0, ((Double($0) - 128) * contrast + 128 + brightness).rounded()))) }
        var toned = self
        toned.pixels.withUnsafeMutableBufferPointer { keel_map_bytes($0.baseAddress, $0.count, table) }
        return toned
    }
}
