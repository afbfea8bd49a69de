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
    /// All metrics of a classification by name. Macro averages are over the classes that occur in `labels`.
    ///
    /// - Parameter items: the items that count, with repetitions (a bootstrap sample); nil: all, once.
    static func classification(
        _ predictions: Predictions, _ labels: [Int], items: [Int]? = nil
    ) -> [String: Double] {
        let classes = predictions.width
        let items = items ?? Array(labels.indices)
        guard !items.isEmpty else { return [:] }
        var support = [Int](repeating: 0, count: classes)
        var predicted = support, correct = support
        var loss = 0.0
        var bins = [(count: Int, confidence: Double, correct: Int)](repeating: (0, 0, 0), count: 15)
        for item in items {
            let (label, top) = (labels[item], predictions.top(item))
            support[label] += 1
            predicted[top] += 1
            if label == top { correct[label] += 1 }
            let row = predictions[item]
            loss -= log(max(Double(row[row.startIndex + label]), 1e-15))
            let confidence = Double(row[row.startIndex + top])
            let bin = min(max(Int(confidence * 15), 0), 14)
            bins[bin].count += 1
            bins[bin].confidence += confidence
            bins[bin].correct += label == top ? 1 : 0
        }
        let count = Double(items.count)
        let present = support.indices.filter { support[$0] > 0 }
        func mean(_ value: (Int) -> Double) -> Double { present.map(value).reduce(0, +) / Double(present.count) }
        var result = [
            "accuracy": Double(correct.reduce(0, +)) / count,
            "macro_precision": mean { predicted[$0] > 0 ? Double(correct[$0]) / Double(predicted[$0]) : 0 },
            "macro_recall": mean { Double(correct[$0]) / Double(support[$0]) },
            "macro_f1": mean { 2 * Double(correct[$0]) / Double(support[$0] + predicted[$0]) },
            "log_loss": loss / count,
            "calibration_error": bins.reduce(0) { $0 + abs($1.confidence - Double($1.correct)) } / count,
        ]
        if present.count > 1 {
            result["auc"] = mean { rankingQuality(predictions, labels, items, of: $0) }
        }
        return result
    }

    /// The area under the ROC curve of one class against the others: how often an item of the class has a higher score
    /// than one of another, ties counting half.
    static func rankingQuality(_ predictions: Predictions, _ labels: [Int], _ items: [Int], of name: Int) -> Double {
        let sorted = items.map { (score: predictions.values[$0 * predictions.width + name], isOfClass: labels[$0] == name) }
            .sorted { $0.score < $1.score }
        let positives = sorted.count { $0.isOfClass }
        guard positives > 0, positives < sorted.count else { return 0.5 }
        var rankSum = 0.0
        var start = 0
        while start < sorted.count {
            var end = start
            var tied = 0
            while end < sorted.count, sorted[end].score == sorted[start].score {
                tied += sorted[end].isOfClass ? 1 : 0
                end += 1
            }
            rankSum += Double(tied) * (Double(start + end + 1) / 2)
            start = end
        }
        let smallest = Double(positives) * Double(positives + 1) / 2
        return (rankSum - smallest) / (Double(positives) * Double(sorted.count - positives))
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
        return result
    }

    static func all(_ predictions: Predictions, _ outcomes: [Outcome], _ task: LearningTask, items: [Int]? = nil)
        -> [String: Double]
    {
        task.isClassification
            ? classification(predictions, outcomes.map(\.label), items: items)
            : regression(predictions, outcomes.map(\.value), items: items)
    }

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

    /// 95 % intervals by the bootstrap (percentiles of resampled items), from a fixed seed.
    ///
    /// - Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13.
    static func intervals(
        _ predictions: Predictions, _ outcomes: [Outcome], _ task: LearningTask, until deadline: ContinuousClock.Instant?
    ) -> [String: ClosedRange<Double>] {
        guard outcomes.count > 1 else { return [:] }
        var generator = SeededGenerator(95, UInt64(outcomes.count))
        var samples: [String: [Double]] = [:]
        for round in 0..<500 {
            if round >= 40, let deadline, ContinuousClock.now > deadline { break }
            let items = outcomes.indices.map { _ in Int(generator.next() % UInt64(outcomes.count)) }
            for (name, value) in all(predictions, outcomes, task, items: items) { samples[name, default: []].append(value) }
        }
        return samples.mapValues { values in
            let sorted = values.sorted()
            func quantile(_ share: Double) -> Double { sorted[Int((share * Double(sorted.count - 1)).rounded())] }
            return quantile(0.025)...quantile(0.975)
        }
    }
}
