import KeelKernels

/// `e^x / Σ e^x` along the last axis; the largest number is subtracted first, so large ones don't overflow.
///
/// - Gradient: `y * (dy - Σ dy * y)`.
/// - Source: ONNX `Softmax`, opset 13, with the last axis.
struct Softmax: Primitive {
    static var onnxName: String? { "Softmax" }
    static var gradientReads: Reads { .output(0) }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { try alongLast(inputs[0], Self.name) }
    static var kernels: Kernels<Softmax> {
        .alongRows(keel_reference_softmax_f32, keel_reference_softmax_f64, keel_softmax_f32)
    }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(SoftmaxGradient(), g.outputGradient, g.output(0))) }
}

/// `y * (dy - Σ dy * y)` of `(dy, y)`.
struct SoftmaxGradient: Primitive {
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }
    static var kernels: Kernels<SoftmaxGradient> {
        .alongRows2(keel_reference_softmax_gradient_f32, keel_reference_softmax_gradient_f64, keel_softmax_gradient_f32)
    }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, y, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(self, d, y)) }
        if g.wants(1) {
            let inner = try (dy * y).sum([-1], keepingAxes: true), outer = try (d * y).sum([-1], keepingAxes: true)
            try g.set(1, try d * (dy - inner) - dy * outer)
        }
    }
}

/// The logarithm of softmax along the last axis, without the detour.
///
/// - Gradient: `dy - e^y * Σ dy`.
/// - Source: ONNX `LogSoftmax`, opset 13, with the last axis.
struct LogSoftmax: Primitive {
    static var onnxName: String? { "LogSoftmax" }
    static var gradientReads: Reads { .output(0) }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { try alongLast(inputs[0], Self.name) }
    static var kernels: Kernels<LogSoftmax> {
        .alongRows(keel_reference_log_softmax_f32, keel_reference_log_softmax_f64, keel_log_softmax_f32)
    }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(LogSoftmaxGradient(), g.outputGradient, g.output(0))) }
}

/// `dy - e^y * Σ dy` of `(dy, y)`.
struct LogSoftmaxGradient: Primitive {
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }
    static var kernels: Kernels<LogSoftmaxGradient> {
        .alongRows2(keel_reference_log_softmax_gradient_f32, keel_reference_log_softmax_gradient_f64, keel_log_softmax_gradient_f32)
    }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, y, d) = (g.input(0), g.input(1), g.outputGradient)
        let probabilities = try y.exp()
        let spread = try (d * probabilities).sum([-1], keepingAxes: true)
        if g.wants(0) { try g.set(0, try d - spread) }
        if g.wants(1) { try g.set(1, try (d * probabilities * dy.sum([-1], keepingAxes: true)).negated()) }
    }
}

private func alongLast(_ x: TensorSpec, _ name: String) throws(TensorError) -> SpecList {
    guard x.dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", x.dtype) }
    guard x.shape.rank >= 1 else { throw .rank(primitive: name, expected: "one axis at least", x.shape) }
    return SpecList(x)
}

extension Kernels {
    fileprivate typealias Rows<T> = @Sendable (Int64, Int64, UnsafeMutablePointer<T>?, UnsafePointer<T>?) -> Void
    fileprivate typealias Rows2<T> = @Sendable (Int64, Int64, UnsafeMutablePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?) -> Void

    fileprivate static func alongRows(_ single: @escaping Rows<Float>, _ double: @escaping Rows<Double>, _ fast: @escaping Rows<Float>) -> Kernels {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                let (rows, n) = x.rows
                if x.dtype == .float32 { single(rows, n, outputs[0].pointer(Float.self), x.pointer(Float.self)) } else {
                    double(rows, n, outputs[0].pointer(Double.self), x.pointer(Double.self))
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous()
                let (rows, n) = x.rows
                fast(rows, n, outputs[0].pointer(Float.self), x.pointer(Float.self))
                return true
            })
    }

    fileprivate static func alongRows2(_ single: @escaping Rows2<Float>, _ double: @escaping Rows2<Double>, _ fast: @escaping Rows2<Float>) -> Kernels {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous(), b = try inputs[1].contiguous()
                let (rows, n) = a.rows
                if a.dtype == .float32 { single(rows, n, outputs[0].pointer(Float.self), a.pointer(Float.self), b.pointer(Float.self)) } else {
                    double(rows, n, outputs[0].pointer(Double.self), a.pointer(Double.self), b.pointer(Double.self))
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let a = try inputs[0].contiguous(), b = try inputs[1].contiguous()
                let (rows, n) = a.rows
                fast(rows, n, outputs[0].pointer(Float.self), a.pointer(Float.self), b.pointer(Float.self))
                return true
            })
    }
}

extension Tensor {
    /// `e^x / Σ e^x` along an axis.
    public func softmax(_ axis: Int = -1) throws(TensorError) -> Tensor { try alongLastAxis(axis) { x throws(TensorError) in try apply(Softmax(), x) } }

    /// The logarithm of softmax along an axis.
    public func logSoftmax(_ axis: Int = -1) throws(TensorError) -> Tensor {
        try alongLastAxis(axis) { x throws(TensorError) in try apply(LogSoftmax(), x) }
    }

    private func alongLastAxis(_ axis: Int, _ body: (Tensor) throws(TensorError) -> Tensor) throws(TensorError) -> Tensor {
        let place = try shape.place(of: axis, in: Softmax.name)
        return place == rank - 1 ? try body(self) : try body(transposed(place, -1)).transposed(place, -1)
    }
}
