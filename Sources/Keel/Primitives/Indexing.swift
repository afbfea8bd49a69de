import KeelKernels

/// The parts of `x` at `indices` along an axis. Negative indices count from the end.
///
/// - Shapes: `x [..., n, ...]`, `indices [i...]` int64 or int32 → the axis replaced by `[i...]`.
/// - Gradient: `dy` added up where it was taken from; for a table, rows and indices as they are. Indices have none.
/// - Errors: `TensorError.indexOutOfRange` with position and index.
/// - Source: ONNX `Gather`, opset 13.
struct Gather: Primitive {
    let axis: Int
    static var onnxName: String? { "Gather" }
    static var takesHalf: Bool { true }
    static var gradientReads: Reads { .input(1) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, indices) = (inputs[0].shape, inputs[1].shape)
        try checkIndices(inputs[1].dtype, Self.name)
        let place = try x.place(of: axis, in: Self.name)
        guard x.rank - 1 + indices.rank <= Shape.maximumRank else { throw .rank(primitive: Self.name, expected: "eight axes at most in the result", indices) }
        return SpecList(TensorSpec(x.axes(0..<place) + indices + x.axes((place + 1)..<x.rank), inputs[0].dtype))
    }

    static var kernels: Kernels<Gather> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.take(inputs, outputs[0]) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.take(inputs, outputs[0])
                return true
            })
    }

    private func take(_ inputs: Operands, _ output: Tensor) throws(TensorError) {
        let x = try inputs[0].contiguous(), indices = try inputs[1].contiguous()
        let place = try x.shape.place(of: axis, in: Self.name)
        let (outer, n, inner) = x.shape.split(at: place)
        try indices.checkIndices(below: n, Self.name)
        keel_gather(
            Int64(outer), Int64(n), Int64(inner * x.dtype.width), indices.dtype == .int64 ? 1 : 0, Int64(indices.count), indices.bytes,
            output.bytes, x.bytes)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, indices) = (g.outputGradient, g.input(1))
        if axis == 0, g.takesRows(0) {
            let values = try dy.reshaped(Shape(indices.shape.product) + g.shape(0).axes(1..<g.shape(0).rank))
            g.setRows(0, RowGradient(indices: try indices.detached().flattened(), values: values))
            return
        }
        try g.set(0, try apply(ScatterAdd(axis: axis, input: g.shape(0)), dy, indices))
    }
}

/// A tensor of zeros with `x` added in at `indices` along an axis: the gradient of `Gather`.
///
/// - Shapes: `x [..., i..., ...]`, `indices [i...]` → `input`.
/// - Gradient: `dy` at the indices.
struct ScatterAdd: Primitive {
    let axis: Int
    let input: Shape
    static var gradientReads: Reads { .input(1) }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> ScatterAdd { ScatterAdd(axis: axis, input: try input.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkIndices(inputs[1].dtype, Self.name)
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        let expected = try Gather(axis: axis).outputs(SpecList([TensorSpec(input, inputs[0].dtype), inputs[1]]))
        guard expected[0].shape == inputs[0].shape else { throw .shape(primitive: Self.name, expected: "\(expected[0].shape)", inputs[0].shape) }
        return SpecList(TensorSpec(input, inputs[0].dtype))
    }

    static var kernels: Kernels<ScatterAdd> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.add(inputs, outputs[0]) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.add(inputs, outputs[0])
                return true
            })
    }

    private func add(_ inputs: Operands, _ output: Tensor) throws(TensorError) {
        let x = try inputs[0].contiguous(), indices = try inputs[1].contiguous()
        let place = try input.place(of: axis, in: Self.name)
        let (outer, n, inner) = input.split(at: place)
        try indices.checkIndices(below: n, Self.name)
        let is64: Int32 = indices.dtype == .int64 ? 1 : 0
        if x.dtype == .float32 {
            keel_scatter_add_f32(
                Int64(outer), Int64(n), Int64(inner), is64, Int64(indices.count), indices.bytes, output.pointer(Float.self), x.pointer(Float.self))
        } else {
            keel_scatter_add_f64(
                Int64(outer), Int64(n), Int64(inner), is64, Int64(indices.count), indices.bytes, output.pointer(Double.self),
                x.pointer(Double.self))
        }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(Gather(axis: axis), g.outputGradient, g.input(1)))
    }
}

/// A row of zeros with a one at the index, for each index.
///
/// - Shapes: `[i...]` → `[i..., depth]`.
/// - Errors: `TensorError.indexOutOfRange`.
/// - Source: ONNX `OneHot`, opset 11, with values 0 and 1 and the last axis.
struct OneHot: Primitive {
    let depth: Int
    let dtype: DType
    static var onnxName: String? { "OneHot" }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkIndices(inputs[0].dtype, Self.name)
        guard dtype == .float32 || dtype == .float64 || dtype == .bool else { throw .dtype(primitive: Self.name, expected: "floats or bool", dtype) }
        guard depth >= 1 else { throw .argument(primitive: Self.name, name: "depth", given: depth, allowed: "1 and more") }
        var shape = inputs[0].shape
        guard shape.rank < Shape.maximumRank else { throw .rank(primitive: Self.name, expected: "seven axes at most", shape) }
        shape.append(Dimension(depth))
        return SpecList(TensorSpec(shape, dtype))
    }

    static var kernels: Kernels<OneHot> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.mark(inputs[0], outputs[0]) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.mark(inputs[0], outputs[0])
                return true
            })
    }

    private func mark(_ input: Tensor, _ output: Tensor) throws(TensorError) {
        let indices = try input.contiguous()
        try indices.checkIndices(below: depth, Self.name)
        keel_one_hot(Int32(dtype.width), indices.dtype == .int64 ? 1 : 0, Int64(indices.count), Int64(depth), indices.bytes, output.bytes)
    }
}

func checkIndices(_ dtype: DType, _ name: String) throws(TensorError) {
    guard dtype == .int64 || dtype == .int32 else { throw .dtype(primitive: name, expected: "int64 or int32 indices", dtype) }
}

extension Tensor {
    func checkIndices(below n: Int, _ name: String) throws(TensorError) {
        let bad = keel_first_bad_index(dtype == .int64 ? 1 : 0, Int64(count), bytes, Int64(n))
        guard bad >= 0 else { return }
        let index = dtype == .int64 ? Int(pointer(Int64.self)[Int(bad)]) : Int(pointer(Int32.self)[Int(bad)])
        throw TensorError(.indexOutOfRange(primitive: name, position: Int(bad), index: index, limit: n))
    }

    /// The parts at `indices` along an axis; rows of a table, for an embedding.
    public func gathered(_ indices: Tensor, axis: Int = 0) throws(TensorError) -> Tensor { try apply(Gather(axis: axis), self, indices) }

    /// Indices as rows of zeros with a one.
    public func oneHot(_ depth: Int, _ dtype: DType = .float32) throws(TensorError) -> Tensor {
        try apply(OneHot(depth: depth, dtype: dtype.isHalf ? .float32 : dtype), self).cast(to: dtype)
    }
}
