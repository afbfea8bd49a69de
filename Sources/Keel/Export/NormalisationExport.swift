extension ChannelAffine: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let stretched = call.inputs.dropFirst()
        let parts = try graph.alongChannels(Array(stretched), rank: call.specs[0].shape.rank)
        return [graph.node("Add", [graph.node("Mul", [call.inputs[0], parts[0]]), parts[1]])]
    }
}

extension OperatorGraph {
    /// Vectors of a number a channel, in a shape that stretches over `[n, c, ...]`.
    fileprivate mutating func alongChannels(_ vectors: [String], rank: Int) throws(TensorError) -> [String] {
        guard rank > 2 else { return vectors }
        var stretched: [String] = []
        for vector in vectors { stretched.append(try unsqueeze(vector, Array(1..<(rank - 1)))) }
        return stretched
    }

    /// `x / √(mean(x²) + ε)` along the last axis.
    fileprivate mutating func overRoot(_ x: String, epsilon: Double, _ dtype: DType) throws(TensorError) -> String {
        let square = try reduce("ReduceMean", node("Mul", [x, x]), axes: [-1], keepsAxes: true)
        return node("Div", [x, node("Sqrt", [node("Add", [square, try number(epsilon, dtype)])])])
    }
}

extension LayerNorm: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let (x, scale, bias) = (call.inputs[0], call.inputs[1], call.inputs[2])
        if graph.opset >= 17 { return [graph.node("LayerNormalization", call.inputs, ["axis": .int(-1), "epsilon": .float(epsilon)])] }
        let centred = graph.node("Sub", [x, try graph.reduce("ReduceMean", x, axes: [-1], keepsAxes: true)])
        let normal = try graph.overRoot(centred, epsilon: epsilon, call.dtype)
        return [graph.node("Add", [graph.node("Mul", [normal, scale]), bias])]
    }
}

extension RMSNorm: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [graph.node("Mul", [try graph.overRoot(call.inputs[0], epsilon: epsilon, call.dtype), call.inputs[1]])]
    }
}

extension GroupNorm: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let (x, shape) = (call.inputs[0], call.specs[0].shape)
        let attributes: KeyValuePairs<String, OperatorGraph.Attribute?> = ["epsilon": .float(epsilon)]
        if shape.rank > 2, try shape.size(1) == groups { return [graph.node("InstanceNormalization", call.inputs, attributes)] }
        if graph.opset >= 21, shape.rank > 2 {
            return [graph.node("GroupNormalization", call.inputs, ["epsilon": .float(epsilon), "num_groups": .int(groups)])]
        }
        // Each group is one channel of a sequence.
        let together = graph.node("Reshape", [x, try graph.ints([0, groups, -1])])
        let neutral = [try graph.constant(.ones([groups], call.dtype)), try graph.constant(.zeros([groups], call.dtype))]
        let normal = try graph.reshape(graph.node("InstanceNormalization", [together] + neutral, attributes), to: shape)
        let parts = try graph.alongChannels([call.inputs[1], call.inputs[2]], rank: shape.rank)
        return [graph.node("Add", [graph.node("Mul", [normal, parts[0]]), parts[1]])]
    }
}
