import KeelKernels

/// The largest number in each window; padding never wins.
///
/// - Shapes: `[n, c, h, w]` → `[n, c, oh, ow]`. Residual: where the winner stood.
/// - Gradient: `dy` to the winner, the first of equals.
/// - Source: ONNX `MaxPool`, opset 12.
struct MaxPool2D: Primitive {
    let kernel: Pair
    let sliding: Sliding
    static var onnxName: String? { "MaxPool" }
    static var gradientReads: Reads { .residual(0) }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(try pooled(inputs[0], kernel, sliding, Self.name)) }
    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        SpecList(TensorSpec(try pooled(inputs[0], kernel, sliding, Self.name).shape, .int32))
    }
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<MaxPool2D> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                let places = outputs.count > 1 ? outputs[1] : try Tensor(undefined: TensorSpec(outputs[0].shape, .int32), on: x.device)
                var window = window(p.kernel, p.sliding, x.shape, outputs[0].shape).kernel
                let planes = Int64(x.size(0) * x.size(1))
                if x.dtype == .float32 {
                    keel_reference_max_pool_f32(&window, planes, outputs[0].pointer(Float.self), places.pointer(Int32.self), x.pointer(Float.self))
                } else {
                    keel_reference_max_pool_f64(&window, planes, outputs[0].pointer(Double.self), places.pointer(Int32.self), x.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].poolable(), places = outputs.count > 1 ? outputs[1] : nil
                var window = window(p.kernel, p.sliding, x.shape, outputs[0].shape).kernel
                let (planes, lanes) = x.planes
                keel_max_pool_f32(&window, planes, lanes, outputs[0].pointer(Float.self), places?.pointer(Int32.self), x.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(MaxPool2DGradient(pool: self, input: g.shape(0)), g.outputGradient, g.residual(0)))
    }
}

/// `dy` put where the winners stood; of `(dy, places)`.
struct MaxPool2DGradient: Primitive {
    let pool: MaxPool2D
    let input: Shape
    static var gradientReads: Reads { .input(1) }
    static var takesBlocked: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> MaxPool2DGradient { MaxPool2DGradient(pool: pool, input: try input.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(TensorSpec(input, inputs[0].dtype)) }
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[1].layout }

