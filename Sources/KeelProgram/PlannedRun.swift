public import Keel

/// What a run of a program does, step by step, and the memory that it takes.
public struct PlannedRun: Sendable, CustomStringConvertible {
    /// A kernel that runs. Values are named as in the program's description.
    public struct Step: Sendable {
        public let primitive: String
        public let reads, writes: [String]
        /// How each of what it writes lies: `plain`, or `8c` where blocks of eight channels lie side by side.
        public let layouts: [String]
        /// Where it writes; a step that writes over what it is the last to read says so.
        public let place: String
        /// Of what it writes.
        public let bytes: Int
    }

    public let steps: [Step]
    public let memory: MemoryUse

    /// A line a step, and the sums.
    public var description: String {
        var rows = TextTable(["step", "reads", "writes", "layout", "memory", "bytes"])
        for step in steps {
            rows.add(
                [step.primitive] + [step.reads, step.writes, step.layouts].map { $0.joined(separator: " ") } + [step.place, "\(step.bytes)"])
        }
        var sums = TextTable(["memory of a run", "bytes"])
        for (name, bytes) in [
            ("constants", memory.constants), ("constants as kernels prepare them", memory.prepared), ("arena", memory.arena), ("outputs", memory.outputs),
            ("temporaries of the largest step", memory.temporaries),
        ] { sums.add([name, "\(bytes)"]) }
        sums.addTotal(["at most, beside the inputs", "\(memory.peak)"])
        return "\(rows)\n\n\(sums)"
    }
}

extension Program {
    /// The names of the sizes that a run gives numbers to.
    public var symbols: [String] { executor.symbolNames }

    /// What the inputs are when the symbols have these numbers.
    ///
    /// - Throws: `TensorError.symbolicDimension` where one has none, or an expression of them is no size.
    public func inputSpecs(_ sizes: [String: Int]) throws(TensorError) -> [TensorSpec] {
        var specs: [TensorSpec] = []
        for port in inputs { specs.append(TensorSpec(try port.spec.shape.resolved(SymbolSizes(sizes)), port.spec.dtype)) }
        return specs
    }

    /// The plan of a run with inputs of these specs.
    ///
    /// - Throws: as `memoryUse`.
    public func plannedRun(
        _ inputs: [TensorSpec], mostBytes: Int = .max, until deadline: ContinuousClock.Instant? = nil
    ) throws(TensorError) -> PlannedRun {
        let memory = try memoryUse(inputs, mostBytes: mostBytes, until: deadline), plan = try plan(for: inputs)
        return PlannedRun(steps: plan.steps.map { plan.row(of: $0, graph) }, memory: memory)
    }

    func plan(for inputs: [TensorSpec]) throws(TensorError) -> Plan {
        var placeholders: [Tensor] = []
        for spec in inputs { placeholders.append(try .placeholder(spec)) }
        return try plan(for: placeholders)
    }
}

extension Plan {
    fileprivate func row(of step: Step, _ graph: Graph) -> PlannedRun.Step {
        func names(_ values: [Graph.Value]) -> [String] { values.map { graph.constants[$0] == nil ? "%\($0)" : "$\($0)" } }
        var places: [String] = [], bytes = 0
        for value in step.outputs {
            guard let memory = memory(of: value) else { continue }
            bytes += self.bytes(of: value)
            let over = step.inputs.first { self.memory(of: $0) == memory && !step.outputs.contains($0) }
            switch sources[memory] {
            case .arena(let offset, _): places.append(over.map { "over \(names([$0])[0])" } ?? "arena + \(offset)")
            case .output: places.append(over.map { "over \(names([$0])[0])" } ?? "output")
            case .state: places.append("state")
            case .constant, .input: continue
            }
        }
        let layouts = step.outputs.map { if case .blocked(let block) = layout(of: $0) { "\(block)c" } else { "plain" } }
        return PlannedRun.Step(
            primitive: type(of: step.primitive).name, reads: names(step.inputs), writes: names(step.outputs), layouts: layouts,
            place: places.joined(separator: ", "), bytes: bytes)
    }
}
