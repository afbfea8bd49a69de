import KeelKernels

/// The first `count` numbers along the last axis, the smallest (or largest) first, and where they stood. Equal numbers keep their
/// order; NaN counts as larger than all.
///
/// - Shapes: `x [..., n]` → values `[..., count]`, indices `[..., count]` int64; all `n` where `count` is nil.
/// - Gradient: `dy` where the numbers stood.
/// - Errors: `TensorError.argument` unless `0 <= count <= n`.
/// - Source: ONNX `TopK`, opset 11, with the last axis and sorted.
struct TopK: Primitive {
    let count: Int?
    let isLargest: Bool
    static var onnxName: String? { "TopK" }
    static var gradientReads: Reads { .output(1) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        guard shape.rank >= 1 else { throw .rank(primitive: Self.name, expected: "one axis at least", shape) }
        if let count {
            let limit = shape[-1].number
            guard count >= 0, count <= limit ?? count else {
                throw .argument(primitive: Self.name, name: "count", given: count, allowed: "0...\(limit.map(String.init) ?? "n")")
            }
            shape[-1] = Dimension(count)
        }
        var specs = SpecList(TensorSpec(shape, inputs[0].dtype))
        specs.append(TensorSpec(shape, .int64))
        return specs
    }

    static var kernels: Kernels<TopK> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                let (rows, n) = x.rows
                keel_reference_top_k(
                    x.dtype.kernel, p.isLargest ? 1 : 0, rows, n, Int64(outputs[0].size(-1)), outputs[0].bytes, outputs[1].pointer(Int64.self), x.bytes)
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                let (rows, n) = x.rows
                let k = Int64(outputs[0].size(-1)), parts = max(1, min(rows, n < 64 ? rows * n / 4096 : rows, Int64(Threads.count)))
                guard n < 1 << 32 else { return false }
                let bytes = Int(parts * keel_top_k_scratch(x.dtype.kernel, n, k))
                let scratch = try Tensor(undefined: TensorSpec([bytes], .uint8), on: CPU.shared)
                keel_top_k(
                    x.dtype.kernel, p.isLargest ? 1 : 0, rows, n, k, outputs[0].bytes, outputs[1].pointer(Int64.self), x.bytes, parts, scratch.bytes)
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard let dy = g.gradientOfOutput(0) else { return }
        let nothing = try Tensor.zeros(Shape(), dy.dtype, on: dy.device).expanded(to: g.shape(0))
        try g.set(0, try apply(Scatter(axis: -1, rule: .add), nothing, g.output(1).detached(), dy))
    }
}

extension Tensor {
    /// The `count` smallest (or largest) numbers along an axis in order, and their positions there, as int64. Equal numbers keep their
    /// order; NaN counts as larger than all.
    public func topK(_ count: Int, axis: Int = -1, largest: Bool = true) throws(TensorError) -> (values: Tensor, indices: Tensor) {
        try ordered(TopK(count: count, isLargest: largest), axis)
    }

    /// The numbers along an axis in ascending (or descending) order. Equal ones keep their order; NaN counts as larger than all.
    public func sorted(_ axis: Int = -1, descending: Bool = false) throws(TensorError) -> Tensor {
        try ordered(TopK(count: nil, isLargest: descending), axis).values
    }

    /// The positions along an axis, as int64, in the order that sorts the numbers there. Equal ones keep their order.
    public func argSorted(_ axis: Int = -1, descending: Bool = false) throws(TensorError) -> Tensor {
        try detached().ordered(TopK(count: nil, isLargest: descending), axis).indices
    }

    private func ordered(_ primitive: TopK, _ axis: Int) throws(TensorError) -> (values: Tensor, indices: Tensor) {
        let place = try shape.place(of: axis, in: TopK.name)
        let isLast = place == rank - 1
        let found = try applyMany(primitive, [isLast ? self : try transposed(place, -1)])
        return isLast ? (found[0], found[1]) : (try found[0].transposed(place, -1), try found[1].transposed(place, -1))
    }
}
