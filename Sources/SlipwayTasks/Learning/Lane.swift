internal import Foundation

/// One long-lived thread that does what it is handed, a piece after the other. Libraries that keep state by thread (as
/// XGBoost does its sums and random numbers) get all calls for one object from the same lane.
final class Lane: Sendable {
    private let queue = Queue()

    init(name: String) {
        let thread = Thread { [queue] in queue.work() }
        thread.name = name
        thread.stackSize = 16 << 20
        thread.start()
    }

    deinit { queue.stop() }

    /// What `pieces` return, in order, each done on its lane; all lanes work at the same time. Waits for all; of several
    /// errors the first is thrown.
    static func run<Result: Sendable>(
        _ pieces: [(lane: Lane, body: @Sendable () throws -> Result)]
    ) throws -> [Result] {
        let results = Results<Result>(count: pieces.count)
        for (index, piece) in pieces.enumerated() {
            piece.lane.queue.add { [body = piece.body] in results.set(index, Swift.Result { try body() }) }
        }
        return try results.wait()
    }

    /// Every field is touched with `condition` locked only.
    private final class Queue: @unchecked Sendable {
        private let condition = NSCondition()
        private var pieces: [@Sendable () -> Void] = []
        private var isStopped = false

        func add(_ piece: @escaping @Sendable () -> Void) {
            condition.lock()
            pieces.append(piece)
            condition.signal()
            condition.unlock()
        }

        func stop() {
            condition.lock()
            isStopped = true
            condition.signal()
            condition.unlock()
        }

        func work() {
            while true {
                condition.lock()
                while pieces.isEmpty, !isStopped { condition.wait() }
                guard !pieces.isEmpty else { return condition.unlock() }
                let piece = pieces.removeFirst()
                condition.unlock()
                piece()
            }
        }
    }

    /// Every field is touched with `condition` locked only.
    private final class Results<Result: Sendable>: @unchecked Sendable {
        private let condition = NSCondition()
        private var done: [Swift.Result<Result, any Error>?]
        private var missing: Int

        init(count: Int) {
            done = Array(repeating: nil, count: count)
            missing = count
        }

        func set(_ index: Int, _ result: Swift.Result<Result, any Error>) {
            condition.lock()
            done[index] = result
            missing -= 1
            condition.signal()
            condition.unlock()
        }

        func wait() throws -> [Result] {
            condition.lock()
            defer { condition.unlock() }
            while missing > 0 { condition.wait() }
            return try done.compactMap { try $0?.get() }
        }
    }
}
