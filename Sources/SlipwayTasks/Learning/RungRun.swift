internal import Foundation
internal import KeelModels
internal import SlipwayDomain
internal import SlipwaySystem

/// One rung of a trial: learn on from the newest checkpoint until a resource, a time or the recipe's end is reached.
struct RungRun {
    let plan: RungPlan
    let threads: Int
    let directory: URL
    let models: ModelStore?
    let began: ContinuousClock.Instant
    let interruption: Interruption

    /// A crash costs no more than this.
    static let checkpointSeconds = 5.0
    /// Of a rung with a limit in seconds: what its end (validation, checkpoint) takes of it.
    static let endShare = 0.04, endSeconds = 0.25

    func run(_ emit: (TrainerEvent) throws -> Void) throws {
        let recipe = try Recipe(plan.recipe)
        let objective = try Objective(named: plan.objective, for: plan.task)
        let data = try TrainingData(plan.data, task: plan.task, in: directory)
        let base = try plan.base.map(BaseModel.init)
        let (learner, earlier) = try start(data, recipe, base, emit)
        var log = TrialLog(earlier, rung: plan.rung, at: learner.resource)
        let span = RungSpan(
            from: log.rungBegan, to: min(plan.untilResource ?? .infinity, recipe.length),
            started: began - .seconds(log.earlierSeconds),
            seconds: plan.seconds.map { max($0 * (1 - Self.endShare) - Self.endSeconds, 0) })

        var saved = ContinuousClock.now
        var sequence = 0
        var hasWorked = learner.resource > 0
        while !learner.isFinished, learner.resource < span.to, !(hasWorked && span.isOver) {
            for measurement in try learner.advance(span) {
                log.history.append(measurement)
                try emit(.metric(name: measurement.name, value: measurement.value, step: measurement.step))
            }
            hasWorked = true
            try emit(.progress(fraction: span.fraction(at: learner.resource), message: nil))
            if interruption.isInterrupted {
                try save(learner, log, span, &sequence, emit)
                return
            }
            if (ContinuousClock.now - saved).seconds > Self.checkpointSeconds {
                try save(learner, log, span, &sequence, emit)
                saved = .now
            }
        }
        if learner.hasDiverged {
            try emit(.log(level: "warning", message: "the training has diverged: what it was at its best is the result"))
        }
        let predictions = try learner.validation()
        let judged = data.folds.judged
        let metrics = Metrics.all(
            predictions,
            judged.map { Outcome(label: data.labels[$0], value: data.task.isClassification ? 0 : data.values[$0]) },
            plan.task, ranked: Metrics.isRanked(objective, classes: data.classes.count))
        try save(learner, log, span, &sequence, emit)
        try emit(
            .rung(
                RungResult(
                    score: Metrics.score(metrics, objective), metrics: metrics, resource: learner.resource,
                    finished: learner.isFinished || learner.resource >= recipe.length, peakMemoryBytes: peakMemory(),
                    earlierSeconds: log.earlierSeconds)))
    }

    /// From the checkpoint, or afresh when there is none or it can't be used.
    private func start(
        _ data: TrainingData, _ recipe: Recipe, _ base: BaseModel?, _ emit: (TrainerEvent) throws -> Void
    ) throws -> (any Learner, TrialCheckpoint?) {
        if let path = plan.checkpoint {
            let bytes = try? Data(contentsOf: URL(fileURLWithPath: path, relativeTo: directory))
            if let bytes, let checkpoint = TrialCheckpoint(bytes), checkpoint.network == recipe.template.network.rawValue {
                do {
                    return (try learner(data, recipe, directory, models, base, threads: threads, checkpoint: checkpoint), checkpoint)
                } catch is CheckpointMismatch {}
            }
            try emit(.log(level: "warning", message: "the checkpoint can't be used: the trial starts afresh"))
        }
        return (try learner(data, recipe, directory, models, base, threads: threads, checkpoint: nil), nil)
    }

    private func save(
        _ learner: any Learner, _ log: TrialLog, _ span: RungSpan, _ sequence: inout Int, _ emit: (TrainerEvent) throws -> Void
    ) throws {
        let name = "checkpoint-\(sequence)"
        sequence += 1
        var checkpoint = try learner.checkpoint()
        log.store(in: &checkpoint, seconds: span.elapsed)
        checkpoint.state["resource"] = .number(learner.resource)
        checkpoint.validation = try learner.validation()
        try File.writeDurably(checkpoint.file, to: directory.appending(path: name).path)
        try emit(.checkpoint(file: name, resource: learner.resource))
    }

    private func peakMemory() -> Int? {
        var usage = rusage()
        return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 ? Int(usage.ru_maxrss) * 1024 : nil
    }
}

/// What a trial carries from rung to rung beside the learner's state.
private struct TrialLog {
    let rung: Int
    /// The resource at which this rung began, whichever attempt that was: schedules count from it.
    let rungBegan: Double
    /// What earlier attempts have used of the rung's time.
    let earlierSeconds: Double
    var history: [Measurement]

    init(_ checkpoint: TrialCheckpoint?, rung: Int, at resource: Double) {
        self.rung = rung
        let isSameRung = checkpoint?.state["rung"]?.intValue == rung
        rungBegan = isSameRung ? checkpoint?.state["rung_began"]?.doubleValue ?? resource : resource
        earlierSeconds = isSameRung ? max(checkpoint?.state["rung_seconds"]?.doubleValue ?? 0, 0) : 0
        history = checkpoint?.history ?? []
    }

    /// - Parameter seconds: what the rung has taken until now, in all its attempts.
    func store(in checkpoint: inout TrialCheckpoint, seconds: Double) {
        checkpoint.state["rung"] = .integer(rung)
        checkpoint.state["rung_seconds"] = .number(seconds)
        checkpoint.state["rung_began"] = .number(rungBegan)
        checkpoint.history = history
    }
}

/// The learner of a recipe's network.
func learner(
    _ data: TrainingData, _ recipe: Recipe, _ directory: URL, _ models: ModelStore?, _ base: BaseModel?, threads: Int,
    checkpoint: TrialCheckpoint?
) throws -> any Learner {
    switch recipe.template.network {
    case .boostedTrees: try BoostedTrees(data, recipe, threads: threads, checkpoint: checkpoint)
    case .tableNetwork, .tableLinear, .resnet, .pictureFeatures, .pretrainedFeatures, .imported, .importedTable:
        try NetworkLearner(data, recipe, directory: directory, models: models, base: base, threads: threads, checkpoint: checkpoint)
    }
}
