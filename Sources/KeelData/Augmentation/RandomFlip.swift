/// Mirrors pictures exactly, a share of them left to right and a share upside down.
public struct RandomFlip: PictureTransform, Hashable, Codable {
    /// 0...1.
    public var horizontal, vertical: Double

    public init(horizontal: Double = 0.5, vertical: Double = 0) {
        self.horizontal = horizontal
        self.vertical = vertical
    }

    public func augmented(
        _ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator
    ) -> AnnotatedPicture {
        let (isMirrored, isUpsideDown) = (generator.unit() < horizontal, generator.unit() < vertical)
        let picture = sample.picture
        let map = PictureMap(aroundMiddleOf: picture, a: isMirrored ? -1 : 1, e: isUpsideDown ? -1 : 1)
        guard isMirrored || isUpsideDown else { return sample }
        // EXIF's names for the three.
        let flipped = picture.oriented(isMirrored ? isUpsideDown ? 3 : 2 : 4)
        return sample.moved(by: map, picture: flipped)
    }
}
