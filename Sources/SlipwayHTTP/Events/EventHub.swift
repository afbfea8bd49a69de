internal import Logging
internal import ServiceLifecycle
internal import SlipwayDomain
internal import SlipwayPostgres
internal import Synchronization

/// Wakes the open event streams: one listener of the database for all of them, and a heartbeat.
final class EventHub: Service {
    enum Signal: Sendable {
        case changed
        case heartbeat
    }

    private struct State {
        var streams: [Int: (experiment: String, continuation: AsyncStream<Signal>.Continuation)] = [:]
        var next = 0
        var isOver = false
    }

    private let database: Database
    private let heartbeat: Duration
    private let logger: Logger
    private let state = Mutex(State())

    init(_ database: Database, heartbeat: Duration, logger: Logger) {
        self.database = database
        self.heartbeat = heartbeat
        self.logger = logger
    }

    /// Signals of one experiment, the newest only: a reader that is behind looks once. It ends with the server.
    func signals(of experiment: ExperimentID) -> Subscription {
        let (stream, continuation) = AsyncStream.makeStream(of: Signal.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state -> Int? in
            guard !state.isOver else { return nil }
            state.next += 1
            state.streams[state.next] = (experiment.description, continuation)
            return state.next
        }
        guard let id else {
            continuation.finish()
            return Subscription(signals: stream, end: {})
        }
        return Subscription(signals: stream) { [weak self] in
            let removed = self?.state.withLock { $0.streams.removeValue(forKey: id) }
            removed?.continuation.finish()
        }
    }

    struct Subscription: Sendable {
        let signals: AsyncStream<Signal>
        let end: @Sendable () -> Void
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.listen() }
                group.addTask { await self.beat() }
                try? await gracefulShutdown()
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.end()
        }
        end()
    }

    private func listen() async {
        while !Task.isCancelled {
            do {
                for await event in try await database.listen(to: "slipway_event") {
                    switch event {
                    case .notification(let payload): wake { $0 == payload }
                    case .reconnected: wake { _ in true }
                    }
                }
                return
            } catch is CancellationError {
                return
            } catch {
                logger.warning("can't listen for events", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func beat() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: heartbeat)
            for stream in state.withLock({ Array($0.streams.values) }) { stream.continuation.yield(.heartbeat) }
        }
    }

    private func wake(_ concerns: (String) -> Bool) {
        for stream in state.withLock({ Array($0.streams.values) }) where concerns(stream.experiment) { stream.continuation.yield(.changed) }
    }

    private func end() {
        let streams = state.withLock { state in
            state.isOver = true
            defer { state.streams = [:] }
            return state.streams.values
        }
        for stream in streams { stream.continuation.finish() }
    }
}
