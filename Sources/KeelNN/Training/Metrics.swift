#if canImport(Glibc)
import Glibc
#endif
public import Keel

/// A measure of predictions that grows with each batch, as if all had been one.
public protocol Metric {
    /// What it came to so far; NaN before the first prediction.
    var value: Double { get }

    /// Takes a batch of predictions and what they should have been.
    mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError)
}

extension Metric {
    /// The measure with one more batch, such as all there is: `Accuracy().value(of: logits, labels)`.
    public func value(of predictions: Tensor, _ targets: Tensor) throws(TensorError) -> Double {
        var grown = self
        try grown.update(predictions, targets)
        return grown.value
    }
}

/// The share of rows whose largest mark is that of their label, or, with `k`, one of whose `k` largest is.
///
/// - Shapes: predictions `[rows, classes]`, targets `[rows]` int64 or int32.
public struct Accuracy: Metric {
    public let k: Int
    private var hits = 0, rows = 0

    public init(k: Int = 1) { self.k = k }

    public var value: Double { Double(hits) / Double(rows) }

    public mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError) {
        let best = try predictions.detached().topK(k).indices, labels = try targets.cast(to: .int64).withAxis(-1)
        hits += Int(try best.equals(labels).cast(to: .float64).sum().item(Double.self))
        rows += targets.count
    }
}

/// The harmonic mean of precision and recall, from each row's largest mark; a class that was neither predicted nor there counts as 0.
///
/// - Shapes: as `Accuracy`.
public struct F1Score: Metric {
    /// How the classes' scores become one.
    public enum Averaging: Sendable, Hashable {
        /// The mean of the classes' scores.
        case macro
        /// The score of all rows together: with one label a row, the accuracy.
        case micro
        /// The score of one class: of two classes, usually class 1.
        case single(class: Int)
    }

    public let averaging: Averaging
    private var hits, predicted, actual: [Int]

    public init(classes: Int, _ averaging: Averaging = .macro) {
        self.averaging = averaging
        hits = [Int](repeating: 0, count: classes)
        (predicted, actual) = (hits, hits)
    }

    public var value: Double {
        func score(_ hits: Int, _ predicted: Int, _ actual: Int) -> Double { hits == 0 ? 0 : 2 * Double(hits) / Double(predicted + actual) }
        guard actual.contains(where: { $0 > 0 }) else { return .nan }
        switch averaging {
        case .macro: return hits.indices.reduce(0) { $0 + score(hits[$1], predicted[$1], actual[$1]) } / Double(hits.count)
        case .micro: return score(hits.reduce(0, +), predicted.reduce(0, +), actual.reduce(0, +))
        case .single(let label): return score(hits[label], predicted[label], actual[label])
        }
    }

    public mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError) {
        let chosen = try predictions.detached().argMax().elements(Int64.self), labels = try targets.cast(to: .int64).elements(Int64.self)
        for (row, (choice, label)) in zip(chosen, labels).enumerated() {
            guard hits.indices.contains(Int(label)), hits.indices.contains(Int(choice)) else {
                throw TensorError(.labelOutOfRange(row: row, label: Int(max(label, choice)), classes: hits.count))
            }
            predicted[Int(choice)] += 1
            actual[Int(label)] += 1
            if choice == label { hits[Int(label)] += 1 }
        }
    }
}

/// The area under the ROC curve: how often a positive row is marked higher than a negative one, ties counting half. It keeps all marks.
///
/// - Shapes: predictions `[rows]` or `[rows, 1]`, targets as many, positive where they aren't 0. NaN unless there are both kinds.
/// - Source: Fawcett, *An introduction to ROC analysis*, 2006.
public struct AreaUnderCurve: Metric {
    private var marks: [(mark: Float, isPositive: Bool)] = []

    public init() {}

    public var value: Double {
        let sorted = marks.sorted { $0.mark < $1.mark }, positives = sorted.count { $0.isPositive }
        var pairs = 0.0, negativesBelow = 0.0, start = 0
        while start < sorted.count {
            var end = start
            while end < sorted.count, sorted[end].mark == sorted[start].mark { end += 1 }
            let ties = sorted[start..<end].count { $0.isPositive }, negatives = Double(end - start - ties)
            pairs += Double(ties) * (negativesBelow + negatives / 2)
            negativesBelow += negatives
            start = max(end, start + 1)
        }
        return pairs / (Double(positives) * Double(sorted.count - positives))
    }

    public mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError) {
        let found = try predictions.detached().cast(to: .float32).elements(), labels = try targets.cast(to: .float32).elements()
        guard found.count == labels.count else {
            throw TensorError(.shape(primitive: "AreaUnderCurve", expected: "as many targets as predictions \(predictions.shape)", targets.shape))
        }
        for (mark, label) in zip(found, labels) {
            guard !mark.isNaN else { throw TensorError(.argument(primitive: "AreaUnderCurve", name: "a prediction", given: "NaN", allowed: "numbers")) }
            marks.append((mark, label != 0))
        }
    }
}

/// What differences between predictions and targets of one shape come to.
public struct Deviation: Metric {
    public enum Kind: Sendable, Hashable { case rootMeanSquare, meanAbsolute }

    public let kind: Kind
    private var sum = 0.0, count = 0

    public init(_ kind: Kind) { self.kind = kind }

    public var value: Double { kind == .rootMeanSquare ? (sum / Double(count)).squareRoot() : sum / Double(count) }

    public mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError) {
        guard predictions.shape == targets.shape else {
            throw TensorError(.shape(primitive: "Deviation", expected: "targets \(predictions.shape)", targets.shape))
        }
        let difference = try predictions.detached().cast(to: .float64) - targets.cast(to: .float64)
        sum += try (kind == .rootMeanSquare ? difference.squared() : difference.magnitude()).sum().item(Double.self)
        count += targets.count
    }
}

/// `exp` of the mean cross-entropy: among how many classes alike a model hesitates.
///
/// - Shapes: predictions are logits `[..., classes]`, targets `[...]` int64 or int32; negative ones, as of padding, don't count.
public struct Perplexity: Metric {
    private var sum = 0.0, count = 0

    public init() {}

    public var value: Double { exp(sum / Double(count)) }

    public mutating func update(_ predictions: Tensor, _ targets: Tensor) throws(TensorError) {
        let labels = try targets.cast(to: .int64).flattened(), classes = try predictions.shape.size(-1)
        let counted = try labels.isAtLeast(Tensor(Int64(0))), present = try counted.cast(to: .float64)
        let rows = try predictions.detached().cast(to: .float64).reshaped([labels.count, classes]).logSoftmax()
        let own = try rows.takenAlong(1, at: counted.select(labels, Tensor(Int64(0))).withAxis(1)).withoutAxis(1)
        sum -= try (own * present).sum().item(Double.self)
        count += Int(try present.sum().item(Double.self))
    }
}
