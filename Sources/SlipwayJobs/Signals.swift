import Synchronization

/// A bell that wakes those who wait, and those who have looked before it rang.
final class WakeBell: Sendable {
    private struct State {
        var count = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let state = Mutex(State())

    /// Read it before looking for work: a ring between the look and the wait is not missed.
    var count: Int { state.withLock { $0.count } }

    func ring() {
        let waiters = state.withLock { state in
            state.count += 1
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns at the next ring after `count`, and after the time at the latest.
    func wait(after count: Int, seconds: Double) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.count == count else { return true }
                state.waiters[id] = continuation
                return false
            }
            if isOver { return continuation.resume() }
            // Outlives a ring by a moment, and does nothing then.
            Task {
                try? await Task.sleep(for: .seconds(seconds))
                state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
            }
        }
    }
}

/// Something that begins once, and that others wait for.
final class Stopping: Sendable {
    private struct State {
        var hasBegun = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var hasBegun: Bool { state.withLock { $0.hasBegun } }

    /// False when it had begun before.
    func begin() -> Bool {
        let waiters: [CheckedContinuation<Void, Never>]? = state.withLock { state in
            guard !state.hasBegun else { return nil }
            state.hasBegun = true
            defer { state.waiters = [] }
            return state.waiters
        }
        guard let waiters else { return false }
        for waiter in waiters { waiter.resume() }
        return true
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let hasBegun = state.withLock { state in
                if !state.hasBegun { state.waiters.append(continuation) }
                return state.hasBegun
            }
            if hasBegun { continuation.resume() }
        }
    }

    /// Waits for so long, or until it begins.
    func wait(seconds: Double) async {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !hasBegun, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(100)) }
    }
}
