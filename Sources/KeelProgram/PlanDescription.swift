public import Keel

extension Program {
    /// What a run with inputs of these specs does, and the memory that it takes: a line a step, with where it writes, and the sums. A step that writes over
    /// what it is the last to read says so.
    ///
    /// - Throws: as `memoryUse`.
    public func planDescription(_ inputs: [TensorSpec]) throws(TensorError) -> String {
        let use = try memoryUse(inputs)
        var zeros: [Tensor] = []
        for spec in inputs { zeros.append(try .zeros(spec.shape, spec.dtype)) }
        let plan = try plan(for: zeros)
        var steps = TextTable(["step", "reads", "writes", "memory", "bytes"])
        for step in plan.steps { steps.add(plan.row(of: step, graph)) }
        var sums = TextTable(["memory of a run", "bytes"])
        for (name, bytes) in [
            ("constants", use.constants), ("constants as kernels prepare them", use.prepared), ("arena", use.arena), ("outputs", use.outputs),
            ("temporaries of the largest step", use.temporaries),
        ] { sums.add([name, "\(bytes)"]) }
        sums.addTotal(["at most, beside the inputs", "\(use.peak)"])
        return "\(steps)\n\n\(sums)"
    }
}

extension Plan {
    fileprivate func row(of step: Step, _ graph: Graph) -> [String] {
        func names(_ values: [Graph.Value]) -> String { values.map { graph.constants[$0] == nil ? "%\($0)" : "$\($0)" }.joined(separator: " ") }
        var places: [String] = [], bytes = 0
        for value in step.outputs {
            guard let memory = memory(of: value) else { continue }
            bytes += self.bytes(of: value)
            let over = step.inputs.first { self.memory(of: $0) == memory && !step.outputs.contains($0) }
            switch sources[memory] {
            case .arena(let offset, _): places.append(over.map { "over \(names([$0]))" } ?? "arena + \(offset)")
            case .output: places.append(over.map { "over \(names([$0]))" } ?? "output")
            case .state: places.append("state")
            case .constant, .input: continue
            }
        }
        return [type(of: step.primitive).name, names(step.inputs), names(step.outputs), places.joined(separator: ", "), "\(bytes)"]
    }
}
