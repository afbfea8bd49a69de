import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore

/// Trains one rung of a trial in a trainer process. Safe to repeat: it goes on from the newest checkpoint.
struct TrainRung: Sendable {
    let context: JobContext

    func run(_ work: RungWork, _ attempt: Attempt) async throws {
        let began = ContinuousClock.now
        let task = try await attempt.reading { try $0.trainingTask(of: work.experiment, trials: [work.trial]) }
        let candidate = task.candidates[0]
        let directory = try context.directory(for: attempt)
        let data = try await context.export(task.data, task.task, into: directory, attempt)
        let checkpoint = try await context.newestCheckpoint(of: candidate, attempt)
        let base = try await context.base(of: task)
        let plan = TrainerPlan(
            work: .trainRung(
                RungPlan(
                    task: task.task, data: data, objective: task.objective, recipe: candidate.recipe, rung: work.rung,
                    untilResource: work.untilResource, seconds: work.seconds.map { max($0 - began.elapsed, 0) },
                    checkpoint: checkpoint, base: base)),
            threads: context.threads)
        try await attempt.fenced { try $0.begin(work.experiment, trial: work.trial) }

        let told = try await attempt.reading { try $0.toldSteps(of: work.trial, in: work.experiment) }
        let reporter = ExperimentReporter(attempt, task: task, work: work, told: told, directory: directory, context: context)
        let process = TrainerProcess(
            settings: context.trainer, directory: directory, attempt: attempt, seconds: context.limit(of: work.seconds))
        let end = try await reporter.reporting { try await process.run(plan) { event, _ in try reporter.receive(event) } }
        let seconds = began.elapsed
        if let failure = end.failure { throw LoggedFailure(failure, log: end.log) }
        if let problem = reporter.problem { throw LoggedFailure(.problem(problem), log: end.log, seconds: seconds) }
        guard let result = reporter.rung, checkpoint != nil || reporter.hasCheckpoint else {
            throw LoggedFailure(.fault(TrainerProblem.output("it ended without a result or a checkpoint")), log: end.log)
        }
        let decide = context.decide
        try await attempt.fenced { transaction in
            try transaction.finish(attempt.job.lease, as: .succeeded, log: end.log)
            try transaction.record(result, of: work, seconds: seconds + (result.earlierSeconds ?? 0), decide: decide)
        }
    }
}

/// Evaluates the best trials on the held-out items in a trainer process, and makes the model version. Safe to repeat.
struct Evaluate: Sendable {
    let context: JobContext

    func run(_ work: EvaluationWork, _ attempt: Attempt) async throws {
        let began = ContinuousClock.now
        let task = try await attempt.reading { try $0.trainingTask(of: work.experiment, trials: work.trials) }
        let directory = try context.directory(for: attempt)
        let data = try await context.export(task.data, task.task, into: directory, attempt)
        var candidates: [EvaluationPlan.Candidate] = []
        for candidate in task.candidates {
            guard let checkpoint = try await context.newestCheckpoint(of: candidate, attempt) else { continue }
            candidates.append(
                EvaluationPlan.Candidate(
                    trial: candidate.trial, recipe: candidate.recipe, checkpoint: checkpoint, score: candidate.score))
        }
        guard !candidates.isEmpty else {
            throw Problem(
                500, "checkpoint-missing", title: "No trained model is left",
                detail: "none of the trials that were to be evaluated has a checkpoint that can be read")
        }
        let plan = TrainerPlan(
            work: .evaluate(
                EvaluationPlan(
                    task: task.task, data: data, objective: task.objective, candidates: candidates,
                    facts: Self.facts(of: task, work), seconds: work.seconds.map { max($0 - began.elapsed, 0) },
                    base: try await context.base(of: task))),
            threads: context.threads)
        try await attempt.fenced { try $0.begin(work.experiment, trial: nil) }

        let reporter = ExperimentReporter(attempt, task: task, work: nil, directory: directory, context: context)
        // A budget that is overrun still yields the best model so far, so no clock ends an evaluation: only its silence does.
        let process = TrainerProcess(settings: context.trainer, directory: directory, attempt: attempt, seconds: nil)
        let end = try await reporter.reporting { try await process.run(plan) { event, _ in try reporter.receive(event) } }
        if let failure = end.failure { throw LoggedFailure(failure, log: end.log) }
        if let problem = reporter.problem { throw LoggedFailure(.problem(problem), log: end.log) }
        guard let result = reporter.evaluation, !result.trials.isEmpty else {
            throw LoggedFailure(.fault(TrainerProblem.output("it ended without a result")), log: end.log)
        }
        let staged = try await context.blobs.adopt(
            try result.files.map { (path: try directory.file($0.path), digest: nil as Digest?) })
        let files = zip(result.files, staged).map { NewModelFile(name: $0.name, digest: $1.digest, bytes: $1.bytes) }
        let (blobs, threads, binary) = (context.blobs, context.threads, context.binary)
        let seconds = began.elapsed
        let recorded = try await attempt.fenced { transaction in
            try transaction.finish(attempt.job.lease, as: .succeeded, log: end.log)
            return try transaction.record(
                result, files: files, of: work, task, seconds: seconds, threads: threads, binary: binary
            ) { try blobs.place(staged) }
        }
        attempt.logger.info("made a model version", metadata: ["model_version": "\(recorded.version)"])
        await context.collect(recorded.released)
    }

