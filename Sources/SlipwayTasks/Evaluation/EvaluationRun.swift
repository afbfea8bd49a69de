internal import Foundation
internal import KeelModels
internal import SlipwayDomain
internal import SlipwaySystem

/// The end of an experiment: mix the best trials, write the model's files, and judge them on the held-out items.
struct EvaluationRun {
    let plan: EvaluationPlan
    let threads: Int
    let directory: URL
    let models: ModelStore?
    let began: ContinuousClock.Instant
    let interruption: Interruption

    static let itemsFile = "items.jsonl", reportFile = "report.json", pageFile = "report.html"

    func run(_ emit: (TrainerEvent) throws -> Void) throws {
        let objective = try Objective(named: plan.objective, for: plan.task)
        let deadline = plan.seconds.map { began + .seconds($0) }
        let data = try TrainingData(plan.data, task: plan.task, in: directory)
        try emit(.progress(fraction: 0.1, message: "mixing the best trials"))
        let mixed = try mix(data, objective, emit)
        let folder = directory.appending(path: "model")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var names = try mixed.model.write(to: folder)

        // From here on the model is what was written, read again as a deployment would read it.
        let predictor = try Predictor(folder: folder)
        let (predictions, milliseconds) = try plan.base == nil ? predict(data.test, predictor, emit) : FineTuning.serving { try predict(data.test, predictor, emit) }
        guard !interruption.isInterrupted else { return }
        try emit(.progress(fraction: 0.6, message: "writing the report"))
        let report = try Report(
            data: data, objective: objective, facts: plan.facts, mixture: mixed.shares, validation: mixed.validation,
            history: mixed.history, predictions: predictions, milliseconds: milliseconds, model: mixed.model.manifest,
            deadline: deadline.map { $0 - .milliseconds(300) })
        try File.writeDurably(JSONEncoder.ordered(isPretty: true).encode(report), to: folder.appending(path: Self.reportFile).path)
        try File.writeDurably(
            Data(
                ReportPage(
                    report, items: data.test, columns: data.columns, target: data.target, directory: directory,
                    deadline: deadline
                ).html.utf8),
            to: folder.appending(path: Self.pageFile).path)
        try File.writeDurably(try seen(data), to: folder.appending(path: Self.itemsFile).path)
        names += [Self.reportFile, Self.pageFile, Self.itemsFile]
        try emit(
            .evaluated(
                EvaluationResult(
                    metrics: report.flatMetrics, classes: plan.data.classes, inputs: predictor.inputs,
                    files: names.map { .init(name: $0, path: "model/\($0)") }, trials: mixed.trials)))
    }

    // MARK: Mixing

    private struct Mixed {
        var model: TrainedModel
        var trials: [TrialID]
        var shares: [Report.Share]
        /// The score of the mix on the items that judged the trials.
        var validation: [String: Double]
        var history: [Report.Curve]
    }

