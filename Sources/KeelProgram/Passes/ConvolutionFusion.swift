internal import Keel

extension Pass {
    /// Does what follows a convolution, an addition and a rectifier, in the same pass over its result.
    public static let convolutionFusion = Pass("convolution-fusion") { graph throws(TensorError) in
        let (makers, uses, updates) = (graph.makers, graph.uses, graph.updatesBefore)
        var fused: Set<Int> = []

        /// The node that makes the value, if nothing else reads it, and the state is the same at `place`, where it is to run instead.
        func own(_ value: Graph.Value, at place: Int) -> Int? {
            guard uses[value] == 1, let maker = makers[value], graph.nodes[maker].outputs.count == 1, !fused.contains(maker),
                updates[maker] == updates[place]
            else { return nil }
            return maker
        }
        for place in graph.nodes.indices {
            let node = graph.nodes[place]
            guard node.outputs.count == 1 else { continue }
            let spec = graph.specs[node.outputs[0]]
            if let rectifier = node.primitive.rectifier, let maker = own(node.inputs[0], at: place),
                let primitive = (graph.nodes[maker].primitive as? any Finishable)?.rectified(by: rectifier)
            {
                graph.nodes[place].primitive = primitive
                graph.nodes[place].inputs = graph.nodes[maker].inputs
                fused.insert(maker)
            } else if node.primitive.isAddition, node.inputs.allSatisfy({ graph.specs[$0] == spec }) {
                // Of two convolutions the later one adds what the earlier one made.
                let makers = node.inputs.indices.compactMap { i in own(node.inputs[i], at: place).map { (maker: $0, addend: node.inputs[1 - i]) } }
                for (maker, addend) in makers.sorted(by: { $0.maker > $1.maker }) {
                    guard let primitive = (graph.nodes[maker].primitive as? any Finishable)?.adding else { continue }
                    graph.nodes[place].primitive = primitive
                    graph.nodes[place].inputs = graph.nodes[maker].inputs + [addend]
                    fused.insert(maker)
                    break
                }
            }
        }
        graph.nodes = graph.nodes.enumerated().filter { !fused.contains($0.offset) }.map(\.element)
        return !fused.isEmpty
    }
}
