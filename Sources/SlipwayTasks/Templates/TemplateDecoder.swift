package import SlipwayDomain

extension Template {
    /// Reads a template, strictly: an unknown key is an error that names the nearest known one and the place.
    ///
    /// - Errors: `Problem` 422 `template-invalid`, with the JSON pointer of the value at fault under `/template`.
    package init(yaml source: String) throws(Problem) {
        let top = try TemplateText.read(source)
        let members = try top.members(known: [
            "name", "task", "summary", "requires", "network", "input", "hyperparameters", "presets", "cost",
        ])
        func require(_ key: String) throws(Problem) -> TemplateText {
            guard let value = members[key] else { throw top.problem("lacks '\(key)'", code: "missing-member") }
            return value
        }
        self.source = source
        name = try require("name").name()
        task = try require("task").word(LearningTask.allCases)
        summary = try require("summary").string()
        network = try require("network").network()
        hyperparameters = try require("hyperparameters").hyperparameters(of: network)
        requires = try members["requires"]?.requirements() ?? []
        cost = try members["cost"]?.cost() ?? TemplateCost()
        input = try members["input"]?.pictureInput()
        presets = [:]
        if let text = members["presets"] {
            let choices = try text.members(known: Preset.allCases.map(\.rawValue))
            for preset in Preset.allCases {
                presets[preset] = try choices[preset.rawValue]?.presetChoice(of: hyperparameters)
            }
        }
        for rule in Self.rules {
            if let (pointer, detail) = rule(self) { throw .template(pointer, detail) }
        }
    }

    /// The rules that span members: each returns the place at fault and why, or nil.
    private static let rules: [@Sendable (Template) -> (pointer: String, detail: String)?] = [
        networkFitsTask, picturesHaveInput,
    ]

    @Sendable private static func networkFitsTask(_ template: Template) -> (pointer: String, detail: String)? {
        guard !template.network.tasks.contains(template.task) else { return nil }
        let kinds = NetworkKind.allCases.filter { $0.tasks.contains(template.task) }.map(\.rawValue)
        return (
            "/network/type",
            "'\(template.network.rawValue)' can't learn \(template.task.rawValue); these can: \(kinds.joined(separator: ", "))"
        )
    }

    @Sendable private static func picturesHaveInput(_ template: Template) -> (pointer: String, detail: String)? {
        let isGiven = template.network.pretrained != nil || template.network.hasBase
        return switch (template.task.items, template.input) {
        case (.pictures, nil): isGiven ? nil : ("", "lacks 'input': say how pictures are scaled")
        case (.pictures, _): isGiven ? ("/input", "is what '\(template.network.rawValue)' was trained with") : nil
        case (.rows, nil): nil
        case (.rows, _): ("/input", "is for pictures, and this task has tables")
        }
    }
}

