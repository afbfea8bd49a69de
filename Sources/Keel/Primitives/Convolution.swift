import KeelKernels

/// Two-dimensional convolution (correlation, as all frameworks have it).
///
/// - Shapes: `x [n, c, h, w]`, `weight [k, c / groups, kh, kw]`, optionally `bias [k]` → `[n, k, oh, ow]`.
/// - Gradient: by the two primitives below; of the bias, `dy` summed over images and positions.
/// - Errors: `TensorError.rank`, `TensorError.shape` where channels don't fit, `TensorError.argument` for a window larger than the
///   padded picture.
/// - Source: ONNX `Conv`, opset 11.
struct Conv2D: Primitive {
    let sliding: Sliding
    let groups: Int
    static var onnxName: String? { "Conv" }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    static var makesBlocked: Bool { true }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, weight) = (inputs[0].shape, inputs[1].shape)
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        for i in 1..<inputs.count where inputs[i].dtype != inputs[0].dtype {
            throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, inputs[i].dtype))
        }
        guard x.rank == 4 else { throw .rank(primitive: Self.name, expected: "a picture [n, c, h, w]", x) }
        guard weight.rank == 4 else { throw .rank(primitive: Self.name, expected: "weights [k, c / groups, kh, kw]", weight) }
        try sliding.check(Self.name)
        let (c, k, kernel) = (try x.size(1), try weight.size(0), (height: try weight.size(2), width: try weight.size(3)))
        guard groups >= 1, k % groups == 0, c % groups == 0, try weight.size(1) == c / groups, kernel.height >= 1, kernel.width >= 1 else {
            throw .shape(primitive: Self.name, expected: "weights [k, c / \(groups), kh, kw] that fit \(x), k a multiple of \(groups)", weight)
        }
        if inputs.count > 2, inputs[2].shape != [k] { throw .shape(primitive: Self.name, expected: "a bias [\(k)]", inputs[2].shape) }
        return SpecList(
            TensorSpec(
                Shape(
                    x[0], weight[0], try sliding.outputSize(x[2], kernel: kernel.height, isHeight: true, Self.name),
                    try sliding.outputSize(x[3], kernel: kernel.width, isHeight: false, Self.name)), inputs[0].dtype))
    }

    func window(x: Shape, weight: Shape, y: Shape) -> Window {
        sliding.window(
            n: x[0].bits, c: x[1].bits, h: x[2].bits, w: x[3].bits, k: weight[0].bits, oh: y[2].bits, ow: y[3].bits,
            kernel: (weight[2].bits, weight[3].bits), groups: groups)
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        // An activation that is plain stays plain where convolution would gain nothing; errors surface when the kernel runs.
        guard inputs[0].dtype == .float32, inputs[0].storage.place.isCPU, (try? output.shape.elementCount()) ?? 0 > 0, inputs[0].count > 0
        else { return .strided }
        let window = window(x: inputs[0].shape, weight: inputs[1].shape, y: output.shape)
        if window.suitsWinograd() { return Winograd.layout }
        return (try? OneDNN.convolution(.forward, window, hasBias: inputs.count > 2))?.layout ?? .strided
    }

    static var kernels: Kernels<Conv2D> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var window = p.window(x: inputs[0].shape, weight: inputs[1].shape, y: outputs[0].shape).kernel
                let (x, weight) = (try inputs[0].contiguous(), try inputs[1].contiguous())
                let bias = inputs.count > 2 ? try inputs[2].contiguous() : nil
                if x.dtype == .float32 {
                    keel_reference_conv_f32(
                        &window, outputs[0].pointer(Float.self), x.pointer(Float.self), weight.pointer(Float.self), bias?.pointer(Float.self))
                } else {
                    keel_reference_conv_f64(
                        &window, outputs[0].pointer(Double.self), x.pointer(Double.self), weight.pointer(Double.self), bias?.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32, outputs[0].count > 0, inputs[0].count > 0 else { return false }
                let window = p.window(x: inputs[0].shape, weight: inputs[1].shape, y: outputs[0].shape)
                if let winograd = Winograd(window, KEEL_WINOGRAD_FORWARD) {
                    try winograd.run(outputs[0], inputs[0], inputs[1], bias: inputs.count > 2 ? inputs[2] : nil)
                    return true
                }
                var tensors = [try inputs[0].forOneDNN(), try inputs[1].contiguous()]
                if inputs.count > 2 { tensors.append(try inputs[2].contiguous()) }
                tensors.append(outputs[0])
                try OneDNN.run(try OneDNN.convolution(.forward, window, hasBias: inputs.count > 2), tensors)
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, weight, dy) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(Conv2DInputGradient(convolution: self, input: x.shape), dy, weight)) }
        if g.wants(1) { try g.set(1, try apply(Conv2DWeightGradient(convolution: self, weight: weight.shape), x, dy)) }
        if g.wants(2) { try g.set(2, try dy.sum([0, 2, 3])) }
    }
}

