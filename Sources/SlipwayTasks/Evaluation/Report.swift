internal import Foundation
internal import SlipwayDomain

/// `report.json`: how good the model is on items that it never saw, against the simplest guess, and what it is made of.
struct Report: Codable, Sendable {
    struct Share: Codable, Sendable {
        var template: String
        var weight: Double
        /// On the items that judged the trials while training, larger is better.
        var score: Double?
        /// Columns that were made of others, in words.
        var made: [String] = []
    }

    struct Curve: Codable, Sendable {
        var template: String
        var name: String
        var unit: String
        var points: [[Double]]
    }

    struct Metric: Codable, Sendable {
        var name: String
        var value: Double
        /// The 95 % confidence interval.
        var low: Double?
        var high: Double?
        /// What the simplest guess reaches on the same items.
        var baseline: Double?
    }

    struct ClassLine: Codable, Sendable {
        var name: String
        var items: Int
        var predicted: Int
        var correct: Int
        var precision: Double
        var recall: Double
        var f1: Double
    }

    /// One cell of the confusion matrix that isn't empty, with the items in it.
    struct Cell: Codable, Sendable {
        var label: String
        var predicted: String
        var count: Int
        /// At most 50.
        var items: [Int64]
    }

    /// How many of a class are found (second number of a point) when so many of the others are taken for it (the first).
    struct ROC: Codable, Sendable {
        var name: String
        var area: Double
        var points: [[Double]]
    }

    /// This share of the held-out rows is estimated with no larger error.
    struct Reach: Codable, Sendable {
        var share: Double
        var error: Double
    }

    struct Bin: Codable, Sendable {
        var confidence: Double
        var accuracy: Double
        var items: Int
    }

    struct Mistake: Codable, Sendable {
        var item: Int64
        var name: String
        var label: String
        var predicted: String
        /// The probability that the model gave its answer; of regression, its error.
        var score: Double
    }

    struct Point: Codable, Sendable {
        var value: Double
        var predicted: Double
    }

    struct Counts: Codable, Sendable {
        var trained: Int
        /// 0 when every training item judged the members that didn't see it (cross-validation).
        var validation: Int
        var folds: Int
        var test: Int
        var unlabelled: Int
        /// Copies under different labels, left out of training and test.
        var contradicting: Int
    }

    var format = 1
    var task: LearningTask
    var objective: String
    /// One or two sentences for anyone.
    var summary: String
    var baseline: String
    var warnings: [String]
    var metrics: [Metric]
    var counts: Counts
    var classes: [ClassLine]
    var confusion: [Cell]
    var calibration: [Bin]
    /// Of two classes, the rarer one's; none beyond `mostCurves` classes.
    var roc: [ROC]
    var mistakes: [Mistake]
    /// Of regression: at most 1,000 of the held-out items.
    var points: [Point]
    /// Of regression.
    var reach: [Reach]
    var mixture: [Share]
    var validation: [String: Double]
    var curves: [Curve]
    var predictionMilliseconds: Double
    var inputs: JSON
    var facts: [String: JSON]

    enum CodingKeys: String, CodingKey {
        case format, task, objective, summary, baseline, warnings, metrics, counts, classes, confusion, calibration, roc
        case mistakes, points, reach, mixture, validation, curves, inputs, facts
        case predictionMilliseconds = "prediction_milliseconds"
    }

    static let mistakesShown = 24, smallTest = 100, smallClass = 10
    /// Curves that can still be told apart.
    static let mostCurves = 6

