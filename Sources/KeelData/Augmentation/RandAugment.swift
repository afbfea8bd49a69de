internal import Foundation

/// RandAugment: so many operations, each drawn from fourteen, all of one magnitude.
///
/// - At the full magnitude: shears of 0.3, shifts of 150/331 of a side, rotations by 30°, brightness, saturation,
///   contrast and sharpness changed by 0.9 of themselves, 4 bits fewer, every value inverted. Signs are drawn.
/// - Source: Cubuk, Zoph, Shlens and Le, *RandAugment*, 2020; the ranges are those of Cubuk and others, *AutoAugment*,
///   2019.
public struct RandAugment: PictureTransform, Hashable, Codable {
    /// Operations a picture.
    public var operations: Int
    /// 0...30.
    public var magnitude: Double

    /// - Precondition: at least 0 operations, and a magnitude of 0...30.
    public init(operations: Int = 2, magnitude: Double = 9) {
        precondition(operations >= 0 && (0...30).contains(magnitude), "magnitudes are 0...30")
        self.operations = operations
        self.magnitude = magnitude
    }

    public func augmented(
        _ sample: AnnotatedPicture, using generator: inout some RandomNumberGenerator
    ) -> AnnotatedPicture {
        var sample = sample
        for _ in 0..<operations {
            let operation = Int(generator.unit() * Double(Operation.allCases.count))
            let sign = generator.unit() < 0.5 ? -1.0 : 1
            sample = Operation.allCases[operation].applied(to: sample, by: magnitude / 30, sign: sign)
        }
        return sample
    }

    private enum Operation: CaseIterable {
        case identity, shearX, shearY, translateX, translateY, rotate
        case brightness, saturation, contrast, sharpness, posterize, solarize, autoContrast, equalize

        /// - Parameter share: of the full magnitude.
        func applied(to sample: AnnotatedPicture, by share: Double, sign: Double) -> AnnotatedPicture {
            let picture = sample.picture
            let amount = sign * share
            func moved(_ map: PictureMap) -> AnnotatedPicture { sample.moved(by: map) }
            func coloured(_ picture: Picture) -> AnnotatedPicture {
                var result = sample
                result.picture = picture
                return result
            }
            switch self {
            case .identity: return sample
            case .shearX: return moved(PictureMap(aroundMiddleOf: picture, b: 0.3 * amount))
            case .shearY: return moved(PictureMap(aroundMiddleOf: picture, d: 0.3 * amount))
            case .translateX, .translateY:
                let isAcross = self == .translateX
                let distance = 150 / 331 * amount * Double(isAcross ? picture.width : picture.height)
                let whole = PictureMap(width: picture.width, height: picture.height)
                return moved(whole.shifted(right: isAcross ? distance : 0, down: isAcross ? 0 : distance))
            case .rotate:
                let angle = amount * .pi / 6
                return moved(
                    PictureMap(
                        aroundMiddleOf: picture, a: cos(angle), b: sin(angle), d: -sin(angle), e: cos(angle)))
            case .brightness: return coloured(picture.withBrightness(1 + 0.9 * amount))
            case .saturation: return coloured(picture.withSaturation(1 + 0.9 * amount))
            case .contrast: return coloured(picture.withContrast(1 + 0.9 * amount))
            case .sharpness: return coloured(picture.withSharpness(1 + 0.9 * amount))
            case .posterize: return coloured(picture.posterized(bits: 8 - Int((4 * share).rounded())))
            case .solarize: return coloured(picture.solarized(threshold: 256 * (1 - share)))
            case .autoContrast: return coloured(picture.autoContrasted())
            case .equalize: return coloured(picture.equalized())
            }
        }
    }
}
