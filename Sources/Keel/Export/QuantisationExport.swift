// Products of bytes, as the operators around a product of floats that say how its sides are rounded: what every reader of quantised models knows.

extension OperatorGraph {
    /// A float tensor through bytes and back: by a scale that is known, or by the one that covers it.
    mutating func rounded(_ x: String, _ scale: ByteScale?) throws(TensorError) -> String {
        guard let scale else { return node("DequantizeLinear", node("DynamicQuantizeLinear", [x], outputs: 3)) }
        let how = [try constant(Tensor(scale.scale)), try constant(Tensor(scale.zero))]
        return node("DequantizeLinear", [node("QuantizeLinear", [x] + how)] + how)
    }

    /// Weights of bytes as floats.
    mutating func weights(_ bytes: String, _ scales: String, outputs: Dimension) throws(TensorError) -> String {
        let zeros = try constant(.full(128, [try outputs.value()], .uint8))
        return node("DequantizeLinear", [bytes, scales, zeros], ["axis": .int(0)])
    }
}

extension ExportCall {
    /// Of the primitive with floats in place of bytes, whose x and weights have these names.
    fileprivate func floats(_ x: String, _ weight: String) -> ExportCall {
        ExportCall(
            inputs: [x, weight] + inputs.dropFirst(3), specs: [specs[0], TensorSpec(specs[1].shape, specs[0].dtype)] + specs.dropFirst(3), outputs: outputs)
    }

    /// Before opset 19 the operators know float32 alone.
    fileprivate func checkKind(_ primitive: some Exportable) throws(TensorError) {
        guard dtype == .float32 else { throw primitive.refuse("x", dtype, allowed: "float32") }
    }
}

extension QuantisedAffine: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        try call.checkKind(self)
        let x = try graph.rounded(call.inputs[0], input), weight = try graph.weights(call.inputs[1], call.inputs[2], outputs: call.specs[1].shape[0])
        return try ActivatedAffine(activation: activation).export(call.floats(x, weight), to: &graph)
    }
}

extension ByteWeightAffine: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        try call.checkKind(self)
        let weight = try graph.weights(call.inputs[1], call.inputs[2], outputs: call.specs[1].shape[0])
        return try ActivatedAffine(activation: activation).export(call.floats(call.inputs[0], weight), to: &graph)
    }
}

extension QuantisedConv2D: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        try call.checkKind(self)
        let x = try graph.rounded(call.inputs[0], input), weight = try graph.weights(call.inputs[1], call.inputs[2], outputs: call.specs[1].shape[0])
        let plain = RectifiedConv2D(convolution: convolution, hasAddend: hasAddend, rectifier: rectifier)
        return try plain.export(call.floats(x, weight), to: &graph)
    }
}

/// The state isn't rounded there, which no operator of a whole sequence does.
extension QuantisedRecurrent: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        try call.checkKind(self)
        var inputs = [try graph.rounded(call.inputs[0], input)], specs = [call.specs[0]], i = 1
        while i < call.inputs.count {
            let isMatrix = call.specs[i].dtype == .uint8
            inputs.append(isMatrix ? try graph.weights(call.inputs[i], call.inputs[i + 1], outputs: call.specs[i].shape[0]) : call.inputs[i])
            specs.append(TensorSpec(call.specs[i].shape, isMatrix ? .float32 : call.specs[i].dtype))
            i += isMatrix ? 2 : 1
        }
        let plain = ExportCall(inputs: inputs, specs: specs, outputs: call.outputs)
        return switch cell {
        case .lstm: try LSTM(directions: directions, hasState: hasState, hasLengths: hasLengths).export(plain, to: &graph)
        case .gru: try GRU(directions: directions, hasState: hasState, hasLengths: hasLengths).export(plain, to: &graph)
        }
    }
}
