internal import Foundation
internal import Synchronization

/// The threads on which models answer, apart from Swift's cooperative pool: a call computes, and may compute for long.
///
/// Each lane is one long-lived thread. Work waits in a `CallQueue`.
package final class CallLanes: Sendable {
    private typealias Work = @Sendable () -> Void
    private struct State {
        var queue: CallQueue<ObjectIdentifier, Work>
        var isStopping = false
    }

    /// The condition's lock guards the state; `Mutex` is there for the compiler.
    private let condition = NSCondition()
    private let state: Mutex<State>

    /// - Parameter prepare: runs first on each thread.
    package init(count: Int, queue limit: Int, prepare: @escaping @Sendable () -> Void) {
        state = Mutex(State(queue: CallQueue(limit: limit)))
        for number in 0..<count {
            let thread = Thread { [self] in
                prepare()
                loop()
            }
            thread.name = "compute-\(number)"
            thread.stackSize = 16 << 20
            thread.start()
        }
    }

    /// Runs `body` when it is the model's turn, and gives up waiting after `deadline`.
    ///
    /// A body that runs already can't be stopped, but may ask whether it is abandoned; its result is dropped.
    /// - Errors: `LaneError`, or what the body throws.
    package func run<Value: Sendable>(
        for model: AnyObject, deadline: Duration, _ body: @escaping @Sendable (_ isAbandoned: () -> Bool) throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            let model = ObjectIdentifier(model)
            group.addTask { try await self.enqueue(for: model, body) }
            group.addTask {
                try await Task.sleep(for: deadline)
                throw LaneError.deadline
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { preconditionFailure("the group has two tasks") }
            return value
        }
    }

    /// Ends the threads once the queue is empty.
    package func stop() {
        condition.lock()
        state.withLock { $0.isStopping = true }
        condition.broadcast()
        condition.unlock()
    }

    private func enqueue<Value: Sendable>(
        for model: ObjectIdentifier, _ body: @escaping @Sendable (_ isAbandoned: () -> Bool) throws -> Value
    ) async throws -> Value {
        let place = Place<Value>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                place.hold(continuation)
                condition.lock()
                let id = state.withLock { state in
                    state.queue.add({ place.end(Result { try body { place.isCancelled } }) }, to: model)
                }
                condition.signal()
                condition.unlock()
                guard let id else { return place.end(.failure(LaneError.full)) }
                if !place.wait(as: id) { remove(id, model) }
            }
        } onCancel: {
            if let id = place.cancel() { remove(id, model) }
        }
    }

    private func remove(_ id: UInt64, _ model: ObjectIdentifier) {
        condition.lock()
        defer { condition.unlock() }
        _ = state.withLock { $0.queue.remove(id, from: model) }
    }

    private func loop() {
        condition.lock()
        while true {
            guard let work = state.withLock({ $0.queue.next() }) else {
                if state.withLock({ $0.isStopping }) { break }
                condition.wait()
                continue
            }
            condition.unlock()
            work()
            condition.lock()
        }
        condition.unlock()
    }
}

package enum LaneError: Error, Equatable {
    case full
    case deadline
}

/// One waiting caller. It is resumed once: by the result, or by its cancellation, whichever is first.
private final class Place<Value: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Value, any Error>?
        var id: UInt64?
        var isCancelled = false
    }
    private let state = Mutex(State())

    func hold(_ continuation: CheckedContinuation<Value, any Error>) {
        let isCancelled = state.withLock { state in
            if !state.isCancelled { state.continuation = continuation }
            return state.isCancelled
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
    }

    /// False when the caller has left meanwhile.
    func wait(as id: UInt64) -> Bool {
        state.withLock { state in
            state.id = id
            return !state.isCancelled
        }
    }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func end(_ result: Result<Value, any Error>) { take()?.resume(with: result) }

    /// The number in the queue, if it has one.
    func cancel() -> UInt64? {
        let (continuation, id) = state.withLock { state in
            state.isCancelled = true
            defer { state.continuation = nil }
            return (state.continuation, state.id)
        }
        continuation?.resume(throwing: CancellationError())
        return id
    }

    private func take() -> CheckedContinuation<Value, any Error>? {
        state.withLock { state in
            defer { state.continuation = nil }
            return state.continuation
        }
    }
}
