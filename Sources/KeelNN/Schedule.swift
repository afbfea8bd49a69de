#if canImport(Glibc)
import Glibc
#endif

/// A learning rate for each step, counted from 0, or another number that changes as training goes on, as the share that a `Pruning` takes out. It has
/// no state: what a checkpoint keeps is the step.
///
/// `Plateau` is the schedule that follows a measure instead.
public struct Schedule: Sendable {
    private let rate: @Sendable (Int) -> Double

    public init(_ rate: @escaping @Sendable (_ step: Int) -> Double) { self.rate = rate }

    public func callAsFunction(_ step: Int) -> Double { rate(step) }

    public static func constant(_ rate: Double) -> Schedule { Schedule { _ in rate } }

    /// Evenly from `first` at step 0 to `last` at step `steps`, and `last` from then on.
    public static func linear(from first: Double, to last: Double = 0, steps: Int) -> Schedule {
        polynomial(from: first, to: last, power: 1, steps: steps)
    }

    /// `last + (first - last) * (1 - step / steps)^power`, and `last` from `steps` on.
    public static func polynomial(from first: Double, to last: Double = 0, power: Double, steps: Int) -> Schedule {
        Schedule { step in last + (first - last) * pow(1 - min(Double(step) / Double(max(steps, 1)), 1), power) }
    }

    /// `first * factor^step`.
    public static func exponential(from first: Double, factor: Double) -> Schedule { Schedule { step in first * pow(factor, Double(step)) } }

    /// `first`, multiplied by `factor` every `interval` steps.
    public static func step(from first: Double, factor: Double = 0.1, every interval: Int) -> Schedule {
        precondition(interval > 0, "a step schedule's interval is one step at least")
        return Schedule { step in first * pow(factor, Double(step / interval)) }
    }

    /// `first`, multiplied by `factor` at each of the steps `milestones`.
    public static func multiStep(from first: Double, factor: Double = 0.1, at milestones: [Int]) -> Schedule {
        Schedule { step in first * pow(factor, Double(milestones.count { $0 <= step })) }
    }

    /// From `peak` at step 0 along half a cosine to `end` at step `steps`, and `end` from then on (Loshchilov and Hutter, 2017).
    public static func cosine(from peak: Double, to end: Double = 0, steps: Int) -> Schedule {
        Schedule { step in along(halfCosineFrom: peak, to: end, min(Double(step) / Double(max(steps, 1)), 1)) }
    }

    /// `cosine` over and over: the first time over `steps` steps, each time over `growth` times as many as before (Loshchilov and Hutter, 2017).
    public static func cosineRestarts(from peak: Double, to end: Double = 0, steps: Int, growth: Int = 1) -> Schedule {
        precondition(steps > 0 && growth > 0, "a cosine has one step at least")
        return Schedule { step in
            var rest = step, length = steps
            while rest >= length {
                rest -= length
                length *= growth
                if growth == 1 { rest %= length }
            }
            return along(halfCosineFrom: peak, to: end, Double(rest) / Double(length))
        }
    }

    /// Rises evenly to `schedule`'s first rate, over `steps` steps of which the first isn't 0; then `schedule` from its step 0.
    public static func warmUp(_ steps: Int, then schedule: Schedule) -> Schedule {
        Schedule { step in step < steps ? schedule(0) * Double(step + 1) / Double(steps) : schedule(step - steps) }
    }

    /// One schedule after the other, each from its step 0 for as many steps as it is given; `last` from then on.
    public static func chained(_ parts: [(schedule: Schedule, steps: Int)], then last: Schedule) -> Schedule {
        Schedule { step in
            var rest = step
            for (schedule, steps) in parts {
                if rest < steps { return schedule(rest) }
                rest -= steps
            }
            return last(rest)
        }
    }

    /// One cycle: from `peak / startDivisor` along half a cosine up to `peak` at `rise` of all steps, then down along another to
    /// `peak / startDivisor / endDivisor` (Smith and Topin, 2018; as torch's OneCycleLR).
    public static func oneCycle(peak: Double, steps: Int, rise: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4) -> Schedule {
        Schedule { step in
            let top = max(rise * Double(steps) - 1, 1e-9), last = Double(max(steps - 1, 1)), at = min(Double(step), last)
            let start = peak / startDivisor
            return at <= top
                ? along(halfCosineFrom: start, to: peak, at / top)
                : along(halfCosineFrom: peak, to: start / endDivisor, (at - top) / max(last - top, 1e-9))
        }
    }

    private static func along(halfCosineFrom a: Double, to b: Double, _ share: Double) -> Double { b + (a - b) * 0.5 * (1 + cos(.pi * share)) }
}