    private static func facts(of task: TrainingTask, _ work: EvaluationWork) -> [String: SlipwayDomain.JSON] {
        [
            "project": .string(task.projectName), "dataset": .string(task.datasetName), "version": .integer(task.data.version),
            "experiment": .string(task.name), "experiment_id": .string(work.experiment.description),
            "trials": .integer(task.finishedTrials), "seconds_searched": .number(task.spentSeconds),
            "budget_seconds": task.budgetSeconds.map { .number($0) } ?? .null,
            "budget_trials": task.budgetTrials.map { .integer($0) } ?? .null,
            "ended_because": work.why.map { .string($0) } ?? .null,
            "chosen": task.chosen.map { .object(["template": .string($0.template), "why": .string($0.why)]) } ?? .null,
            "considered": .array(
                task.considered.map {
                    .object(["template": .string($0.template), "fits": .bool($0.fits), "why": .string($0.why)])
                }),
        ]
    }
}

extension JobContext {
    /// Writes the labelled items of a version into the job directory, in constant memory.
    func export(
        _ version: LabelledVersion, _ task: LearningTask, into directory: JobDirectory, _ attempt: Attempt
    ) async throws -> DataPlan {
        let path = directory.path + "/items.jsonl"
        let blobs = blobs
        let unlabelled = try await attempt.reading { transaction in
            let writer = try SpoolWriter(path)
            let encoder = JSONEncoder.ordered()
            let unlabelled = try transaction.forEachLabelledItem(of: version, path: { blobs.path(of: $0) }) {
                try writer.append($0, encoder)
            }
            try writer.flush()
            return unlabelled
        }
        return DataPlan(
            items: path, unlabelled: unlabelled, columns: version.profile.columns, target: version.profile.target,
            classes: task.isClassification ? version.profile.classes.map(\.name) : [])
    }

    /// The files of the model that the training goes on from, where they lie.
    ///
    /// - Errors: `BlobError` where one isn't what was stored.
    func base(of task: TrainingTask) async throws -> BasePlan? {
        guard let base = task.base else { return nil }
        var files: [String: String] = [:]
        for file in base.files {
            try await blobs.verify(file.blob)
            files[file.name] = blobs.path(of: file.blob)
        }
        return BasePlan(choice: base.choice, files: files)
    }

    /// The newest checkpoint that is what was stored; a corrupt one gives way to the one before.
    func newestCheckpoint(of candidate: TrainingTask.Candidate, _ attempt: Attempt) async throws -> String? {
        for digest in candidate.checkpoints {
            do {
                try await blobs.verify(digest)
                return blobs.path(of: digest)
            } catch let error as BlobError {
                attempt.logger.error("a checkpoint can't be used", metadata: ["error": "\(error)"])
            }
        }
        return nil
    }

    /// When a trainer that has `seconds` hangs: it ends by itself before, unless it does.
    func limit(of seconds: Double?) -> Double? { seconds.map { $0 * 1.25 + 15 } }
}

extension ContinuousClock.Instant {
    /// Seconds since then.
    var elapsed: Double { duration(to: .now) / .seconds(1) }
}
