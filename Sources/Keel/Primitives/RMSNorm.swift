import KeelKernels

/// Normalisation over the last axis by the root mean square alone: `y = x / √(mean(x²) + ε) * scale`.
///
/// - Shapes: `x [..., n]`, `scale [n]`. Residual: each row's `1 / √(mean(x²) + ε)`.
/// - Gradient: `RMSNormGradient`.
/// - Errors: `TensorError.rank` for a last axis of nothing; `TensorError.shape` for another scale.
/// - Source: Zhang and Sennrich, 2019. ONNX `RMSNormalization`, opset 23.
struct RMSNorm: Primitive {
    let epsilon: Double
    static var onnxName: String? { "RMSNormalization" }
    static var gradientReads: Reads { [.input(0), .input(1), .residual(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, scale) = (inputs[0], inputs[1])
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard x.shape.rank >= 1, x.shape[-1].number != 0 else { throw .rank(primitive: Self.name, expected: "a last axis of one number at least", x.shape) }
        guard scale.dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, scale.dtype)) }
        guard scale.shape == Shape(x.shape[-1]) else { throw .shape(primitive: Self.name, expected: "[\(x.shape[-1])]", scale.shape) }
        return SpecList(x)
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(TensorSpec(inputs[0].shape.dropLast(1), inputs[0].dtype)) }

    static var kernels: Kernels<RMSNorm> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), scale = try inputs[1].contiguous()
                let (rows, n) = x.rows
                let inverse = try p.inverse(outputs, x)
                if x.dtype == .float32 {
                    keel_reference_rms_norm_f32(
                        rows, n, p.epsilon, outputs[0].pointer(Float.self), inverse.pointer(Float.self), x.pointer(Float.self),
                        scale.pointer(Float.self))
                } else {
                    keel_reference_rms_norm_f64(
                        rows, n, p.epsilon, outputs[0].pointer(Double.self), inverse.pointer(Double.self), x.pointer(Double.self),
                        scale.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous(), scale = try inputs[1].contiguous()
                let (rows, n) = x.rows
                let inverse = try p.inverse(outputs, x)
                keel_rms_norm_f32(
                    rows, n, Float(p.epsilon), outputs[0].pointer(Float.self), inverse.pointer(Float.self), x.pointer(Float.self),
                    scale.pointer(Float.self))
                return true
            })
    }

    private func inverse(_ outputs: Operands, _ x: Tensor) throws(TensorError) -> Tensor {
        outputs.count > 1 ? outputs[1] : try Tensor(undefined: TensorSpec(x.shape.dropLast(1), x.dtype), on: x.device)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let found = try applyMany(RMSNormGradient(), [g.outputGradient, g.input(0), g.input(1), g.residual(0)])
        for i in 0..<2 where g.wants(i) { try g.set(i, found[i]) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let square = try inputs[0].squared().mean([-1], keepingAxes: true)
        return [try inputs[0] / (square + epsilon).squareRoot() * inputs[1]]
    }
}

/// What goes back through `RMSNorm`: `(dy, x, scale, inverse)` → `dx, dscale`.
struct RMSNormGradient: Primitive {
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList([inputs[1], inputs[2]]) }

    static var kernels: Kernels<RMSNormGradient> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous(), scale = try inputs[2].contiguous()
                let inverse = try inputs[3].contiguous()
                let (rows, n) = x.rows
                if x.dtype == .float32 {
                    keel_reference_rms_norm_gradient_f32(
                        rows, n, outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), dy.pointer(Float.self), x.pointer(Float.self),
                        scale.pointer(Float.self), inverse.pointer(Float.self))
                } else {
                    keel_reference_rms_norm_gradient_f64(
                        rows, n, outputs[0].pointer(Double.self), outputs[1].pointer(Double.self), dy.pointer(Double.self),
                        x.pointer(Double.self), scale.pointer(Double.self), inverse.pointer(Double.self))
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous(), scale = try inputs[2].contiguous()
                let inverse = try inputs[3].contiguous()
                let (rows, n) = x.rows
                keel_rms_norm_gradient_f32(
                    rows, n, outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), dy.pointer(Float.self), x.pointer(Float.self),
                    scale.pointer(Float.self), inverse.pointer(Float.self))
                return true
            })
    }
}

extension Tensor {
    /// Normalisation over the last axis by the root mean square: `x / √(mean(x²) + ε) * scale`.
    ///
    /// - Shapes: self `[..., n]`, `scale [n]` → as self.
    /// - Source: Zhang and Sennrich, 2019.
    public func rmsNormalised(scale: Tensor, epsilon: Double = 1e-6) throws(TensorError) -> Tensor {
        try apply(RMSNorm(epsilon: epsilon), self, scale)
    }
}
