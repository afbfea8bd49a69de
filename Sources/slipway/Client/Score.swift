import SlipwayDomain

/// How good a model is on the items that were kept aside, for people.
struct Score {
    let objective: String
    let value: Double
    /// 95 % confidence, where the report gives it.
    let interval: ClosedRange<Double>?
    let baseline: Double?
    let items: Int?
    let task: LearningTask?

    init(of modelVersion: JSON, objective: String?) throws {
        let metrics = modelVersion["metrics"] ?? .null
        task = modelVersion["task"]?.stringValue.flatMap(LearningTask.init)
        // Accuracy is what people understand; the experiment may have been told to be best in something else.
        let preferred = [objective, task?.isClassification == false ? "rmse" : "accuracy"].compactMap(\.self)
        guard let name = preferred.first(where: { metrics[$0] != nil }), let value = metrics[name]?.doubleValue
        else { throw Failure.message("the model version has no metric \(preferred.joined(separator: " or "))") }
        self.objective = name
        self.value = value
        if let low = metrics[name + "_low"]?.doubleValue, let high = metrics[name + "_high"]?.doubleValue {
            interval = min(low, high)...max(low, high)
        } else {
            interval = nil
        }
        baseline = metrics["baseline_" + name]?.doubleValue
        items = metrics["test_items"]?.intValue
    }

    /// `Accuracy 98.3 % (97.0 to 99.2 %) on 360 items that training never saw; without a model: 10.3 %`
    var text: String {
        var text = short
        if let interval { text += " (\(shown(interval.lowerBound)) to \(shown(interval.upperBound)))" }
        text += " on \(items.map { "\($0.grouped) " } ?? "")items that training never saw"
        if let baseline { text += "; \(baselineWords): \(shown(baseline))" }
        return text
    }

    /// `Accuracy 98.3 %`
    var short: String { "\(title) \(shown(value))" }

    private var title: String {
        switch objective {
        case "accuracy": "Accuracy"
        case "macro_f1": "Macro F1"
        case "auc": "AUC"
        case "log_loss": "Log loss"
        case "rmse": "RMSE"
        case "mae": "MAE"
        case "r2": "R²"
        default: objective
        }
    }

    private var baselineWords: String {
        task?.isClassification == false ? "always saying the mean" : "always saying the commonest class"
    }

    private func shown(_ value: Double) -> String {
        objective == "accuracy" ? "\((value * 1000).rounded() / 10) %" : value.shortText
    }
}
