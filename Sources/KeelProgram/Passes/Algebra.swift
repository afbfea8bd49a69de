internal import Keel

extension Pass {
    /// Leaves out what changes nothing, as `x + 0`, `x * 1` or a reshape to the same shape, and does two steps in one, as two transpositions
    /// or `(x * a + b) * c + d`, which is rounded once instead of twice.
    public static let algebra = Pass("algebra") { graph throws(TensorError) in
        var replacements: [Graph.Value: Graph.Value] = [:], isChanged = false
        let (makers, updates) = (graph.makers, graph.updatesBefore)
        for place in graph.nodes.indices {
            let node = graph.nodes[place]
            guard node.outputs.count == 1 else { continue }
            if let outer = node.primitive as? any Composable, let maker = makers[node.inputs[0]], updates[maker] == updates[place] {
                let inner = graph.nodes[maker]
                if inner.outputs.count == 1, inner.inputs.count == 1, let both = outer.composed(after: inner.primitive) {
                    graph.nodes[place].primitive = both
                    graph.nodes[place].inputs = inner.inputs
                    isChanged = true
                }
            }
            if let unchanged = try graph.unchangedInput(of: graph.nodes[place]) { replacements[node.outputs[0]] = graph.nodes[place].inputs[unchanged] }
        }
        graph.replace(replacements)
        graph.nodes.removeAll { $0.outputs.count == 1 && replacements[$0.outputs[0]] != nil }
        return isChanged || !replacements.isEmpty
    }
}

extension Graph {
    fileprivate func unchangedInput(of node: Node) throws(TensorError) -> Int? {
        guard let primitive = node.primitive as? any Transparent else { return nil }
        return try primitive.unchangedInput(SpecList(node.inputs.map { specs[$0] }), node.inputs.map { constants[$0] })
    }
}
