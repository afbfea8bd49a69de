import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore

/// What every worker does beside its jobs: ends attempts whose worker is gone, finishes cancellations, collects blobs, and forgets
/// what has ended long ago. Several workers may do it at once, because each step locks the rows it is about and skips those that are
/// locked.
struct Housekeeping: Sendable {
    let context: JobContext
    let configuration: WorkerConfiguration

    func run(until stopping: Stopping) async {
        var nextCollection = ContinuousClock.now + .seconds(60)
        while !stopping.hasBegun {
            await attempt("sweeping leases") { try await sweepLeases() }
            await attempt("finishing cancellations") { try await finishCancellations() }
            if ContinuousClock.now >= nextCollection {
                nextCollection = .now + .seconds(600)
                await attempt("collecting blobs") { try await collect(until: stopping) }
                await attempt("forgetting old jobs") { try await forget(until: stopping) }
            }
            await stopping.wait(seconds: configuration.lookSeconds)
        }
    }

    private func attempt(_ what: String, _ body: () async throws -> Void) async {
        do { try await body() } catch {
            context.logger.warning("\(what) failed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Leases

    /// Jobs whose worker has vanished are given to another, or end as dead letters.
    func sweepLeases() async throws {
        let overdue = try await context.database.transaction(as: .system) { try $0.overdueJobs() }
        // One that can't be ended doesn't keep the others from it.
        for (id, organisation) in overdue {
            await attempt("ending the lost attempt of job \(id)") { try await end(id, of: organisation) }
        }
    }

    private func end(_ id: JobID, of organisation: OrganisationID) async throws {
        let decide = context.decide
        let released: [Digest]? = try await context.database.transaction(as: .tenant(organisation)) { transaction in
            guard let job = try transaction.takeOverdue(id) else { return nil }
            let lost = Problem(
                500, "worker-lost", title: "The worker was lost",
                detail: "the worker of attempt \(job.attempt) vanished, and so did those before it")
            guard let next = SlipwayJobs.end(
                after: job.isCancelled ? .stopped(.cancelled) : .fault(lost), attempt: job.attempt, of: job.maximumAttempts,
                jitter: Double.random(in: 0...1))
            else { return nil }
            try transaction.finish(job.lease, as: next, log: "The worker of attempt \(job.attempt) vanished.\n")
            return try transaction.settle(job, next, seconds: 0, decide: decide)
        }
        guard let released else { return }
        context.logger.notice("a job's worker was lost", metadata: ["job": "\(id)"])
        await context.collect(released)
    }

    func finishCancellations() async throws {
        let unsettled = try await context.database.transaction(as: .system) { try $0.unsettledCancellations() }
        for (experiment, organisation) in unsettled {
            await attempt("finishing the cancellation of \(experiment)") {
                try await context.database.transaction(as: .tenant(organisation)) { try $0.finishCancelling(experiment) }
            }
        }
    }

    // MARK: Retention

    func forget(until stopping: Stopping) async throws {
        let seconds = configuration.retentionSeconds
        try await inBatches(of: 1000, until: stopping) { try $0.forgetJobs(finishedBefore: seconds, limit: $1) }
        try await inBatches(of: 5000, until: stopping) { try $0.forgetEvents(finishedBefore: seconds, limit: $1) }
    }

    /// A transaction a batch, until one isn't full.
    private func inBatches(
        of limit: Int, until stopping: Stopping, _ body: @escaping @Sendable (Transaction, Int) throws -> Int
    ) async throws {
        while !stopping.hasBegun {
            guard try await context.database.transaction(as: .system, { try body($0, limit) }) == limit else { return }
        }
    }

    // MARK: Blobs

    func collect(until stopping: Stopping) async throws {
        let (blobs, grace) = (context.blobs, configuration.graceSeconds)
        while !stopping.hasBegun {
            let collected = try await context.database.transaction(as: .system) { transaction in
                try transaction.collectBlobs(graceSeconds: grace) { try blobs.remove($0) }
            }
            if collected.isEmpty { break }
            context.logger.info("collected blobs", metadata: ["count": "\(collected.count)"])
        }
        let candidates = try await blobs.published(olderThan: .seconds(grace))
        for start in stride(from: 0, to: candidates.count, by: 500) where !stopping.hasBegun {
            let part = Array(candidates[start..<min(start + 500, candidates.count)])
            let orphans = try await context.database.transaction(as: .system) { transaction in
                try transaction.removeOrphans(among: part) { try blobs.remove($0) }
            }
            if !orphans.isEmpty { context.logger.notice("removed files without a row", metadata: ["count": "\(orphans.count)"]) }
        }
        try await context.database.transaction(as: .system) { try $0.forgetWorkers(unseenForSeconds: 600) }
    }
}

extension Transaction {
    /// What follows from an attempt's end for what the job was about; the job itself has been ended in this transaction.
    /// Returns blobs that may have lost their last reference. As the job's organisation.
    func settle(_ job: LeasedJob, _ end: AttemptEnd, seconds: Double, decide: Decide) throws -> [Digest] {
        var end = end
        // As in every problem document: the request that asked for it.
        if case .failed(var problem) = end, problem.requestID == nil {
            problem.requestID = job.requestID
            end = .failed(problem)
        }
        guard case .success(let work) = job.work else { return try settle(job.subject, end) }
        switch (work, end) {
        case (_, .succeeded): break
        case (.importVersion(let version), .failed(let problem)), (.relabelVersion(let version), .failed(let problem)):
            return try failVersion(version, with: problem).map { [$0] } ?? []
        case (.importVersion(let version), .cancelled), (.relabelVersion(let version), .cancelled):
            return try failVersion(version, with: .importCancelled).map { [$0] } ?? []
        case (.importModel(let work), .failed(let problem)): return try failModelImport(work, with: problem).map { [$0] } ?? []
        case (.importModel(let work), .cancelled): return try failModelImport(work, with: .importCancelled).map { [$0] } ?? []
        case (.importVersion, _), (.relabelVersion, _), (.importModel, _): break
        case (.trainRung(let rung), .failed(let problem)): try fail(rung, with: problem, seconds: seconds, decide: decide)
        case (.trainRung(let rung), .cancelled): try cancel(rung, decide: decide)
        case (.trainRung(let rung), .retry), (.trainRung(let rung), .released): try requeue(rung)
        case (.evaluate(let evaluation), .failed(let problem)): try fail(evaluation.experiment, with: problem)
        case (.evaluate(let evaluation), .cancelled): try cancelEvaluation(of: evaluation.experiment)
        case (.evaluate, _): break
        }
        return []
    }

    /// The same for a job that this build can't read: what waits for it must not wait for ever.
    private func settle(_ subject: JobSubject, _ end: AttemptEnd) throws -> [Digest] {
        let problem: Problem
        switch end {
        case .failed(let why): problem = why
        case .cancelled: problem = .importCancelled
        case .succeeded, .retry, .released: return []
        }
        var released: [Digest?] = []
        if let dataset = subject.dataset, let version = subject.version {
            released.append(try failVersion(VersionWork(dataset: dataset, version: version), with: problem))
        }
        if let version = subject.modelVersion { released.append(try failModelImport(ModelImportWork(modelVersion: version), with: problem)) }
        if let experiment = subject.experiment {
            if case .failed = end { try fail(experiment, with: problem) } else { try cancelEvaluation(of: experiment) }
        }
        return released.compactMap(\.self)
    }
}

extension Problem {
    fileprivate static let importCancelled = Problem(
        409, "import-cancelled", title: "The import was cancelled", detail: "its job was cancelled")
}