    init(
        data: TrainingData, objective: Objective, facts: [String: JSON], mixture: [Share], validation: [String: Double],
        history: [Curve], predictions: Predictions, milliseconds: Double, model: ModelManifest,
        deadline: ContinuousClock.Instant?
    ) throws {
        task = data.task
        self.objective = objective.rawValue
        self.facts = facts
        self.mixture = mixture
        self.validation = validation
        curves = history
        predictionMilliseconds = milliseconds
        inputs = model.inputs
        let labels = try TrainingData.labels(data.test, data.task, data.classes)
        let values = TrainingData.values(data.test, data.task)
        let outcomes = labels.indices.map { Outcome(label: labels[$0], value: values[safe: $0] ?? 0) }
        let validating = data.folds.members == 1 ? data.folds.judged.count : 0
        counts = Counts(
            trained: data.train.count - validating, validation: validating, folds: data.folds.members,
            test: data.test.count, unlabelled: data.unlabelled, contradicting: data.contradicting.count)

        let guess = SimplestGuess(data)
        baseline = guess.words
        let reached = Metrics.all(predictions, outcomes, task)
        let guessed = Metrics.all(guess.predictions(data.test.count), outcomes, task)
        let intervals = Metrics.intervals(predictions, outcomes, task, until: deadline)
        let order = [objective.rawValue] + Self.order.filter { $0 != objective.rawValue }
        metrics = order.compactMap { name in
            reached[name].map {
                Metric(
                    name: name, value: $0, low: intervals[name]?.lowerBound, high: intervals[name]?.upperBound,
                    baseline: guessed[name])
            }
        }
        (classes, confusion, calibration, roc, mistakes, points, reach) = ([], [], [], [], [], [], [])
        if task.isClassification {
            classes = Metrics.perClass(predictions, labels, names: data.classes).map {
                ClassLine(
                    name: $0.name, items: $0.items, predicted: $0.predicted, correct: $0.correct,
                    precision: $0.precision, recall: $0.recall, f1: $0.f1)
            }
            confusion = Self.cells(predictions, labels, data)
            calibration = Self.bins(predictions, labels)
            roc = Self.curves(predictions, labels, data.classes)
            mistakes = Self.mistakes(predictions, labels, data)
        } else {
            mistakes = Self.errors(predictions, values, data)
            let step = max(values.count / 1000, 1)
            points = stride(from: 0, to: values.count, by: step).map {
                Point(value: Double(values[$0]), predicted: Double(predictions.values[$0]))
            }
            let errors = zip(predictions.values, values).map { abs(Double($0) - Double($1)) }.sorted()
            reach = errors.isEmpty ? [] : [0.5, 0.8, 0.9, 0.95].map { share in
                Reach(share: share, error: errors[Int((share * Double(errors.count - 1)).rounded())])
            }
        }
        warnings = Self.warnings(counts, classes, data.contradicting)
        summary = ""
        summary = Self.summary(self, objective)
    }

    /// Metrics as they are listed: the objective comes first.
    private static let order = [
        "accuracy", "macro_f1", "macro_precision", "macro_recall", "auc", "log_loss", "calibration_error", "rmse", "mae",
        "r2", "mape",
    ]

    /// For the API: each metric, `NAME_low` and `NAME_high`, and the baseline's under `baseline_NAME`.
    var flatMetrics: [String: Double] {
        var result: [String: Double] = [:]
        for metric in metrics {
            result[metric.name] = metric.value
            result[metric.name + "_low"] = metric.low
            result[metric.name + "_high"] = metric.high
            result["baseline_" + metric.name] = metric.baseline
        }
        result["prediction_milliseconds"] = predictionMilliseconds
        result["test_items"] = Double(counts.test)
        return result
    }

    func metric(_ name: String) -> Metric? { metrics.first { $0.name == name } }

    // MARK: Tables

    private static func cells(_ predictions: Predictions, _ labels: [Int], _ data: TrainingData) -> [Cell] {
        var items: [[Int]: [Int64]] = [:]
        for (item, label) in labels.enumerated() {
            items[[label, predictions.top(item)], default: []].append(data.test[item].id)
        }
        return items.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { key, ids in
            Cell(
                label: data.classes[key[0]], predicted: data.classes[key[1]], count: ids.count, items: Array(ids.prefix(50)))
        }
    }

    private static func bins(_ predictions: Predictions, _ labels: [Int]) -> [Bin] {
        var bins = [(items: Int, confidence: Double, correct: Int)](repeating: (0, 0, 0), count: 10)
        for (item, label) in labels.enumerated() {
            let top = predictions.top(item)
            let confidence = Double(predictions.values[item * predictions.width + top])
            let bin = min(max(Int(confidence * 10), 0), 9)
            bins[bin].items += 1
            bins[bin].confidence += confidence
            bins[bin].correct += top == label ? 1 : 0
        }
        return bins.filter { $0.items > 0 }.map {
            Bin(confidence: $0.confidence / Double($0.items), accuracy: Double($0.correct) / Double($0.items), items: $0.items)
        }
    }

