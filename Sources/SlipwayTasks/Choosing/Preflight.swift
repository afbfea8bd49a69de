package import SlipwayDomain

/// What is checked before a second of training is spent.
package enum Preflight {
    /// Fewer labelled items can't be trained, validated and tested.
    package static let minimumItems = 10

    /// The profile with another column as target, as far as the columns' profiles tell: class counts are known where
    /// the column has at most 20 values (`ColumnProfile.top`), else the caller counts and sets `classes` itself.
    package static func retargeted(
        _ profile: DatasetProfile, to target: String?, for task: LearningTask
    ) throws(Problem) -> DatasetProfile {
        guard task.items.hasTarget else { return profile }
        guard let columns = profile.columns, let name = target ?? profile.target ?? columns.last?.name,
            let column = columns.first(where: { $0.name == name })
        else {
            let detail = "the data set has no column '\(target ?? profile.target ?? "")'; "
                + nearest(to: target ?? "", among: (profile.columns ?? []).map(\.name))
            throw fault("train-no-label-column", "There is no such target column", detail, "/target")
        }
        guard name != profile.target else { return profile }
        var result = profile
        result.target = name
        result.unlabelled = column.missing
        result.classes = column.top.map { ClassCount(name: $0.value, count: $0.count) }
            .sorted { $0.name.unicodeScalars.lexicographicallyPrecedes($1.name.unicodeScalars) }
        if column.distinct > column.top.count { result.classes = [] }
        return result
    }

    /// - Errors: `Problem` 422 with a stable code that begins with `train-`.
    package static func check(_ task: LearningTask, _ profile: DatasetProfile) throws(Problem) {
        let labelled = profile.items - profile.unlabelled
        var distinct = profile.classes.count
        if task.items.hasTarget {
            guard let columns = profile.columns, let target = profile.target,
                let column = columns.first(where: { $0.name == target })
            else {
                throw fault(
                    "train-no-label-column", "There is no target column", "the data set version has no target column",
                    "/target")
            }
            // The classes are the labels' as they are now; the column's figures are the upload's.
            if !task.isClassification || profile.classes.isEmpty { distinct = column.distinct }
            guard task.isClassification || column.type == .number else {
                throw fault(
                    "train-target-not-numeric", "The target is no number",
                    "the column '\(target)' holds \(column.type.words), and regression estimates a number; "
                        + "as a data set of tabular-classification it can be learned", "/target")
            }
        }
        guard labelled >= minimumItems else {
            throw fault(
                "train-too-few-samples", "Too few labelled items",
                "\(labelled) labelled items; at least \(minimumItems) are needed to train, validate and test", "/dataset")
        }
        guard task.isClassification else {
            guard distinct > 1 else {
                throw fault(
                    "train-single-class", "The target never changes", "every row has the same target", "/dataset")
            }
            return try checkFeatures(of: profile)
        }
        guard distinct > 1 else {
            throw fault(
                "train-single-class", "There is one class only",
                "every item is labelled '\(profile.classes.first?.name ?? "")'; at least two classes are needed",
                "/dataset")
        }
        let limit = ImportLimits().classes
        guard distinct <= limit else {
            throw fault(
                "train-too-many-classes", "Too many classes",
                "\(distinct) classes; at most \(limit) can be told apart"
                    + (task.items.hasTarget ? ". Is the target a number or an identifier?" : ""), "/dataset")
        }
        guard labelled >= 2 * distinct else {
            throw fault(
                "train-too-few-samples", "Too few items for the classes",
                "\(labelled) items in \(distinct) classes; at least two a class are needed, so that one can be held out",
                "/dataset")
        }
        try checkFeatures(of: profile)
    }

    /// The last check: what is wrong with the labels is worth hearing first.
    private static func checkFeatures(of profile: DatasetProfile) throws(Problem) {
        guard let columns = profile.columns else { return }
        guard columns.contains(where: { $0.name != profile.target && $0.distinct > 1 && !$0.isIdentifier }) else {
            throw fault(
                "train-no-features", "There is nothing to learn from",
                "beside the target, no column says anything of its row: each is empty, constant or an identifier",
                "/dataset")
        }
    }

    private static func fault(_ code: String, _ title: String, _ detail: String, _ pointer: String) -> Problem {
        Problem(
            422, code, title: title, detail: detail, errors: [.init(pointer: pointer, code: code, detail: detail)])
    }
}

extension ColumnType {
    var words: String {
        switch self {
        case .number: "numbers"
        case .category: "categories"
        case .boolean: "true and false"
        case .date: "dates"
        case .text: "texts"
        }
    }
}
