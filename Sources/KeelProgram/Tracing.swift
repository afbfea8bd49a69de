public import Keel

extension Program {
    /// The program of a function: it is called once, with tensors that have a spec and no numbers, and each primitive that it runs on them becomes a
    /// node of the graph.
    ///
    /// Tensors that the function has from elsewhere, such as a network's weights, are constants: the program has copies of them, and what the
    /// function does with constants alone is done at once. The way back through a tape is traced like all else.
    ///
    /// A symbol is no number: it differs from each, from 1 too, and what needs a number says so.
    ///
    /// - Parameters:
    ///   - function: is given a tensor for each input. It isn't kept.
    ///   - inputs: names and specs; sizes may be symbols (`Dimension.symbol`). Each symbol is the whole size of some input's axis.
    ///   - state: tensors that the function updates in place, or that change between runs in another way, as a network's parameters, gradients and
    ///     running statistics and what an optimiser keeps (`Optimizer.state`). They aren't copied: each run reads and writes
    ///     the memory that they lie in, whole, as the function itself would. Meanwhile nothing else may: such a program runs on one thread at a time.
    ///     A sparse table's rows of gradients are no such memory: a run begins without any, so the same function has to make and use them.
    /// - Returns: a program whose outputs are the function's, named as `TensorGroup` has it.
    /// - Throws: `TensorError.traced` where numbers are read that only a running program has (by `item`, `elements`, an `if` that depends on them), or where
    ///   something is updated that isn't state, even if the function caught that; `TensorError.symbolicDimension` where a symbol's number is
    ///   asked for; with the line that asked, where the binary has lines. What the function throws.
    public static func trace(
        _ function: ([Tensor]) throws -> some TensorGroup, inputs: KeyValuePairs<String, TensorSpec>, state: [Tensor] = []
    ) throws -> Program {
        try traced(inputs: inputs.map { ($0.key, $0.value) }, state: state) { tensors in
            var made: [(name: String, tensor: Tensor)] = []
            try function(tensors).forEachTensor { name, tensor in made.append((name.isEmpty ? "output" : name, tensor)) }
            return made
        }
    }

    /// The same for inputs in an array, and a function that names its outputs itself.
    package static func traced(
        inputs: [(name: String, spec: TensorSpec)], state: [Tensor] = [], _ function: ([Tensor]) throws -> [(name: String, tensor: Tensor)]
    ) throws -> Program {
        let trace = try Trace(inputs.map(\.spec), state: state, function)
        let nodes = trace.steps.map { step in
            Graph.Node(primitive: step.primitive, inputs: step.inputs, outputs: step.outputs, residuals: step.residuals, origin: step.origin)
        }
        return try Program(
            Graph(
                specs: trace.specs, constants: trace.constants, nodes: nodes, inputs: zip(inputs, trace.inputs).map { Graph.Port(name: $0.name, value: $1) },
                outputs: trace.results.map { Graph.Port(name: $0.name, value: $0.value) },
                states: trace.states.map { Graph.State(memory: $0.memory, first: $0.first, last: $0.last) }))
    }

    /// The same for a function of one tensor.
    public static func trace(_ function: (Tensor) throws -> some TensorGroup, input name: String = "input", _ spec: TensorSpec) throws -> Program {
        try trace({ try function($0[0]) }, inputs: [name: spec])
    }
}
