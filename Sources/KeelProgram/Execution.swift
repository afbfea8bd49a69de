package import Keel

/// A plan with an arena: all that one run needs and another one may use after it.
///
/// Unchecked: it belongs to one run at a time, which takes it out of the executor's list.
package final class Execution: @unchecked Sendable {
    let plan: Plan
    private let inputs: [TensorSpec]
    /// The values as they lie; those whose memory comes with each run are there during one only.
    @exclusivity(unchecked) private var values: [Tensor?]
    @exclusivity(unchecked) private var memories: [TensorMemory?]
    /// What each step reads and writes, where none of it comes with each run.
    private let operands: [(inputs: Operands, outputs: Operands)?]
    /// Memories that come with each run, and values that lie there.
    private let given: [(memory: Int, input: Int)], made: [(memory: Int, bytes: Int)], passing: [(value: Graph.Value, memory: Int)]
    private let outputs: [(value: Graph.Value, copiedBytes: Int?)]
    /// Inputs that are copied, and where they lie.
    private let copies: [(input: Int, place: Tensor)]

    /// - Parameter leavesState: whether runs read and write a copy of the state.
    package init(_ plan: Plan, of graph: Graph, leavesState: Bool = false) throws(TensorError) {
        self.plan = plan
        inputs = plan.specs(of: graph.inputs.map(\.value))
        let arena = try TensorMemory(bytes: max(plan.keptBytes, 1)), places = Dictionary(uniqueKeysWithValues: plan.copies)
        var memories: [TensorMemory?] = [], given: [(memory: Int, input: Int)] = [], made: [(memory: Int, bytes: Int)] = []
        for (memory, source) in plan.sources.enumerated() {
            var own = places[memory].map { TensorMemory(arena, at: $0) }
            switch source {
            case .input where own != nil, .output where own != nil: break
            case .arena(let offset, _): own = TensorMemory(arena, at: offset)
            case .state(let place): own = leavesState ? try graph.states[place].memory.copied() : graph.states[place].memory
            case .input(let place): given.append((memory, place))
            case .output(let bytes): made.append((memory, bytes))
            case .constant: break
            }
            memories.append(own)
        }
        var values = plan.values, passing: [(value: Graph.Value, memory: Int)] = []
        for (value, tensor) in plan.values.enumerated() {
            guard let tensor, let memory = plan.memory(of: value) else { continue }
            if let there = memories[memory] {
                values[value] = tensor.placed(in: there)
            } else if plan.sources[memory] != .constant {
                passing.append((value, memory))
                values[value] = nil
            }
        }
        copies = graph.inputs.enumerated().compactMap { input, port in
            guard let memory = plan.memory(of: port.value), places[memory] != nil else { return nil }
            return values[port.value].map { (input, $0) }
        }
        outputs = graph.outputs.map { port in
            guard let memory = plan.memory(of: port.value), places[memory] != nil, case .output(let bytes) = plan.sources[memory] else { return (port.value, nil) }
            return (port.value, bytes)
        }
        operands = plan.steps.map { step in
            let isFixed = (step.inputs + step.outputs).allSatisfy { values[$0] != nil }
            return isFixed ? (Operands(values, at: step.inputs), Operands(values, at: step.outputs)) : nil
        }
        (self.memories, self.values, self.given, self.made, self.passing) = (memories, values, given, made, passing)
    }

    /// Whether a run may have these inputs: those for which it was planned.
    func takes(_ given: [Tensor]) -> Bool {
        guard given.count == inputs.count else { return false }
        for place in inputs.indices where given[place].spec != inputs[place] { return false }
        return true
    }

    static let tookTooLong = "the run took longer than it may"

    /// - Parameter deadline: no step is begun after it.
    package func run(_ inputs: [Tensor], until deadline: RunDeadline? = nil) throws(TensorError) -> [Tensor] {
        try during(deadline, inputs) { (deadline) throws(TensorError) in
            for place in plan.steps.indices {
                if place > 0 { try Self.check(deadline) }
                do throws(TensorError) { try run(place) } catch { throw plan.steps[place].origin.map { error.calledFrom($0) } ?? error }
            }
            var results: [Tensor] = []
            results.reserveCapacity(outputs.count)
            for (value, bytes) in outputs {
                guard let tensor = values[value] else { preconditionFailure("output \(value) isn't made") }
                results.append(try bytes.map { (bytes) throws(TensorError) in try tensor.copied(bytes) } ?? tensor)
            }
            return results
        }
    }

    /// Runs each step, whatever those before it did, for what they take of memory.
    func rehearse(_ inputs: [Tensor], until deadline: RunDeadline? = nil) throws(TensorError) {
        try during(deadline, inputs) { (deadline) throws(TensorError) in
            for place in plan.steps.indices {
                do throws(TensorError) { try run(place) } catch {}
                try Self.check(deadline)
            }
        }
    }

    /// - Parameter deadline: a program within another one's kernel has that of the other unless it is given one.
    private func during<Result>(
        _ deadline: RunDeadline?, _ inputs: [Tensor], _ body: (RunDeadline?) throws(TensorError) -> Result
    ) throws(TensorError) -> Result {
        let outer = RunDeadline.current, deadline = deadline ?? outer
        RunDeadline.current = deadline
        defer {
            RunDeadline.current = outer
            end()
        }
        try begin(inputs)
        try Self.check(deadline)
        return try body(deadline)
    }

    private static func check(_ deadline: RunDeadline?) throws(TensorError) {
        if let deadline, deadline.isOver { throw TensorError(.custom(tookTooLong)) }
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
        for (input, place) in copies { try inputs[input].detached().contiguous().write(over: place) }
        for (memory, input) in given { memories[memory] = TensorMemory(of: try inputs[input].detached().contiguous()) }
        for (memory, bytes) in made { memories[memory] = try TensorMemory(bytes: bytes) }
        for (value, memory) in passing {
            guard let there = memories[memory] else { preconditionFailure("memory \(memory) isn't there") }
            values[value] = plan.values[value]?.placed(in: there)
        }
    }

    private func end() {
        for (value, memory) in passing { (values[value], memories[memory]) = (nil, nil) }
    }
}
