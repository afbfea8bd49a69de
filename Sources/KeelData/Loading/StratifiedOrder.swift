internal import Keel

/// Every item once, in an order whose every stretch, and so every batch, has the classes in the shares of the whole: a
/// class of n items has them in n equal parts of the epoch, one in each, at a random place.
///
/// A stretch of `s` items of `count` holds of each class as many as its share says, give or take two.
public struct StratifiedOrder: Sampler, Hashable, Codable {
    /// Each item's class: any numbers.
    public let classes: [Int]
    public let seed: UInt64
    public var count: Int { classes.count }

    /// - Precondition: there is at least one item.
    public init(classes: [Int], seed: UInt64) {
        precondition(!classes.isEmpty, "an order has at least one item")
        self.classes = classes
        self.seed = seed
    }

    public func items(inEpoch epoch: Int) -> [Int] {
        var generator = Philox(seed: seed, stream: UInt64(epoch))
        var places = [Double](repeating: 0, count: count)
        for members in itemsByGroup(classes) {
            var members = members
            members.shuffleEvenly(using: &generator)
            for (part, item) in members.enumerated() {
                places[item] = (Double(part) + generator.unit()) / Double(members.count)
            }
        }
        return places.indices.sorted { places[$0] != places[$1] ? places[$0] < places[$1] : $0 < $1 }
    }
}

/// The items of each group, groups in ascending order.
func itemsByGroup(_ groups: [Int]) -> [[Int]] {
    Dictionary(grouping: groups.indices) { groups[$0] }.sorted { $0.key < $1.key }.map(\.value)
}
