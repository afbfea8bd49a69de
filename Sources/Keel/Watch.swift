import Synchronization

/// Whether what runs is watched: by `detectingAnomalies`, by `profile`, or by `checkpointed`, which learns which nodes a run makes. While
/// any thread is, primitives of all threads leave their short way and ask what is wanted of them; else it costs a look at one number.
enum Watch {
    private static let count = Atomic<Int>(0)

    @inline(__always) static var isOn: Bool { count.load(ordering: .relaxed) != 0 }

    static func during<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        count.add(1, ordering: .relaxed)
        defer { count.subtract(1, ordering: .relaxed) }
        return try body()
    }

    /// What `body` gives, and which nodes it made; those that are gone by now count too.
    static func nodesMade<R>(by body: () throws(TensorError) -> R) throws(TensorError) -> (R, Set<ObjectIdentifier>) {
        let state = ThreadState.current, outer = state.madeNodes
        state.madeNodes = []
        defer { state.madeNodes = outer }
        let result = try during(body)
        return (result, state.madeNodes ?? [])
    }

    /// Tells of a node that was just made.
    @inline(never) static func made(_ node: Node) {
        let state = ThreadState.current
        state.madeNodes?.insert(ObjectIdentifier(node))
        if state.isDetectingAnomalies { node.origin = .capture() }
    }
}
