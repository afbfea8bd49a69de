import KeelKernels

/// Sums of all numbers up to each one along an axis.
///
/// - Shapes: as the input. Exclusive ones leave the number itself out; reversed ones begin at the end.
/// - Numerics: floats are added up in double.
/// - Gradient: the sums of `dy` from the other end.
/// - Source: ONNX `CumSum`, opset 14.
struct CumulativeSum: Primitive {
    let axis: Int
    let isExclusive: Bool
    let isReversed: Bool
    static var onnxName: String? { "CumSum" }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype != .bool else { throw .dtype(primitive: Self.name, expected: "numbers", inputs[0].dtype) }
        _ = try inputs[0].shape.place(of: axis, in: Self.name)
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<CumulativeSum> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.add(inputs[0], outputs[0], with: keel_reference_cumulative_sum) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.add(inputs[0], outputs[0], with: keel_cumulative_sum)
                return true
            })
    }

    private func add(
        _ input: Tensor, _ output: Tensor,
        with kernel: (keel_dtype, Int32, Int32, Int64, Int64, Int64, UnsafeMutableRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        let x = try input.contiguous()
        let (outer, n, inner) = x.shape.split(at: try x.shape.place(of: axis, in: Self.name))
        kernel(x.dtype.kernel, isExclusive ? 1 : 0, isReversed ? 1 : 0, Int64(outer), Int64(n), Int64(inner), output.bytes, x.bytes)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(CumulativeSum(axis: axis, isExclusive: isExclusive, isReversed: !isReversed), g.outputGradient))
    }
}

/// `s[i] = a[i] * s[i - 1] + b[i]` along an axis, from `s[0] = b[0]` on; from the end if reversed. A state that decays, a discounted return, and,
/// with `b = (x[0], 0, 0, ...)`, a running product.
///
/// - Shapes: `a` and `b` of one shape → the same.
/// - Numerics: computed in double.
/// - Gradient: `db` is the recurrence of `dy` from the other end with each factor one place on, `da[i] = db[i] * s[i - 1]`.
/// - Source: Blelloch, *Prefix Sums and Their Applications*, 1990, section 1.4.
struct LinearRecurrence: Primitive {
    let axis: Int
    let isReversed: Bool
    static var gradientReads: Reads { [.input(0), .output(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (a, b) = (inputs[0], inputs[1])
        guard a.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", a.dtype) }
        guard a.dtype == b.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, a.dtype, b.dtype)) }
        guard a.shape == b.shape else { throw .shape(primitive: Self.name, expected: "terms \(a.shape), as the factors", b.shape) }
        _ = try a.shape.place(of: axis, in: Self.name)
        return SpecList(a)
    }

    static var kernels: Kernels<LinearRecurrence> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.go(inputs, outputs[0], with: keel_reference_recurrence) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.go(inputs, outputs[0], with: keel_recurrence)
                return true
            })
    }

    private func go(
        _ inputs: Operands, _ output: Tensor,
        with kernel: (keel_dtype, Int32, Int64, Int64, Int64, UnsafeMutableRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        let a = try inputs[0].contiguous(), b = try inputs[1].contiguous()
        let (outer, n, inner) = a.shape.split(at: try a.shape.place(of: axis, in: Self.name))
        kernel(a.dtype.kernel, isReversed ? 1 : 0, Int64(outer), Int64(n), Int64(inner), output.bytes, a.bytes, b.bytes)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let n = try g.shape(0).size(axis)
        guard n > 0 else {
            try g.set(0, g.outputGradient)
            try g.set(1, g.outputGradient)
            return
        }
        /// By one place along the axis, against the way of the recurrence or with it, with a 0 for what comes in.
        func shifted(_ x: Tensor, back: Bool) throws(TensorError) -> Tensor {
            back != isReversed
                ? try x.sliced(axis, from: 1).padded(axis, before: 0, after: 1) : try x.sliced(axis, to: n - 1).padded(axis, before: 1, after: 0)
        }
        let db = try apply(LinearRecurrence(axis: axis, isReversed: !isReversed), shifted(g.input(0), back: true), g.outputGradient)
        if g.wants(0) { try g.set(0, try db * shifted(g.output(0), back: false)) }
        try g.set(1, db)
    }
}

extension Tensor {
    /// Sums of all numbers up to each one along an axis; without that one if exclusive, from the end if reversed.
    public func cumulativeSum(_ axis: Int, exclusive: Bool = false, reversed: Bool = false) throws(TensorError) -> Tensor {
        try apply(CumulativeSum(axis: axis, isExclusive: exclusive, isReversed: reversed), self)
    }

    /// `s[i] = factors[i] * s[i - 1] + self[i]` along an axis, from `s[0] = self[0]` on; from the end if reversed.
    ///
    /// - Shapes: `factors` as this tensor.
    public func recurrence(_ axis: Int, factors: Tensor, reversed: Bool = false) throws(TensorError) -> Tensor {
        try apply(LinearRecurrence(axis: axis, isReversed: reversed), factors, self)
    }

    /// Products of all numbers up to each one along an axis; without that one if exclusive, from the end if reversed. The gradient is
    /// exact where numbers are 0, too.
    public func cumulativeProduct(_ axis: Int, exclusive: Bool = false, reversed: Bool = false) throws(TensorError) -> Tensor {
        let n = try shape.size(try shape.place(of: axis, in: "CumulativeProduct"))
        guard n > 0 else { return self }
        // The first term is the first number, or 1; the others are 0, and the factors are the numbers.
        let end = reversed ? n - 1 : 0
        var first = try sliced(axis, from: end, to: end + 1), factors = self
        if exclusive {
            first = try Tensor.ones(first.shape, dtype, on: device)
            factors = reversed ? try sliced(axis, from: 1).padded(axis, before: 0, after: 1) : try sliced(axis, to: n - 1).padded(axis, before: 1, after: 0)
        }
        return try first.padded(axis, before: end, after: n - 1 - end).recurrence(axis, factors: factors, reversed: reversed)
    }
}
