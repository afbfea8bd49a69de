#if canImport(Glibc)
import Glibc
#endif

/// A learning rate for each step, counted from 0.
public struct Schedule: Sendable {
    private let rate: @Sendable (Int) -> Double

    public init(_ rate: @escaping @Sendable (_ step: Int) -> Double) { self.rate = rate }

    public func callAsFunction(_ step: Int) -> Double { rate(step) }

    public static func constant(_ rate: Double) -> Schedule { Schedule { _ in rate } }

    /// From `peak` at step 0 along half a cosine to `end` at step `steps`, and `end` from then on (Loshchilov and Hutter, 2017).
    public static func cosine(from peak: Double, to end: Double = 0, steps: Int) -> Schedule {
        Schedule { step in
            let share = min(Double(step) / Double(max(steps, 1)), 1)
            return end + (peak - end) * 0.5 * (1 + cos(.pi * share))
        }
    }

    /// Rises evenly to `schedule`'s first rate, over `steps` steps of which the first isn't 0; then `schedule` from its step 0.
    public static func warmUp(_ steps: Int, then schedule: Schedule) -> Schedule {
        Schedule { step in step < steps ? schedule(0) * Double(step + 1) / Double(steps) : schedule(step - steps) }
    }

    /// One cycle: from `peak / startDivisor` along half a cosine up to `peak` at `rise` of all steps, then down along another to
    /// `peak / startDivisor / endDivisor` (Smith and Topin, 2018; as torch's OneCycleLR).
    public static func oneCycle(peak: Double, steps: Int, rise: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4) -> Schedule {
        Schedule { step in
            let top = max(rise * Double(steps) - 1, 1e-9), last = Double(max(steps - 1, 1)), at = min(Double(step), last)
            func between(_ a: Double, _ b: Double, _ share: Double) -> Double { b + (a - b) * 0.5 * (1 + cos(.pi * share)) }
            let start = peak / startDivisor
            return at <= top ? between(start, peak, at / top) : between(peak, start / endDivisor, (at - top) / max(last - top, 1e-9))
        }
    }
}
