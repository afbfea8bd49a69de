internal import Foundation

/// Between a model's raw sums and its answers.
struct Link: Codable, Sendable, Hashable {
    enum Kind: String, Codable, Sendable { case logistic, softmax, identity, logarithm }

    var kind: Kind
    var classes: Int
    /// Of regression: sums are of targets (or of their logarithms) with mean 0 and deviation 1.
    var mean: Float
    var deviation: Float
    /// Of logarithms: no answer's logarithm lies further out, since `exp` makes much of little.
    var bounds: [Float]?

    /// - Parameter mayBeLogarithm: whether sums may be of the targets' logarithms.
    init(_ data: TrainingData, mayBeLogarithm: Bool = true) {
        self.init(kind: .identity, classes: data.classes.count)
        if data.task.isClassification {
            kind = classes == 2 ? .logistic : .softmax
            return
        }
        var values = data.values.map(Double.init)
        if mayBeLogarithm, Self.isSkewed(values) {
            kind = .logarithm
            values = values.map { log($0) }
            let (low, high) = (values.min() ?? 0, values.max() ?? 0)
            bounds = [Float(low - (high - low) / 4), Float(high + (high - low) / 4)]
        }
        let moments = Moments(values)
        mean = Float(moments.mean)
        deviation = moments.deviation > 0 ? Float(moments.deviation) : 1
    }

    /// Of networks: a softmax over two classes as well.
    ///
    /// - Parameter base: its own last layer, where that stays, estimates targets and not logarithms.
    init(forNetworks data: TrainingData, base: BaseModel?) {
        self.init(data, mayBeLogarithm: base?.choice?.head != .keep)
        if kind == .logistic { kind = .softmax }
    }

    private init(kind: Kind, classes: Int) {
        self.kind = kind
        self.classes = classes
        (mean, deviation) = (0, 1)
    }

    /// For raw sums only.
    static let none = Link(kind: .identity, classes: 0)

    /// Positive amounts (prices, durations, counts) often vary by factors: then their logarithms are the more symmetric,
    /// and effects that multiply add up.
    private static func isSkewed(_ values: [Double]) -> Bool {
        guard values.count > 1, values.allSatisfy({ $0 > 0 && $0.isFinite }) else { return false }
        let skewness = Moments(values).skewness
        return skewness > 1 && abs(Moments(values.map { log($0) }).skewness) < skewness / 2
    }

    var isRegression: Bool { kind == .identity || kind == .logarithm }
    /// Answers an item.
    var width: Int { isRegression ? 1 : max(classes, 1) }
    /// Raw sums an item.
    var outputs: Int { kind == .softmax ? classes : 1 }
    var treesInRound: Int { outputs }

    func scaled(_ value: Float) -> Float { ((kind == .logarithm ? logf(value) : value) - mean) / deviation }

    /// XGBoost's parameters for this.
    var parameters: [String: String] {
        switch kind {
        case .logistic: ["objective": "binary:logistic", "base_score": "0.5"]
        case .softmax: ["objective": "multi:softprob", "num_class": "\(classes)", "base_score": "0"]
        case .identity, .logarithm: ["objective": "reg:squarederror", "base_score": "0"]
        }
    }

    var lossName: String {
        switch kind {
        case .logistic, .softmax: "validation_log_loss"
        case .identity: "validation_rmse"
        case .logarithm: "validation_rmse_of_logarithms"
        }
    }

    /// Mean negative log likelihood, or the root of the mean squared error in units of the target (or of its logarithm).
    func loss(_ margins: [Float], _ labels: [Float]) -> Double {
        guard !labels.isEmpty else { return 0 }
        var sum = 0.0
        switch kind {
        case .identity, .logarithm:
            for (margin, label) in zip(margins, labels) { sum += Double(margin - label) * Double(margin - label) }
            return (sum / Double(labels.count)).squareRoot() * Double(deviation)
        case .logistic:
            for (margin, label) in zip(margins, labels) {
                let signed = label > 0.5 ? -Double(margin) : Double(margin)
                sum += signed > 30 ? signed : log1p(exp(signed))
            }
        case .softmax:
            for (item, label) in labels.enumerated() {
                let row = margins[item * classes..<(item + 1) * classes]
                let top = Double(row.max() ?? 0)
                let total = row.reduce(0) { $0 + exp(Double($1) - top) }
                sum += log(total) + top - Double(margins[item * classes + Int(label)])
            }
        }
        return sum / Double(labels.count)
    }

    /// A probability a class, or the value in units of the target.
    func answers(_ margins: [Float]) -> [Float] {
        switch kind {
        case .identity: return margins.map { mean + deviation * $0 }
        case .logarithm:
            let (low, high) = (bounds?.first ?? -.infinity, bounds?.last ?? .infinity)
            return margins.map { expf(min(max(mean + deviation * $0, low), high)) }
        case .logistic:
            return margins.flatMap { margin in
                let p = 1 / (1 + expf(-margin))
                return [1 - p, p]
            }
        case .softmax:
            var result = margins
            for start in stride(from: 0, to: margins.count, by: classes) {
                let top = margins[start..<(start + classes)].max() ?? 0
                var total: Float = 0
                for at in start..<(start + classes) {
                    result[at] = expf(margins[at] - top)
                    total += result[at]
                }
                for at in start..<(start + classes) { result[at] /= total }
            }
            return result
        }
    }

    /// What squared error or log loss would have each item's sum go down by, and how fast that changes: an array of
    /// `outputs` an item each.
    func gradients(_ margins: [Float], _ labels: [Float]) -> (first: [Float], second: [Float]) {
        switch kind {
        case .identity, .logarithm:
            return (zip(margins, labels).map { $0 - $1 }, [Float](repeating: 1, count: margins.count))
        case .logistic:
            let chances = margins.map { 1 / (1 + expf(-$0)) }
            return (zip(chances, labels).map { $0 - $1 }, chances.map { $0 * (1 - $0) })
        case .softmax:
            let chances = answers(margins)
            var first = chances
            for (item, label) in labels.enumerated() { first[item * classes + Int(label)] -= 1 }
            return (first, chances.map { $0 * (1 - $0) })
        }
    }
}

/// Mean, deviation and skewness of some values; 0 of none.
struct Moments {
    var mean = 0.0
    /// 0 where all values are equal, but for rounding.
    var deviation = 0.0
    /// 0 where the deviation is.
    var skewness = 0.0

    init(_ values: [Double]) {
        let count = Double(max(values.count, 1))
        mean = values.reduce(0, +) / count
        let spread = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
        let (least, greatest) = (values.min() ?? 0, values.max() ?? 0)
        // The mean of equal values is rounded, and they deviate from it.
        guard least < greatest, spread > 1e-12 * max(abs(least), abs(greatest)) else { return }
        deviation = spread
        skewness = values.reduce(0) { $0 + pow(($1 - mean) / spread, 3) } / count
    }
}
