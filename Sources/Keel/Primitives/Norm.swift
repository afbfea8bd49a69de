import KeelKernels

/// The length of all numbers taken as one vector: the square root of the sum of their squares, computed in double.
///
/// - Shapes: any → `[]`.
/// - Gradient: `dy * x / y`, 0 where all numbers are 0.
/// - Source: ONNX `ReduceL2`, opset 18, over all axes.
struct Norm: Primitive {
    static var gradientReads: Reads { [.input(0), .output(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        return SpecList(TensorSpec(Shape(), inputs[0].dtype))
    }

    static var kernels: Kernels<Norm> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                if x.dtype == .float32 {
                    outputs[0].pointer(Float.self).pointee = Float(keel_reference_sum_of_squares_f32(Int64(x.count), x.pointer(Float.self)).squareRoot())
                } else {
                    outputs[0].pointer(Double.self).pointee = keel_reference_sum_of_squares_f64(Int64(x.count), x.pointer(Double.self)).squareRoot()
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous()
                outputs[0].pointer(Float.self).pointee = Float(keel_sum_of_squares_f32(Int64(x.count), x.pointer(Float.self)).squareRoot())
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let y = g.output(0)
        // The length of nothing is divided by as if it were 1.
        let length = try y.equals(Tensor.zeros(Shape(), y.dtype, on: y.device)).select(Tensor.ones(Shape(), y.dtype, on: y.device), y)
        try g.set(0, try g.input(0) * (g.outputGradient / length))
    }
}

extension Tensor {
    /// The length of all numbers taken as one vector, as a scalar tensor; computed in double.
    public func norm() throws(TensorError) -> Tensor { try apply(Norm(), self) }
}
