import Keel

/// What an optimiser keeps of each parameter: moments in flat memory that is laid out as the store's own, so that a step is one pass over
/// value, gradient and moments together.
struct Moments {
    let parameters: ParameterStore
    private let names: [String]
    private let memory: [Tensor]

    init(_ names: [String], of parameters: ParameterStore, initially value: Double = 0) throws(TensorError) {
        self.parameters = parameters
        self.names = names
        var memory: [Tensor] = []
        for _ in names { memory.append(try .full(value, parameters.values.shape)) }
        self.memory = memory
    }

    /// Runs a step over a part of the memory: of the values, the moments in their order, the gradients, and then `scalars`.
    func run(_ step: some Primitive, over range: Range<Int>, _ scalars: Tensor...) throws(TensorError) {
        func part(_ flat: Tensor) throws(TensorError) -> Tensor {
            range.count == flat.count ? flat : try flat.sliced(0, from: range.lowerBound, to: range.upperBound)
        }
        var inputs = [try part(parameters.values)]
        for moment in memory { inputs.append(try part(moment)) }
        inputs.append(try part(parameters.gradients))
        try update(step, inputs + scalars)
    }

    func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        for part in parameters.parts {
            for (name, moment) in zip(names, memory) { try body("\(name).\(part.name)", try parameters.view(of: moment, part)) }
        }
    }
}
