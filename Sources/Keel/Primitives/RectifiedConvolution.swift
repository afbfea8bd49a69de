import KeelKernels

/// A convolution with what usually follows it: `rectifier(conv(x) + addend)`, in one pass over the result. Programs are rewritten to it.
///
/// - Shapes: as `Conv2D`, and last, if `hasAddend`, `addend [n, k, oh, ow]`.
/// - Gradient: none: a program that has gradients keeps what they read.
/// - Numerics: a NaN may come out as a limit of the rectifier.
/// - Source: ONNX `Conv`, `Add` and `Relu` or `Clip`.
struct RectifiedConv2D: InPlace {
    let convolution: Conv2D
    let hasAddend: Bool
    let rectifier: Rectifier
    static var makesBlocked: Bool { true }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var own = SpecList()
        for i in 0..<(inputs.count - (hasAddend ? 1 : 0)) { own.append(inputs[i]) }
        let made = try convolution.outputs(own)
        if hasAddend {
            let addend = inputs[inputs.count - 1]
            guard addend.dtype == made[0].dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, made[0].dtype, addend.dtype)) }
            guard addend.shape == made[0].shape else { throw .shape(primitive: Self.name, expected: "an addend \(made[0].shape)", addend.shape) }
        }
        return made
    }

    private func hasBias(_ inputs: Operands) -> Bool { inputs.count > (hasAddend ? 3 : 2) }

    func overwrites(_ input: Int, of count: Int) -> Bool { hasAddend && input == count - 1 }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        guard inputs[0].dtype == .float32, inputs[0].storage.place.isCPU, (try? output.shape.elementCount()) ?? 0 > 0, inputs[0].count > 0
        else { return .strided }
        let window = convolution.window(x: inputs[0].shape, weight: inputs[1].shape, y: output.shape)
        if window.suitsWinograd(keepsFilters: inputs[1].keepsForms) { return Winograd.layout }
        if window.suitsPatches(keepsFilters: inputs[1].keepsForms) { return PatchProduct.layout }
        return (try? OneDNN.convolution(.forward, window, hasBias: hasBias(inputs), adds: hasAddend, rectifier))?.layout ?? .strided
    }

    static var kernels: Kernels<RectifiedConv2D> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let y = outputs[0]
                let own = Operands(p.hasBias(inputs) ? [inputs[0], inputs[1], inputs[2]] : [inputs[0], inputs[1]])
                var addend = p.hasAddend ? inputs[inputs.count - 1] : nil
                if let given = addend, given.bytes == y.bytes { addend = try given.copied() }
                try Conv2D.kernels.reference(p.convolution, own, outputs)
                if let addend { try Add.kernels.reference(Add(), Operands(y, addend), outputs) }
                let limits = p.rectifier.limits
                if p.rectifier != .none { try Clip.kernels.reference(Clip(least: limits.least, most: limits.most), Operands(y), outputs) }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                let y = outputs[0]
                guard y.dtype == .float32, y.count > 0, inputs[0].count > 0 else { return false }
                let window = p.convolution.window(x: inputs[0].shape, weight: inputs[1].shape, y: y.shape)
                let bias = p.hasBias(inputs) ? try inputs[2].contiguous() : nil
                let addend = p.hasAddend ? try inputs[inputs.count - 1].laid(out: y.layout) : nil
                if let winograd = Winograd(window, KEEL_WINOGRAD_FORWARD, keepsFilters: inputs[1].keepsForms) {
                    try winograd.run(y, inputs[0], inputs[1], bias: bias, addend: addend, p.rectifier)
                    return true
                }
                if let product = PatchProduct(window, keepsFilters: inputs[1].keepsForms) {
                    try product.run(y, inputs[0], inputs[1], bias: bias, addend: addend, p.rectifier)
                    return true
                }
                if let addend, addend.bytes != y.bytes { y.bytes.copyMemory(from: addend.bytes, byteCount: y.descriptor.storageBytes) }
                let prepared = try OneDNN.convolution(.forward, window, hasBias: bias != nil, adds: addend != nil, p.rectifier)
                try OneDNN.run(prepared, [try inputs[0].forOneDNN(), try inputs[1].contiguous()] + [bias].compactMap { $0 } + [y])
                return true
            })
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        var y = try apply(convolution, Array(inputs.dropLast(hasAddend ? 1 : 0)))
        if hasAddend { y = try y + inputs[inputs.count - 1] }
        return [try rectifier(y)]
    }
}

extension Tensor {
    /// `rectifier(conv2D(...) + addend)` in one pass; it has no gradient.
    package func conv2D(
        _ weight: Tensor, bias: Tensor?, sliding: Sliding, groups: Int = 1, adding addend: Tensor?, _ rectifier: Rectifier
    ) throws(TensorError) -> Tensor {
        let primitive = RectifiedConv2D(convolution: Conv2D(sliding: sliding, groups: groups), hasAddend: addend != nil, rectifier: rectifier)
        return try apply(primitive, [self, weight] + [bias, addend].compactMap { $0 })
    }
}
