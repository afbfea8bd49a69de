internal import Foundation
internal import KeelDataKernels

/// Brings sound to another rate by band-limited interpolation: a sinc of 64 zero crossings to each side under a Kaiser
/// window (β = 9.6), cut off at 0.95 of the lower of both Nyquist frequencies. What lies beyond that frequency is 90 dB
/// down, what lies below 0.9 of it is unchanged. Beyond the ends there is silence.
///
/// Holds a table of the filter for each place that an output can have between two inputs or, where these are many, for
/// so many that straight lines between them are off by 4e-7 of the filter's peak at most. With `135 * from / to` floats
/// a place (138 at least) that makes 135,000, and twice those of a place, at most; make one for many waveforms.
/// - Source: Smith and Gossett, *A flexible sampling-rate conversion method*, 1984; Kaiser, *Nonrecursive digital
///   filter design using the I0-sinh window function*, 1974.
public struct Resampler: Sendable {
    /// In Hz.
    public let from, to: Int
    private let up, down, reach: Int
    /// Into how many steps the way from one input to the next is cut.
    private let phases: Int
    /// Each phase's weights: rows of `2 * reach + 2`, the last one that of the next input unless phases are exact.
    private let filters: [Float]

    /// Phases for each zero crossing of the filter.
    private static let finest = 1024.0

    /// - Precondition: both rates are positive.
    public init(from: Int, to: Int) {
        precondition(from > 0 && to > 0, "rates are positive")
        self.from = from
        self.to = to
        let divisor = greatestCommonDivisor(from, to)
        (up, down) = (to / divisor, from / divisor)
        let cutoff = 0.95 * min(1, Double(up) / Double(down)), width = 64 / cutoff
        reach = Int(width.rounded(.up))
        phases = min(up, Int((Self.finest * cutoff).rounded(.up)))
        var filters: [Float] = []
        if from != to {
            let rows = phases == up ? up : phases + 1
            filters.reserveCapacity(rows * (2 * reach + 2))
            for phase in 0..<rows {
                for tap in 0..<2 * reach + 2 {
                    let distance = Double(tap - reach) - Double(phase) / Double(phases)
                    filters.append(Float(windowedSinc(distance, cutoff: cutoff, width: width, beta: 9.6)))
                }
            }
        }
        self.filters = filters
    }

    /// The waveform at the new rate: `count * to / from` samples, rounded up.
    ///
    /// - Precondition: it has the rate that the resampler goes from.
    public func callAsFunction(_ waveform: Waveform) -> Waveform {
        precondition(waveform.rate == from, "a resampler takes waveforms of one rate")
        guard from != to else { return waveform }
        let count = (waveform.count * up + down - 1) / down
        let channels = waveform.channels.map { samples in
            [Float](unsafeUninitializedCapacity: count) { out, initialized in
                keel_resample(
                    samples, Int64(samples.count), filters, Int64(phases), Int64(up), Int64(down), Int64(reach),
                    out.baseAddress, Int64(count))
                initialized = count
            }
        }
        return Waveform(rate: to, channels: channels)
    }

    /// Numbers in the table.
    package var tableCount: Int { filters.count }
}

extension Waveform {
    /// At another rate; a `Resampler` of your own saves making its table for each waveform.
    public func resampled(to rate: Int) -> Waveform { Resampler(from: self.rate, to: rate)(self) }
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestCommonDivisor(b, a % b) }

private func windowedSinc(_ x: Double, cutoff: Double, width: Double, beta: Double) -> Double {
    guard abs(x) < width else { return 0 }
    let angle = Double.pi * cutoff * x
    let sinc = x == 0 ? 1 : sin(angle) / angle
    return cutoff * sinc * bessel0(beta * (1 - x * x / (width * width)).squareRoot()) / bessel0(beta)
}

/// The modified Bessel function of the first kind, order 0, by its power series.
///
/// - Source: Abramowitz and Stegun, *Handbook of Mathematical Functions*, 9.6.12.
private func bessel0(_ x: Double) -> Double {
    var term = 1.0, sum = 1.0, k = 1.0
    while term > 1e-17 * sum {
        term *= x * x / (4 * k * k)
        sum += term
        k += 1
    }
    return sum
}
