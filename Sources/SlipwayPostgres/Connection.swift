internal import Foundation
package import Logging
internal import SlipwaySystem
internal import Synchronization

/// A connection for one thread, blocking: it connects when it's first needed and again when it broke.
///
/// `Database` has a pool of these behind an asynchronous face; tools that have a thread of their own use it directly.
package final class Connection {
    package let address: PostgresAddress
    package let settings: SessionSettings
    private let logger: Logger
    private var current: Session?

    package init(_ address: PostgresAddress, settings: SessionSettings = SessionSettings(), logger: Logger) {
        self.address = address
        self.settings = settings
        self.logger = logger
    }

    /// Runs `body` in a transaction on this thread: committed when it returns, rolled back when it throws.
    @discardableResult
    package func transaction<R>(
        as role: Role, options: TransactionOptions = TransactionOptions(), _ body: (Transaction) throws -> R
    ) throws -> R {
        try transaction(as: role, options: options, cancellation: Cancellation(), body)
    }

    func transaction<R>(
        as role: Role, options: TransactionOptions, cancellation: Cancellation, _ body: (Transaction) throws -> R
    ) throws -> R {
        let transaction = Transaction(on: self, as: role, options: options, cancellation: cancellation)
        defer {
            cancellation.leave()
            if let current, !current.isReusable { discard() }
        }
        let result: R
        do {
            result = try body(transaction)
        } catch {
            transaction.rollback()
            // The session would use its stale plan again.
            if (error as? PostgresError)?.serverError?.isStalePlan == true { discard() }
            throw error
        }
        try transaction.commit()
        return result
    }

    /// Statements outside a transaction, such as CREATE DATABASE, which the server doesn't allow within one.
    package func execute(outsideTransaction sql: SQL) throws {
        precondition(sql.parameters.isEmpty, "a statement outside a transaction has no parameters")
        let session = try connected(until: .now + settings.connectTimeout, Cancellation())
        defer { if session.isBroken { discard() } }
        try session.run(script: sql.text)
    }

    /// The server's version as a number: 150018 is 15.18.
    package func serverVersion() throws -> Int {
        try connected(until: .now + settings.connectTimeout, Cancellation()).serverVersion
    }

    package func close() { discard() }

    // MARK: The session

    func discard() { current = nil }

    var hasSession: Bool { current != nil }

    /// The session of the transaction that is running.
    func session() throws -> Session {
        guard let current else { throw PostgresError.connectionLost("it was closed") }
        return current
    }

    /// Connects if need be, and again with growing pauses while the server can't be reached.
    func connected(until deadline: ContinuousClock.Instant, _ cancellation: Cancellation) throws -> Session {
        if let current {
            cancellation.enter(current.cancelHandle)
            return current
        }
        var backoff = Backoff()
        while true {
            try cancellation.check()
            do {
                let session = try Session(address, settings: settings, logger: logger)
                current = session
                cancellation.enter(session.cancelHandle)
                return session
            } catch {
                let pause = backoff.next()
                guard ContinuousClock.now + pause < deadline, !isRefused() || backoff.attempts < 3 else { throw error }
                logger.debug("PostgreSQL can't be reached, trying again: \(error)")
                cancellation.sleep(pause)
            }
        }
    }

    /// Whether the server is there and accepts connections, just not ours: waiting wouldn't help.
    private func isRefused() -> Bool { Session.isAccepting(address, settings: settings) }
}

/// Growing pauses with jitter: 10 ms, doubled each time up to 1 s, each shortened by up to a half.
struct Backoff {
    private(set) var attempts = 0

    mutating func next() -> Duration {
        let full = min(1000, 10 << min(attempts, 7))
        attempts += 1
        return .milliseconds(Int.random(in: (full / 2)...full))
    }
}

/// Links the cancellation of a task with the session that works for it.
final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        /// The session to be cancelled; nil while there is none.
        var handle: CancelHandle?
        /// While a cancel is on its way, the session isn't given back.
        var isCancelling = false
    }

    private let state = Mutex(State())
    private let condition = NSCondition()

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func check() throws {
        if isCancelled { throw CancellationError() }
    }

    func enter(_ handle: CancelHandle) { state.withLock { $0.handle = handle } }

    /// After this, the session is safe from this cancellation.
    func leave() {
        condition.lock()
        while state.withLock({ $0.isCancelling }) { condition.wait() }
        state.withLock { $0.handle = nil }
        condition.broadcast()
        condition.unlock()
    }

    /// Marks the work as unwanted, and wakes it if it sleeps.
    func mark() {
        condition.lock()
        state.withLock { $0.isCancelled = true }
        condition.broadcast()
        condition.unlock()
    }

    /// Blocks while the server is told. False when the work goes on regardless: the server may have been told between two
    /// statements, which it ignores.
    func cancelStatement() -> Bool {
        condition.lock()
        let handle = state.withLock { state -> CancelHandle? in
            state.isCancelling = state.handle != nil
            return state.handle
        }
        condition.unlock()
        handle?.cancel()
        condition.lock()
        state.withLock { $0.isCancelling = false }
        condition.broadcast()
        defer { condition.unlock() }
        let end = Date(timeIntervalSinceNow: 0.1)
        while state.withLock({ $0.handle != nil }) {
            guard condition.wait(until: end) else { return false }
        }
        return true
    }

    /// Sleeps on this thread, at most until the work is cancelled.
    func sleep(_ duration: Duration) {
        let end = Date(timeIntervalSinceNow: Double(duration.wholeMilliseconds) / 1000)
        condition.lock()
        while !state.withLock({ $0.isCancelled }), condition.wait(until: end) {}
        condition.unlock()
    }
}
