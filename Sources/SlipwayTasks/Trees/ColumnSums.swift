internal import Foundation
internal import SlipwayDomain

/// Looks for number columns that say more added up than each of them alone.
///
/// A tree cuts one column at a time, so a rule about a total (length plus width above a limit) takes it a staircase of cuts,
/// each learned from fewer rows. A quick forest is grown first, each row predicted by trees that didn't see it. What it
/// still gets wrong is then explained by each candidate alone, cut into bins; candidates grow by one column at a
/// time from the best ones so far. A bin's step comes from the other parts of the rows, so noise gains nothing.
/// - Source: Zhang et al., "OpenFE: Automated feature generation with expert-level performance", 2023 (judging candidates
///   by what they take off a boosted model's loss).
struct ColumnSums {
    let rows: [[String?]]
    /// As `Link` has them: a class's number, or a scaled target.
    let labels: [Float]
    let link: Link
    let seed: UInt64
    let lanes: [Lane]

    /// Rows and columns beyond these aren't looked at.
    private static let mostRows = 6000, mostColumns = 32
    private static let parts = 5, bins = 16, rounds = 80
    /// Columns of a sum, and how many sums of one size grow on.
    private static let longest = 5, grown = 6

    /// At most `count` sums, the best first.
    func best(_ count: Int, of encoder: TableEncoder) throws -> [TableEncoder.Sum] {
        let numbers = encoder.columns.indices.filter {
            if case .number = encoder.columns[$0].feature { true } else { false }
        }
        let stride = max((rows.count + Self.mostRows - 1) / Self.mostRows, 1)
        let chosen = Swift.stride(from: 0, to: rows.count, by: stride).map { $0 }
        guard count > 0, numbers.count > 1, chosen.count >= 20 * Self.parts else { return [] }
        let judge = try Judge(self, encoder, chosen, numbers)

        var judged: [TableEncoder.Sum: Double] = [:]
        var growing = judge.columns.map { TableEncoder.Sum(plus: [$0], minus: []) }
        var gains = Dictionary(uniqueKeysWithValues: growing.map { ($0, judge.gain(of: $0)) })
        for _ in 2...Self.longest {
            var next: [(sum: TableEncoder.Sum, gain: Double)] = []
            for sum in growing {
                for column in judge.columns where !sum.plus.contains(column) && !sum.minus.contains(column) {
                    for candidate in [sum.adding(column), sum.takingAway(column)] where judged[candidate] == nil {
                        let gain = judge.gain(of: candidate)
                        judged[candidate] = gain
                        // It must beat what it is made of.
                        let alone = gains[TableEncoder.Sum(plus: [column], minus: [])] ?? 0
                        if gain > max(gains[sum] ?? 0, alone, 0) { next.append((candidate, gain)) }
                    }
                }
            }
            growing = next.sorted { ($1.gain, $0.sum) < ($0.gain, $1.sum) }.prefix(Self.grown).map(\.sum)
            for (sum, gain) in next { gains[sum] = gain }
        }
        let found = gains.filter { $0.key.plus.count + $0.key.minus.count > 1 }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        // What gains a tenth of the best is noise beside it.
        let least = (found.first?.value ?? 0) / 10
        return found.prefix(count).filter { $0.value >= least }.map(\.key)
    }

    /// What is left to explain, and the columns to explain it with.
    private struct Judge {
        /// Places among the encoder's columns, in their order.
        let columns: [Int]
        /// Of each column, a value a row.
        private let values: [Int: [Float]]
        private let part: [Int]
        private let outputs: Int
        private let first: [Float]
        private let second: [Float]
        private let damping: Double

