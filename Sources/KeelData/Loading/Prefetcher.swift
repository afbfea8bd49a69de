internal import Foundation

/// Makes elements `0, 1, 2, ...` on threads of its own and hands them out in this order.
///
/// At most `ahead` elements are being made or wait to be taken, so memory is bounded however slow the taker is. The
/// order doesn't depend on the number of threads.
public final class Prefetcher<Element: Sendable>: Sendable {
    private let state: State

    /// - Parameters:
    ///   - count: how many elements there are; nil for no end.
    ///   - threads: operating-system threads that call `make`, several at once.
    ///   - ahead: elements in the making or waiting; at least as many as threads are used.
    ///   - make: makes the element at a position. What it throws comes out of `next()` at that position.
    public init(
        count: Int? = nil, threads: Int, ahead: Int, make: @escaping @Sendable (Int) throws -> Element
    ) {
        precondition(threads > 0, "a prefetcher has at least one thread")
        let state = State(count: count ?? .max, ahead: max(ahead, threads), make: make)
        self.state = state
        for number in 0..<threads {
            let thread = Thread { state.work() }
            thread.name = "prefetch-\(number)"
            thread.start()
        }
    }

    deinit { state.stop() }

    /// The next element; nil after the last one. Waits until it is made, so call it on a thread that may wait.
    public func next() throws -> Element? { try state.next() }

    /// What the threads share. Every field but the constants is touched with `condition` locked only.
    private final class State: @unchecked Sendable {
        private let count, ahead: Int
        private let make: @Sendable (Int) throws -> Element
        private let condition = NSCondition()
        private var made: [Int: Result<Element, any Error>] = [:]
        private var claimed = 0
        private var taken = 0
        private var isStopped = false

        init(count: Int, ahead: Int, make: @escaping @Sendable (Int) throws -> Element) {
            (self.count, self.ahead, self.make) = (count, ahead, make)
        }

        func work() {
            condition.lock()
            while true {
                while !isStopped, claimed < count, claimed - taken >= ahead { condition.wait() }
                if isStopped || claimed >= count { break }
                let position = claimed
                claimed += 1
                condition.unlock()
                let result = Result { try make(position) }
                condition.lock()
                made[position] = result
                condition.broadcast()
            }
            condition.unlock()
        }

        func next() throws -> Element? {
            condition.lock()
            defer { condition.unlock() }
            guard taken < count else { return nil }
            while made[taken] == nil { condition.wait() }
            let result = made.removeValue(forKey: taken)
            taken += 1
            condition.broadcast()
            return try result?.get()
        }

        func stop() {
            condition.lock()
            isStopped = true
            condition.broadcast()
            condition.unlock()
        }
    }
}
