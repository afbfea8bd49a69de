internal import Keel

/// An order cut into batches; the last one of an epoch may be smaller.
public struct Batches<Order: Sampler<Int>>: Sampler {
    public let order: Order
    public let size: Int

    /// - Precondition: a batch has at least one item.
    public init(of order: Order, size: Int) {
        precondition(size > 0, "a batch has at least one item")
        self.order = order
        self.size = size
    }

    public var count: Int { (order.count + size - 1) / size }

    public func items(inEpoch epoch: Int) -> [[Int]] { order.items(inEpoch: epoch).inBatches(of: size) }
}

/// Batches of items that share a group (an aspect ratio, a speaker, a length), every item once an epoch: items are
/// shuffled within their group, and batches among each other. The last batch of a group may be smaller.
public struct GroupedBatches: Sampler, Hashable, Codable {
    /// Each item's group: any numbers.
    public let groups: [Int]
    public let size: Int
    public let seed: UInt64
    public let count: Int

    /// - Precondition: there is at least one item, and a batch has at least one.
    public init(groups: [Int], size: Int, seed: UInt64) {
        precondition(!groups.isEmpty && size > 0, "there is an item, and a batch has at least one")
        self.groups = groups
        self.size = size
        self.seed = seed
        count = itemsByGroup(groups).reduce(0) { $0 + ($1.count + size - 1) / size }
    }

    /// Batches of like lengths, so that little is padded: the items of lengths up to `bounds[0]` are one bucket, those
    /// above it up to `bounds[1]` the next, and those above all bounds the last.
    ///
    /// - Precondition: `bounds` ascend.
    public init(lengths: [Int], bounds: [Int], size: Int, seed: UInt64) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy(<), "bounds of buckets ascend")
        let buckets = lengths.map { length in bounds.firstIndex { length <= $0 } ?? bounds.count }
        self.init(groups: buckets, size: size, seed: seed)
    }

    public func items(inEpoch epoch: Int) -> [[Int]] {
        var generator = Philox(seed: seed, stream: UInt64(epoch))
        var batches: [[Int]] = []
        for members in itemsByGroup(groups) {
            var members = members
            members.shuffleEvenly(using: &generator)
            batches += members.inBatches(of: size)
        }
        batches.shuffleEvenly(using: &generator)
        return batches
    }
}

extension [Int] {
    fileprivate func inBatches(of size: Int) -> [[Int]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
