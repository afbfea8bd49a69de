public import Keel

/// Bytes of tensors that a program takes, beside its inputs and its state: as the pool counts them, in whole blocks.
public struct MemoryUse: Sendable, Equatable {
    /// Weights and others. What lies in a mapped file isn't counted: the system takes it back as it likes.
    public let constants: Int
    /// Constants in the forms that kernels made of them, which stay.
    public let prepared: Int
    /// Of what lives between two steps, and of small inputs and outputs, which are copied.
    public let arena: Int
    public let outputs: Int
    /// Of the step that takes most for itself while it runs.
    public let temporaries: Int

    /// A run takes no more.
    public var peak: Int { constants + prepared + arena + outputs + temporaries }
}

extension Program {
    /// What a run with inputs of these specs takes. Most of it the plan says; what kernels take for themselves they show when they run, each once, on
    /// zeros. State stays as it is.
    ///
    /// - Parameters:
    ///   - mostBytes: no kernel runs where the arena and the outputs would take more.
    ///   - deadline: no kernel begins after it.
    /// - Throws: `TensorError.symbolicDimension` unless all sizes are numbers; `.outOfMemory` for too many bytes; as `run`, but for what a kernel has
    ///   against zeros.
    public func memoryUse(
        _ inputs: [TensorSpec], mostBytes: Int = .max, until deadline: ContinuousClock.Instant? = nil
    ) throws(TensorError) -> MemoryUse {
        let plan = try plan(for: inputs)
        guard max(plan.bytes, plan.largestValue) <= mostBytes else { throw TensorError(.outOfMemory(bytes: max(plan.bytes, plan.largestValue))) }
        var zeros: [Tensor] = []
        for spec in inputs { zeros.append(try .zeros(spec.shape, spec.dtype)) }
        let execution = try Execution(plan, of: graph, leavesState: true)
        let events = try profile { () throws(TensorError) in try execution.rehearse(zeros, until: deadline.map { RunDeadline($0) }) }.profile.events
        let nested = try nestedUse(plan, mostBytes, deadline), nesting = Set(plan.steps.filter { $0.primitive is any Nesting }.map { type(of: $0.primitive).name })
        var seen: Set<ObjectIdentifier> = [], sums = (constants: nested.constants, prepared: nested.prepared)
        for constant in graph.constants.values where seen.insert(constant.memoryIdentity).inserted {
            sums = (sums.constants + constant.poolBytes, sums.prepared + constant.formBytes)
        }
        let outputs = plan.sources.reduce(0) { sum, source in
            if case .output(let bytes) = source { sum + MemoryPool.blockBytes(bytes) } else { sum }
        }
        return MemoryUse(
            constants: sums.constants, prepared: sums.prepared, arena: MemoryPool.blockBytes(max(plan.keptBytes, 1)) + nested.arena, outputs: outputs,
            temporaries: max(nested.temporaries, events.lazy.filter { !nesting.contains($0.name) }.map(\.workBytes).max() ?? 0))
    }

    /// What the programs within steps take beside all else: which of them run, and how often, depends on numbers. They keep their arenas.
    private func nestedUse(_ plan: Plan, _ mostBytes: Int, _ deadline: ContinuousClock.Instant?) throws(TensorError) -> MemoryUse {
        var sum = MemoryUse(constants: 0, prepared: 0, arena: 0, outputs: 0, temporaries: 0)
        for step in plan.steps {
            guard let nesting = step.primitive as? any Nesting else { continue }
            let use = try nesting.memoryUse(plan.specs(of: step.inputs)) { (program, inputs) throws(TensorError) in
                try program.memoryUse(inputs, mostBytes: mostBytes, until: deadline)
            }
            sum = MemoryUse(
                constants: sum.constants + use.constants, prepared: sum.prepared + use.prepared, arena: sum.arena + use.arena, outputs: 0,
                temporaries: max(sum.temporaries, use.outputs + use.temporaries))
        }
        return sum
    }
}
