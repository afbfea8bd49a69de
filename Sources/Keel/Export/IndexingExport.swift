// What looks up, puts, sorts and searches.

extension Gather: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [graph.node("Gather", call.inputs, ["axis": .int(try call.specs[0].shape.place(of: axis, in: Self.name))])]
    }
}

extension TakeAlong: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [graph.node("GatherElements", call.inputs, ["axis": .int(try call.specs[0].shape.place(of: axis, in: Self.name))])]
    }
}

extension Scatter: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let (reduction, since): (String, Int) =
            switch rule {
            case .set: ("none", 13)
            case .add: ("add", 16)
            case .multiply: ("mul", 16)
            case .maximum: ("max", 18)
            case .minimum: ("min", 18)
            }
        guard graph.opset >= since else { throw refuse("opset", graph.opset, allowed: "\(since) and later for '\(reduction)'") }
        let place = try call.specs[0].shape.place(of: axis, in: Self.name)
        return [graph.node("ScatterElements", call.inputs, ["axis": .int(place), "reduction": rule == .set ? nil : .text(reduction)])]
    }
}

extension OneHot: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let values = try graph.constant(Tensor([Float(0), 1]))
        let indices = call.dtype == .int64 ? call.inputs[0] : graph.cast(call.inputs[0], to: .int64)
        let rows = graph.node("OneHot", [indices, try graph.ints([depth]), values], ["axis": .int(-1)])
        return [dtype == .float32 ? rows : graph.cast(rows, to: dtype)]
    }
}

extension NonZero: Exportable {
    /// As many places as there are, then zeros up to the limit.
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let places = graph.node("NonZero", call.inputs)
        let count = graph.node("Slice", [graph.node("Shape", [places]), try graph.ints([1]), try graph.ints([2])])
        let missing = graph.node("Sub", [try graph.ints([limit]), count])
        let amounts = graph.node("Concat", [try graph.ints([0, 0, 0]), missing], ["axis": .int(0)])
        return [graph.node("Pad", [places, amounts]), try graph.squeeze(count, [0])]
    }
}

extension TopK: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let k = try graph.dimension(call.outputs[0].shape[-1])
        return graph.node("TopK", [call.inputs[0], k], outputs: 2, ["axis": .int(-1), "largest": .int(isLargest ? 1 : 0), "sorted": .int(1)])
    }
}

extension CumulativeSum: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let place = try graph.constant(Tensor(Int64(try call.specs[0].shape.place(of: axis, in: Self.name))))
        return [graph.node("CumSum", [call.inputs[0], place], ["exclusive": .int(isExclusive ? 1 : 0), "reverse": .int(isReversed ? 1 : 0)])]
    }
}
