import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Synchronization

/// What the handlers of all kinds of jobs work with.
struct JobContext: Sendable {
    let database: Database
    let blobs: BlobStore
    let decide: Decide
    let jobsFolder: String
    /// What trains, as lineage names it.
    let binary: String
    let trainer: TrainerSettings
    let dataTrainer: TrainerSettings
    /// Of one training; imports use fewer, so that they don't disturb it.
    let threads: Int
    let dataThreads: Int
    let importSeconds: Double
    let modelImportSeconds: Double
    let importLimits: ImportLimits
    let logger: Logger

    func directory(for attempt: Attempt) throws -> JobDirectory {
        try JobDirectory(in: jobsFolder, attempt.job.id, attempt: attempt.job.attempt)
    }

    /// Removes blobs that have lost their last reference, now: the garbage collection would find them later too.
    func collect(_ digests: [Digest]) async {
        guard !digests.isEmpty else { return }
        let blobs = blobs
        do {
            _ = try await database.transaction(as: .system) { transaction in
                try transaction.collectBlobs(digests) { try blobs.remove($0) }
            }
        } catch {
            logger.warning("blobs are left to the garbage collection", metadata: ["error": "\(error)"])
        }
    }
}

/// A failure with the trainer's log, to be kept with the job.
struct LoggedFailure: Error {
    let failure: AttemptFailure
    let log: String
    /// What a rung has used of its experiment's budget.
    var seconds = 0.0

    init(_ failure: AttemptFailure, log: String, seconds: Double = 0) {
        self.failure = failure
        self.log = log
        self.seconds = seconds
    }
}

/// Writes how far a job is, about once a second, while its trainer works.
final class ProgressReporter: Sendable {
    private let attempt: Attempt
    private let state = Mutex((fraction: 0.0, isFinished: false))

    init(_ attempt: Attempt) { self.attempt = attempt }

    func tell(_ fraction: Double) { state.withLock { $0.fraction = max($0.fraction, min(fraction, 1)) } }

    func reporting<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        async let reports: Void = report()
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        state.withLock { $0.isFinished = true }
        await reports
        return try result.get()
    }

    private func report() async {
        var last = 0.0
        while true {
            for _ in 0..<20 where !state.withLock({ $0.isFinished }) { try? await Task.sleep(for: .milliseconds(50)) }
            let (fraction, isFinished) = state.withLock { $0 }
            if isFinished { return }
            guard fraction > last else { continue }
            last = fraction
            do {
                let job = attempt.job.id
                try await attempt.fenced { try $0.record(progress: fraction, of: job) }
            } catch {
                // A lost lease has stopped the attempt; anything else is told by the write that counts.
                attempt.logger.debug("progress isn't written", metadata: ["error": "\(error)"])
            }
        }
    }
}
