public import Keel

/// A function of tensors as a static graph, which runs any number of times, from any number of threads at once.
///
/// It is made by tracing a Swift function, and never changes. Sizes that are symbols in the inputs' specs are known when it runs: a program
/// traced once for pictures `[batch, 3, 32, 32]` takes any number of them.
///
/// ```swift
/// let spec = TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(32), Dimension(32)), .float32)
/// let program = try Program.trace({ try network($0, in: .prediction) }, input: "images", spec)
/// let logits = try program(images)
/// ```
public struct Program: Sendable {
    /// What is given to a program, or comes from it.
    public struct Port: Sendable, Equatable {
        public let name: String
        public let spec: TensorSpec
    }

    package let graph: Graph
    let executor: Executor

    package init(_ graph: Graph) throws(TensorError) {
        self.graph = graph
        for constant in graph.constants.values { constant.keepForms() }
        executor = try Executor(graph)
    }

    /// What a run with these inputs does, and where what lies.
    package func plan(for inputs: [Tensor]) throws(TensorError) -> Plan { try executor.plan(for: inputs) }

    public var inputs: [Port] { graph.inputs.map { Port(name: $0.name, spec: graph.specs[$0.value]) } }
    public var outputs: [Port] { graph.outputs.map { Port(name: $0.name, spec: graph.specs[$0.value]) } }

    /// The outputs, in their order. No gradients go back through a program.
    ///
    /// - Throws: `TensorError.argument`, `.dtype` or `.shape` for inputs that aren't of the specs, or where a symbol would have two sizes; what the
    ///   primitives throw, with the line that led to them when the program was traced.
    public func run(_ inputs: [Tensor]) throws(TensorError) -> [Tensor] { try executor.run(inputs) }

    /// The same, given up before the first step that would begin after the deadline.
    ///
    /// - Throws: as `run`; `ONNXError.tooLong`.
    func run(_ inputs: [Tensor], until deadline: ContinuousClock.Instant) throws -> [Tensor] {
        do {
            return try executor.run(inputs, until: RunDeadline(deadline))
        } catch {
            guard case .custom(Execution.tookTooLong) = error.reason else { throw error }
            throw ONNXError.tooLong(place: "program", Execution.tookTooLong)
        }
    }

    /// The same by at most so many threads, however many the calling one's computations use otherwise.
    ///
    /// - Throws: as `run`; `TensorError.argument` for less than one.
    public func run(_ inputs: [Tensor], threads: Int) throws(TensorError) -> [Tensor] {
        guard threads >= 1 else { throw TensorError(.argument(primitive: "program", name: "threads", given: "\(threads)", allowed: "1 and more")) }
        let before = Threads.count
        Threads.count = threads
        defer { Threads.count = before }
        return try executor.run(inputs)
    }

    /// The only output.
    ///
    /// - Throws: as `run`; `TensorError.argument` where there are more outputs.
    public func callAsFunction(_ inputs: Tensor...) throws(TensorError) -> Tensor {
        guard graph.outputs.count == 1 else {
            throw TensorError(.argument(primitive: "program", name: "outputs", given: "\(graph.outputs.count)", allowed: "1: use run"))
        }
        return try run(inputs)[0]
    }

    /// The outputs by their names, of inputs by theirs.
    ///
    /// - Throws: as `run`; `TensorError.argument` unless each input, and nothing else, is there.
    public func run(_ inputs: [String: Tensor]) throws(TensorError) -> [String: Tensor] {
        var given: [Tensor] = []
        for port in graph.inputs { if let tensor = inputs[port.name] { given.append(tensor) } }
        guard given.count == graph.inputs.count, inputs.count == graph.inputs.count else {
            let names = graph.inputs.map(\.name).joined(separator: ", ")
            throw TensorError(.argument(primitive: "program", name: "inputs", given: inputs.keys.sorted().joined(separator: ", "), allowed: names))
        }
        let made = try run(given)
        return Dictionary(zip(graph.outputs.map(\.name), made)) { first, _ in first }
    }
}
