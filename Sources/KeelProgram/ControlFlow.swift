public import Keel

// `if` and `while` that depend on numbers. Outside of a trace they are Swift's own; within one they are nodes that hold programs.

extension Program {
    /// One of two functions of `inputs`, chosen by a number that only a run has.
    ///
    /// While a program is traced both are traced, and a run does one of them. What they read of the traced function is among `inputs`; constants come from
    /// anywhere.
    ///
    /// - Shapes: `condition` one bool; both functions give as many tensors, of the same specs.
    /// - Gradient: none through a node of a program.
    /// - Throws: `TensorError.dtype`, `.notScalar` for another condition; `TensorError.argument` where the functions differ in what they give; what they throw.
    public static func branch(
        on condition: Tensor, _ inputs: [Tensor], then: ([Tensor]) throws -> [Tensor], else otherwise: ([Tensor]) throws -> [Tensor]
    ) throws -> [Tensor] {
        guard ([condition] + inputs).contains(where: \.isTraced) else { return try condition.item(Bool.self) ? then(inputs) : otherwise(inputs) }
        let specs = inputs.map(\.spec), branch = Branch(then: try NestedProgram(specs, then), otherwise: try NestedProgram(specs, otherwise))
        return try applyMany(branch, [condition] + inputs)
    }

    /// Does `body` to `state` again and again, as long as `condition` is true of it; maybe never.
    ///
    /// While a program is traced both are traced. What they read of the traced function is part of the state; constants come from anywhere.
    ///
    /// - Shapes: `condition` gives one bool, `body` as many tensors as the state has, of the same specs.
    /// - Gradient: none through a node of a program.
    /// - Parameter limit: how often at most; beyond it the run throws.
    /// - Throws: `TensorError.argument` where the body gives something else than a state, and beyond the limit; what the functions throw.
    public static func loop(
        _ state: [Tensor], atMost limit: Int, while condition: ([Tensor]) throws -> Tensor, _ body: ([Tensor]) throws -> [Tensor]
    ) throws -> [Tensor] {
        guard state.contains(where: \.isTraced) else {
            var (state, turns) = (state, 0)
            while try condition(state).item(Bool.self) {
                guard turns < limit else { throw Loop.tooOften(limit) }
                state = try body(state)
                turns += 1
            }
            return state
        }
        let specs = state.map(\.spec)
        return try applyMany(Loop(condition: NestedProgram(specs) { [try condition($0)] }, body: NestedProgram(specs, body), limit: limit), state)
    }
}

/// A program that a node of another one runs.
final class NestedProgram: Sendable, Hashable, CustomStringConvertible {
    let program: Program

    init(_ program: Program) { self.program = program }

    init(_ inputs: [TensorSpec], _ function: ([Tensor]) throws -> [Tensor]) throws {
        program = try Program.traced(inputs: inputs.enumerated().map { ("\($0.offset)", $0.element) }) { tensors in
            try function(tensors).enumerated().map { ("\($0.offset)", $0.element) }
        }
    }

    /// What it gives of inputs of these specs.
    func outputs(_ inputs: [TensorSpec]) throws(TensorError) -> [TensorSpec] {
        if inputs == program.inputs.map(\.spec) { return program.outputs.map(\.spec) }
        let sizes = try program.executor.symbolSizes(inputs)
        var specs: [TensorSpec] = []
        for port in program.outputs { specs.append(TensorSpec(try port.spec.shape.resolved(sizes), port.spec.dtype)) }
        return specs
    }

    var description: String { "\(program.graph.nodes.count) nodes" }
    static func == (a: NestedProgram, b: NestedProgram) -> Bool { a === b }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// A primitive that runs programs.
protocol Nesting: Primitive {
    /// The same with other programs that do the same.
    func rewritten(_ rewrite: (Program) throws(TensorError) -> Program) throws(TensorError) -> Self
    /// Adds the operator that holds the programs as graphs.
    ///
    /// - Parameter inputs: what the values that it reads are called.
    /// - Returns: what those that it makes are called.
    func export(_ inputs: [String], to export: inout ProgramExport) throws -> [String]
    /// What its programs take at most, of what each does with its inputs: the arenas of all, for they are kept, and of the rest what is there at once.
    func memoryUse(_ inputs: [TensorSpec], _ use: (Program, [TensorSpec]) throws(TensorError) -> MemoryUse) throws(TensorError) -> MemoryUse
}

extension MemoryUse {
    /// Of two programs, with what both give and what they take meanwhile.
    fileprivate init(_ a: MemoryUse, _ b: MemoryUse, outputs: Int, temporaries: Int) {
        self.init(constants: a.constants + b.constants, prepared: a.prepared + b.prepared, arena: a.arena + b.arena, outputs: outputs, temporaries: temporaries)
    }
}

struct Branch: Nesting {
    let then, otherwise: NestedProgram

