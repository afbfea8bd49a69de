internal import Foundation
internal import Logging
internal import SlipwaySystem
internal import Synchronization

package enum NotificationEvent: Sendable, Hashable {
    case notification(payload: String)
    /// Notifications may have been missed, because the connection was lost or the reader was too slow: look for yourself.
    case reconnected
}

/// The connection that listens, with a thread of its own, which starts with the first subscriber.
final class Listener: Sendable {
    private struct Subscriber {
        let channel: String
        let stream: AsyncStream<NotificationEvent>.Continuation
        /// Waits for LISTEN to be in force; nil once it is.
        var ready: CheckedContinuation<Void, any Error>?
        var hasMissed = false
    }

    private struct State {
        var subscribers: [Int: Subscriber] = [:]
        var nextID = 0
        var isRunning = false
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private let address: PostgresAddress
    private let settings: SessionSettings
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    init(_ address: PostgresAddress, settings: SessionSettings, logger: Logger) {
        self.address = address
        self.settings = settings
        self.logger = logger
    }

    func listen(to channel: String) async throws -> AsyncStream<NotificationEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: NotificationEvent.self, bufferingPolicy: .bufferingOldest(1024))
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        continuation.onTermination = { [weak self] _ in self?.remove(id) }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { ready in
                let (isTaken, starts) = state.withLock { state -> (Bool, Bool) in
                    guard !state.isClosed, !Task.isCancelled else { return (false, false) }
                    state.subscribers[id] = Subscriber(channel: channel, stream: continuation, ready: ready)
                    defer { state.isRunning = true }
                    return (true, !state.isRunning)
                }
                guard isTaken else {
                    return ready.resume(throwing: Task.isCancelled ? CancellationError() : PostgresError.closed)
                }
                if starts { start() }
                wakeUp.signal()
            }
        } onCancel: {
            remove(id)
        }
        return stream
    }

    private func remove(_ id: Int) {
        let removed = state.withLock { $0.subscribers.removeValue(forKey: id) }
        removed?.ready?.resume(throwing: CancellationError())
        removed?.stream.finish()
        wakeUp.signal()
    }

    func close() {
        let subscribers = state.withLock { state in
            state.isClosed = true
            defer { state.subscribers = [:] }
            return state.subscribers.values
        }
        for subscriber in subscribers {
            subscriber.ready?.resume(throwing: PostgresError.closed)
            subscriber.stream.finish()
        }
        wakeUp.signal()
    }

    func ended() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                guard state.isRunning else { return true }
                state.closers.append(continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
    }

    // MARK: The thread

    private func start() {
        _ = OSThread(name: "postgres-listen") { [self] in
            var backoff = Backoff()
            while !state.withLock({ $0.isClosed }) {
                do {
                    try listen { [self] in
                        backoff = Backoff()
                        tellAllOfReconnection()
                    }
                } catch {
                    logger.warning("lost the listening connection to PostgreSQL: \(error)")
                    wakeUp.wait(for: backoff.next())
                }
            }
            let closers = state.withLock { state in
                state.isRunning = false
                defer { state.closers = [] }
                return state.closers
            }
            for closer in closers { closer.resume() }
        }
    }

    /// One connection, from its beginning until it breaks or the listener is closed.
    private func listen(_ connected: () -> Void) throws {
        let session = try Session(address, settings: settings, logger: logger)
        var channels: Set<String> = []
        var isNew = true
        while true {
            let (wanted, isClosed) = state.withLock { (Set($0.subscribers.values.map(\.channel)), $0.isClosed) }
            if isClosed { return }
            let changes = wanted.subtracting(channels).sorted().map { "LISTEN \(SQL.quoted($0))" }
                + channels.subtracting(wanted).sorted().map { "UNLISTEN \(SQL.quoted($0))" }
            if !changes.isEmpty { try session.run(script: changes.joined(separator: "; ")) }
            channels = wanted
            if isNew { connected() }
            isNew = false
            confirm(channels)
            deliver(try session.notifications())
            // A peer that vanished without a word is noticed by asking it something.
            if try !wakeUp.wait(forInputOn: session.socket, for: .seconds(15)) { try session.run(script: "") }
        }
    }

    /// Those whose LISTEN is in force now.
    private func confirm(_ channels: Set<String>) {
        let ready = state.withLock { state in
            var ready: [CheckedContinuation<Void, any Error>] = []
            for (id, subscriber) in state.subscribers where channels.contains(subscriber.channel) {
                if let waiting = subscriber.ready { ready.append(waiting) }
                state.subscribers[id]?.ready = nil
            }
            return ready
        }
        for waiting in ready { waiting.resume() }
    }

    /// All but those who have only just come.
    private func tellAllOfReconnection() {
        for (id, subscriber) in state.withLock({ $0.subscribers }) where subscriber.ready == nil {
            yield(.reconnected, to: id, subscriber)
        }
    }

    private func deliver(_ notifications: [(channel: String, payload: String)]) {
        guard !notifications.isEmpty else { return }
        let subscribers = state.withLock { $0.subscribers }
        for notification in notifications {
            for (id, subscriber) in subscribers where subscriber.channel == notification.channel {
                yield(.notification(payload: notification.payload), to: id, subscriber)
            }
        }
    }

    /// A reader whose buffer is full finds a `reconnected` behind it, in place of what it missed.
    private func yield(_ event: NotificationEvent, to id: Int, _ subscriber: Subscriber) {
        let hasMissed = state.withLock { $0.subscribers[id]?.hasMissed ?? false }
        let result = subscriber.stream.yield(hasMissed ? .reconnected : event)
        let missed = if case .dropped = result { true } else { false }
        if hasMissed, !missed, event != .reconnected { subscriber.stream.yield(event) }
        if missed != hasMissed { state.withLock { $0.subscribers[id]?.hasMissed = missed } }
    }
}
