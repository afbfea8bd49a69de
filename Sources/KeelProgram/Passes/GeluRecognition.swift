internal import Keel

extension Pass {
    /// Does GELU as one step where it is written out: `x / 2 * (1 + erf(x / √2))`, or with tanh, multiplied out in whatever order.
    public static let geluRecognition = Pass("gelu-recognition") { graph throws(TensorError) in
        let around = Surroundings(graph)
        let half = Polynomial(terms: [Polynomial.Powers(x: 1, t: 0): 0.5, Polynomial.Powers(x: 1, t: 1): 0.5]), root = (2 / Double.pi).squareRoot()
        let erfInput = Polynomial.x * 0.5.squareRoot()
        let tanhInput = Polynomial(terms: [Polynomial.Powers(x: 1, t: 0): root, Polynomial.Powers(x: 3, t: 0): 0.044715 * root])
        var isChanged = false
        for place in graph.nodes.indices {
            let meaning = around.meaning(place)
            guard meaning == .erf || meaning == .tanh else { continue }
            let node = graph.nodes[place], input = node.inputs[0], wanted = meaning == .erf ? erfInput : tanhInput
            guard let x = around.arithmeticSources(input).first(where: { around.polynomial(input, x: $0)?.isNearly(wanted) == true }) else { continue }
            let ends = around.arithmeticReaders(node.outputs[0]).filter { end in
                let made = graph.nodes[end].outputs[0]
                return around.areAlike(place, end) && graph.specs[made] == graph.specs[x]
                    && around.polynomial(made, x: x, t: node.outputs[0])?.isNearly(half) == true
            }
            for end in ends {
                graph.nodes[end].primitive = meaning == .erf ? Fused.gelu : Fused.geluTanh
                graph.nodes[end].inputs = [x]
                isChanged = true
            }
        }
        return isChanged
    }
}
