internal import Foundation
internal import Keel

/// Items drawn by weight, such as rare classes more often than they are found.
///
/// - With replacement, each draw takes item i with probability `weights[i] / sum`, whatever was drawn before.
/// - Without, each draw does so among the items that weren't drawn yet; an item of weight 0 never comes.
/// - Source: Efraimidis and Spirakis, *Weighted random sampling with a reservoir*, 2006 (without replacement).
public struct WeightedOrder: Sampler, Hashable, Codable {
    public let weights: [Double]
    public let count: Int
    /// Whether an item that was drawn may be drawn again: with replacement.
    public let putsBack: Bool
    public let seed: UInt64

    /// - Parameter count: draws of an epoch.
    /// - Precondition: weights are finite and not negative, with a finite sum; there are as many positive ones as
    ///   `count`, or one if items are put back.
    public init(weights: [Double], count: Int, putsBack: Bool, seed: UInt64) {
        precondition(
            weights.allSatisfy { $0 >= 0 } && weights.reduce(0, +).isFinite, "weights are finite and not negative")
        let usable = weights.count { $0 > 0 }
        precondition(count > 0 && usable >= (putsBack ? 1 : count), "there are enough items of positive weight")
        self.weights = weights
        self.count = count
        self.putsBack = putsBack
        self.seed = seed
    }

    public func items(inEpoch epoch: Int) -> [Int] {
        var generator = Philox(seed: seed, stream: UInt64(epoch))
        return putsBack ? drawn(&generator) : first(&generator)
    }

    private func drawn(_ generator: inout Philox) -> [Int] {
        var sum = 0.0
        let ends = weights.map { weight in
            sum += weight
            return sum
        }
        let last = weights.lastIndex { $0 > 0 } ?? 0
        return (0..<count).map { _ in
            let place = generator.unit() * sum
            var (low, high) = (0, last)
            while low < high {  // the first item that ends beyond the place
                let middle = (low + high) / 2
                if ends[middle] > place { high = middle } else { low = middle + 1 }
            }
            return low
        }
    }

    /// The items of largest `log(u) / weight`, which is one race of exponential clocks.
    private func first(_ generator: inout Philox) -> [Int] {
        let keys = weights.map { weight in
            let u = 1 - generator.unit()  // above 0
            return weight > 0 ? log(u) / weight : -.infinity
        }
        return Array(weights.indices.sorted { keys[$0] != keys[$1] ? keys[$0] > keys[$1] : $0 < $1 }.prefix(count))
    }
}
