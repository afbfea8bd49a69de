internal import SlipwaySystem

/// The thread that reads large JSON bodies, one after the other: Swift's cooperative pool is for what is quick.
final class LargeBodies: Sendable {
    private let queue = BlockingQueue<@Sendable () -> Void>()

    init() { _ = OSThread(name: "json") { [queue] in while let work = queue.pop() { work() } } }

    deinit { queue.close() }

    func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            queue.push { continuation.resume(with: Result(catching: body)) }
        }
    }
}
