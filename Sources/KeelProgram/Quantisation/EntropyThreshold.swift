#if canImport(Glibc)
import Glibc
#endif

/// How many bins of a histogram of magnitudes a quantiser had better keep: those whose distribution, clipped there and merged into `levels` steps, tells
/// least from the whole one by the Kullback-Leibler divergence. What is beyond counts as in the last bin that is kept; where that is empty the steps have
/// a ten-thousandth of a number there, so that no divergence is infinite.
///
/// - Returns: `levels ... counts.count`; all where there are no more bins than levels.
/// - Source: Migacz, *8-bit Inference with TensorRT*, GTC 2017.
package func entropyThreshold(_ counts: [Int], levels: Int) -> Int {
    guard counts.count > levels, levels >= 1 else { return counts.count }
    let total = counts.reduce(0, +)
    var best = (bins: counts.count, divergence: Double.infinity), inside = counts[..<levels].reduce(0, +)
    for kept in levels...counts.count {
        if kept > levels { inside += counts[kept - 1] }
        let divergence = divergence(counts[..<kept], levels: levels, inside: inside, outside: total - inside)
        if divergence < best.divergence { best = (kept, divergence) }
    }
    return best.bins
}

/// Of the clipped distribution from the one with `levels` steps, in nats.
private func divergence(_ counts: ArraySlice<Int>, levels: Int, inside: Int, outside: Int) -> Double {
    guard inside > 0 else { return .infinity }
    let last = counts.count - 1
    var sum = 0.0, start = 0
    for level in 0..<levels {
        let end = (level + 1) * counts.count / levels
        var step = 0, filled = 0
        for bin in start..<end where counts[bin] > 0 {
            step += counts[bin]
            filled += 1
        }
        // A step's number is spread over those of its bins that hold any.
        let each = Double(step) / Double(max(filled, 1))
        for bin in start..<end {
            let p = Double(counts[bin] + (bin == last ? outside : 0))
            if p > 0 { sum += p * log(p / (counts[bin] > 0 ? each : 1e-4)) }
        }
        start = end
    }
    let whole = Double(inside + outside)
    return sum / whole + log(Double(inside) / whole)
}
