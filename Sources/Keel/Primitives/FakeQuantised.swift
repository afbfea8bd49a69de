import KeelKernels

/// Each number as the nearest of 256 steps: `(q - zero) * scale`, where `q = round(x / scale) + zero`, clipped to 0...255.
///
/// - Shapes: `x [...]` float32 → the same.
/// - Gradient: none: programs have it where a model's numbers become bytes and floats again.
/// - Numerics: bit for bit what the operators give. NaN becomes the first step.
/// - Source: ONNX `QuantizeLinear` or, where no scale is known, `DynamicQuantizeLinear`; `DequantizeLinear`.
struct FakeQuantised: Primitive {
    /// Nil for one of the numbers' own range.
    let scale: ByteScale?

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let dtype = inputs[0].dtype
        guard dtype.isFloat, dtype != .float64 else { throw .dtype(primitive: Self.name, expected: "floats", dtype) }
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<FakeQuantised> {
        Kernels(reference: { p, inputs, outputs throws(TensorError) in
            let x = try inputs[0].contiguous(), scale = p.scale ?? ByteScale(of: x)
            keel_fake_quantised_f32(Int64(x.count), outputs[0].pointer(Float.self), x.pointer(Float.self), scale.scale, Int32(scale.zero))
            withExtendedLifetime(x) {}
        })
    }
}

extension Tensor {
    /// Rounded to 256 steps, and back; of the numbers' own range where no scale is given. It has no gradient.
    package func fakeQuantised(_ scale: ByteScale?) throws(TensorError) -> Tensor { try apply(FakeQuantised(scale: scale), self) }
}
