import KeelKernels

/// The angle whose tangent is `x`, in radians, in -π/2...π/2. Gradient: `dy / (1 + x²)`. Source: ONNX `Atan`, opset 7.
struct Arctangent: Primitive {
    static var onnxName: String? { "Atan" }
    static var gradientReads: Reads { .input(0) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<Arctangent> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                if x.dtype == .float32 {
                    keel_reference_arctangent_f32(Int64(x.count), outputs[0].pointer(Float.self), x.pointer(Float.self))
                } else {
                    keel_reference_arctangent_f64(Int64(x.count), outputs[0].pointer(Double.self), x.pointer(Double.self))
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous()
                keel_arctangent_f32(Int64(x.count), outputs[0].pointer(Float.self), x.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try g.outputGradient / (g.input(0).squared() + 1))
    }
}

extension Tensor {
    /// The angle whose tangent is each number, in radians, in -π/2...π/2.
    public func arctangent() throws(TensorError) -> Tensor { try apply(Arctangent(), self) }
}
