import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Synchronization

/// Imports an upload in a trainer process, and makes what it found a version in one transaction. Safe to repeat: until then
/// nothing is visible.
struct ImportVersion: Sendable {
    let context: JobContext

    func run(_ work: VersionWork, _ attempt: Attempt) async throws {
        let plan = try await attempt.reading { try $0.versionPlan(work) }
        guard plan.status == .importing, let upload = plan.upload else {
            return try await attempt.fenced { try $0.finish(attempt.job.lease, as: .succeeded, log: "") }
        }
        let directory = try context.directory(for: attempt)
        let found = Findings(directory)
        let process = TrainerProcess(
            settings: context.dataTrainer, directory: directory, attempt: attempt, seconds: context.importSeconds)
        let progress = ProgressReporter(attempt)
        let end = try await progress.reporting {
            try await process.run(TrainerPlan(work: .importUpload(importPlan(plan, upload)), threads: context.dataThreads)) {
                try found.receive($0, $1, progress)
            }
        }
        if let failure = end.failure { throw LoggedFailure(failure, log: end.log) }
        guard let summary = try found.close() else {
            throw LoggedFailure(.fault(TrainerProblem.output("it ended without a result")), log: end.log)
        }
        let pictures = try await adopt(found, directory)
        let (items, rejected) = (found.items, found.rejected)
        let blobs = context.blobs
        // Many rows take their time, and renaming many files is idle time for the server.
        let options = TransactionOptions(statementTimeout: .seconds(1800), idleTimeout: .seconds(1800))
        try await attempt.fenced(options) { transaction in
            try transaction.publish(pictures.map { ($0.digest, $0.bytes) }) { try blobs.place(pictures) }
            try transaction.finishImport(
                of: work, plan, summary: summary,
                items: { write in
                    try Spool.forEachEvent(in: items) { if case .item(let item) = $0 { try write(item) } }
                },
                rejected: { write in
                    try Spool.forEachEvent(in: rejected) { if case .rejected(let item) = $0 { try write(item) } }
                })
            try transaction.finish(attempt.job.lease, as: .succeeded, log: end.log)
        }
        await context.collect([upload])
    }

    private func importPlan(_ plan: VersionPlan, _ upload: Digest) -> ImportPlan {
        let parameters = plan.mediaType.split(separator: ";").dropFirst().map { $0.trimmingCharacters(in: .whitespaces) }
        let encoding = parameters.first { $0.lowercased().hasPrefix("charset=") }?
            .dropFirst("charset=".count).trimmingCharacters(in: CharacterSet(charactersIn: "\"' "))
        return ImportPlan(
            task: plan.task, upload: context.blobs.path(of: upload),
            mediaType: plan.mediaType.split(separator: ";").first.map { $0.trimmingCharacters(in: .whitespaces) } ?? "",
            format: plan.format, encoding: encoding, target: plan.target,
            columns: plan.mode == .append ? plan.baseProfile?.columns : nil, limits: context.importLimits)
    }

    private func adopt(_ found: Findings, _ directory: JobDirectory) async throws -> [StagedBlob] {
        var files: [(path: String, digest: Digest?)] = []
        try Spool.forEachEvent(in: found.items) { event in
            guard case .item(let item) = event, let file = item.file else { return }
            guard let digest = item.sha256.flatMap({ Digest($0) }) else {
                throw AttemptFailure.fault(TrainerProblem.output("a picture has no digest"))
            }
            files.append((try directory.file(file), digest))
        }
        return try await context.blobs.adopt(files)
    }

    /// What an import has found so far. Used by the trainer's thread, and after its end by the handler.
    private final class Findings: Sendable {
        private struct State {
            var items: SpoolWriter
            var rejected: SpoolWriter
            var summary: ImportSummary?
            var problem: Problem?
        }

        let items: String
        let rejected: String
        private let state: Mutex<State?>

        init(_ directory: JobDirectory) {
            items = directory.path + "/items.spool"
            rejected = directory.path + "/rejected.spool"
            state = Mutex(nil)
        }

        func receive(_ event: TrainerEvent, _ line: UnsafeRawBufferPointer, _ progress: ProgressReporter) throws {
            let copy = Array(line)
            try state.withLock { slot in
                var state = try slot ?? State(items: SpoolWriter(items), rejected: SpoolWriter(rejected))
                defer { slot = state }
                switch event {
                case .item: try copy.withUnsafeBytes { try state.items.append($0) }
                case .rejected: try copy.withUnsafeBytes { try state.rejected.append($0) }
                case .imported(let summary): state.summary = summary
                case .problem(let problem): state.problem = problem
                case .progress(let fraction, _): progress.tell(fraction)
                case .log, .metric: break
                case .checkpoint, .rung, .evaluated, .importedModel:
                    throw AttemptFailure.fault(TrainerProblem.output("an import doesn't train"))
                }
            }
        }

        /// What came out. A problem is thrown.
        func close() throws -> ImportSummary? {
            try state.withLock { state in
                if let problem = state?.problem { throw problem }
                try state?.items.flush()
                try state?.rejected.flush()
                return state?.summary
            }
        }
    }
}

/// Applies new annotations: rows only, so no trainer is needed.
struct RelabelVersion: Sendable {
    func run(_ work: VersionWork, _ attempt: Attempt) async throws {
        do {
            try await attempt.fenced(TransactionOptions(statementTimeout: .seconds(900))) { transaction in
                let plan = try transaction.versionPlan(work)
                if plan.status == .importing { try transaction.finishRelabelling(of: work, plan) }
                try transaction.finish(attempt.job.lease, as: .succeeded, log: "")
            }
        } catch let unknown as UnknownItems {
            let shown = unknown.items.prefix(20)
            throw Problem(
                422, "item-unknown", title: "Some items aren't in the base version",
                detail: "\(unknown.items.count) of the items that were to be labelled aren't in the base version",
                errors: shown.map { .init(entry: $0, code: "item-unknown", detail: "the base version has no item '\($0)'") })
        }
    }
}