extension TemplateText {
    fileprivate func name() throws(Problem) -> String {
        let name = try string(maximum: 64)
        guard name.utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }) else {
            throw problem("may have small letters, digits and hyphens only")
        }
        return name
    }

    fileprivate func network() throws(Problem) -> NetworkKind {
        let members = try members(known: ["type"])
        guard let type = members["type"] else { throw problem("lacks 'type'", code: "missing-member") }
        return try type.word(NetworkKind.allCases)
    }

    fileprivate func hyperparameters(of network: NetworkKind) throws(Problem) -> [Hyperparameter] {
        let known = network.hyperparameters
        let texts = try members(known: Array(known.keys))
        var result: [Hyperparameter] = []
        for name in known.keys.sorted() {
            guard let text = texts[name], let bounds = known[name] else {
                throw problem("lacks '\(name)', which the network '\(network.rawValue)' reads", code: "missing-member")
            }
            result.append(try text.hyperparameter(name, within: bounds))
        }
        return result
    }

    private func hyperparameter(_ name: String, within bounds: ClosedRange<Double>) throws(Problem) -> Hyperparameter {
        let members = try members(known: ["type", "default", "minimum", "maximum", "scale", "unit", "search"])
        func require(_ key: String) throws(Problem) -> TemplateText {
            guard let value = members[key] else { throw problem("lacks '\(key)'", code: "missing-member") }
            return value
        }
        let kind: Hyperparameter.Kind = try require("type").word([.number, .integer])
        let range = try Self.range(require("minimum"), require("maximum"), within: bounds)
        let scale: Hyperparameter.Scale = try members["scale"]?.word([.linear, .log]) ?? .linear
        guard scale == .linear || range.lowerBound > 0 else {
            throw problem("has a logarithmic scale, so its minimum must be above 0")
        }
        let initial = try require("default").value(kind, in: range)
        var search: ClosedRange<Double>?
        if let text = members["search"] {
            let ends = try text.members(known: ["minimum", "maximum"])
            guard let minimum = ends["minimum"], let maximum = ends["maximum"] else {
                throw text.problem("must have 'minimum' and 'maximum'", code: "missing-member")
            }
            search = try Self.range(minimum, maximum, within: range)
        }
        return Hyperparameter(
            name: name, kind: kind, initial: initial, range: range, scale: scale, unit: try members["unit"]?.string(maximum: 40),
            search: search)
    }

    fileprivate func value(_ kind: Hyperparameter.Kind, in range: ClosedRange<Double>) throws(Problem) -> JSON {
        let number = try number()
        guard range.contains(number) else {
            throw problem("is \(number.plain); it may be \(range.lowerBound.plain) to \(range.upperBound.plain)", code: "out-of-range")
        }
        return kind == .integer ? .integer(try integer()) : .number(number)
    }

    private static func range(
        _ minimum: TemplateText, _ maximum: TemplateText, within bounds: ClosedRange<Double>
    ) throws(Problem) -> ClosedRange<Double> {
        let (low, high) = (try minimum.number(), try maximum.number())
        guard low >= bounds.lowerBound else {
            throw minimum.problem("is \(low.plain); it may be \(bounds.lowerBound.plain) at least", code: "out-of-range")
        }
        guard high <= bounds.upperBound else {
            throw maximum.problem("is \(high.plain); it may be \(bounds.upperBound.plain) at most", code: "out-of-range")
        }
        guard low <= high else { throw maximum.problem("is below the minimum", code: "out-of-range") }
        return low...high
    }

    fileprivate func presetChoice(of hyperparameters: [Hyperparameter]) throws(Problem) -> PresetChoice {
        let members = try members(known: ["trials"] + hyperparameters.map(\.name))
        var choice = PresetChoice(trials: nil, hyperparameters: [:])
        if let trials = members["trials"] {
            guard case .integer(let count) = try trials.value(.integer, in: 1...1000) else { return choice }
            choice.trials = count
        }
        for hyperparameter in hyperparameters {
            choice.hyperparameters[hyperparameter.name] =
                try members[hyperparameter.name]?.value(hyperparameter.kind, in: hyperparameter.range)
        }
        return choice
    }

    fileprivate func requirements() throws(Problem) -> [Requirement] {
        let members = try members(known: Requirement.Figure.allCases.map(\.rawValue))
        var result: [Requirement] = []
        for figure in Requirement.Figure.allCases {
            guard let text = members[figure.rawValue] else { continue }
            let ends = try text.members(known: ["minimum", "maximum"])
            result.append(
                Requirement(figure: figure, minimum: try ends["minimum"]?.integer(), maximum: try ends["maximum"]?.integer()))
        }
        return result
    }

    fileprivate func cost() throws(Problem) -> TemplateCost {
        let members = try members(known: ["start", "item"])
        var cost = TemplateCost()
        func seconds(_ key: String, _ value: inout Double) throws(Problem) {
            guard let text = members[key] else { return }
            let number = try text.number()
            guard (0...3600).contains(number) else { throw text.problem("must be 0 to 3600 seconds", code: "out-of-range") }
            value = number
        }
        try seconds("start", &cost.start)
        try seconds("item", &cost.item)
        return cost
    }

    fileprivate func pictureInput() throws(Problem) -> PictureInput {
        let members = try members(known: ["minimum_side", "maximum_side"])
        guard let minimum = members["minimum_side"], let maximum = members["maximum_side"] else {
            throw problem("must have 'minimum_side' and 'maximum_side', in pixels", code: "missing-member")
        }
        let sides = PictureInput(minimumSide: try minimum.integer(), maximumSide: try maximum.integer())
        guard 8 <= sides.minimumSide, sides.minimumSide <= sides.maximumSide, sides.maximumSide <= 256 else {
            throw problem("must scale to 8 up to 256 pixels", code: "out-of-range")
        }
        return sides
    }
}

extension Double {
    /// As a person writes it: without `.0`, without an exponent where that is short.
    var plain: String {
        if let whole = Int(exactly: self), abs(whole) < 1_000_000_000 { return String(whole) }
        return "\(self)"
    }
}

extension TrialRecipe {
    /// The recipe's template, read again, and its hyperparameters held to the template's ranges: a recipe comes from
    /// the database and from strangers.
    package func decoded() throws(Problem) -> Template {
        let template = try Template(yaml: source)
        for (name, value) in hyperparameters {
            guard let hyperparameter = template.hyperparameter(name) else {
                throw .template("/hyperparameters/\(name)", "is unknown to the template '\(template.name)'")
            }
            guard let number = value.doubleValue, hyperparameter.range.contains(number) else {
                throw .template("/hyperparameters/\(name)", "is outside of its range")
            }
        }
        return template
    }
}
