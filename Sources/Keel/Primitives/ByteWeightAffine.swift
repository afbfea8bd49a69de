import KeelKernels

/// A fully connected layer with weights of 8 bits and activations as they are: `activation(x · weightᵀ + bias)`. Programs are rewritten to it where reading
/// the weights takes most of the time.
///
/// - Shapes: `x [..., k]`, `weight [n, k]` of uint8 whose zero is 128, `scales [n]`, optionally `bias [n]` → `[..., n]`.
/// - Gradient: none.
/// - Source: ONNX `DequantizeLinear` and `MatMul`.
struct ByteWeightAffine: Primitive {
    let activation: Finish

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { try Affine().outputs(ByteWeights.specsOfFloats(Self.name, inputs)) }

    static var kernels: Kernels<ByteWeightAffine> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), scales = try inputs[2].contiguous(), y = outputs[0]
                let bias = inputs.count > 3 ? try inputs[3].contiguous() : nil
                keel_reference_byte_weight_product(
                    Int64(x.rowCount), Int64(weight.size(0)), Int64(weight.size(1)), y.pointer(Float.self), x.pointer(Float.self), weight.pointer(UInt8.self),
                    scales.pointer(Float.self), bias?.pointer(Float.self))
                try p.activation.runReference(y)
            })
    }
}

extension Tensor {
    /// `affine` with weights of 8 bits, `[n, k]` and `scales [n]`; it has no gradient.
    package func byteWeightAffine(_ weight: Tensor, scales: Tensor, bias: Tensor? = nil, _ rectifier: Rectifier = .none) throws(TensorError) -> Tensor {
        try apply(ByteWeightAffine(activation: Finish(rectifier)), [self, weight, scales] + [bias].compactMap { $0 })
    }
}
