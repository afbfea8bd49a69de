public import Keel

/// How often each class was taken for each: what accuracy, precision, recall and overlap are counted from.
///
/// - Shapes: predictions `[rows, classes]` or, of pictures' pixels, `[n, classes, ...]`, of which the largest mark counts; targets `[rows]` or
///   `[n, ...]`, int64 or int32.
public struct ConfusionMatrix: Metric {
    /// For each class that was there, how often each was predicted.
    public private(set) var counts: [[Int]]
    /// A label that doesn't count, as of pixels at the edges of things.
    public let ignoring: Int?

    public init(classes: Int, ignoring: Int? = nil) {
        precondition(classes >= 1, "there is one class at least")
        counts = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
        self.ignoring = ignoring
    }

    /// The share of all that was predicted right.
    public var value: Double { Double(counts.indices.reduce(0) { $0 + hits($1) }) / Double(counts.joined().reduce(0, +)) }

    /// Of what was predicted as a class, the share that was it; NaN where it never was predicted.
    public func precision(of label: Int) -> Double { Double(hits(label)) / Double(predicted(label)) }

    /// Of what was a class, the share that was predicted so; NaN where there was none.
    public func recall(of label: Int) -> Double { Double(hits(label)) / Double(actual(label)) }

    /// What was a class and was predicted so, as a share of what was either; NaN where there was neither.
    public func overlap(of label: Int) -> Double { Double(hits(label)) / Double(predicted(label) + actual(label) - hits(label)) }

    /// The classes' mean recall, also called balanced accuracy; classes that weren't there don't count.
    public var meanRecall: Double { mean(counts.indices.map(recall)) }

    /// The classes' mean overlap (intersection over union); classes that were neither there nor predicted don't count.
    public var meanOverlap: Double { mean(counts.indices.map(overlap)) }

    public mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError) {
        let classes = counts.count
        guard predictions.rank >= 2, try predictions.shape.size(1) == classes else {
            throw TensorError(.shape(primitive: "ConfusionMatrix", expected: "[n, \(classes), ...]", predictions.shape))
        }
        let chosen = try predictions.detached().argMax(1)
        guard chosen.shape == targets.shape else {
            throw TensorError(.shape(primitive: "ConfusionMatrix", expected: "targets \(chosen.shape)", targets.shape))
        }
        let labels = try targets.cast(to: .int64).elements(Int.self), found = try chosen.elements(Int.self)
        for (place, label) in labels.enumerated() where label != ignoring && !counts.indices.contains(label) {
            throw TensorError(.labelOutOfRange(row: place, label: label, classes: classes))
        }
        for (label, choice) in zip(labels, found) where label != ignoring { counts[label][choice] += 1 }
    }

    private func hits(_ label: Int) -> Int { counts[label][label] }
    private func actual(_ label: Int) -> Int { counts[label].reduce(0, +) }
    private func predicted(_ label: Int) -> Int { counts.reduce(0) { $0 + $1[label] } }

    private func mean(_ numbers: [Double]) -> Double {
        let present = numbers.filter { !$0.isNaN }
        return present.reduce(0, +) / Double(present.count)
    }
}
