import Foundation
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Synchronization

/// What a trainer tells while it works for an experiment: collected by the trainer's thread, written twice a second in
/// fenced transactions. A cancelled experiment is noticed by these writes too.
final class ExperimentReporter: Sendable {
    private struct State {
        var events: [ExperimentEvent] = []
        var dropped = 0
        var fraction = 0.0
        var message: String?
        var checkpoint: (file: String, resource: Double)?
        var hasCheckpoint = false
        var rung: RungResult?
        var evaluation: EvaluationResult?
        var problem: Problem?
        var isFinished = false
        /// The last step of each metric that followers know.
        var told: [String: Double]
    }

    /// More events than this between two writes are a flood: the oldest go.
    private static let eventsAtOnce = 500

    private let attempt: Attempt
    private let task: TrainingTask
    /// Nil for an evaluation.
    private let work: RungWork?
    private let experiment: ExperimentID
    private let directory: JobDirectory
    private let context: JobContext
    private let began = ContinuousClock.now
    private let state: Mutex<State>

    init(
        _ attempt: Attempt, task: TrainingTask, work: RungWork?, told: [String: Double] = [:], directory: JobDirectory,
        context: JobContext
    ) {
        guard case .success(let jobWork) = attempt.job.work, let experiment = jobWork.experiment else {
            preconditionFailure("only a job of an experiment reports to one")
        }
        self.attempt = attempt
        self.task = task
        self.work = work
        self.experiment = experiment
        self.directory = directory
        self.context = context
        state = Mutex(State(told: told))
    }

    var rung: RungResult? { state.withLock { $0.rung } }
    var evaluation: EvaluationResult? { state.withLock { $0.evaluation } }
    var problem: Problem? { state.withLock { $0.problem } }
    var hasCheckpoint: Bool { state.withLock { $0.hasCheckpoint } }

    // MARK: From the trainer's thread

    func receive(_ event: TrainerEvent) throws {
        let trial = work?.trial
        try state.withLock { state in
            switch event {
            case .progress(let fraction, let message):
                state.fraction = min(max(fraction, 0), 1)
                state.message = message
            case .log(let level, let message):
                state.events.append(.log(level: level, message: String(message.prefix(2000)), trial: trial))
            case .metric(let name, let value, let step):
                guard let trial, state.told[name].map({ step > $0 }) ?? true else { return }
                state.told[name] = step
                state.events.append(.metric(trial: trial, name: name, value: value, step: step))
            case .checkpoint(let file, let resource):
                guard work != nil else { throw AttemptFailure.fault(TrainerProblem.output("an evaluation makes no checkpoint")) }
                // An older one that hasn't been written yet is of no use any more.
                state.checkpoint = (file, resource)
            case .rung(let result): state.rung = result
            case .evaluated(let result): state.evaluation = result
            case .problem(let problem): state.problem = problem
            case .item, .rejected, .imported, .importedModel:
                throw AttemptFailure.fault(TrainerProblem.output("a training doesn't import"))
            }
            if state.events.count > Self.eventsAtOnce {
                state.dropped += state.events.count - Self.eventsAtOnce
                state.events.removeFirst(state.events.count - Self.eventsAtOnce)
            }
        }
    }

    // MARK: Writing

    /// Runs the trainer, and writes what it tells until it has ended and all is written.
    func reporting(_ body: () async throws -> TrainerProcess.End) async throws -> TrainerProcess.End {
        async let writing: (any Error)? = write()
        let result: Result<TrainerProcess.End, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        state.withLock { $0.isFinished = true }
        let failure = await writing
        let end = try result.get()
        // It stopped the trainer, so how that ended says nothing.
        if let failure { throw LoggedFailure(AttemptFailure(failure), log: end.log) }
        return end
    }

    /// Ends when the trainer has ended and everything is written, or with the first error, which stops the attempt.
    private func write() async -> (any Error)? {
        var lastProgress = -1.0
        while true {
            for _ in 0..<10 where !state.withLock({ $0.isFinished }) { try? await Task.sleep(for: .milliseconds(50)) }
            let isLast = state.withLock { $0.isFinished }
            do {
                try await writeCheckpoint()
                try await writeEvents(&lastProgress)
            } catch {
                // Nothing more can be recorded, so nothing more should be computed.
                attempt.stop(error is LeaseLost ? .lost : .cancelled)
                if !(error is LeaseLost), !(error is ExperimentEnded) {
                    attempt.logger.error("a trainer's events can't be recorded", metadata: ["error": "\(error)"])
                }
                return error
            }
            if isLast { return nil }
        }
    }

    private func writeCheckpoint() async throws {
        let next = state.withLock { state in
            defer { state.checkpoint = nil }
            return state.checkpoint
        }
        guard let next, let work else { return }
        let staged = try await context.blobs.adopt(try directory.file(next.file))
        let blobs = context.blobs
        let released = try await attempt.fenced { transaction in
            try transaction.record(checkpoint: staged.digest, bytes: staged.bytes, resource: next.resource, of: work) {
                try blobs.place([staged])
            }
        }
        state.withLock { $0.hasCheckpoint = true }
        await context.collect(released)
    }

    private func writeEvents(_ lastProgress: inout Double) async throws {
        var (events, dropped, fraction, message) = state.withLock { state in
            defer {
                state.events = []
                state.dropped = 0
            }
            return (state.events, state.dropped, state.fraction, state.message)
        }
        if dropped > 0 {
            events.append(.log(level: "warning", message: "\(dropped) events came too fast and were left out", trial: work?.trial))
        }
        let progress = overall(fraction)
        let isNews = progress - lastProgress >= 0.005
        if isNews {
            lastProgress = progress
            events.append(.progress(progress, message: message))
        }
        guard !events.isEmpty else { return }
        let (batch, experiment) = (events, experiment)
        try await attempt.fenced { try $0.record(batch, progress: progress, in: experiment) }
    }

    /// Of the whole experiment: the larger part of its budgets that is used. The last steps belong to the evaluation.
    private func overall(_ fraction: Double) -> Double {
        guard work != nil else { return 0.95 + 0.04 * fraction }
        var progress = 0.0
        if let seconds = task.budgetSeconds { progress = (task.spentSeconds + began.elapsed) / seconds }
        if let trials = task.budgetTrials { progress = max(progress, (Double(task.finishedTrials) + fraction) / Double(trials)) }
        return min(progress, 1) * 0.95
    }
}
