// Rounding to bytes and back, and tables of bytes.

extension ByteTable: Exportable {
    /// Only the rows that are taken become floats.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard call.specs[1].dtype == .float32 else { throw refuse("scales", call.specs[1].dtype, allowed: "float32") }
        let bytes = graph.cast(graph.node("Gather", [call.inputs[0], call.inputs[2]]), to: .float32)
        let scales = try graph.unsqueeze(graph.node("Gather", [call.inputs[1], call.inputs[2]]), [-1])
        return [graph.node("Mul", [graph.node("Sub", [bytes, try graph.number(128, .float32)]), scales])]
    }
}

extension FakeQuantised: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard call.dtype == .float32 else { throw refuse("x", call.dtype, allowed: "float32") }
        return [try graph.rounded(call.inputs[0], scale)]
    }
}