    private func mix(
        _ data: TrainingData, _ objective: Objective, _ emit: (TrainerEvent) throws -> Void
    ) throws -> Mixed {
        let judged = data.folds.judged
        let outcomes = judged.map {
            Outcome(label: data.labels[$0], value: data.task.isClassification ? 0 : data.values[$0])
        }
        var usable: [(candidate: EvaluationPlan.Candidate, recipe: Recipe, checkpoint: TrialCheckpoint, validation: Predictions)] = []
        for candidate in plan.candidates {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: candidate.checkpoint, relativeTo: directory))
            guard let checkpoint = TrialCheckpoint(bytes), let validation = checkpoint.validation,
                validation.width == data.outputs, validation.count == judged.count
            else {
                try emit(.log(level: "warning", message: "the checkpoint of trial \(candidate.trial) can't be used"))
                continue
            }
            usable.append((candidate, try Recipe(candidate.recipe), checkpoint, validation))
        }
        guard !usable.isEmpty else {
            throw Problem(500, "train-no-checkpoint", title: "No trial can be evaluated", detail: "every checkpoint is unusable")
        }
        // Mixing may take a third of the time: the rest is for judging the model.
        let deadline = plan.seconds.map { began + .seconds($0 / 3) }
        let perfect = objective.isError ? 0.0 : 1
        let weights = Mixture.weights(usable.map(\.validation), perfect: perfect, until: deadline) { predictions in
            let metrics = Metrics.all(predictions, outcomes, plan.task, ranked: objective == .auc)
            // The objective alone moves in steps of single items; the loss breaks ties in favour of better scores.
            let loss = plan.task.isClassification ? metrics["log_loss"] ?? 0 : 0
            return Metrics.score(metrics, objective) - 0.2 * loss
        }
        let base = try plan.base.map(BaseModel.init)
        var parts: [TrainedModel.Part] = []
        var shares: [Report.Share] = []
        var history: [Report.Curve] = []
        var trials: [TrialID] = []
        let order = weights.indices.filter { weights[$0] > 0 }.sorted { (weights[$1], $0) < (weights[$0], $1) }
        for index in order {
            let (candidate, recipe, checkpoint, _) = usable[index]
            parts.append(try part(data, candidate, recipe, checkpoint, base, weight: weights[index]))
            shares.append(
                Report.Share(
                    template: candidate.recipe.template, weight: weights[index], score: candidate.score,
                    made: parts.last?.description.encoder?.sumsInWords ?? []))
            trials.append(candidate.trial)
            for (name, points) in Dictionary(grouping: checkpoint.history, by: \.name).sorted(by: { $0.key < $1.key }) {
                history.append(
                    Report.Curve(
                        template: candidate.recipe.template, name: name, unit: recipe.template.network.resource,
                        points: points.map { [$0.step, $0.value] }))
            }
        }
        let mixed = Predictions.mean(order.map { (usable[$0].validation, weights[$0]) })
        let model = TrainedModel(
            task: plan.task, classes: plan.data.classes,
            columns: data.columns.map { .init(name: $0.name, type: $0.type) },
            target: plan.data.target, parts: parts, base: base)
        return Mixed(
            model: model, trials: trials, shares: shares, validation: Metrics.all(mixed, outcomes, plan.task),
            history: history)
    }

    private func part(
        _ data: TrainingData, _ candidate: EvaluationPlan.Candidate, _ recipe: Recipe, _ checkpoint: TrialCheckpoint,
        _ base: BaseModel?, weight: Double
    ) throws -> TrainedModel.Part {
        let members: [any Scorer]
        var description = ModelManifest.Part(
            template: recipe.template.name, network: recipe.template.network.rawValue,
            hyperparameters: candidate.recipe.hyperparameters, seed: recipe.seed,
            resource: checkpoint.state["resource"]?.doubleValue ?? 0, weight: weight, members: 0)
        switch recipe.template.network {
        case .boostedTrees:
            let scorers = try BoostedTrees.scorers(data, checkpoint, threads: threads)
            description.encoder = scorers.first?.encoder
            description.link = scorers.first?.link
            members = scorers
        case .tableNetwork, .tableLinear, .resnet, .pictureFeatures, .pretrainedFeatures, .imported, .importedTable:
            let (scorers, shape) = try NetworkLearner.scorers(data, recipe, checkpoint, models: models, base: base)
            description.shape = shape
            description.input = scorers.first?.input
            description.link = scorers.first?.link
            members = scorers
        }
        description.members = members.count
        return TrainedModel.Part(description: description, members: members)
    }

    // MARK: Judging

    /// Predictions of the held-out items, in batches, and the median time that one item alone takes.
    private func predict(
        _ items: [DataItem], _ predictor: Predictor, _ emit: (TrainerEvent) throws -> Void
    ) throws -> (Predictions, milliseconds: Double) {
        var predictions = Predictions(width: max(predictor.classes.count, 1), values: [])
        func predict(_ items: ArraySlice<DataItem>) throws -> Predictions {
            switch plan.task.items {
            case .rows: try predictor.predictions(rows: items.map { $0.row ?? [] })
            case .pictures:
                try predictor.predictions(
                    pictures: items.map { item in
                        [UInt8](try Data(contentsOf: URL(fileURLWithPath: item.path ?? "", relativeTo: directory)))
                    })
            }
        }
        let batch = switch plan.task.items {
        // An imported graph has the limits of a call.
        case .rows: plan.base == nil ? 1024 : Predictor.rowsAtOnce
        case .pictures: plan.base == nil ? 64 : Predictor.picturesAtOnce
        }
        var said: ContinuousClock.Instant?
        for start in stride(from: 0, to: items.count, by: batch) {
            if said.map({ (ContinuousClock.now - $0).seconds > 1 }) ?? true {
                let done = Double(start) / Double(items.count)
                try emit(.progress(fraction: 0.3 + 0.3 * done, message: "predicting \(items.count) held-out items"))
                said = .now
            }
            predictions.values += try predict(items[start..<min(start + batch, items.count)]).values
            if interruption.isInterrupted { break }
        }
        var times: [Double] = []
        for index in items.indices.prefix(15) {
            let start = ContinuousClock.now
            _ = try predict(items[index...index])
            times.append((ContinuousClock.now - start).seconds * 1000)
        }
        return (predictions, times.sorted()[safe: times.count / 2] ?? 0)
    }

    /// `items.jsonl`: every labelled item with its label and the side that it was on.
    private func seen(_ data: TrainingData) throws -> Data {
        struct Line: Encodable {
            var id: String
            var label: String
            var split: String
        }
        let encoder = JSONEncoder.ordered()
        let validating = Set(data.folds.members == 1 ? data.folds.judged : [])
        var lines = Data()
        func write(_ item: DataItem, _ split: String) throws {
            lines += try encoder.encode(Line(id: String(item.id), label: item.label, split: split))
            lines.append(UInt8(ascii: "\n"))
        }
        for (index, item) in data.train.enumerated() { try write(item, validating.contains(index) ? "validation" : "train") }
        for item in data.test { try write(item, "test") }
        return lines
    }
}

extension Array {
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
