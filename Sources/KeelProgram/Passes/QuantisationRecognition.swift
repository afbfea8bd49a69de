internal import Keel

extension Pass {
    /// Multiplies bytes where a layer reads what was rounded to 256 steps, and its constant weights are whole numbers of at most ±64 times a scale a row:
    /// what a model with `QuantizeLinear` and `DequantizeLinear` means. Larger ones don't fit the kernels, whose sums would overflow; such layers
    /// go on multiplying floats.
    public static let quantisationRecognition = Pass("quantisation-recognition", isLast: true) { graph throws(TensorError) in
        graph.roundBehindViews()
        let (makers, nodes) = (graph.makers, graph.nodes)
        return try graph.takeBytes(most: 64) { node in
            guard let maker = makers[node.inputs[0]], let reads = nodes[maker].primitive.fakeQuantisation else { return nil }
            return (reads, nodes[maker].inputs[0])
        }
    }

    /// Keeps weights of fully connected layers as bytes where they are whole numbers of at most ±127 times a scale a row. For models whose weights are
    /// written so: others' may be by chance.
    static let byteWeightRecognition = Pass("byte-weight-recognition", isLast: true) { graph throws(TensorError) in
        try graph.takeBytes(most: 127) { (.float, $0.inputs[0]) }
    }
}

extension Graph {
    /// Has numbers rounded after they were only put in another order or shape, beside the layer that reads them.
    fileprivate mutating func roundBehindViews() {
        let (makers, uses) = (makers, uses)
        for place in nodes.indices where nodes[place].outputs.count == 1 {
            guard let read = nodes[place].inputs.first, let maker = makers[read], uses[read] == 1, nodes[maker].primitive.fakeQuantisation != nil else { continue }
            switch nodes[place].primitive.meaning(of: specs[read]) {
            case .reshape, .permute: break
            default: continue
            }
            (nodes[maker].primitive, nodes[place].primitive) = (nodes[place].primitive, nodes[maker].primitive)
            specs[read] = specs[nodes[place].outputs[0]]
        }
    }

    /// Gives layers their forms of bytes where nothing is lost by it.
    ///
    /// - Parameter reads: how the node can read what, in place of its input.
    fileprivate mutating func takeBytes(most: Int, _ reads: (Node) -> (ByteInput, Value)?) throws(TensorError) -> Bool {
        var known: [Value: [Value]?] = [:], isChanged = false
        for place in nodes.indices {
            let node = nodes[place]
            guard node.residuals == 0, !node.inputs.isEmpty, let (input, value) = reads(node),
                let form = node.primitive.withBytes(input, SpecList(node.inputs.map { specs[$0] }))
            else { continue }
            var inputs: [Value]? = []
            for (i, read) in node.inputs.enumerated() {
                guard form.weights.contains(i) else {
                    inputs?.append(i == 0 ? value : read)
                    continue
                }
                if known[read] == nil {
                    let weights = try constants[read].flatMap { (tensor) throws(TensorError) in try QuantisedWeights(exactly: tensor, most: most) }
                    known[read] = .some(weights.map { [constant($0.bytes), constant($0.scales)] })
                }
                if let bytes = known[read] ?? nil { inputs?.append(contentsOf: bytes) } else { inputs = nil }
            }
            guard let inputs else { continue }
            nodes[place].primitive = form.primitive
            nodes[place].inputs = inputs
            isChanged = true
        }
        if isChanged { _ = try Pass.deadCode.rewrite(&self) }
        return isChanged
    }
}
