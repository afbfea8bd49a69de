internal import NIOCore
internal import Synchronization

/// How fast a request's body must arrive.
enum BodyPace: Sendable {
    /// All of it within this time.
    case total(Duration)
    /// At least so many bytes in each window that we wait for them, and all within the total time. Time in which we
    /// don't read, because the disk is slow, doesn't count against the client.
    case minimum(bytes: Int, window: Duration, total: Duration)
}

/// Tells the connection that the body is going to be read now.
struct BodyExpected: Sendable {
    let pace: BodyPace
    /// Whether the client waits for `100 Continue`.
    let sendsContinue: Bool
}

/// Calls back when the client of the request in flight has gone away.
final class ClientWatch: Sendable {
    private enum State {
        case waiting((@Sendable () -> Void)?)
        case gone
    }

    private let state = Mutex(State.waiting(nil))

    /// Starts watching. The connection forgets the watch with the response's end.
    init(_ channel: any Channel) { channel.triggerUserOutboundEvent(self, promise: nil) }

    /// Runs `body`, cancelled when the client goes away. (A task of its own, because a group can only be cancelled from within.)
    func cancelling<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let task = Task { try await body() }
        whenGone { task.cancel() }
        return try await withTaskCancellationHandler { try await task.value } onCancel: { task.cancel() }
    }

    func whenGone(_ action: @escaping @Sendable () -> Void) {
        let isGone = state.withLock { state in
            if case .gone = state { return true }
            state = .waiting(action)
            return false
        }
        if isGone { action() }
    }

    func clientIsGone() {
        let action = state.withLock { state -> (@Sendable () -> Void)? in
            defer { state = .gone }
            if case .waiting(let action) = state { return action }
            return nil
        }
        action?()
    }
}
