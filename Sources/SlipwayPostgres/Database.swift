internal import Foundation
package import Logging
internal import SlipwaySystem
internal import Synchronization

/// A PostgreSQL database: a fixed pool of threads with one connection each, and a listener.
///
/// A thread is handed a closure for a whole transaction, so a unit of work costs one hop between threads, and nothing
/// ever blocks Swift's cooperative pool.
package final class Database: Sendable {
    package let address: PostgresAddress
    private let core: Core

    /// - Parameters:
    ///   - connections: How many transactions run at once. Threads start, and connect, when they are first needed.
    ///   - queueLimit: How many transactions may wait for one of them; further ones fail at once.
    ///   - queueTimeout: How long a transaction may wait.
    package init(
        _ address: PostgresAddress, connections: Int = 8, queueLimit: Int = 1000, queueTimeout: Duration = .seconds(30),
        settings: SessionSettings = SessionSettings(), logger: Logger
    ) {
        precondition(connections > 0, "a pool has at least one connection")
        self.address = address
        core = Core(
            address, size: connections, queueLimit: queueLimit, queueTimeout: queueTimeout, settings: settings, logger: logger)
    }

    deinit { core.shutDown() }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
    ///
    /// `body` runs on a thread of the pool, so it may take its time, but no other transaction uses that connection meanwhile.
    /// It runs again after a deadlock, a serialization failure or a connection lost before COMMIT, `attempts` times in all.
    /// Cancelling the task cancels the statement on the server.
    ///
    /// - Errors: what `body` throws; `PostgresError`; `CancellationError`.
    @discardableResult
    package func transaction<R: Sendable>(
        as role: Role, options: TransactionOptions = TransactionOptions(), attempts: Int = 3,
        _ body: @escaping @Sendable (Transaction) throws -> R
    ) async throws -> R {
        var backoff = Backoff()
        while true {
            do {
                return try await core.perform { connection, cancellation in
                    try connection.transaction(as: role, options: options, cancellation: cancellation, body)
                }
            } catch let error as PostgresError where error.isRetryable && backoff.attempts + 1 < attempts {
                try await Task.sleep(for: backoff.next())
            }
        }
    }

    /// Notifications on a channel. When this returns, none is missed any more.
    ///
    /// The stream ends when the task that reads it is cancelled or the database is closed.
    package func listen(to channel: String) async throws -> AsyncStream<NotificationEvent> {
        try await core.listener.listen(to: channel)
    }

    /// Lets the transactions that are queued or running finish, then closes all connections. Later ones fail with `closed`.
    package func close() async {
        await core.close()
    }
}

/// What the threads of a pool share. It doesn't hold the `Database`, so that one that is dropped ends its threads.
private final class Core: Sendable {
    struct Job: Sendable {
        let run: @Sendable (Connection) -> Void
        let fail: @Sendable (any Error) -> Void
        let cancellation: Cancellation
        let queued: ContinuousClock.Instant
    }

    private struct State {
        var jobs: [Job] = []
        var head = 0
        var threads = 0
        var idleThreads = 0
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []

        /// Those that have a thread already, which only has to wake up, aren't counted.
        var waiting: Int { jobs.count - head - idleThreads }

        mutating func pop() -> Job? {
            guard head < jobs.count else { return nil }
            defer {
                head += 1
                if head * 2 > jobs.count {
                    jobs.removeFirst(head)
                    head = 0
                }
            }
            return jobs[head]
        }
    }

    let listener: Listener
    private let address: PostgresAddress
    private let size: Int
    private let queueLimit: Int
    private let queueTimeout: Duration
    private let settings: SessionSettings
    private let logger: Logger
    private let condition = NSCondition()
    private let state = Mutex(State())
    private let cancellations = BlockingQueue<Cancellation>()
    private let hasCanceller = Mutex(false)

    init(
        _ address: PostgresAddress, size: Int, queueLimit: Int, queueTimeout: Duration, settings: SessionSettings, logger: Logger
    ) {
        self.address = address
        self.size = size
        self.queueLimit = queueLimit
        self.queueTimeout = queueTimeout
        self.settings = settings
        self.logger = logger
        listener = Listener(address, settings: settings, logger: logger)
    }

    func perform<R: Sendable>(_ body: @escaping @Sendable (Connection, Cancellation) throws -> R) async throws -> R {
        let cancellation = Cancellation()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<R, any Error>) in
                enqueue(Job(
                    run: { connection in
                        continuation.resume(with: Result { try body(connection, cancellation) })
                    },
                    fail: { continuation.resume(throwing: $0) },
                    cancellation: cancellation, queued: .now))
            }
        } onCancel: {
            cancel(cancellation)
        }
    }

    // MARK: The queue

    private func enqueue(_ job: Job) {
        condition.lock()
        let (refusal, starts) = state.withLock { state -> ((any Error)?, Bool) in
            if state.isClosed { return (PostgresError.closed, false) }
            // Under the lock: a cancellation that comes later finds the job in the queue.
            if job.cancellation.isCancelled { return (CancellationError(), false) }
            if state.threads == size, state.waiting >= queueLimit { return (PostgresError.crowded(waiting: state.waiting), false) }
            state.jobs.append(job)
            let starts = state.waiting > 0 && state.threads < size
            if starts { state.threads += 1 }
            return (nil, starts)
        }
        condition.signal()
        condition.unlock()
        if starts { startThread() }
        if let refusal { job.fail(refusal) }
    }

    private func startThread() {
        _ = OSThread(name: "postgres") { [self] in
            let connection = Connection(address, settings: settings, logger: logger)
            while let job = next() {
                let waited = ContinuousClock.now - job.queued
                if waited > queueTimeout { job.fail(PostgresError.busy(waited: waited)) } else { job.run(connection) }
            }
            connection.close()
            finishThread()
        }
    }

    /// Blocks until there is work; nil when there won't be any more.
    private func next() -> Job? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            let (job, isClosed) = state.withLock { state in
                let job = state.pop()
                if job == nil, !state.isClosed { state.idleThreads += 1 }
                return (job, state.isClosed)
            }
            if job != nil || isClosed { return job }
            condition.wait()
            state.withLock { $0.idleThreads -= 1 }
        }
    }

    private func finishThread() {
        let closers = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.threads -= 1
            guard state.threads == 0 else { return [] }
            defer { state.closers = [] }
            return state.closers
        }
        for closer in closers { closer.resume() }
    }

    // MARK: Cancelling

    /// Called on whichever thread cancels the task, so it mustn't block: telling the server is another thread's work.
    private func cancel(_ cancellation: Cancellation) {
        cancellation.mark()
        let removed = state.withLock { state -> Job? in
            guard let index = state.jobs[state.head...].firstIndex(where: { $0.cancellation === cancellation }) else { return nil }
            return state.jobs.remove(at: index)
        }
        if let removed { return removed.fail(CancellationError()) }
        let starts = hasCanceller.withLock { has in
            defer { has = true }
            return !has
        }
        if starts {
            _ = OSThread(name: "postgres-cancel") { [cancellations] in
                while let cancellation = cancellations.pop() {
                    if !cancellation.cancelStatement() { cancellations.push(cancellation) }
                }
            }
        }
        cancellations.push(cancellation)
    }

    // MARK: Closing

    func shutDown() {
        condition.lock()
        state.withLock { $0.isClosed = true }
        condition.broadcast()
        condition.unlock()
        cancellations.close()
        listener.close()
    }

    func close() async {
        shutDown()
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                guard state.threads > 0 else { return true }
                state.closers.append(continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
        await listener.ended()
    }
}
