import KeelKernels

/// The largest (or smallest) number up to each one along an axis, and the place of the last that is as large; a NaN wins and stays.
///
/// - Shapes: any numbers → alike, and int64 places.
/// - Gradient: `dy` goes to the places.
struct CumulativeExtreme: Primitive {
    let axis: Int
    let isLargest: Bool
    static var gradientReads: Reads { .output(1) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype != .bool else { throw .dtype(primitive: Self.name, expected: "numbers", inputs[0].dtype) }
        _ = try inputs[0].shape.place(of: axis, in: Self.name)
        return SpecList([inputs[0], TensorSpec(inputs[0].shape, .int64)])
    }

    static var kernels: Kernels<CumulativeExtreme> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.go(inputs[0], outputs, with: keel_reference_cumulative_extreme) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.go(inputs[0], outputs, with: keel_cumulative_extreme)
                return true
            })
    }

    private func go(
        _ input: Tensor, _ outputs: Operands,
        with kernel: (Int32, keel_dtype, Int64, Int64, Int64, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int64>?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        let x = try input.contiguous()
        let (outer, n, inner) = x.shape.split(at: try x.shape.place(of: axis, in: Self.name))
        kernel(isLargest ? 1 : 0, x.dtype.kernel, Int64(outer), Int64(n), Int64(inner), outputs[0].bytes, outputs[1].pointer(Int64.self), x.bytes)
        withExtendedLifetime(x) {}
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let dy = g.outputGradient
        try g.set(0, try Tensor.zeros(dy.shape, dy.dtype, on: dy.device).scattered(dy, along: axis, at: g.output(1), .add))
    }
}

extension Tensor {
    /// The largest number up to each one along an axis, and the place of the last that is as large, int64.
    public func cumulativeMax(_ axis: Int) throws(TensorError) -> (values: Tensor, indices: Tensor) {
        let made = try applyMany(CumulativeExtreme(axis: axis, isLargest: true), [self])
        return (made[0], made[1])
    }

    /// The smallest number up to each one along an axis, and the place of the last that is as small, int64.
    public func cumulativeMin(_ axis: Int) throws(TensorError) -> (values: Tensor, indices: Tensor) {
        let made = try applyMany(CumulativeExtreme(axis: axis, isLargest: false), [self])
        return (made[0], made[1])
    }
}
