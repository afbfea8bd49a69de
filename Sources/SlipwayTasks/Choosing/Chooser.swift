package import SlipwayDomain

/// Which templates fit a data set, the best guess first, and why in plain words.
package struct TemplateChoice: Sendable {
    package var considered: [ConsideredTemplate]
    /// The templates that fit, best guess first.
    package var ranking: [Template]

    /// - Parameters:
    ///   - own: the template that the user chose or sent: it is the only one then.
    ///   - hasBase: whether the experiment goes on from an imported model.
    /// - Errors: `Problem` 422 `train-no-template` when nothing fits.
    package init(
        for task: LearningTask, _ profile: DatasetProfile, from library: TemplateLibrary, own: Template? = nil, hasBase: Bool = false
    ) throws(Problem) {
        considered = []
        if let own {
            ranking = [own]
            considered = [ConsideredTemplate(template: own.name, fits: true, why: "you chose it")]
            return
        }
        let figures = DataFigures(profile)
        var scored: [(template: Template, score: Double, why: String)] = []
        var misfits: [ConsideredTemplate] = []
        for template in library.templates(for: task, hasBase: hasBase) {
            if let reason = figures.misfit(of: template) {
                misfits.append(ConsideredTemplate(template: template.name, fits: false, why: reason))
            } else {
                let (score, why) = figures.merit(of: template)
                scored.append((template, score, why))
            }
        }
        scored.sort { ($1.score, $0.template.name) < ($0.score, $1.template.name) }
        ranking = scored.map(\.template)
        considered = scored.map { ConsideredTemplate(template: $0.template.name, fits: true, why: $0.why) } + misfits
        guard !ranking.isEmpty else {
            let reasons = misfits.map { "\($0.template): \($0.why)" }.joined(separator: "; ")
            throw Problem(
                422, "train-no-template", title: "No template fits this data set", detail: reasons,
                errors: [.init(pointer: "/dataset", code: "train-no-template", detail: reasons)])
        }
    }
}

/// The figures of a data set that templates are judged by.
private struct DataFigures {
    let items: Int, classes: Int, smallest: Int
    let features: [ColumnProfile]

    init(_ profile: DatasetProfile) {
        items = profile.items - profile.unlabelled
        classes = profile.classes.count
        smallest = profile.classes.map(\.count).min() ?? 0
        features = (profile.columns ?? []).filter { $0.name != profile.target && !$0.isIdentifier && $0.distinct > 1 }
    }

    private func value(_ figure: Requirement.Figure) -> Int {
        switch figure {
        case .items: items
        case .classes: classes
        case .columns: features.count
        case .itemsPerClass: smallest
        }
    }

    /// Why the template can't be used; nil when it can.
    func misfit(of template: Template) -> String? {
        for requirement in template.requires {
            let have = value(requirement.figure)
            if let minimum = requirement.minimum, have < minimum {
                return "it needs at least \(minimum) \(requirement.figure.words), and the data set has \(have)"
            }
            if let maximum = requirement.maximum, have > maximum {
                return "it takes at most \(maximum) \(requirement.figure.words), and the data set has \(have)"
            }
        }
        return nil
    }

    /// A guess of how well the template does against the others, and the reason. The trials decide in the end.
    func merit(of template: Template) -> (score: Double, why: String) {
        let texts = features.count { $0.type == .text }
        let perFeature = Double(items) / Double(max(features.count, 1))
        switch template.network {
        case .boostedTrees:
            return (
                3 - (texts * 2 > features.count ? 1 : 0),
                "trees handle mixed columns, missing values and jumps well: "
                    + "\(items) rows of \(features.count) feature columns"
            )
        case .tableNetwork:
            return (
                items >= 1000 ? 2 : 1,
                items >= 1000
                    ? "\(items) rows are enough for a network, which sees smooth relations that trees cut into steps"
                    : "a network rarely beats trees on \(items) rows, but it errs differently and may help in a mix"
            )
        case .tableLinear:
            return (
                perFeature < 10 ? 2.5 : 1.5,
                perFeature < 10
                    ? "with \(items) rows for \(features.count) columns, a simple model is the least likely to overfit"
                    : "quick and simple: it shows what the others must beat"
            )
        case .resnet:
            return (
                smallest >= 20 ? 2 : 0.5,
                smallest >= 20
                    ? "with \(smallest) pictures or more a class, a network can learn its own features"
                    : "a class has only \(smallest) pictures: little to learn features from"
            )
        case .pictureFeatures:
            return (
                1,
                "edges and colours need no learning, so few pictures are enough and it is trained in seconds"
            )
        case .imported, .importedTable: return (3, "it goes on from the model that you brought")
        case .pretrainedFeatures:
            return (
                2.5,
                "a network that has seen a million photographs knows much of what pictures show, so few are enough"
            )
        }
    }
}
