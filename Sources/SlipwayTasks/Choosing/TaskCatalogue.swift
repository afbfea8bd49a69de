package import SlipwayDomain

/// What a score is made of: the experiment's `objective`.
package enum Objective: String, Codable, Sendable, CaseIterable {
    case accuracy
    case macroF1 = "macro_f1"
    case logLoss = "log_loss"
    case auc
    case rmse, mae, r2

    package var isClassification: Bool {
        switch self {
        case .accuracy, .macroF1, .logLoss, .auc: true
        case .rmse, .mae, .r2: false
        }
    }

    /// Whether a smaller value is better.
    package var isError: Bool { self == .logLoss || self == .rmse || self == .mae }

    package static func all(for task: LearningTask) -> [Objective] {
        allCases.filter { $0.isClassification == task.isClassification }
    }

    /// The objective when an experiment names none: the first that `GET /v1/tasks` lists.
    package static func initial(for task: LearningTask) -> Objective {
        switch task {
        case .imageClassification: .accuracy
        case .tabularClassification: .macroF1
        case .tabularRegression: .rmse
        }
    }

    /// - Errors: `Problem` 422 naming `/objective`.
    package init(named name: String, for task: LearningTask) throws(Problem) {
        let words = Self.all(for: task).map(\.rawValue)
        guard let objective = Objective(rawValue: name), words.contains(name) else {
            let detail = "'\(name.prefix(64))' is no objective of \(task.rawValue); \(nearest(to: name, among: words))"
            throw Problem(
                422, "train-unknown-objective", title: "Unknown objective", detail: detail,
                errors: [.init(pointer: "/objective", code: "unknown-value", detail: detail)])
        }
        self = objective
    }
}

/// One line of `GET /v1/tasks`: what can be trained, from which uploads, judged by what, within which limits.
package struct TaskEntry: Codable, Sendable {
    package struct Format: Codable, Sendable {
        package var name: String
        package var mediaTypes: [String]
        package var summary: String

        enum CodingKeys: String, CodingKey {
            case name, summary
            case mediaTypes = "media_types"
        }
    }

    package var task: LearningTask
    package var summary: String
    package var formats: [Format]
    package var inputs: String
    /// The first is taken when an experiment names none.
    package var objectives: [Objective]
    package var metrics: [String]
    package var presets: [Preset]
    package var limits: [String: Int]
    package var templates: [String]
}

package enum TaskCatalogue {
    package static func entries(_ library: TemplateLibrary, _ limits: ImportLimits) -> [TaskEntry] {
        LearningTask.allCases.map { task in
            var objectives = Objective.all(for: task)
            let first = Objective.initial(for: task)
            objectives.removeAll { $0 == first }
            objectives.insert(first, at: 0)
            return TaskEntry(
                task: task, summary: summary(task), formats: formats(task), inputs: inputs(task),
                objectives: objectives, metrics: metrics(task), presets: Preset.allCases, limits: self.limits(task, limits),
                templates: library.templates(for: task).map(\.name))
        }
    }

    private static func summary(_ task: LearningTask) -> String {
        switch task {
        case .imageClassification: "Says which of the known classes a picture belongs to."
        case .tabularClassification: "Says which of the known classes a table's row belongs to."
        case .tabularRegression: "Estimates a number from the other columns of a table's row."
        }
    }

    private static func formats(_ task: LearningTask) -> [TaskEntry.Format] {
        switch task.items {
        case .rows:
            [
                .init(
                    name: "csv", mediaTypes: ["text/csv"],
                    summary: "A table with a header; the target is the column that is named, or the last one.")
            ]
        case .pictures:
            [
                .init(
                    name: "image-folder", mediaTypes: ["application/zip"],
                    summary: "A zip with a folder for each class, holding PNG and JPEG pictures.")
            ]
        }
    }

    private static func inputs(_ task: LearningTask) -> String {
        switch task.items {
        case .rows: "rows: objects of column names and values"
        case .pictures: "a picture's bytes (image/png, image/jpeg), or base64"
        }
    }

    private static func metrics(_ task: LearningTask) -> [String] {
        task.isClassification
            ? ["accuracy", "macro_f1", "macro_precision", "macro_recall", "auc", "log_loss", "calibration_error"]
            : ["rmse", "mae", "r2", "mape"]
    }

    private static func limits(_ task: LearningTask, _ limits: ImportLimits) -> [String: Int] {
        var result = ["minimum_items": Preflight.minimumItems, "minimum_seconds": 10]
        if task.isClassification {
            result["classes"] = limits.classes
            result["minimum_classes"] = 2
        }
        switch task.items {
        case .rows:
            result["columns"] = limits.tableColumns
            result["field_bytes"] = limits.tableFieldBytes
        case .pictures:
            result["archive_entries"] = limits.archiveEntries
            result["archive_bytes"] = limits.archiveBytes
            result["image_pixels"] = limits.imagePixels
        }
        return result
    }
}

/// A template as `GET /v1/templates` shows it.
package struct TemplateView: Codable, Sendable {
    package struct Parameter: Codable, Sendable {
        package var name: String
        package var type: Hyperparameter.Kind
        package var `default`: JSON
        package var minimum: Double
        package var maximum: Double
        package var scale: Hyperparameter.Scale
        package var unit: String?
        package var searched: Bool
    }
    package struct Need: Codable, Sendable {
        package var figure: String
        package var minimum: Int?
        package var maximum: Int?
    }

    package var id: String
    package var name: String
    package var task: LearningTask
    package var summary: String
    package var network: String
    package var requires: [Need]
    package var hyperparameters: [Parameter]
    package var source: String

    package init(_ template: Template) {
        id = template.name
        name = template.name
        task = template.task
        summary = template.summary
        network = template.network.rawValue
        requires = template.requires.map { Need(figure: $0.figure.rawValue, minimum: $0.minimum, maximum: $0.maximum) }
        hyperparameters = template.hyperparameters.map {
            Parameter(
                name: $0.name, type: $0.kind, default: $0.initial, minimum: $0.range.lowerBound,
                maximum: $0.range.upperBound, scale: $0.scale, unit: $0.unit, searched: $0.search != nil)
        }
        source = template.source
    }
}
