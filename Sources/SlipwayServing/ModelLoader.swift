internal import Foundation
internal import SlipwaySystem
internal import SlipwayTasks

/// The thread on which models are read and warmed up, while the lanes go on answering.
final class ModelLoader: Sendable {
    typealias Load = @Sendable (ModelSource) throws -> any LoadedModel

    private let queue = BlockingQueue<@Sendable () -> Void>()
    private let read: Load
    private let trim: @Sendable () -> Void

    /// - Parameters:
    ///   - prepare: runs first on the thread.
    ///   - trim: gives memory that nobody uses back to the system.
    init(prepare: @escaping @Sendable () -> Void, load read: @escaping Load, trim: @escaping @Sendable () -> Void) {
        self.read = read
        self.trim = trim
        let thread = Thread { [queue] in
            prepare()
            while let work = queue.pop() { work() }
        }
        thread.name = "model-loader"
        thread.stackSize = TrainerMain.stackBytes
        thread.start()
    }

    deinit { queue.close() }

    func load(_ source: ModelSource) async throws -> any LoadedModel {
        try await withCheckedThrowingContinuation { continuation in
            let isTaken = queue.push { [read] in
                continuation.resume(
                    with: Result {
                        let model = try read(source)
                        try model.warmUp()
                        return model
                    })
            }
            if !isTaken { continuation.resume(throwing: CancellationError()) }
        }
    }

    /// A model is gone.
    func release() { queue.push(trim) }
}
