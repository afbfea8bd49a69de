internal import Keel

extension Pass {
    /// Computes once what is computed twice: the same primitive of the same values. Constants with the same numbers are one.
    public static let commonSubexpressions = Pass("common-subexpressions") { graph throws(TensorError) in
        let constants = try graph.equalConstants()
        graph.replace(constants)
        for value in constants.keys { graph.constants[value] = nil }

        var first: [Computation: Graph.Node] = [:], replacements: [Graph.Value: Graph.Value] = [:], kept: [Graph.Node] = []
        for var node in graph.nodes {
            node.inputs = node.inputs.map { replacements[$0] ?? $0 }
            let computation = Computation(primitive: AnyHashable(node.primitive), inputs: node.inputs, residuals: node.residuals)
            if let same = first[computation] {
                for (value, other) in zip(node.outputs, same.outputs) { replacements[value] = other }
            } else {
                first[computation] = node
                kept.append(node)
            }
        }
        graph.nodes = kept
        graph.replace(replacements)
        return !constants.isEmpty || !replacements.isEmpty
    }

    private struct Computation: Hashable {
        let primitive: AnyHashable
        let inputs: [Graph.Value]
        let residuals: Int
    }
}

extension Graph {
    /// For each constant that an earlier one equals, bit for bit, that one.
    fileprivate func equalConstants() throws(TensorError) -> [Value: Value] {
        var bySpec: [TensorSpec: [Value]] = [:], replacements: [Value: Value] = [:]
        for (value, tensor) in constants.sorted(by: { $0.key < $1.key }) {
            let earlier = try bySpec[tensor.spec]?.firstWhere { other throws(TensorError) in
                guard let first = constants[other] else { return false }
                return try first.withBytes { a throws(TensorError) in try tensor.withBytes { b in a.elementsEqual(b) } }
            }
            if let earlier { replacements[value] = earlier } else { bySpec[tensor.spec, default: []].append(value) }
        }
        return replacements
    }
}

extension Array {
    fileprivate func firstWhere(_ isWanted: (Element) throws(TensorError) -> Bool) throws(TensorError) -> Element? {
        for element in self { if try isWanted(element) { return element } }
        return nil
    }
}
