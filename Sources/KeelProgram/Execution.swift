internal import Keel

/// A plan with an arena: all that one run needs and another one may use after it.
///
/// Unchecked: it belongs to one run at a time, which takes it out of the executor's list.
final class Execution: @unchecked Sendable {
    let plan: Plan
    /// The values as they lie; those whose memory comes with each run are there during one only.
    private var values: [Tensor?]
    private var memories: [TensorMemory?]
    /// Values whose memory comes with each run.
    private let passing: [(value: Graph.Value, memory: Int)]
    private let outputs: [Graph.Value]

    init(_ plan: Plan, of graph: Graph) throws(TensorError) {
        self.plan = plan
        outputs = graph.outputs.map(\.value)
        let arena = try TensorMemory(bytes: max(plan.arenaBytes, 1))
        memories = plan.sources.map { source in
            switch source {
            case .arena(let offset, _): TensorMemory(arena, at: offset)
            case .state(let place): graph.states[place].memory
            case .constant, .input, .output: nil
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
    }

    static let tookTooLong = "the run took longer than it may"

    func run(_ inputs: [Tensor], until deadline: ContinuousClock.Instant?) throws(TensorError) -> [Tensor] {
        defer { for (value, memory) in passing { (values[value], memories[memory]) = (nil, nil) } }
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
        for step in plan.steps {
            if let deadline, ContinuousClock.now > deadline { throw TensorError(.custom(Self.tookTooLong)) }
            do throws(TensorError) {
                try step.primitive.execute(Operands(values, at: step.inputs), into: Operands(values, at: step.outputs))
            } catch {
                throw step.origin.map { error.calledFrom($0) } ?? error
            }
        }
        return outputs.map { value in
            guard let tensor = values[value] else { preconditionFailure("output \(value) isn't made") }
            return tensor
        }
    }
}
