package import Keel

/// A plan with an arena: all that one run needs and another one may use after it.
///
/// Unchecked: it belongs to one run at a time, which takes it out of the executor's list.
package final class Execution: @unchecked Sendable {
    let plan: Plan
    /// The values as they lie; those whose memory comes with each run are there during one only.
    private var values: [Tensor?]
    private var memories: [TensorMemory?]
    /// What each step reads and writes, where none of it comes with each run.
    private var operands: [(inputs: Operands, outputs: Operands)?] = []
    /// Values whose memory comes with each run.
    private let passing: [(value: Graph.Value, memory: Int)]
    private let outputs: [Graph.Value]

    /// - Parameter leavesState: whether runs read and write a copy of the state.
    package init(_ plan: Plan, of graph: Graph, leavesState: Bool = false) throws(TensorError) {
        self.plan = plan
        outputs = graph.outputs.map(\.value)
        let arena = try TensorMemory(bytes: max(plan.arenaBytes, 1))
        memories = []
        for source in plan.sources {
            switch source {
            case .arena(let offset, _): memories.append(TensorMemory(arena, at: offset))
            case .state(let place): memories.append(leavesState ? try graph.states[place].memory.copied() : graph.states[place].memory)
            case .constant, .input, .output: memories.append(nil)
            }
        }
        values = plan.values
        var passing: [(value: Graph.Value, memory: Int)] = []
        for (value, tensor) in plan.values.enumerated() {
            guard let tensor, let memory = plan.memory(of: value) else { continue }
            if let there = memories[memory] {
                values[value] = tensor.placed(in: there)
            } else if plan.sources[memory] != .constant {
                passing.append((value, memory))
                values[value] = nil
            }
        }
        self.passing = passing
        for step in plan.steps {
            let isFixed = (step.inputs + step.outputs).allSatisfy { values[$0] != nil }
            operands.append(isFixed ? (Operands(values, at: step.inputs), Operands(values, at: step.outputs)) : nil)
        }
    }

    static let tookTooLong = "the run took longer than it may"

    /// - Parameter deadline: no step is begun after it.
    package func run(_ inputs: [Tensor], until deadline: ContinuousClock.Instant? = nil) throws(TensorError) -> [Tensor] {
        defer { end() }
        try begin(inputs)
        for place in plan.steps.indices {
            if let deadline, ContinuousClock.now > deadline { throw TensorError(.custom(Self.tookTooLong)) }
            do throws(TensorError) { try run(place) } catch { throw plan.steps[place].origin.map { error.calledFrom($0) } ?? error }
        }
        return outputs.map { value in
            guard let tensor = values[value] else { preconditionFailure("output \(value) isn't made") }
            return tensor
        }
    }

    /// Runs each step, whatever those before it did, for what they take of memory.
    func rehearse(_ inputs: [Tensor], until deadline: ContinuousClock.Instant? = nil) throws(TensorError) {
        defer { end() }
        try begin(inputs)
        for place in plan.steps.indices {
            if let deadline, ContinuousClock.now > deadline { throw TensorError(.custom(Self.tookTooLong)) }
            do throws(TensorError) { try run(place) } catch { continue }
        }
    }

    private func run(_ place: Int) throws(TensorError) {
        let primitive = plan.steps[place].primitive
        if let (inputs, outputs) = operands[place] {
            try primitive.execute(inputs, into: outputs)
        } else {
            try primitive.execute(Operands(values, at: plan.steps[place].inputs), into: Operands(values, at: plan.steps[place].outputs))
        }
    }

    private func begin(_ inputs: [Tensor]) throws(TensorError) {
        for (memory, source) in plan.sources.enumerated() {
            switch source {
            case .input(let place): memories[memory] = TensorMemory(of: try inputs[place].detached().contiguous())
            case .output(let bytes): memories[memory] = try TensorMemory(bytes: bytes)
            case .constant, .state, .arena: continue
            }
        }
        for (value, memory) in passing {
            guard let there = memories[memory] else { preconditionFailure("memory \(memory) isn't there") }
            values[value] = plan.values[value]?.placed(in: there)
        }
    }

    private func end() {
        for (value, memory) in passing { (values[value], memories[memory]) = (nil, nil) }
    }
}
