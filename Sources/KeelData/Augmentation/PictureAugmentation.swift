internal import Foundation
internal import KeelDataKernels

/// Random changes to training pictures that leave their meaning, each drawn anew for every picture.
///
/// All moves are one bilinear sampling, so they blur once; beyond the edge the edge pixel goes on.
public struct PictureAugmentation: PictureTransform, Hashable, Codable {
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

    public func augmented(
        _ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator
    ) -> AnnotatedPicture {
        let draws = (0..<7).map { _ in generator.unit() }
        /// −largest...largest.
        func around(_ draw: Double, _ largest: Double) -> Double { (2 * draw - 1) * largest }
        let mirror = draws[0] < flip ? -1.0 : 1
        let angle = around(draws[1], rotation) * .pi / 180
        let scale = max(1 + around(draws[2], zoom), 0.01)
        let (right, down) = (around(draws[3], shift), around(draws[4], shift))
        let (cosine, sine) = (cos(angle) / scale, sin(angle) / scale)
        let picture = sample.picture
        // Where an output pixel comes from: undo the shift, then turn and scale back, then mirror.
        let map = PictureMap(aroundMiddleOf: picture, a: mirror * cosine, b: mirror * sine, d: -sine, e: cosine)
            .shifted(right: right * Double(picture.width), down: down * Double(picture.height))
        var moved = sample.moved(by: map)
        moved.picture = moved.picture.toned(
            brightness: 255 * around(draws[5], brightness), contrast: 1 + around(draws[6], contrast))
        return moved
    }
}

extension Picture {
    /// With every value `v` changed to `(v − 128) · contrast + 128 + brightness`.
    fileprivate func toned(brightness: Double, contrast: Double) -> Picture {
        guard brightness != 0 || contrast != 1 else { return self }
        let table = (0...255).map {
            UInt8(min(255, max(0, ((Double($0) - 128) * contrast + 128 + brightness).rounded())))
        }
        var toned = self
        toned.pixels.withUnsafeMutableBufferPointer { keel_map_bytes($0.baseAddress, $0.count, table) }
        return toned
    }
}