    private static func curves(_ predictions: Predictions, _ labels: [Int], _ names: [String]) -> [ROC] {
        let counts = names.indices.map { name in labels.count { $0 == name } }
        var shown = Array(names.indices)
        if names.count == 2 { shown = [counts[1] <= counts[0] ? 1 : 0] }
        guard shown.count <= mostCurves else { return [] }
        return shown.compactMap { name in
            let (positives, negatives) = (counts[name], labels.count - counts[name])
            guard positives > 0, negatives > 0 else { return nil }
            let order = labels.indices.map { (score: predictions.values[$0 * predictions.width + name], isOfClass: labels[$0] == name) }
                .sorted { $0.score > $1.score }
            var points = [[0.0, 0.0]]
            var (found, wrong) = (0, 0)
            for (index, item) in order.enumerated() {
                if item.isOfClass { found += 1 } else { wrong += 1 }
                // Equal scores are one step.
                guard index + 1 == order.count || order[index + 1].score < item.score else { continue }
                points.append([Double(wrong) / Double(negatives), Double(found) / Double(positives)])
            }
            let step = max(points.count / 100, 1)
            let kept = points.indices.filter { $0 % step == 0 || $0 == points.count - 1 }.map { points[$0] }
            return ROC(
                name: names[name], area: Metrics.rankingQuality(predictions, labels, of: name), points: kept)
        }
    }

    /// The mistakes that the model was surest of.
    private static func mistakes(_ predictions: Predictions, _ labels: [Int], _ data: TrainingData) -> [Mistake] {
        labels.indices.filter { predictions.top($0) != labels[$0] }
            .map { item -> Mistake in
                let top = predictions.top(item)
                return Mistake(
                    item: data.test[item].id, name: data.test[item].name, label: data.classes[labels[item]],
                    predicted: data.classes[top], score: Double(predictions.values[item * predictions.width + top]))
            }
            .sorted { ($1.score, $0.item) < ($0.score, $1.item) }
            .prefix(mistakesShown).map { $0 }
    }

    /// The largest errors.
    private static func errors(_ predictions: Predictions, _ values: [Float], _ data: TrainingData) -> [Mistake] {
        values.indices.map { item -> Mistake in
            Mistake(
                item: data.test[item].id, name: data.test[item].name, label: data.test[item].label,
                predicted: Double(predictions.values[item]).rounded(digits: 6),
                score: Double(predictions.values[item] - values[item]))
        }
        .sorted { (abs($1.score), $0.item) < (abs($0.score), $1.item) }
        .prefix(mistakesShown).map { $0 }
    }

    // MARK: Words

    private static func warnings(_ counts: Counts, _ classes: [ClassLine], _ contradicting: [DataItem]) -> [String] {
        var result: [String] = []
        if counts.test < smallTest {
            result.append(
                "Only \(counts.test) items were held out for this test, so the figures may be far off: see the intervals.")
        }
        let untested = classes.filter { $0.items == 0 }
        if !untested.isEmpty {
            result.append(
                "\(untested.count) of \(classes.count) classes have no held-out item, so nothing is known about them: "
                    + listed(untested.map(\.name)))
        }
        let few = classes.filter { $0.items > 0 && $0.items < smallClass }
        if !few.isEmpty {
            result.append(
                "\(few.count) of \(classes.count) classes have fewer than \(smallClass) held-out items; "
                    + "their lines in the table are rough: " + listed(few.map(\.name)))
        }
        if counts.unlabelled > 0 {
            result.append("\(counts.unlabelled) items without a label were left out, of training and of this test.")
        }
        if !contradicting.isEmpty {
            let twins = contradicting.sorted { ($0.splitHash, $0.id) < ($1.splitHash, $1.id) }
            result.append(
                "\(contradicting.count) items are copies that have different labels; none of them was learned from or counted here: "
                    + listed(twins.map { "\($0.name) (\($0.label))" }))
        }
        return result
    }

