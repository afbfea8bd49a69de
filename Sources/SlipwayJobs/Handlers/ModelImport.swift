import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayStore
import Synchronization

/// Reads an uploaded model in a trainer process, and makes its version ready in one transaction. Safe to repeat: until then nothing is visible.
struct ImportModel: Sendable {
    let context: JobContext

    func run(_ work: ModelImportWork, _ attempt: Attempt) async throws {
        guard let task = try await attempt.reading({ try $0.modelImport(work) }) else {
            return try await attempt.fenced { try $0.finish(attempt.job.lease, as: .succeeded, log: "") }
        }
        let directory = try context.directory(for: attempt)
        let process = TrainerProcess(settings: context.dataTrainer, directory: directory, attempt: attempt, seconds: context.modelImportSeconds)
        let plan = ModelImportPlan(upload: context.blobs.path(of: task.upload), network: work.network, limits: context.importLimits)
        let said = Mutex<(result: ModelImportResult?, problem: Problem?)>((nil, nil))
        let end = try await process.run(TrainerPlan(work: .importModel(plan), threads: context.dataThreads)) { event, _ in
            try said.withLock { said in
                switch event {
                case .importedModel(let result): said.result = result
                case .problem(let problem): said.problem = problem
                case .log, .progress: break
                default: throw AttemptFailure.fault(TrainerProblem.output("an import of a model does nothing else"))
                }
            }
        }
        let (result, problem) = said.withLock { $0 }
        if let failure = end.failure, result == nil || !Self.isOfProcess(failure) { throw LoggedFailure(final(failure), log: end.log) }
        if let problem { throw LoggedFailure(.problem(problem), log: end.log) }
        guard let result else { throw LoggedFailure(.fault(TrainerProblem.output("it ended without a result")), log: end.log) }

        let parts = result.files.filter { $0.path != nil }
        let staged = try await context.blobs.adopt(try parts.map { (path: try directory.file($0.path ?? ""), digest: nil as Digest?) })
        let byName = Dictionary(zip(parts.map(\.name), staged), uniquingKeysWith: { first, _ in first })
        let files = result.files.map { file in
            NewModelFile(name: file.name, digest: byName[file.name]?.digest ?? task.upload, bytes: byName[file.name]?.bytes ?? task.bytes)
        }
        let (blobs, binary) = (context.blobs, context.binary)
        try await attempt.fenced { transaction in
            try transaction.finish(attempt.job.lease, as: .succeeded, log: end.log)
            try transaction.finishModelImport(work, task, result, files: files, binary: binary) { try blobs.place(staged) }
        }
        await context.collect([task.upload])
    }

    /// Whether the trainer died or hung. What it had told by then is complete: a model that can be served isn't lost for what was found out beside.
    private static func isOfProcess(_ failure: AttemptFailure) -> Bool {
        switch failure {
        case .outOfMemory: true
        case .fault(let problem): problem.code == TrainerProblem.timeout || problem.code == TrainerProblem.crash
        case .problem, .stopped: false
        }
    }

    /// The time that a model takes is its own fault: another attempt would take it again.
    private func final(_ failure: AttemptFailure) -> AttemptFailure {
        guard case .fault(let problem) = failure, problem.code == TrainerProblem.timeout else { return failure }
        return .problem(
            Problem(
                504, "inference-timeout", title: "The model can't be imported",
                detail: "reading it, making it ready and trying it out took longer than \(Int(context.modelImportSeconds)) seconds"))
    }
}
