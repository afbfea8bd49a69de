internal import Keel

extension Pass {
    /// Does functions of one or two numbers that follow each other in one pass over memory, some hundred numbers at a time. The numbers stay the same, bit
    /// for bit.
    public static let elementwiseFusion = Pass("elementwise-fusion", isLast: true) { graph throws(TensorError) in
        var isChanged = false, isChanging = true
        while isChanging {
            isChanging = false
            let around = Surroundings(graph)
            var fused: Set<Int> = []
            for place in graph.nodes.indices {
                let node = graph.nodes[place]
                guard node.outputs.count == 1, graph.specs[node.outputs[0]].dtype == .float32 else { continue }
                for value in node.inputs {
                    // What is stretched afterwards would be computed again for each copy.
                    guard let maker = around.own(value, of: place), !fused.contains(maker), graph.specs[value] == graph.specs[node.outputs[0]],
                        let (primitive, inputs) = Fused.chain(
                            graph.nodes[maker].primitive, graph.nodes[maker].inputs, making: value, before: graph.nodes[place].primitive, graph.nodes[place].inputs)
                    else { continue }
                    graph.nodes[place].primitive = primitive
                    graph.nodes[place].inputs = inputs
                    fused.insert(maker)
                    isChanging = true
                }
            }
            graph.nodes = graph.nodes.enumerated().filter { !fused.contains($0.offset) }.map(\.element)
            isChanged = isChanged || isChanging
        }
        return isChanged
    }
}