/// The gradient of a convolution with respect to its picture; also the transposed convolution.
///
/// - Shapes: `dy [n, k, oh, ow]`, `weight [k, c / groups, kh, kw]` → `[n, c, h, w]`.
struct Conv2DInputGradient: Primitive {
    let convolution: Conv2D
    let input: Shape
    static var gradientReads: Reads { [.input(0), .input(1)] }
    static var makesBlocked: Bool { true }
    static var takesBlocked: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Conv2DInputGradient { Conv2DInputGradient(convolution: convolution, input: try input.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let made = try convolution.outputs(SpecList([TensorSpec(input, inputs[1].dtype), inputs[1]]))
        guard made[0] == inputs[0] else { throw .shape(primitive: Self.name, expected: "\(made[0])", inputs[0].shape) }
        return SpecList(TensorSpec(input, inputs[0].dtype))
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout {
        guard output.dtype == .float32, inputs[0].storage.place.isCPU, inputs[0].count > 0, (try? output.shape.elementCount()) ?? 0 > 0
        else { return .strided }
        let window = convolution.window(x: input, weight: inputs[1].shape, y: inputs[0].shape)
        if window.suitsWinograd() { return Winograd.layout }
        return (try? OneDNN.convolution(.inputGradient, window))?.layout ?? .strided
    }

    static var kernels: Kernels<Conv2DInputGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var window = p.convolution.window(x: p.input, weight: inputs[1].shape, y: inputs[0].shape).kernel
                let (dy, weight) = (try inputs[0].contiguous(), try inputs[1].contiguous())
                if dy.dtype == .float32 {
                    keel_reference_conv_input_gradient_f32(&window, outputs[0].pointer(Float.self), dy.pointer(Float.self), weight.pointer(Float.self))
                } else {
                    keel_reference_conv_input_gradient_f64(
                        &window, outputs[0].pointer(Double.self), dy.pointer(Double.self), weight.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32, outputs[0].count > 0, inputs[0].count > 0 else { return false }
                let window = p.convolution.window(x: p.input, weight: inputs[1].shape, y: inputs[0].shape)
                if let winograd = Winograd(window, KEEL_WINOGRAD_INPUT_GRADIENT) {
                    try winograd.run(outputs[0], inputs[0], inputs[1])
                    return true
                }
                try OneDNN.run(
                    try OneDNN.convolution(.inputGradient, window), [try inputs[0].forOneDNN(), try inputs[1].contiguous(), outputs[0]])
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, weight, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(convolution, d, weight)) }
        if g.wants(1) { try g.set(1, try apply(Conv2DWeightGradient(convolution: convolution, weight: weight.shape), d, dy)) }
    }
}

/// The gradient of a convolution with respect to its weights.
///
/// - Shapes: `x [n, c, h, w]`, `dy [n, k, oh, ow]` → `[k, c / groups, kh, kw]`.
struct Conv2DWeightGradient: Primitive {
    let convolution: Conv2D
    let weight: Shape
    static var gradientReads: Reads { [.input(0), .input(1)] }
    static var takesBlocked: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Conv2DWeightGradient { Conv2DWeightGradient(convolution: convolution, weight: try weight.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let made = try convolution.outputs(SpecList([inputs[0], TensorSpec(weight, inputs[0].dtype)]))
        guard made[0] == inputs[1] else { throw .shape(primitive: Self.name, expected: "\(made[0])", inputs[1].shape) }
        return SpecList(TensorSpec(weight, inputs[0].dtype))
    }

    static var kernels: Kernels<Conv2DWeightGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var window = p.convolution.window(x: inputs[0].shape, weight: p.weight, y: inputs[1].shape).kernel
                let (x, dy) = (try inputs[0].contiguous(), try inputs[1].contiguous())
                if x.dtype == .float32 {
                    keel_reference_conv_weight_gradient_f32(&window, outputs[0].pointer(Float.self), x.pointer(Float.self), dy.pointer(Float.self))
                } else {
                    keel_reference_conv_weight_gradient_f64(
                        &window, outputs[0].pointer(Double.self), x.pointer(Double.self), dy.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32, inputs[1].count > 0, inputs[0].count > 0 else { return false }
                let window = p.convolution.window(x: inputs[0].shape, weight: p.weight, y: inputs[1].shape)
                if let winograd = Winograd(window, KEEL_WINOGRAD_FORWARD) {
                    try winograd.runWeightGradient(outputs[0], inputs[0], inputs[1])
                    return true
                }
                if window.hasOwnDepthwiseGradient {
                    try window.depthwiseWeightGradient(outputs[0], inputs[0], inputs[1])
                    return true
                }
                try OneDNN.run(
                    try OneDNN.convolution(.weightGradient, window), [try inputs[0].forOneDNN(), try inputs[1].forOneDNN(), outputs[0]])
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, dy, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(Conv2DInputGradient(convolution: convolution, input: x.shape), dy, d)) }
        if g.wants(1) { try g.set(1, try apply(convolution, x, d)) }
    }
}

extension Tensor {
    /// Dense, or blocked as oneDNN knows it.
    func forOneDNN() throws(TensorError) -> Tensor { descriptor.isBlocked ? self : try contiguous() }

    /// Two-dimensional convolution.
    ///
    /// - Shapes: self `[n, c, h, w]`, `weight [k, c / groups, kh, kw]`, `bias [k]` → `[n, k, oh, ow]`.
    public func conv2D(_ weight: Tensor, bias: Tensor? = nil, sliding: Sliding = Sliding(), groups: Int = 1) throws(TensorError) -> Tensor {
        let convolution = Conv2D(sliding: sliding, groups: groups)
        return if let bias { try apply(convolution, self, weight, bias) } else { try apply(convolution, self, weight) }
    }
}
