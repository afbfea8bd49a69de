#if canImport(Glibc)
import Glibc
#endif

/// The shapes of window that short-time transforms weigh their frames with.
///
/// - Source: Harris, *On the use of windows for harmonic analysis with the discrete Fourier transform*, 1978.
public enum WindowShape: Sendable, Hashable {
    case rectangular, hann, hamming, blackman

    /// A periodic window of `length` numbers: one more would close the period.
    public func window(_ length: Int, _ dtype: DType = .float32) throws(TensorError) -> Tensor {
        guard length >= 1 else { throw .argument(primitive: "Window", name: "length", given: length, allowed: "1 and more") }
        let numbers = (0..<length).map { place -> Double in
            let angle = 2 * Double.pi * Double(place) / Double(length)
            return switch self {
            case .rectangular: 1
            case .hann: 0.5 - 0.5 * cos(angle)
            case .hamming: 0.54 - 0.46 * cos(angle)
            case .blackman: 0.42 - 0.5 * cos(angle) + 0.08 * cos(2 * angle)
            }
        }
        return try Tensor(numbers).cast(to: dtype)
    }
}

/// The short-time Fourier transform of real signals and its inverse, with torch's conventions.
///
/// - Shapes: `x [..., t]` → `[..., length/2 + 1, frames, 2]`, `frames` being `1 + (t [+ length if centred] - length) / hop`.
/// - Gradient: through its parts, `Frames` and `RealFFT`.
/// - Source: torch `stft` and `istft`; Griffin and Lim, *Signal estimation from modified short-time Fourier transform*, 1984.
public struct ShortTimeFourier: Sendable {
    /// Numbers in a frame, and from one frame to the next.
    public let length, hop: Int
    /// `[length]`.
    public let window: Tensor
    /// Whether frame `i` has its middle at `i * hop`: the signal is mirrored at its ends for that.
    public let isCentred: Bool
    /// Whether both directions carry a factor of `1/√length`.
    public let isNormalised: Bool

    /// - Parameters:
    ///   - hop: a quarter of the length by default.
    ///   - window: of `windowLength` numbers, with zeros around it up to `length`.
    /// - Throws: `TensorError.argument` unless `1 <= windowLength <= length` and `hop >= 1`.
    public init(
        length: Int, hop: Int? = nil, window: WindowShape = .hann, windowLength: Int? = nil, isCentred: Bool = true, isNormalised: Bool = false
    ) throws(TensorError) {
        let inner = windowLength ?? length, step = hop ?? Swift.max(length / 4, 1)
        guard length >= 1 else { throw .argument(primitive: "ShortTimeFourier", name: "length", given: length, allowed: "1 and more") }
        guard inner >= 1, inner <= length else {
            throw .argument(primitive: "ShortTimeFourier", name: "windowLength", given: inner, allowed: "1...\(length)")
        }
        guard step >= 1 else { throw .argument(primitive: "ShortTimeFourier", name: "hop", given: step, allowed: "1 and more") }
        self.length = length
        self.hop = step
        self.isCentred = isCentred
        self.isNormalised = isNormalised
        let before = (length - inner) / 2
        self.window = try window.window(inner, .float64).padded(0, before: before, after: length - inner - before)
    }

    private var scaling: FourierScaling { isNormalised ? .orthonormal : .backward }

    private func weights(like x: Tensor) throws(TensorError) -> Tensor { try window.cast(to: x.dtype).moved(to: x.device) }

    public func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
        guard x.rank >= 1 else { throw .rank(primitive: "ShortTimeFourier", expected: "signals [..., t]", x.shape) }
        guard x.dtype.isFloat else { throw .dtype(primitive: "ShortTimeFourier", expected: "floats", x.dtype) }
        let signal = isCentred ? try x.padded([(length / 2, length / 2)], .reflect) : x
        let frames = try signal.frames(length, hop: hop) * weights(like: x)
        return try frames.realFFT(scaling: scaling).transposed(-2, -3)
    }

    /// The signal whose transform is nearest to this one: frames are weighed once more, added up, and divided by what the squares of
    /// the windows add up to.
    ///
    /// - Shapes: `[..., length/2 + 1, frames, 2]` → `[..., t]`. `count` is `t`, by default what whole frames give.
    /// - Throws: `TensorError.argument` where the windows leave a place of the result uncovered.
    public func inverse(_ transform: Tensor, count: Int? = nil) throws(TensorError) -> Tensor {
        guard transform.rank >= 3, try transform.shape.size(-3) == length / 2 + 1, try transform.shape.size(-2) > 0 else {
            throw .shape(primitive: "ShortTimeFourier", expected: "a transform [..., \(length / 2 + 1), frames, 2]", transform.shape)
        }
        let weights = try weights(like: transform), frames = try transform.shape.size(-2)
        let parts = try transform.transposed(-2, -3).inverseRealFFT(count: length, scaling: scaling) * weights
        let sum = try parts.overlapAdded(hop: hop), cover = try weights.squared().expanded(to: [frames, length]).overlapAdded(hop: hop)
        let whole = try sum.shape.size(-1), start = isCentred ? length / 2 : 0
        let end = count.map { start + $0 } ?? (isCentred ? whole - length / 2 : whole)
        guard end >= start, end <= whole else {
            throw .argument(primitive: "ShortTimeFourier", name: "count", given: end - start, allowed: "0...\(whole - start)")
        }
        let divisor = try cover.sliced(-1, from: start, to: end)
        let least = end == start ? 1 : try divisor.min().cast(to: .float64).moved(to: CPU.shared).item(Double.self)
        guard least > 1e-11 else {
            throw .argument(primitive: "ShortTimeFourier", name: "hop", given: hop, allowed: "one whose windows leave no place uncovered")
        }
        return try sum.sliced(-1, from: start, to: end) / divisor
    }
}
