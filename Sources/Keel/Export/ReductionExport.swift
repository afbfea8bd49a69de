extension Reduction {
    fileprivate func export(as type: String, _ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let places = (0..<call.specs[0].shape.rank).filter { axes.contains($0) }
        guard !places.isEmpty else { return call.inputs }
        // Sums of bytes wrap around; operators add no bytes.
        guard call.dtype == .uint8, type == "ReduceSum" else { return [try graph.reduce(type, call.inputs[0], axes: places, keepsAxes: keepsAxes)] }
        let wide = try graph.reduce(type, graph.cast(call.inputs[0], to: .int32), axes: places, keepsAxes: keepsAxes)
        return [graph.cast(wide, to: .uint8)]
    }
}

extension Sum: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] { try export(as: "ReduceSum", call, to: &graph) }
}

extension Mean: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] { try export(as: "ReduceMean", call, to: &graph) }
}

extension Max: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] { try export(as: "ReduceMax", call, to: &graph) }
}

extension Min: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] { try export(as: "ReduceMin", call, to: &graph) }
}

extension Norm: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] { [graph.node("ReduceL2", call.inputs, ["keepdims": .int(0)])] }
}

extension ArgExtreme: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let place = try call.specs[0].shape.place(of: axis, in: Self.name)
        return [graph.node(isLargest ? "ArgMax" : "ArgMin", call.inputs, ["axis": .int(place), "keepdims": .int(0)])]
    }
}