    private static func listed(_ names: [String]) -> String {
        names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", ..." : "")
    }

    private static func summary(_ report: Report, _ objective: Objective) -> String {
        guard report.counts.test > 0 else { return "No item was left for a test, so nothing is known of the model's quality." }
        if report.task.isClassification, let accuracy = report.metric("accuracy"), let guess = accuracy.baseline {
            let right = Int((accuracy.value * Double(report.counts.test)).rounded())
            var text = "Of \(report.counts.test) items that it never saw, the model named \(right) rightly "
                + "(\(accuracy.value.percent)); \(report.baseline) would have named \(guess.percent). "
            let low = accuracy.low ?? accuracy.value
            if low > guess {
                let fewer = guess < 1 ? (accuracy.value - guess) / (1 - guess) : 0
                text += "That is \(fewer.percent) fewer mistakes, and surely better than guessing."
            } else if accuracy.value > guess {
                text += "The difference is small enough to be luck."
            } else {
                text += "So in plain accuracy the model is no better than guessing."
                if let f1 = report.metric("macro_f1"), let guess = f1.baseline, f1.value > guess {
                    text += " It does tell the classes apart, though: macro F1 is \(f1.value.rounded(digits: 3)) against "
                        + "\(guess.rounded(digits: 3))."
                }
            }
            return text
        }
        guard let rmse = report.metric("rmse"), let mae = report.metric("mae"), let guess = rmse.baseline else { return "" }
        var text = "On \(report.counts.test) rows that it never saw, the model is off by \(mae.value.shown(digits: 4)) on average "
            + "(root mean square \(rmse.value.shown(digits: 4))); \(report.baseline) has a root mean square error of "
            + "\(guess.shown(digits: 4)). "
        if (rmse.high ?? rmse.value) < guess {
            text += "It explains \((1 - rmse.value * rmse.value / (guess * guess)).percent) of what guessing leaves open."
        } else {
            text += rmse.value < guess ? "The difference is small enough to be luck." : "So the model is no better than guessing."
        }
        return text
    }
}

/// What one would say without looking: the most frequent class, with the classes' shares as scores; or the mean.
private struct SimplestGuess {
    let answer: [Float]
    let words: String

    init(_ data: TrainingData) {
        if data.task.isClassification {
            var counts = [Int](repeating: 0, count: data.classes.count)
            for label in data.labels { counts[label] += 1 }
            answer = counts.map { Float($0) / Float(max(data.labels.count, 1)) }
            let top = counts.indices.max { (counts[$0], $1) < (counts[$1], $0) } ?? 0
            words = "always answering '\(data.classes[safe: top] ?? "")', the most frequent class,"
        } else {
            let mean = data.values.reduce(0) { $0 + Double($1) } / Double(max(data.values.count, 1))
            answer = [Float(mean)]
            words = "always answering \(mean.shown(digits: 5)), the mean,"
        }
    }

    func predictions(_ count: Int) -> Predictions {
        Predictions(width: max(answer.count, 1), values: (0..<count).flatMap { _ in answer })
    }
}

extension Double {
    /// As people write shares: `97.2 %`.
    var percent: String { "\((self * 1000).rounded() / 10) %" }

    /// For people: as `rounded(digits:)`, the thousands apart.
    func shown(digits: Int) -> String {
        let text = rounded(digits: digits)
        let parts = text.split(separator: ".", maxSplits: 1)
        guard abs(self) >= 1000, let whole = parts.first else { return text }
        var grouped = ""
        for (place, digit) in whole.reversed().enumerated() {
            if place > 0, place % 3 == 0, digit != "-" { grouped.append(",") }
            grouped.append(digit)
        }
        return ([String(grouped.reversed())] + parts.dropFirst().map(String.init)).joined(separator: ".")
    }

    /// With so many significant digits.
    func rounded(digits: Int) -> String {
        guard isFinite, self != 0 else { return isFinite ? "0" : "\(self)" }
        let places = max(digits - 1 - Int(log10(abs(self)).rounded(.down)), 0)
        let text = String(format: "%.\(min(places, 12))f", self)
        guard text.contains(".") else { return text }
        return String(text.reversed().drop { $0 == "0" }.reversed()).trimmingCharacters(in: CharacterSet(charactersIn: "."))
    }
}
