import Foundation
import Synchronization

/// An operating-system thread, for work that blocks: never one of Swift's cooperative pool.
package final class OSThread: Sendable {
    private let end: Latch

    /// Runs `body` on a new thread. The name shows in debuggers and `top -H`, cut to 15 bytes.
    package init(name: String, _ body: @escaping @Sendable () -> Void) {
        let end = Latch()
        self.end = end
        let thread = Thread {
            body()
            end.open()
        }
        thread.name = String(name.prefix(15))
        thread.stackSize = 2 << 20
        thread.start()
    }

    /// Blocks until the body has returned.
    package func join() { end.wait() }
}

/// A one-time event that threads wait for.
package final class Latch: Sendable {
    private let condition = NSCondition()
    private let isOpen = Mutex(false)

    package init() {}

    package func open() {
        condition.lock()
        isOpen.withLock { $0 = true }
        condition.broadcast()
        condition.unlock()
    }

    package func wait() {
        condition.lock()
        while !isOpen.withLock({ $0 }) { condition.wait() }
        condition.unlock()
    }
}

/// An unbounded queue between threads.
package final class BlockingQueue<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element?] = []
        var head = 0
        var isClosed = false

        mutating func pop() -> Element? {
            guard head < elements.count else { return nil }
            let element = elements[head]
            elements[head] = nil
            head += 1
            if head > 64, head * 2 > elements.count {
                elements.removeFirst(head)
                head = 0
            }
            return element
        }
    }

    private let condition = NSCondition()
    private let state = Mutex(State())

    package init() {}

    /// False when the queue is closed; then the element wasn't taken.
    @discardableResult
    package func push(_ element: Element) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        let taken = state.withLock { state in
            guard !state.isClosed else { return false }
            state.elements.append(element)
            return true
        }
        condition.signal()
        return taken
    }

    /// Blocks until there is an element; nil once the queue is closed and empty.
    package func pop() -> Element? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            let (element, isClosed) = state.withLock { ($0.pop(), $0.isClosed) }
            if element != nil || isClosed { return element }
            condition.wait()
        }
    }

    /// No more elements come in; those that are in still go out.
    package func close() {
        condition.lock()
        state.withLock { $0.isClosed = true }
        condition.broadcast()
        condition.unlock()
    }
}
