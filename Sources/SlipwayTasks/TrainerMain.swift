package import Foundation
package import KeelModels
package import SlipwayDomain
internal import Synchronization

/// Asks a trainer's work to stop soon: set by a signal or by the end of standard input, read between steps.
package final class Interruption: Sendable {
    private let flag = Atomic(false)
    package init() {}
    package func interrupt() { flag.store(true, ordering: .relaxed) }
    package var isInterrupted: Bool { flag.load(ordering: .relaxed) }
}

/// The work of a trainer process.
package enum TrainerMain {
    /// Of the thread that it runs on, and of any other that makes a model ready: what the import's stack was enough for, theirs must be.
    package static let stackBytes = 512 << 20

    /// Does one piece of work and reports it. Returns when it is done, when its time is used, or soon after an
    /// interruption (then a rung has written its checkpoint, and nothing was reported as a result).
    ///
    /// Blocking, and deep in recursion at times: call it on a thread of its own, never on the cooperative pool.
    /// - Parameters:
    ///   - models: where pretrained weights are, for templates that start from some.
    ///   - began: when the process began, from which limits in seconds count.
    /// - Errors: none for faults of the user's data or choice; those are reported as `TrainerEvent.problem`. What is
    ///   thrown is a fault of the machine or of ours, and the work may be tried again.
    package static func run(
        _ plan: TrainerPlan, in directory: URL, models: ModelStore? = nil, began: ContinuousClock.Instant = .now,
        interruption: Interruption = Interruption(), emit: (TrainerEvent) throws -> Void
    ) throws {
        do {
            guard plan.format == 1 else {
                throw Problem(500, "plan-format", title: "The plan is of another version", detail: "format \(plan.format)")
            }
            switch plan.work {
            case .importUpload(let upload):
                try SlipwayTasks.importUpload(upload, into: directory.path, threads: plan.threads, emit: emit)
            case .trainRung(let rung):
                try RungRun(
                    plan: rung, threads: plan.threads, directory: directory, models: models, began: began, interruption: interruption
                ).run(emit)
            case .importModel(let model): try ModelImport(plan: model, directory: directory.path).run(emit)
            case .evaluate(let evaluation):
                try EvaluationRun(
                    plan: evaluation, threads: plan.threads, directory: directory, models: models, began: began,
                    interruption: interruption
                ).run(emit)
            }
        } catch let problem as Problem {
            try emit(.problem(problem))
        }
    }
}
