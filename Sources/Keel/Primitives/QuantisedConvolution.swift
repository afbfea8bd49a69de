import KeelKernels

/// A convolution in whole numbers: `rectifier(conv(x) + addend)` of activations of 8 bits and weights of 7. Programs are rewritten to it.
///
/// - Shapes: as `RectifiedConv2D`, but for `scales [k]` after the weights: `x [n, c, h, w]`, `weight [k, c / groups, kh, kw]` of uint8 whose zero is 128,
///   optionally `bias [k]`, and last, if `hasAddend`, `addend [n, k, oh, ow]` → `[n, k, oh, ow]`.
/// - Gradient: none.
/// - Numerics: as those of `QuantisedAffine`.
/// - Errors: as `Conv2D`; `TensorError.argument` for weights further than 64 from 128, and for more than 131072 of an output.
/// - Source: ONNX `QuantizeLinear`, `DequantizeLinear`, `Conv`, `Add` and `Relu` or `Clip`.
struct QuantisedConv2D: InPlace {
    let convolution: Conv2D
    let input: ByteScale
    let hasAddend: Bool
    let rectifier: Rectifier

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let own = try ByteWeights.specsOfFloats(Self.name, inputs)
        try ByteWeights.checkDepth(Self.name, inputs[1].shape)
        return try RectifiedConv2D(convolution: convolution, hasAddend: hasAddend, rectifier: rectifier).outputs(own)
    }

    static var makesBlocked: Bool { true }
    static var takesBlocked: Bool { true }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        guard inputs[0].dtype == .float32, inputs[0].storage.place.isCPU, convolution.groups == 1, (try? output.shape.elementCount()) ?? 0 > 0 else { return .strided }
        return Winograd.layout
    }

    func overwrites(_ input: Int, of count: Int) -> Bool { hasAddend && input == count - 1 }

    static var kernels: Kernels<QuantisedConv2D> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), y = outputs[0], following = try p.following(inputs, y)
                try ByteWeights.checkReach(Self.name, weight)
                var window = p.convolution.window(x: x.shape, weight: weight.shape, y: y.shape).kernel, end = p.end(following)
                keel_reference_quantised_conv(
                    &window, y.pointer(Float.self), x.pointer(Float.self), p.input.kernel, weight.pointer(UInt8.self), &end)
                withExtendedLifetime(following) {}
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].poolable(), weight = try inputs[1].contiguous(), y = outputs[0], following = try p.following(inputs, y)
                if y.count == 0 { return true }
                var window = p.convolution.window(x: x.shape, weight: weight.shape, y: y.shape).kernel, end = p.end(following)
                let path = keel_quantised_best_path()
                // Filters that are transformed once.
                if weight.keepsForms, keel_quantised_winograd_is_faster(path, &window) != 0 {
                    let filters = try weight.packed(.byteWinograd, bytes: Int(keel_quantised_winograd_filter_bytes(&window))) { start throws(TensorError) in
                        try ByteWeights.checkReach(Self.name, weight)
                        keel_quantised_winograd_filters(&window, start.assumingMemoryBound(to: Int16.self), weight.pointer(UInt8.self))
                    }
                    let scratch = try Storage(bytes: Int(keel_quantised_winograd_scratch(&window)), on: .cpu)
                    keel_quantised_winograd(
                        &window, y.pointer(Float.self), Int64(y.planes.1), x.pointer(Float.self), Int64(x.planes.1), p.input.kernel,
                        filters.base.assumingMemoryBound(to: Int16.self), &end, scratch.base.assumingMemoryBound(to: UInt8.self))
                    withExtendedLifetime((following, filters, scratch)) {}
                    return true
                }
                let packed = try ByteWeights.packed(Self.name, weight, groups: p.convolution.groups)
                let scratch = try Storage(bytes: max(Int(keel_quantised_conv_scratch(&window)), 1), on: .cpu)
                keel_quantised_conv(
                    path, &window, y.pointer(Float.self), Int64(y.planes.1), x.pointer(Float.self), Int64(x.planes.1), p.input.kernel,
                    packed.base.assumingMemoryBound(to: Int8.self), &end, scratch.base.assumingMemoryBound(to: UInt8.self))
                withExtendedLifetime((following, packed, scratch)) {}
                return true
            })
    }

    /// Scales, a bias and an addend that lies as the result.
    private func following(_ inputs: Operands, _ y: Tensor) throws(TensorError) -> (scales: Tensor, bias: Tensor?, addend: Tensor?) {
        let hasBias = inputs.count > (hasAddend ? 4 : 3)
        return (
            try inputs[2].contiguous(), hasBias ? try inputs[3].contiguous() : nil, hasAddend ? try inputs[inputs.count - 1].laid(out: y.layout) : nil)
    }

    private func end(_ following: (scales: Tensor, bias: Tensor?, addend: Tensor?)) -> keel_quantised_end {
        keel_quantised_end(
            scales: following.scales.pointer(Float.self), bias: following.bias?.pointer(Float.self), addend: following.addend?.pointer(Float.self),
            least: Float(rectifier.limits.least), most: Float(rectifier.limits.most), has_function: 0, function: KEEL_SCALE, constants: (1, 0))
    }
}

extension Tensor {
    /// `rectifier(conv2D(...) + addend)` with weights of 7 bits, `[k, c / groups, kh, kw]` and `scales [k]`; it has no gradient.
    ///
    /// - Parameter input: this tensor's scale.
    package func quantisedConv2D(
        _ weight: Tensor, scales: Tensor, bias: Tensor? = nil, input: ByteScale, sliding: Sliding = Sliding(), groups: Int = 1, adding addend: Tensor? = nil,
        _ rectifier: Rectifier = .none
    ) throws(TensorError) -> Tensor {
        let primitive = QuantisedConv2D(
            convolution: Conv2D(sliding: sliding, groups: groups), input: input, hasAddend: addend != nil, rectifier: rectifier)
        return try apply(primitive, [self, weight, scales] + [bias, addend].compactMap { $0 })
    }
}
