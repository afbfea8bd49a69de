import Synchronization

/// How many bytes of requests are in memory at once, however many connections bring them.
package final class ByteBudget: Sendable {
    package let limit: Int
    private let taken = Mutex(0)

    package init(bytes limit: Int) { self.limit = limit }

    /// One request's part, which is given back with it.
    package final class Share: Sendable {
        private let budget: ByteBudget
        private let bytes = Mutex(0)

        package init(_ budget: ByteBudget) { self.budget = budget }

        deinit {
            let bytes = bytes.withLock { $0 }
            budget.taken.withLock { $0 -= bytes }
        }

        /// False when the budget doesn't have so many more. What a request announces isn't taken, only what has come: a slow one
        /// doesn't keep others out.
        package func take(_ count: Int) -> Bool {
            let isThere = budget.taken.withLock { taken in
                guard taken + count <= budget.limit else { return false }
                taken += count
                return true
            }
            if isThere { bytes.withLock { $0 += count } }
            return isThere
        }
    }
}