    static var kernels: Kernels<MaxPool2DGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let (dy, places) = (try inputs[0].contiguous(), try inputs[1].contiguous())
                var window = window(p.pool.kernel, p.pool.sliding, p.input, dy.shape).kernel
                let planes = Int64(dy.size(0) * dy.size(1))
                if dy.dtype == .float32 {
                    keel_reference_max_pool_gradient_f32(
                        &window, planes, outputs[0].pointer(Float.self), dy.pointer(Float.self), places.pointer(Int32.self))
                } else {
                    keel_reference_max_pool_gradient_f64(
                        &window, planes, outputs[0].pointer(Double.self), dy.pointer(Double.self), places.pointer(Int32.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let places = inputs[1], dy = try inputs[0].laid(out: places.layout)
                var window = window(p.pool.kernel, p.pool.sliding, p.input, dy.shape).kernel
                let (planes, lanes) = dy.planes
                keel_max_pool_gradient_f32(
                    &window, planes, lanes, outputs[0].pointer(Float.self), dy.pointer(Float.self), places.pointer(Int32.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        if g.wants(0) { try g.set(0, try apply(MaxPool2DPick(pool: pool), g.outputGradient, g.input(1))) }
    }
}

/// The numbers where winners stood; of `(x, places)`: the gradient of the gradient.
struct MaxPool2DPick: Primitive {
    let pool: MaxPool2D
    static var gradientReads: Reads { .input(1) }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(TensorSpec(inputs[1].shape, inputs[0].dtype)) }
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[1].layout }

    static var kernels: Kernels<MaxPool2DPick> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let (x, places) = (try inputs[0].contiguous(), try inputs[1].contiguous())
                var window = window(p.pool.kernel, p.pool.sliding, x.shape, places.shape).kernel
                let planes = Int64(x.size(0) * x.size(1))
                if x.dtype == .float32 {
                    keel_reference_max_pool_pick_f32(&window, planes, outputs[0].pointer(Float.self), x.pointer(Float.self), places.pointer(Int32.self))
                } else {
                    keel_reference_max_pool_pick_f64(
                        &window, planes, outputs[0].pointer(Double.self), x.pointer(Double.self), places.pointer(Int32.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let places = inputs[1], x = try inputs[0].laid(out: places.layout)
                var window = window(p.pool.kernel, p.pool.sliding, x.shape, places.shape).kernel
                let (planes, lanes) = x.planes
                keel_max_pool_pick_f32(&window, planes, lanes, outputs[0].pointer(Float.self), x.pointer(Float.self), places.pointer(Int32.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        if g.wants(0) { try g.set(0, try apply(MaxPool2DGradient(pool: pool, input: g.shape(0)), g.outputGradient, g.input(1))) }
    }
}

/// The mean of each window.
///
/// - Shapes: `[n, c, h, w]` → `[n, c, oh, ow]`.
/// - Gradient: `dy` in equal shares.
/// - Source: ONNX `AveragePool`, opset 11, with `count_include_pad` as `countsPadding`.
struct AveragePool2D: Primitive {
    let kernel: Pair
    let sliding: Sliding
    let countsPadding: Bool
    static var onnxName: String? { "AveragePool" }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(try pooled(inputs[0], kernel, sliding, Self.name)) }
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<AveragePool2D> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                var window = window(p.kernel, p.sliding, x.shape, outputs[0].shape).kernel
                let planes = Int64(x.size(0) * x.size(1)), counts: Int32 = p.countsPadding ? 1 : 0
                if x.dtype == .float32 {
                    keel_reference_average_pool_f32(&window, planes, counts, outputs[0].pointer(Float.self), x.pointer(Float.self))
                } else {
                    keel_reference_average_pool_f64(&window, planes, counts, outputs[0].pointer(Double.self), x.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].poolable()
                var window = window(p.kernel, p.sliding, x.shape, outputs[0].shape).kernel
                let (planes, lanes) = x.planes
                keel_average_pool_f32(&window, planes, lanes, p.countsPadding ? 1 : 0, outputs[0].pointer(Float.self), x.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(AveragePool2DGradient(pool: self, input: g.shape(0)), g.outputGradient))
    }
}

/// `dy` shared out among each window.
struct AveragePool2DGradient: Primitive {
    let pool: AveragePool2D
    let input: Shape
    static var takesBlocked: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> AveragePool2DGradient { AveragePool2DGradient(pool: pool, input: try input.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(TensorSpec(input, inputs[0].dtype)) }
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<AveragePool2DGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous()
                var window = window(p.pool.kernel, p.pool.sliding, p.input, dy.shape).kernel
                let planes = Int64(dy.size(0) * dy.size(1)), counts: Int32 = p.pool.countsPadding ? 1 : 0
                if dy.dtype == .float32 {
                    keel_reference_average_pool_gradient_f32(&window, planes, counts, outputs[0].pointer(Float.self), dy.pointer(Float.self))
                } else {
                    keel_reference_average_pool_gradient_f64(&window, planes, counts, outputs[0].pointer(Double.self), dy.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let dy = try inputs[0].poolable()
                var window = window(p.pool.kernel, p.pool.sliding, p.input, dy.shape).kernel
                let (planes, lanes) = dy.planes
                keel_average_pool_gradient_f32(
                    &window, planes, lanes, p.pool.countsPadding ? 1 : 0, outputs[0].pointer(Float.self), dy.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(pool, g.outputGradient)) }
}

/// A height and a width.
struct Pair: Hashable, Sendable { let height, width: Int }

private func pooled(_ x: TensorSpec, _ kernel: Pair, _ sliding: Sliding, _ name: String) throws(TensorError) -> TensorSpec {
    guard x.dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", x.dtype) }
    guard x.shape.rank == 4 else { throw .rank(primitive: name, expected: "a picture [n, c, h, w]", x.shape) }
    try sliding.check(name)
    guard sliding.dilation == (1, 1) else { throw .argument(primitive: name, name: "dilation", given: "\(sliding.dilation)", allowed: "1") }
    guard kernel.height >= 1, kernel.width >= 1 else {
        throw .argument(primitive: name, name: "kernel", given: "\(kernel.height) x \(kernel.width)", allowed: "1 and more")
    }
    let padding = sliding.padding
    guard Swift.max(padding.top, padding.bottom) < kernel.height, Swift.max(padding.left, padding.right) < kernel.width else {
        throw .argument(primitive: name, name: "padding", given: "\(padding)", allowed: "less than the kernel, or a window would be empty")
    }
    return TensorSpec(
        Shape(
            x.shape[0], x.shape[1], try sliding.outputSize(x.shape[2], kernel: kernel.height, isHeight: true, name),
            try sliding.outputSize(x.shape[3], kernel: kernel.width, isHeight: false, name)), x.dtype)
}

private func window(_ kernel: Pair, _ sliding: Sliding, _ x: Shape, _ y: Shape) -> Window {
    sliding.window(
        n: x[0].bits, c: x[1].bits, h: x[2].bits, w: x[3].bits, k: x[1].bits, oh: y[2].bits, ow: y[3].bits,
        kernel: (kernel.height, kernel.width))
}

extension Tensor {
    /// Blocked, or dense.
    func poolable() throws(TensorError) -> Tensor { descriptor.isBlocked ? self : try contiguous() }

    /// How many pictures there are, and how many channels of each lie side by side.
    var planes: (Int64, Int32) {
        guard case .blocked(let block) = layout else { return (Int64(size(0) * size(1)), 1) }
        return (Int64(size(0) * ((size(1) + Int(block) - 1) / Int(block))), block)
    }

    /// A new tensor of this shape and layout.
    func sibling(_ dtype: DType) throws(TensorError) -> Tensor {
        guard case .blocked(let block) = layout else { return try Tensor(undefined: TensorSpec(shape, dtype), on: device) }
        let descriptor = Descriptor(blocked: TensorSpec(shape, dtype), block: block, count: count)
        return Tensor(try Storage(bytes: descriptor.storageBytes, on: storage.place), descriptor)
    }

    /// The same numbers lying another way.
    func laid(out layout: Layout) throws(TensorError) -> Tensor {
        if layout == self.layout { return descriptor.isBlocked ? self : try contiguous() }
        let plain = try contiguous()
        guard case .blocked(let block) = layout else { return plain }
        let descriptor = Descriptor(blocked: spec, block: block, count: count)
        let result = Tensor(try Storage(bytes: descriptor.storageBytes, on: storage.place), descriptor)
        var positions = 1
        for axis in 2..<rank { positions *= size(axis) }
        keel_block_f32(Int64(size(0)), Int64(size(1)), Int64(positions), block, result.pointer(Float.self), plain.pointer(Float.self))
        return result
    }

    /// The largest number in each window of a picture `[n, c, h, w]`; the stride is the kernel's size unless given.
    public func maxPool2D(_ kernel: Int, stride: Int? = nil, padding: Int = 0) throws(TensorError) -> Tensor {
        try apply(MaxPool2D(kernel: Pair(height: kernel, width: kernel), sliding: Sliding(stride: stride ?? kernel, padding: padding)), self)
    }

    /// The mean of each window of a picture `[n, c, h, w]`; the stride is the kernel's size unless given.
    public func averagePool2D(_ kernel: Int, stride: Int? = nil, padding: Int = 0, countsPadding: Bool = true) throws(TensorError) -> Tensor {
        let sliding = Sliding(stride: stride ?? kernel, padding: padding)
        return try apply(AveragePool2D(kernel: Pair(height: kernel, width: kernel), sliding: sliding, countsPadding: countsPadding), self)
    }

    /// The mean of each channel's picture: `[n, c, h, w]` → `[n, c]`.
    public func globalAveragePool2D() throws(TensorError) -> Tensor {
        guard rank == 4 else { throw .rank(primitive: "GlobalAveragePool", expected: "a picture [n, c, h, w]", shape) }
        return try mean([2, 3])
    }

    /// The largest number of each channel's picture: `[n, c, h, w]` → `[n, c]`.
    public func globalMaxPool2D() throws(TensorError) -> Tensor {
        guard rank == 4 else { throw .rank(primitive: "GlobalMaxPool", expected: "a picture [n, c, h, w]", shape) }
        return try max([2, 3])
    }
}
