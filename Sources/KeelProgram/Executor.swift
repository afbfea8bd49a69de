internal import Keel
internal import Synchronization

/// Runs a graph by the kernels that eager mode uses, without a tape, in memory that was laid out beforehand.
///
/// What depends on the numbers of the symbols, and of the threads, is planned once for each choice of them, and the latest plans are kept. Each run has an arena to
/// itself; those of finished runs are kept for the next ones, as many as take little together.
final class Executor: Sendable {
    private static let planLimit = 32, idleLimit = 8, idleBytes = 256 << 20

    private let graph: Graph
    private let symbols: Symbols
    var symbolNames: [String] { symbols.names }
    /// Held by the run that has the state.
    private let turn = Mutex(())
    private let plans = Mutex(BoundedCache<[Int], Plan>(limit: planLimit))
    /// Not running, the one that ran last at the end; and for how many threads it was planned.
    private let idle = Mutex<[(threads: Int, execution: Execution)]>([])

    init(_ graph: Graph) throws(TensorError) {
        self.graph = graph
        symbols = try Symbols(graph)
    }

    /// - Parameter deadline: no step is begun after it.
    func run(_ inputs: [Tensor], until deadline: RunDeadline? = nil) throws(TensorError) -> [Tensor] {
        guard !graph.states.isEmpty else { return try runNow(inputs, deadline) }
        _ = try symbols.sizes(of: inputs)  // Inputs that are refused leave the state as it is.
        return try turn.withLock { _ throws(TensorError) in
            defer { for state in graph.states where state.last != state.first { state.memory.noteUpdate() } }
            return try runNow(inputs, deadline)
        }
    }

    private func runNow(_ inputs: [Tensor], _ deadline: RunDeadline?) throws(TensorError) -> [Tensor] {
        let threads = Threads.count
        var execution = take(inputs, threads)
        if execution == nil { execution = try Execution(plan(for: inputs), of: graph) }
        guard let execution else { preconditionFailure("a run has an execution") }
        defer {
            let dropped = idle.withLock { idle in
                idle.append((threads, execution))
                var dropped: [Execution] = []
                guard idle.count > 1 else { return dropped }
                var bytes = idle.reduce(0) { $0 + $1.execution.plan.keptBytes }
                while idle.count > Self.idleLimit || bytes > Self.idleBytes && idle.count > 1 {
                    bytes -= idle[0].execution.plan.keptBytes
                    dropped.append(idle.removeFirst().execution)
                }
                return dropped
            }
            _ = dropped  // Their arenas are given back outside of the lock.
        }
        return try execution.run(inputs, until: deadline)
    }

    /// What a plan depends on: the symbols' numbers, and how many threads share the work, for which convolutions have layouts of their own.
    private func sizes(of inputs: [Tensor]) throws(TensorError) -> [Int] {
        var sizes = try symbols.sizes(of: inputs)
        sizes.append(Threads.count)
        return sizes
    }

    /// The symbols' numbers for inputs of these specs.
    func symbolSizes(_ inputs: [TensorSpec]) throws(TensorError) -> SymbolSizes {
        var placeholders: [Tensor] = []
        for spec in inputs { placeholders.append(try .placeholder(spec)) }
        return symbols.numbers(try symbols.sizes(of: placeholders))
    }

    private func take(_ inputs: [Tensor], _ threads: Int) -> Execution? {
        idle.withLock { idle in
            idle.lastIndex { $0.threads == threads && $0.execution.takes(inputs) }.map { idle.remove(at: $0).execution }
        }
    }

    /// The plan of a run with these inputs.
    func plan(for inputs: [Tensor]) throws(TensorError) -> Plan { try plan(for: sizes(of: inputs)) }

    private func plan(for sizes: [Int]) throws(TensorError) -> Plan {
        if let found = plans.withLock({ $0.value(for: sizes) }) { return found }
        let made = try Plan(graph, symbols.numbers(Array(sizes.dropLast())))
        return plans.withLock { $0.keep(made, for: sizes) }
    }
}