        init(_ search: ColumnSums, _ encoder: TableEncoder, _ chosen: [Int], _ numbers: [Int]) throws {
            let (width, offsets) = (encoder.treeWidth, encoder.treeOffsets)
            let matrix = encoder.treeMatrix(chosen.map { search.rows[$0] })
            let labels = chosen.map { search.labels[$0] }
            let part = chosen.map { Int(SeededGenerator.mixed(search.seed ^ UInt64($0)) % UInt64(ColumnSums.parts)) }
            let categories = encoder.treeCategories
            let (link, seed) = (search.link, search.seed)
            // A forest a part, grown on the other parts.
            let grown = try Lane.run((0..<ColumnSums.parts).map { left in
                (search.lanes[left % search.lanes.count], { @Sendable () -> (margins: [Float], splits: [Int32]) in
                    @Sendable func rows(_ isTaken: (Int) -> Bool) throws -> BoosterMatrix {
                        let indices = part.indices.filter { isTaken(part[$0]) }
                        return try BoosterMatrix(
                            indices.flatMap { matrix[$0 * width..<($0 + 1) * width] }, width: width,
                            labels: indices.map { labels[$0] }, categories: categories)
                    }
                    let (train, judged) = (try rows { $0 != left }, try rows { $0 == left })
                    let parameters = [
                        "booster": "gbtree", "tree_method": "hist", "verbosity": "0", "nthread": "1",
                        "learning_rate": "0.1", "max_depth": "4", "min_child_weight": "3", "subsample": "0.8",
                        "colsample_bytree": "0.7", "seed": "\(seed & 0x7FFF_FFFF)", "seed_per_iteration": "1",
                    ].merging(link.parameters) { _, new in new }
                    let booster = try Booster(parameters, matrices: [train, judged])
                    for round in 0..<ColumnSums.rounds { try booster.train(round: round, on: train) }
                    let forest = try Forest(xgboost: [booster.json()], trees: .max)
                    return (try booster.margins(judged), forest.feature)
                })
            })
            var splits = [Int](repeating: 0, count: width)
            for feature in grown.lazy.flatMap(\.splits) where feature >= 0 { splits[Int(feature)] += 1 }
            columns = numbers.sorted { (splits[offsets[$1]], $0) < (splits[offsets[$0]], $1) }
                .prefix(ColumnSums.mostColumns).sorted()
            values = Dictionary(uniqueKeysWithValues: columns.map { column in
                (column, chosen.indices.map { matrix[$0 * width + offsets[column]] })
            })
            // The forests' margins come a part after the other; back into the order of the rows.
            let outputs = link.outputs
            var margins = [Float](repeating: 0, count: chosen.count * outputs)
            var next = [Int](repeating: 0, count: ColumnSums.parts)
            for (row, left) in part.enumerated() {
                for output in 0..<outputs { margins[row * outputs + output] = grown[left].margins[next[left] + output] }
                next[left] += outputs
            }
            (first, second) = link.gradients(margins, labels)
            (self.part, self.outputs) = (part, outputs)
            damping = 10 * second.reduce(0) { $0 + Double($1) } / Double(max(second.count, 1))
        }

        /// What cutting this sum into bins takes off the loss of rows that the bins' steps weren't made from.
        func gain(of sum: TableEncoder.Sum) -> Double {
            var totals = [Float](repeating: 0, count: part.count)
            for (columns, sign) in [(sum.plus, Float(1)), (sum.minus, -1)] {
                for column in columns {
                    guard let values = values[column] else { preconditionFailure("a sum is of columns that are judged") }
                    for row in totals.indices { totals[row] += sign * values[row] }
                }
            }
            let step = max(totals.count / 512, 1)
            let sample = stride(from: 0, to: totals.count, by: step).map { totals[$0] }.filter { !$0.isNaN }.sorted()
            guard sample.count > ColumnSums.bins else { return 0 }
            var edges = (1..<ColumnSums.bins).map { sample[$0 * sample.count / ColumnSums.bins] }
            edges = edges.enumerated().filter { $0.offset == 0 || edges[$0.offset - 1] < $0.element }.map(\.element)
            // The last bin is that of missing values.
            let bins = edges.count + 2
            let parts = ColumnSums.parts
            var slopes = [Double](repeating: 0, count: parts * bins * outputs)
            var bends = slopes
            for row in totals.indices {
                var bin = bins - 1
                if !totals[row].isNaN {
                    bin = 0
                    for edge in edges where totals[row] >= edge { bin += 1 }
                }
                let at = (part[row] * bins + bin) * outputs
                for output in 0..<outputs {
                    slopes[at + output] += Double(first[row * outputs + output])
                    bends[at + output] += Double(second[row * outputs + output])
                }
            }
            var gain = 0.0
            for cell in 0..<bins * outputs {
                let cells = (0..<parts).map { $0 * bins * outputs + cell }
                let (slope, bend) = (cells.reduce(0) { $0 + slopes[$1] }, cells.reduce(0) { $0 + bends[$1] })
                for at in cells {
                    let move = -(slope - slopes[at]) / (bend - bends[at] + damping)
                    gain -= move * slopes[at] + 0.5 * move * move * bends[at]
                }
            }
            return gain
        }
    }
}

extension TableEncoder.Sum: Comparable {
    func adding(_ column: Int) -> Self { Self(plus: plus + [column], minus: minus).inOrder }
    func takingAway(_ column: Int) -> Self { Self(plus: plus, minus: minus + [column]).inOrder }

    /// One way to write a sum and its negative, which a tree cuts alike: the first column is added.
    private var inOrder: Self {
        let sides = [plus.sorted(), minus.sorted()].sorted { ($0.first ?? .max) < ($1.first ?? .max) }
        return Self(plus: sides[0], minus: sides[1])
    }

    /// Any order that is always the same.
    static func < (a: Self, b: Self) -> Bool {
        if a.plus != b.plus { return a.plus.lexicographicallyPrecedes(b.plus) }
        return a.minus.lexicographicallyPrecedes(b.minus)
    }
}
