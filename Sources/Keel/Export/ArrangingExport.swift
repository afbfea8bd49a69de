// What moves numbers.

extension Identity: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] { call.inputs }
}

extension Move: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] { call.inputs }
}

extension Contiguous: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] { call.inputs }
}

extension Reshape: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [try graph.reshape(call.inputs[0], to: shape)]
    }
}

extension Permute: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] { [graph.transpose(call.inputs[0], order)] }
}

extension Expand: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [graph.node("Expand", [call.inputs[0], try graph.sizes(shape)])]
    }
}

extension Slice: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [try graph.slice(call.inputs[0], axis: axis, from: start, to: end, step: step)]
    }
}

extension Unslice: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        guard step == 1 else { throw refuse("step", step, allowed: "1") }
        let rank = call.specs[0].shape.rank, place = try call.specs[0].shape.place(of: axis, in: Self.name)
        var amounts = [Int](repeating: 0, count: 2 * rank)
        amounts[place] = start
        amounts[rank + place] = size - start - (try call.specs[0].shape.size(place))
        return [try graph.pad(call.inputs[0], amounts, call.dtype)]
    }
}

extension OperatorGraph {
    /// With numbers put on; bools go by way of bytes.
    fileprivate mutating func pad(_ x: String, _ amounts: [Int], _ dtype: DType, value: Double = 0, mode: String = "constant") throws(TensorError) -> String {
        let kind = dtype == .bool ? DType.uint8 : dtype, source = dtype == .bool ? cast(x, to: kind) : x
        let filling = value != 0 ? [try number(value, kind)] : []
        let padded = node("Pad", [source, try ints(amounts)] + filling, ["mode": .text(mode)])
        return dtype == .bool ? cast(padded, to: dtype) : padded
    }
}

extension Pad: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let amounts = before + after
        switch mode {
        case .constant(let value): return [try graph.pad(call.inputs[0], amounts, call.dtype, value: value)]
        case .reflect: return [try graph.pad(call.inputs[0], amounts, call.dtype, mode: "reflect")]
        case .edge: return [try graph.pad(call.inputs[0], amounts, call.dtype, mode: "edge")]
        case .wrap where graph.opset >= 19: return [try graph.pad(call.inputs[0], amounts, call.dtype, mode: "wrap")]
        case .wrap: break
        }
        // Parts of the axis, put at its ends.
        var x = call.inputs[0]
        for axis in before.indices where before[axis] + after[axis] > 0 {
            let size = try call.specs[0].shape.size(axis)
            guard max(before[axis], after[axis]) <= size else {
                throw refuse("amounts", "\(before[axis]), \(after[axis])", allowed: "at most the axis' \(size) before opset 19")
            }
            var parts = [x]
            if before[axis] > 0 { parts.insert(try graph.slice(x, axis: axis, from: size - before[axis], to: size), at: 0) }
            if after[axis] > 0 { parts.append(try graph.slice(x, axis: axis, from: 0, to: after[axis])) }
            x = graph.node("Concat", parts, ["axis": .int(axis)])
        }
        return [x]
    }
}

extension Concatenate: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        [graph.node("Concat", call.inputs, ["axis": .int(try call.specs[0].shape.place(of: axis, in: Self.name))])]
    }
}

extension Cast: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) -> [String] { [graph.cast(call.inputs[0], to: dtype)] }
}

extension Flip: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        var x = call.inputs[0]
        for axis in 0..<call.specs[0].shape.rank where axes.contains(axis) { x = try graph.slice(x, axis: axis, from: -1, to: .min + 1, step: -1) }
        return [x]
    }
}

extension Split: Exportable {
    package func export(_ call: ExportCall, to graph: inout OperatorGraph) throws(TensorError) -> [String] {
        let place = try call.specs[0].shape.place(of: axis, in: Self.name)
        return graph.node("Split", [call.inputs[0], try graph.ints(sizes)], outputs: sizes.count, ["axis": .int(place)])
    }
}
