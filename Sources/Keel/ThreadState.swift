import COneDNN

#if canImport(Glibc)
import Glibc
#endif

/// What Keel keeps for each thread. Found through pthread's own keys: a task-local costs ten times as much. What each kernel looks at isn't checked
/// for overlapping accesses: one thread has it, for a moment at a time.
final class ThreadState {
    /// Above zero inside `noGrad` and while gradients are computed.
    var recordingIsOff = 0
    /// Inside `detectingAnomalies`.
    var isDetectingAnomalies = false
    /// Above zero while a node's gradient runs.
    var gradientsRunning = 0
    /// The nodes that were made since, where someone wants to know.
    var madeNodes: Set<ObjectIdentifier>?
    /// Whether what runs was run before: its state updates were done then.
    var isRecomputing = false
    /// Nodes waiting to be released, so that a long graph is taken down in a loop instead of by recursion.
    var doomed: [Node] = []
    var isReleasing = false
    /// Above zero while a kernel runs. Swift lets go of a tensor after its last mention, which may be where its pointer was taken;
    /// so what a kernel's temporaries held is given back only when the kernel is through.
    @exclusivity(unchecked) var kernelsRunning = 0
    @exclusivity(unchecked) var heldBack: [(UnsafeMutableRawPointer, Int)] = []
    /// What notes the primitives that run on traced tensors.
    var trace: Trace?
    /// When the programs that run begin no step any more.
    @exclusivity(unchecked) var deadline: RunDeadline?
    /// Where kernels' times are noted, inside `profile`.
    @exclusivity(unchecked) var profile: Profile?
    /// oneDNN's queue; it isn't to be used from two threads.
    var stream: dnnl_stream_t?

    deinit { if let stream { dnnl_stream_destroy(stream) } }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let failure = pthread_key_create(&key) { pointer in
            if let pointer { Unmanaged<ThreadState>.fromOpaque(pointer).release() }
        }
        precondition(failure == 0, "no thread-specific key is left")
        return key
    }()

    @inline(__always) static var current: ThreadState {
        if let pointer = pthread_getspecific(key) { return Unmanaged<ThreadState>.fromOpaque(pointer).takeUnretainedValue() }
        return make()
    }

    @inline(never) private static func make() -> ThreadState {
        let state = ThreadState()
        pthread_setspecific(key, Unmanaged.passRetained(state).toOpaque())
        return state
    }
}

/// Runs `body` without recording what gradients would need.
public func noGrad<R>(_ body: () throws(TensorError) -> R) throws(TensorError) -> R {
    let state = ThreadState.current
    state.recordingIsOff += 1
    defer { state.recordingIsOff -= 1 }
    return try body()
}

/// Runs `body` recording, even inside `noGrad`.
func recording<R>(_ body: () throws(TensorError) -> R) throws(TensorError) -> R {
    let state = ThreadState.current, before = state.recordingIsOff
    state.recordingIsOff = 0
    defer { state.recordingIsOff = before }
    return try body()
}
