import SlipwaySystem

/// A few threads for system calls that block, so that Swift's cooperative pool never waits for a disk.
final class BlockingThreads: Sendable {
    private let work = BlockingQueue<@Sendable () -> Void>()

    init(count: Int, name: String) {
        for _ in 0..<count {
            _ = OSThread(name: name) { [work] in
                while let next = work.pop() { next() }
            }
        }
    }

    deinit { work.close() }

    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            work.push { continuation.resume(with: Result(catching: body)) }
        }
    }
}
