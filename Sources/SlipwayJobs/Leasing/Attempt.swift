import Foundation
import Logging
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Synchronization

/// One try at a job in this process: its lease, whether it has to stop, and the only way to write.
package final class Attempt: Sendable {
    /// Why an attempt stops, the weakest first: a stronger reason takes the place of a weaker one.
    package enum Stop: Int, Comparable, Sendable {
        /// The worker ends: save what can be saved, and give the job back.
        case draining
        case cancelled
        /// Somebody else may have the job: write nothing, end at once.
        case lost

        package static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
    }

    private struct State {
        var stop: Stop?
        /// When the newest renewal that is known to have worked was begun.
        var renewedAt: ContinuousClock.Instant
        /// A transaction holds the job's row, so nobody can take the job meanwhile.
        var isWriting = false
    }

    let job: LeasedJob
    let leaseSeconds: Double
    let logger: Logger
    private let database: Database
    private let state: Mutex<State>

    package init(_ job: LeasedJob, database: Database, leaseSeconds: Double, leasedAt: ContinuousClock.Instant, logger: Logger) {
        self.job = job
        self.database = database
        self.leaseSeconds = leaseSeconds
        var logger = logger
        logger[metadataKey: "job"] = "\(job.id)"
        logger[metadataKey: "attempt"] = "\(job.attempt)"
        logger[metadataKey: "request_id"] = "\(job.requestID)"
        self.logger = logger
        state = Mutex(State(stop: job.isCancelled ? .cancelled : nil, renewedAt: leasedAt))
    }

    var stopReason: Stop? { state.withLock { $0.stop } }

    func stop(_ reason: Stop) {
        let isNews = state.withLock { state in
            guard reason > state.stop ?? reason || state.stop == nil else { return false }
            state.stop = reason
            return true
        }
        if isNews { logger.notice("the attempt has to stop", metadata: ["reason": "\(reason)"]) }
    }

    func renewed(at instant: ContinuousClock.Instant) {
        state.withLock { $0.renewedAt = max($0.renewedAt, instant) }
    }

    /// Gives up a lease that may run out before the next renewal: by this process's monotonic clock, and before the
    /// database's does.
    func checkLease(at now: ContinuousClock.Instant) {
        let isOver = state.withLock { !$0.isWriting && $0.renewedAt.duration(to: now) > .seconds(leaseSeconds * 5 / 6) }
        if isOver { stop(.lost) }
    }

    /// Runs a transaction as the job's organisation that begins by renewing the lease. While the database is away it's tried
    /// again for as long as the lease lasts, and cancelling the task doesn't cut it short. What was committed is never done
    /// twice: after a connection that broke during COMMIT the database says how it ended.
    ///
    /// - Errors: `LeaseLost`, and what `body` throws.
    package func fenced<Value: Sendable>(
        _ options: TransactionOptions = TransactionOptions(), _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        var pause = 0.1
        let last = Last<Value>()
        var unknown: (began: ContinuousClock.Instant, renewal: Renewal, value: Value)?
        while true {
            guard stopReason != .lost else { throw LeaseLost(job: job.id) }
            let began = ContinuousClock.now
            do {
                if let (began, renewal, value) = unknown {
                    let isCommitted = try await Task { [self] in
                        try await database.transaction(as: .tenant(job.organisation)) { try $0.isCommitted(renewal.transaction) }
                    }.value
                    if isCommitted == true { return done(value, renewal, began) }
                    guard isCommitted == false else { throw PostgresError.outcomeUnknown("it isn't decided yet") }
                    unknown = nil
                }
                let (value, renewal) = try await Task { [self] in
                    defer { state.withLock { $0.isWriting = false } }
                    return try await database.transaction(as: .tenant(job.organisation), options: options) { [self] transaction in
                        let renewal = try transaction.renew(job.lease, seconds: leaseSeconds)
                        state.withLock { $0.isWriting = true }
                        let value = try body(transaction)
                        last.state.withLock { $0 = (renewal, value) }
                        return (value, renewal)
                    }
                }.value
                return done(value, renewal, began)
            } catch let error as LeaseLost {
                stop(.lost)
                throw error
            } catch let error as PostgresError where error.isOutage {
                if case .outcomeUnknown = error, unknown == nil, let (renewal, value) = last.state.withLock({ $0 }) {
                    unknown = (began, renewal, value)
                }
                logger.warning("the database is away", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(pause))
                pause = min(pause * 2, 2)
            }
        }
    }

    private func done<Value>(_ value: Value, _ renewal: Renewal, _ began: ContinuousClock.Instant) -> Value {
        renewed(at: began)
        if renewal.cancelRequested { stop(.cancelled) }
        return value
    }

    /// A transaction that only reads.
    func reading<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        let options = TransactionOptions(isReadOnly: true, statementTimeout: .seconds(900), idleTimeout: .zero)
        return try await database.transaction(as: .tenant(job.organisation), options: options, body)
    }
}

/// What the newest transaction would have returned, had its COMMIT been answered.
private final class Last<Value: Sendable>: Sendable {
    let state = Mutex<(renewal: Renewal, value: Value)?>(nil)
}

extension PostgresError {
    /// The server can't be reached or broke off: trying again later makes sense.
    var isOutage: Bool {
        switch self {
        case .unavailable, .connectionLost, .outcomeUnknown, .busy: true
        default: false
        }
    }
}
