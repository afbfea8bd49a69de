/// Random changes of brightness, contrast, saturation and hue, in this order.
public struct ColourJitter: PictureTransform, Hashable, Codable {
    /// The largest relative change of each: 0.4 multiplies by 0.6...1.4.
    public var brightness, contrast, saturation: Double
    /// The largest turn of the hue to either side, as a share of a whole turn, 0...0.5.
    public var hue: Double

    public init(brightness: Double = 0, contrast: Double = 0, saturation: Double = 0, hue: Double = 0) {
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
    }

    public func augmented(
        _ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator
    ) -> AnnotatedPicture {
        let changes = [brightness, contrast, saturation, hue].map { (2 * generator.unit() - 1) * $0 }
        var sample = sample
        if brightness != 0 { sample.picture = sample.picture.withBrightness(max(0, 1 + changes[0])) }
        if contrast != 0 { sample.picture = sample.picture.withContrast(max(0, 1 + changes[1])) }
        if saturation != 0 { sample.picture = sample.picture.withSaturation(max(0, 1 + changes[2])) }
        if hue != 0 { sample.picture = sample.picture.withHue(turnedBy: changes[3]) }
        return sample
    }
}
