import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// One long-lived thread for computing, with its own share of the cores.
///
/// Whatever computes for long runs on a lane, never on Swift's cooperative pool: each thread that computes grows a team of
/// threads, and keeps it. A lane runs one closure after the other, in the order in which they came.
///
/// ```swift
/// let lane = try ComputeLane(named: "trainer", threads: 2)
/// let loss = try await lane.run { try trainer.step(batch) }
/// ```
public final class ComputeLane: Sendable {
    public let name: String
    /// How many cores its computations use.
    public let threads: Int

    private struct Queue {
        var jobs: [@Sendable () -> Void] = []
        var isClosed = false
    }
    private let queue: Monitor<Queue>

    /// - Parameter threads: all cores, unless given.
    /// - Throws: `TensorError.numericLibrary` where BLAS computes wrongly; `TensorError.argument` for less than one thread.
    public init(named name: String, threads: Int? = nil) throws(TensorError) {
        let threads = threads ?? Threads.count
        guard threads >= 1 else { throw .argument(primitive: "ComputeLane", name: "threads", given: threads, allowed: "1 and more") }
        try NumericLibraries.check()
        self.name = name
        self.threads = threads
        let queue = Monitor(Queue())
        self.queue = queue
        try Self.start {
            Threads.count = threads
            while let job = queue.wait(until: { $0.isClosed || !$0.jobs.isEmpty }, then: { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }) {
                job()
            }
        }
    }

    /// What was handed in is still done.
    deinit { queue.change { $0.isClosed = true } }

    /// Runs `body` on the lane's thread, after all that was handed in before.
    public func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            queue.change { $0.jobs.append { continuation.resume(with: Result { try body() }) } }
        }
    }

    private static func start(_ body: @escaping @Sendable () -> Void) throws(TensorError) {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 8 << 20)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body))
        let failure = pthread_create(&thread, &attributes, { pointer in
            if let pointer { Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body() }
            return nil
        }, box.toOpaque())
        guard failure == 0 else {
            box.release()
            throw TensorError(.numericLibrary("no thread could be started: error \(failure)"))
        }
    }
}

/// A value behind a lock, with waiting for it to change.
///
/// Unchecked because the value is touched under the lock only.
private final class Monitor<Value>: @unchecked Sendable {
    private var value: Value
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    init(_ value: Value) {
        self.value = value
        lock = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    func change(_ body: (inout Value) -> Void) {
        pthread_mutex_lock(lock)
        body(&value)
        pthread_cond_signal(changed)
        pthread_mutex_unlock(lock)
    }

    func wait<R>(until condition: (Value) -> Bool, then body: (inout Value) -> R) -> R {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while !condition(value) { pthread_cond_wait(changed, lock) }
        return body(&value)
    }
}
