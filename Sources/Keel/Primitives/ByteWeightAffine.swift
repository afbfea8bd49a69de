import KeelKernels

/// A fully connected layer with weights of 8 bits and activations as they are: `activation(x · weightᵀ + bias)`. Programs are rewritten to it where reading
/// the weights takes most of the time.
///
/// - Shapes: `x [..., k]`, `weight [n, k]` of uint8 whose zero is 128, `scales [n]`, optionally `bias [n]` → `[..., n]`.
/// - Gradient: none.
/// - Numerics: the sums have another order than those of `Affine`, and one of a single row is of whole numbers times x.
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
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), scales = try inputs[2].contiguous(), y = outputs[0]
                if y.count == 0 { return true }
                let bias = inputs.count > 3 ? try inputs[3].contiguous() : nil
                let (m, n, k) = (Int64(x.rowCount), Int64(weight.size(0)), Int64(weight.size(1)))
                var end = ByteWeights.end(scales, bias, p.activation)
                if m == 1 {
                    keel_byte_weight_row_product(n, k, y.pointer(Float.self), x.pointer(Float.self), weight.pointer(UInt8.self), &end)
                } else {
                    let packed = try weight.packed(.bytePanels, bytes: max(Int(keel_byte_weight_packed_bytes(k, n)), 1)) { start in
                        keel_byte_weight_pack(k, n, start.assumingMemoryBound(to: UInt8.self), weight.pointer(UInt8.self))
                    }
                    keel_byte_weight_product(m, n, k, y.pointer(Float.self), x.pointer(Float.self), packed.base.assumingMemoryBound(to: UInt8.self), &end)
                }
                withExtendedLifetime((x, weight, scales, bias)) {}
                return true
            })
    }
}

extension Tensor {
    /// `affine` with weights of 8 bits, `[n, k]` and `scales [n]`; it has no gradient.
    package func byteWeightAffine(_ weight: Tensor, scales: Tensor, bias: Tensor? = nil, _ rectifier: Rectifier = .none) throws(TensorError) -> Tensor {
        try apply(ByteWeightAffine(activation: Finish(rectifier)), [self, weight, scales] + [bias].compactMap { $0 })
    }
}
