#if canImport(Glibc)
import Glibc
#endif

/// A scale of pitch on which equal steps sound equal.
public enum MelScale: Sendable, Hashable {
    /// `2595 log10(1 + f / 700)`: O'Shaughnessy, *Speech Communication*, 1987; the HTK book.
    case htk
    /// Linear up to 1000 Hz, logarithmic above: Slaney, *Auditory Toolbox*, 1998.
    case slaney

    func mel(_ hertz: Double) -> Double {
        switch self {
        case .htk: 2595 * log10(1 + hertz / 700)
        case .slaney: hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) / (log(6.4) / 27)
        }
    }

    func hertz(_ mel: Double) -> Double {
        switch self {
        case .htk: 700 * (pow(10, mel / 2595) - 1)
        case .slaney: mel < 15 ? mel * 200 / 3 : 1000 * exp(log(6.4) / 27 * (mel - 15))
        }
    }
}

/// Power spectra on a mel scale, their logarithms and cepstral coefficients.
///
/// - Shapes: signals `[..., t]` → `[..., mels, frames]`, or `[..., coefficients, frames]`.
/// - Source: Davis and Mermelstein, *Comparison of parametric representations for monosyllabic word recognition*, 1980; torchaudio
///   `melscale_fbanks`, `MelSpectrogram`, `MFCC`.
public struct MelSpectrogram: Sendable {
    public let transform: ShortTimeFourier
    /// Triangles `[length/2 + 1, mels]`.
    public let filters: Tensor

    /// - Parameters:
    ///   - sampleRate, lowest, highest: in Hz; `highest` is half the rate by default.
    ///   - hasUnitArea: divide each triangle by its width, as Slaney does.
    /// - Throws: `TensorError.argument` for no mels, or limits out of order.
    public init(
        sampleRate: Double, mels: Int = 80, transform: ShortTimeFourier, lowest: Double = 0, highest: Double? = nil, scale: MelScale = .htk,
        hasUnitArea: Bool = false
    ) throws(TensorError) {
        self.transform = transform
        filters = try Self.filters(
            bins: transform.length / 2 + 1, mels: mels, sampleRate: sampleRate, lowest: lowest, highest: highest ?? sampleRate / 2, scale: scale,
            hasUnitArea: hasUnitArea)
    }

    /// Triangles whose feet stand at their neighbours' tips, at equal distances on the scale: `[bins, mels]` in float64.
    public static func filters(
        bins: Int, mels: Int, sampleRate: Double, lowest: Double, highest: Double, scale: MelScale = .htk, hasUnitArea: Bool = false
    ) throws(TensorError) -> Tensor {
        guard mels >= 1, bins >= 2 else { throw .argument(primitive: "MelSpectrogram", name: "mels", given: mels, allowed: "1 and more of 2 bins and more") }
        guard lowest >= 0, lowest < highest, highest <= sampleRate / 2 else {
            throw .argument(primitive: "MelSpectrogram", name: "limits", given: "\(lowest)...\(highest) Hz", allowed: "0...\(sampleRate / 2) Hz, in order")
        }
        let (low, high) = (scale.mel(lowest), scale.mel(highest))
        let tips = (0..<(mels + 2)).map { scale.hertz(low + (high - low) * Double($0) / Double(mels + 1)) }
        var numbers = [Double](repeating: 0, count: bins * mels)
        for bin in 0..<bins {
            let hertz = sampleRate / 2 * Double(bin) / Double(bins - 1)
            for mel in 0..<mels {
                let up = (hertz - tips[mel]) / (tips[mel + 1] - tips[mel]), down = (tips[mel + 2] - hertz) / (tips[mel + 2] - tips[mel + 1])
                numbers[bin * mels + mel] = max(0, min(up, down)) * (hasUnitArea ? 2 / (tips[mel + 2] - tips[mel]) : 1)
            }
        }
        return try Tensor(numbers, [bins, mels])
    }

    /// Power at each pitch.
    public func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
        let power = try transform(x).squared().sum([-1])
        return try filters.cast(to: x.dtype).moved(to: x.device).transposed().matmul(power)
    }

    /// The natural logarithm of the power, of `floor` at least.
    public func logarithm(_ x: Tensor, floor: Double = 1e-10) throws(TensorError) -> Tensor {
        let power = try self(x)
        return try power.maximum(Tensor.full(floor, Shape(), x.dtype, on: x.device)).log()
    }

    /// Mel-frequency cepstral coefficients: the cosine transform of the power in decibels.
    ///
    /// - Parameter range: what lies further below the loudest is raised to there, in decibels.
    public func cepstrum(_ x: Tensor, coefficients: Int = 13, range: Double = 80) throws(TensorError) -> Tensor {
        let mels = try filters.shape.size(-1)
        guard coefficients >= 1, coefficients <= mels else {
            throw .argument(primitive: "MelSpectrogram", name: "coefficients", given: coefficients, allowed: "1...\(mels)")
        }
        let decibels = try self(x).decibels(range: range)
        return try Tensor.cosineTransform(mels).sliced(0, to: coefficients).cast(to: x.dtype).moved(to: x.device).matmul(decibels)
    }
}

extension Tensor {
    /// `10 log10` of power, of 1e-10 at least; over the last two axes, no more than `range` below the loudest.
    public func decibels(range: Double? = nil) throws(TensorError) -> Tensor {
        let level = try maximum(Tensor.full(1e-10, Shape(), dtype, on: device)).log() * 4.3429448190325183  // 10 / log 10
        guard let range else { return level }
        return try level.maximum(level.max([-1, -2], keepingAxes: true) - range)
    }

    /// The orthonormal cosine transform of kind II as a matrix `[n, n]` in float64: row `k` is `√(2/n) cos(π (i + ½) k / n)`, the first one over `√2`.
    ///
    /// - Source: Ahmed, Natarajan and Rao, *Discrete cosine transform*, 1974.
    public static func cosineTransform(_ n: Int) throws(TensorError) -> Tensor {
        guard n >= 1 else { throw .argument(primitive: "cosineTransform", name: "n", given: n, allowed: "1 and more") }
        var numbers: [Double] = []
        for k in 0..<n {
            for i in 0..<n { numbers.append((k == 0 ? 1 : 2.0.squareRoot()) / Double(n).squareRoot() * cos(Double.pi * (Double(i) + 0.5) * Double(k) / Double(n))) }
        }
        return try Tensor(numbers, [n, n])
    }
}
