/// Which items are held out for the test: a pure function of content and label, so that the order of upload, the
/// seed and the machine don't matter, and twins (equal bytes, equal rows) never sit on both sides.
package enum Split: String, Codable, Sendable, CaseIterable {
    case train, test

    /// The share of each class (of all rows, for regression) that is held out.
    package static let testShare = 0.2

    /// The sides of items with one label (`hashes` in any order): the items with the smallest content hashes are held
    /// out, a rounded fifth of them and at least one of two. Ties share a rank, so twins share a side; a group of twins
    /// is held out when its first member is, unless that would leave nothing to train on.
    ///
    /// `Transaction.items(ofVersion:)` says the same in SQL; a test holds them to each other.
    package static func sides(ofClassWith hashes: [Int64]) -> [Split] {
        let held = heldOut(of: hashes.count)
        let order = hashes.indices.sorted { hashes[$0] < hashes[$1] }
        var sides = [Split](repeating: .train, count: hashes.count)
        var rank = 1
        for (position, index) in order.enumerated() {
            if position > 0, hashes[index] != hashes[order[position - 1]] { rank = position + 1 }
            if rank <= held { sides[index] = .test }
        }
        return sides.contains(.train) ? sides : sides.map { _ in .train }
    }

    /// How many of `count` items are held out; none of a single one.
    package static func heldOut(of count: Int) -> Int {
        count < 2 ? 0 : max(1, Int((Double(count) * testShare).rounded()))
    }
}
