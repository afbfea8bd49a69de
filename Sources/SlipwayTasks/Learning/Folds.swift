internal import SlipwayDomain

/// Which training items validate: a pure function of content and label, like the test split, so that every trial of an
/// experiment is judged on the same items. Test items never come here.
///
/// Tables of few rows are cut into five folds: five members are trained, each judged by the fold that it didn't see,
/// so every row is learned from and every row judges. Otherwise one sixth validates a single member.
struct Folds: Sendable {
    /// Of each training item: the fold that it is in.
    let fold: [Int]
    /// How many members are trained; member `m` is judged by fold `m`.
    let members: Int

    /// Beyond these, five members cost more than they bring.
    static let mostRowsForFolds = 20_000, mostClassesForFolds = 20

    /// - Parameter labels: the class of each item; all 0 for regression.
    init(hashes: [Int64], labels: [Int], of kind: ItemKind) {
        let isSplit = kind == .rows && hashes.count <= Self.mostRowsForFolds
            && labels.max() ?? 0 < Self.mostClassesForFolds
        let count = isSplit ? 5 : 6
        members = isSplit ? 5 : 1
        var fold = [Int](repeating: 0, count: hashes.count)
        for (_, indices) in Dictionary(grouping: hashes.indices, by: { labels[$0] }) {
            // A second hash, so that validation has nothing to do with the test split's order.
            let mixed = indices.map { (key: SeededGenerator.mixed(UInt64(bitPattern: hashes[$0])), index: $0) }
                .sorted { ($0.key, $0.index) < ($1.key, $1.index) }
            let distinct = mixed.isEmpty ? 0 : zip(mixed, mixed.dropFirst()).reduce(1) { $0 + ($1.0.key == $1.1.key ? 0 : 1) }
            let ways = max(min(count, distinct), 1)
            var rank = -1
            for (position, item) in mixed.enumerated() {
                if position == 0 || item.key != mixed[position - 1].key { rank += 1 }
                // A lone item is always learned from.
                fold[item.index] = distinct == 1 ? 1 : rank % ways
            }
        }
        self.fold = fold
    }

    func trained(by member: Int) -> [Int] { fold.indices.filter { fold[$0] != member } }

    /// The items that judge a member; when each class has a lone item, nothing is left to judge, and all do.
    func judged(by member: Int) -> [Int] {
        let judging = fold.indices.filter { fold[$0] == member }
        return judging.isEmpty && members == 1 ? Array(fold.indices) : judging
    }

    /// All items that judge, in the order in which a learner's `validation` gives their predictions.
    var judged: [Int] { (0..<members).flatMap(judged(by:)) }
}
