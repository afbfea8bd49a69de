internal import Keel

// Programs within a program: graphs within a node, which share its constants.

extension ProgramExport {
    /// One bool as the scalar that operators ask for.
    fileprivate mutating func scalar(_ condition: String, _ program: Program) throws -> String {
        program.outputs[0].spec.shape.rank == 0 ? condition : try operators.reshape(condition, to: [])
    }
}

extension Branch {
    func export(_ inputs: [String], to export: inout ProgramExport) throws -> [String] {
        var graphs: [OperatorGraph.Inner] = []
        for program in [then.program, otherwise.program] {
            let outside = export.operators.beginInner()
            let made = try export.add(program, of: Array(inputs.dropFirst()))
            graphs.append(export.operators.endInner(outside, inputs: [], outputs: zip(made, program.outputs).map { (name: $0, spec: $1.spec) }))
        }
        let condition = try export.operators.reshape(inputs[0], to: [])
        return export.operators.node(
            "If", [condition], outputs: then.program.outputs.count, ["then_branch": .graph(graphs[0]), "else_branch": .graph(graphs[1])])
    }
}

extension Loop {
    /// The operator asks after each turn whether there is another one, so the condition stands before it and in its graph. Beyond the limit, where a
    /// program throws, the operator ends with what it has.
    func export(_ inputs: [String], to export: inout ProgramExport) throws -> [String] {
        let first = try export.scalar(export.add(condition.program, of: inputs)[0], condition.program)
        let outside = export.operators.beginInner()
        var state: [(name: String, spec: TensorSpec)] = []
        for port in body.program.inputs { state.append((export.operators.innerInput(), port.spec)) }
        let turn = (name: export.operators.innerInput(), spec: TensorSpec([], .int64))
        let goesOn = (name: export.operators.innerInput(), spec: TensorSpec([], .bool))
        let next = try export.add(body.program, of: state.map(\.name))
        let again = try export.scalar(export.add(condition.program, of: next)[0], condition.program)
        let graph = export.operators.endInner(
            outside, inputs: [turn, goesOn] + state, outputs: [(name: again, spec: goesOn.spec)] + zip(next, state).map { (name: $0, spec: $1.spec) })
        let most = try export.operators.constant(Tensor(Int64(limit)))
        return export.operators.node("Loop", [most, first] + inputs, outputs: state.count, ["body": .graph(graph)])
    }
}
