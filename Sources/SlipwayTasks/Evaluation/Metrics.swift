internal import Foundation
internal import SlipwayDomain

/// What of a test item is known and what was said of it.
struct Outcome: Sendable {
    /// The class's number; of regression 0.
    var label: Int
    /// Of regression: the target.
    var value: Float
}

/// Precision, recall and F1 of one class. A quotient by zero counts as 0.
struct ClassMetrics: Codable, Sendable {
    var name: String
    var items: Int
    var predicted: Int
    var correct: Int
    var precision: Double { predicted > 0 ? Double(correct) / Double(predicted) : 0 }
    var recall: Double { items > 0 ? Double(correct) / Double(items) : 0 }
    var f1: Double { items + predicted > 0 ? 2 * Double(correct) / Double(items + predicted) : 0 }
}

enum Metrics {
    /// Above so many classes AUC, which sorts the items once a class, is computed only where it is asked for.
    static let mostRankedClasses = 50

    /// All metrics of a classification by name. Macro averages are over the classes that occur in `labels`.
    ///
    /// - Parameter ranked: whether AUC is one of them.
    static func classification(_ predictions: Predictions, _ labels: [Int], ranked: Bool = true) -> [String: Double] {
        ClassificationScores(predictions, labels, ranked: ranked, isReused: false)
            .metrics([Int](repeating: 1, count: labels.count))
    }

    /// The area under the ROC curve of one class against the others.
    static func rankingQuality(_ predictions: Predictions, _ labels: [Int], of name: Int) -> Double {
        ClassificationScores.rankingQuality(
            ClassificationScores.ranking(predictions, of: name), labels, [Int](repeating: 1, count: labels.count), of: name,
            positives: labels.count { $0 == name }, of: labels.count)
    }

    static func regression(_ predictions: Predictions, _ values: [Float], items: [Int]? = nil) -> [String: Double] {
        let items = items ?? Array(values.indices)
        guard !items.isEmpty else { return [:] }
        let count = Double(items.count)
        let mean = items.reduce(0) { $0 + Double(values[$1]) } / count
        var (squares, absolutes, spread, shares) = (0.0, 0.0, 0.0, 0.0)
        var nonzero = 0
        for item in items {
            let value = Double(values[item])
            let error = Double(predictions.values[item]) - value
            squares += error * error
            absolutes += abs(error)
            spread += (value - mean) * (value - mean)
            if value != 0 {
                shares += abs(error / value)
                nonzero += 1
            }
        }
        var result = ["rmse": (squares / count).squareRoot(), "mae": absolutes / count]
        if spread > 0 { result["r2"] = 1 - squares / spread }
        if nonzero == items.count { result["mape"] = shares / count }
        return result.filter(\.value.isFinite)
    }

    /// - Parameter ranked: of classifications: whether AUC is one of them.
    static func all(_ predictions: Predictions, _ outcomes: [Outcome], _ task: LearningTask, ranked: Bool = true) -> [String: Double] {
        task.isClassification
            ? classification(predictions, outcomes.map(\.label), ranked: ranked)
            : regression(predictions, outcomes.map(\.value))
    }

    /// Whether a score needs AUC, or AUC costs little.
    static func isRanked(_ objective: Objective, classes: Int) -> Bool { objective == .auc || classes <= mostRankedClasses }

    /// The objective's value, turned so that larger is better; one that isn't defined here is the worst.
    static func score(_ metrics: [String: Double], _ objective: Objective) -> Double {
        guard let value = metrics[objective.rawValue], value.isFinite else { return -1e300 }
        return objective.isError ? -value : value
    }

    static func perClass(_ predictions: Predictions, _ labels: [Int], names: [String]) -> [ClassMetrics] {
        var classes = names.map { ClassMetrics(name: $0, items: 0, predicted: 0, correct: 0) }
        for (item, label) in labels.enumerated() {
            let top = predictions.top(item)
            classes[label].items += 1
            classes[top].predicted += 1
            if top == label { classes[label].correct += 1 }
        }
        return classes
    }

    /// 95 % intervals by the bootstrap (percentiles of resampled items), from a fixed seed. AUC of many classes has none.
    ///
    /// - Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13.
    static func intervals(
        _ predictions: Predictions, _ outcomes: [Outcome], _ task: LearningTask, until deadline: ContinuousClock.Instant?
    ) -> [String: ClosedRange<Double>] {
        guard outcomes.count > 1 else { return [:] }
        var generator = SeededGenerator(95, UInt64(outcomes.count))
        var samples: [String: [Double]] = [:]
        let values = outcomes.map(\.value)
        let scores = task.isClassification
            ? ClassificationScores(
                predictions, outcomes.map(\.label), ranked: predictions.width <= mostRankedClasses, isReused: true) : nil
        for round in 0..<500 {
            if round >= 40, let deadline, ContinuousClock.now > deadline { break }
            let items = outcomes.indices.map { _ in Int(generator.next() % UInt64(outcomes.count)) }
            let metrics: [String: Double]
            if let scores {
                var weights = [Int](repeating: 0, count: outcomes.count)
                for item in items { weights[item] += 1 }
                metrics = scores.metrics(weights)
            } else {
                metrics = regression(predictions, values, items: items)
            }
            for (name, value) in metrics { samples[name, default: []].append(value) }
        }
        return samples.mapValues { values in
            let sorted = values.sorted()
            func quantile(_ share: Double) -> Double { sorted[Int((share * Double(sorted.count - 1)).rounded())] }
            return quantile(0.025)...quantile(0.975)
        }
    }
}