    func rewritten(_ rewrite: (Program) throws(TensorError) -> Program) throws(TensorError) -> Branch {
        Branch(then: NestedProgram(try rewrite(then.program)), otherwise: NestedProgram(try rewrite(otherwise.program)))
    }

    func memoryUse(_ inputs: [TensorSpec], _ use: (Program, [TensorSpec]) throws(TensorError) -> MemoryUse) throws(TensorError) -> MemoryUse {
        let given = Array(inputs.dropFirst()), (a, b) = (try use(then.program, given), try use(otherwise.program, given))
        return MemoryUse(a, b, outputs: max(a.outputs, b.outputs), temporaries: max(a.temporaries, b.temporaries))
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkCondition(inputs[0], Self.name)
        let given = (1..<inputs.count).map { inputs[$0] }, (a, b) = (try then.outputs(given), try otherwise.outputs(given))
        guard a == b, !a.isEmpty else {
            throw TensorError(.argument(primitive: Self.name, name: "else", given: "\(b)", allowed: "what the other branch gives, \(a)"))
        }
        return SpecList(a)
    }

    static var kernels: Kernels<Branch> { .running { branch, inputs throws(TensorError) in
        try (inputs[0].item(Bool.self) ? branch.then : branch.otherwise).program.run(Array(inputs.dropFirst()))
    } }
}

struct Loop: Nesting {
    let condition, body: NestedProgram
    let limit: Int

    static func tooOften(_ limit: Int) -> TensorError {
        TensorError(.argument(primitive: name, name: "turns", given: "more", allowed: "\(limit) at most"))
    }

    func rewritten(_ rewrite: (Program) throws(TensorError) -> Program) throws(TensorError) -> Loop {
        Loop(condition: NestedProgram(try rewrite(condition.program)), body: NestedProgram(try rewrite(body.program)), limit: limit)
    }

    /// A turn reads the state that the one before gave.
    func memoryUse(_ inputs: [TensorSpec], _ use: (Program, [TensorSpec]) throws(TensorError) -> MemoryUse) throws(TensorError) -> MemoryUse {
        let (a, b) = (try use(condition.program, inputs), try use(body.program, inputs))
        return MemoryUse(a, b, outputs: a.outputs + 2 * b.outputs, temporaries: max(a.temporaries, b.temporaries))
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let state = (0..<inputs.count).map { inputs[$0] }, conditions = try condition.outputs(state), next = try body.outputs(state)
        try checkCondition(conditions[0], Self.name)
        guard next == state else { throw TensorError(.argument(primitive: Self.name, name: "body", given: "\(next)", allowed: "the state, \(state)")) }
        return SpecList(state)
    }

    static var kernels: Kernels<Loop> { .running { loop, inputs throws(TensorError) in
        var (state, turns) = (inputs, 0)
        while try loop.condition.program.run(state)[0].item(Bool.self) {
            guard turns < loop.limit else { throw tooOften(loop.limit) }
            state = try loop.body.program.run(state)
            turns += 1
        }
        return state
    } }
}

private func checkCondition(_ spec: TensorSpec, _ primitive: String) throws(TensorError) {
    guard spec.dtype == .bool else { throw TensorError(.dtype(primitive: primitive, expected: "a bool", spec.dtype)) }
    guard spec.shape.sizes.map({ $0.allSatisfy { $0 == 1 } }) ?? false else { throw TensorError(.notScalar(spec.shape)) }
}

extension Kernels {
    /// A kernel that runs programs, and copies what they give.
    fileprivate static func running(_ body: @escaping @Sendable (P, [Tensor]) throws(TensorError) -> [Tensor]) -> Kernels<P> {
        let kernel: Kernel = { primitive, inputs, outputs throws(TensorError) in
            var given: [Tensor] = []
            for i in 0..<inputs.count { given.append(inputs[i]) }
            let made = try runningPrograms { () throws(TensorError) in try body(primitive, given) }
            for i in 0..<outputs.count { made[i].write(over: outputs[i]) }
        }
        return Kernels(reference: kernel) { primitive, inputs, outputs throws(TensorError) in
            try kernel(primitive, inputs, outputs)
            return true
        }
    }
}
