import KeelKernels

/// A fully connected layer in whole numbers: `activation(x · weightᵀ + bias)` of activations of 8 bits and weights of 7. Programs are rewritten to it.
///
/// - Shapes: `x [..., k]`, `weight [n, k]` of uint8 whose zero is 128, `scales [n]`, optionally `bias [n]` → `[..., n]`.
/// - Gradient: none.
/// - Numerics: x is rounded to bytes by `input`, or, if that is nil, by the scale that covers all of x, so that what a row gives depends on its neighbours.
///   The sums are exact: all processors, and the plain loops, give the same numbers. A NaN in x counts as the least byte.
/// - Errors: `TensorError.argument` for weights further than 64 from 128, and for more than 131072 of an output.
/// - Source: ONNX `QuantizeLinear` or `DynamicQuantizeLinear`, `DequantizeLinear` and `MatMul`.
struct QuantisedAffine: Primitive {
    let input: ByteScale?
    let activation: Finish

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let own = try ByteWeights.specsOfFloats(Self.name, inputs)
        try ByteWeights.checkDepth(Self.name, inputs[1].shape)
        return try Affine().outputs(own)
    }

    static var kernels: Kernels<QuantisedAffine> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), scales = try inputs[2].contiguous(), y = outputs[0]
                let bias = inputs.count > 3 ? try inputs[3].contiguous() : nil, scale = p.input ?? ByteScale(of: x)
                try ByteWeights.checkReach(Self.name, weight)
                var end = ByteWeights.end(scales, bias, Finish(nil))
                keel_reference_quantised_product(
                    Int64(x.rowCount), Int64(weight.size(0)), Int64(weight.size(1)), y.pointer(Float.self), x.pointer(Float.self), scale.kernel,
                    weight.pointer(UInt8.self), &end)
                try p.activation.runReference(y)
                withExtendedLifetime((scales, bias)) {}
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), scales = try inputs[2].contiguous(), y = outputs[0]
                if y.count == 0 { return true }
                let bias = inputs.count > 3 ? try inputs[3].contiguous() : nil, scale = p.input ?? ByteScale(of: x)
                let (m, n, k) = (Int64(x.rowCount), Int64(weight.size(0)), Int64(weight.size(1)))
                let packed = try ByteWeights.packed(Self.name, weight, groups: 1)
                let scratch = try Storage(bytes: Int(keel_quantised_product_scratch(m, k)), on: .cpu)
                var end = ByteWeights.end(scales, bias, p.activation)
                keel_quantised_product(
                    keel_quantised_best_path(), m, n, k, y.pointer(Float.self), x.pointer(Float.self), scale.kernel, packed.base.assumingMemoryBound(to: Int8.self),
                    &end, scratch.base.assumingMemoryBound(to: UInt8.self))
                withExtendedLifetime((scales, bias, packed, scratch)) {}
                return true
            })
    }
}

extension Tensor {
    /// `affine` with weights of 7 bits, `[n, k]` and `scales [n]`; it has no gradient.
    ///
    /// - Parameter input: this tensor's scale, nil for the one that covers it.
    package func quantisedAffine(
        _ weight: Tensor, scales: Tensor, bias: Tensor? = nil, input: ByteScale?, _ rectifier: Rectifier = .none
    ) throws(TensorError) -> Tensor {
        try apply(QuantisedAffine(input: input, activation: Finish(rectifier)), [self, weight, scales] + [bias].compactMap { $0 })
    }
}