/// What the metrics of a classification are made of, computed once for any number of samples of its items.
private struct ClassificationScores {
    private let classes: Int
    private let labels: [Int]
    private let top: [Int]
    private let confidence: [Double]
    private let loss: [Double]
    /// All items by rising score of a class; nil: AUC isn't asked for.
    private let ranking: ((_ name: Int) -> [Rank])?

    typealias Rank = (item: Int32, score: Float)

    /// - Parameter isReused: keeps the rankings for further samples.
    init(_ predictions: Predictions, _ labels: [Int], ranked: Bool, isReused: Bool) {
        let width = predictions.width
        classes = width
        self.labels = labels
        let top = labels.indices.map(predictions.top)
        self.top = top
        confidence = labels.indices.map { Double(predictions.values[$0 * width + top[$0]]) }
        loss = labels.indices.map { -log(max(Double(predictions.values[$0 * width + labels[$0]]), 1e-15)) }
        guard ranked else {
            ranking = nil
            return
        }
        let rank = { Self.ranking(predictions, of: $0) }
        let kept = isReused ? (0..<width).map(rank) : []
        ranking = isReused ? { kept[$0] } : rank
    }

    static func ranking(_ predictions: Predictions, of name: Int) -> [Rank] {
        (0..<predictions.count).map { (Int32($0), predictions.values[$0 * predictions.width + name]) }.sorted { $0.score < $1.score }
    }

    /// - Parameter weights: how often each item is in the sample.
    func metrics(_ weights: [Int]) -> [String: Double] {
        var support = [Int](repeating: 0, count: classes)
        var predicted = support, correct = support
        var (count, losses) = (0, 0.0)
        var bins = [(confidence: Double, correct: Int)](repeating: (0, 0), count: 15)
        for (item, weight) in weights.enumerated() where weight > 0 {
            let (label, top, confidence) = (labels[item], top[item], confidence[item])
            count += weight
            support[label] += weight
            predicted[top] += weight
            if label == top { correct[label] += weight }
            losses += Double(weight) * loss[item]
            let bin = confidence.isFinite ? min(max(Int(confidence * 15), 0), 14) : 0
            bins[bin].confidence += Double(weight) * confidence
            bins[bin].correct += label == top ? weight : 0
        }
        guard count > 0 else { return [:] }
        let present = support.indices.filter { support[$0] > 0 }
        func mean(_ value: (Int) -> Double) -> Double { present.map(value).reduce(0, +) / Double(present.count) }
        var result = [
            "accuracy": Double(correct.reduce(0, +)) / Double(count),
            "macro_precision": mean { predicted[$0] > 0 ? Double(correct[$0]) / Double(predicted[$0]) : 0 },
            "macro_recall": mean { Double(correct[$0]) / Double(support[$0]) },
            "macro_f1": mean { 2 * Double(correct[$0]) / Double(support[$0] + predicted[$0]) },
            "log_loss": losses / Double(count),
            "calibration_error": bins.reduce(0) { $0 + abs($1.confidence - Double($1.correct)) } / Double(count),
        ]
        if present.count > 1, let ranking {
            result["auc"] = mean { Self.rankingQuality(ranking($0), labels, weights, of: $0, positives: support[$0], of: count) }
        }
        return result.filter(\.value.isFinite)
    }

    /// How often an item of a class has a higher score than one of another, ties counting half.
    static func rankingQuality(
        _ ranks: [Rank], _ labels: [Int], _ weights: [Int], of name: Int, positives: Int, of count: Int
    ) -> Double {
        guard positives > 0, positives < count else { return 0.5 }
        var rankSum = 0.0
        var (start, before) = (0, 0)
        while start < ranks.count {
            var end = start
            var (tied, ofClass) = (0, 0)
            // (Scores that are no numbers are equal to nothing.)
            repeat {
                let item = Int(ranks[end].item)
                tied += weights[item]
                if labels[item] == name { ofClass += weights[item] }
                end += 1
            } while end < ranks.count && ranks[end].score == ranks[start].score
            rankSum += Double(ofClass) * (Double(before) + Double(tied + 1) / 2)
            before += tied
            start = end
        }
        let smallest = Double(positives) * Double(positives + 1) / 2
        return (rankSum - smallest) / (Double(positives) * Double(count - positives))
    }
}
