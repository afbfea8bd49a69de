import KeelKernels

/// The largest number in each of a given number of windows, which together cover the picture: window `i` of an axis is
/// `⌊i·h / oh⌋ ..< ⌈(i + 1)·h / oh⌉`.
///
/// - Shapes: `[n, c, h, w]` → `[n, c, oh, ow]`. Residual: where the winner stood.
/// - Gradient: `dy` to the winner, the first of equals: `MaxPool2DGradient`, to which the places tell all.
/// - Errors: `TensorError.rank`; `TensorError.shape` for a picture of nothing; `TensorError.argument` for no windows.
struct AdaptiveMaxPool2D: Primitive {
    let size: Pair
    static var gradientReads: Reads { .residual(0) }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkAdaptive(inputs[0], size, Self.name)
        let shape = inputs[0].shape
        return SpecList(TensorSpec(Shape(shape[0], shape[1], Dimension(size.height), Dimension(size.width)), inputs[0].dtype))
    }
    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(TensorSpec(try outputs(inputs)[0].shape, .int32)) }
    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<AdaptiveMaxPool2D> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                let places = outputs.count > 1 ? outputs[1] : try Tensor(undefined: TensorSpec(outputs[0].shape, .int32), on: x.device)
                let planes = Int64(x.size(0) * x.size(1)), (h, w) = (Int64(x.size(2)), Int64(x.size(3)))
                let (oh, ow) = (Int64(p.size.height), Int64(p.size.width))
                if x.dtype == .float32 {
                    keel_reference_adaptive_max_pool_f32(
                        planes, h, w, oh, ow, outputs[0].pointer(Float.self), places.pointer(Int32.self), x.pointer(Float.self))
                } else {
                    keel_reference_adaptive_max_pool_f64(
                        planes, h, w, oh, ow, outputs[0].pointer(Double.self), places.pointer(Int32.self), x.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].poolable()
                let places = outputs.count > 1 ? outputs[1] : try outputs[0].sibling(.int32)
                let (planes, lanes) = x.planes
                keel_adaptive_max_pool_f32(
                    planes, lanes, Int64(x.size(2)), Int64(x.size(3)), Int64(p.size.height), Int64(p.size.width),
                    outputs[0].pointer(Float.self), places.pointer(Int32.self), x.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        // Its window isn't read: the places say where each number goes.
        let pool = MaxPool2D(kernel: Pair(height: 1, width: 1), sliding: Sliding())
        try g.set(0, try apply(MaxPool2DGradient(pool: pool, input: g.shape(0)), g.outputGradient, g.residual(0)))
    }
}

private func checkAdaptive(_ x: TensorSpec, _ size: Pair, _ name: String) throws(TensorError) {
    guard x.dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", x.dtype) }
    guard x.shape.rank == 4 else { throw .rank(primitive: name, expected: "a picture [n, c, h, w]", x.shape) }
    guard size.height >= 1, size.width >= 1 else {
        throw .argument(primitive: name, name: "size", given: "\(size.height) x \(size.width)", allowed: "1 and more")
    }
    guard x.shape[2].number != 0, x.shape[3].number != 0 else { throw .shape(primitive: name, expected: "a picture of one number at least", x.shape) }
}

extension Tensor {
    /// The largest number in each of `size` windows that together cover the picture.
    ///
    /// - Shapes: self `[n, c, h, w]` → `[n, c, size.height, size.width]`. Window `i` of an axis is `⌊i·h / oh⌋ ..< ⌈(i + 1)·h / oh⌉`.
    public func adaptiveMaxPool2D(to size: (height: Int, width: Int)) throws(TensorError) -> Tensor {
        let pair = Pair(height: size.height, width: size.width)
        try checkAdaptive(spec, pair, AdaptiveMaxPool2D.name)
        if let kernel = evenWindow(size) { return try maxPool2D(kernel: kernel, sliding: Sliding(stride: kernel, padding: (0, 0, 0, 0))) }
        return try apply(AdaptiveMaxPool2D(size: pair), self)
    }

    /// The mean of each of `size` windows that together cover the picture.
    ///
    /// - Shapes: self `[n, c, h, w]` → `[n, c, size.height, size.width]`. Window `i` of an axis is `⌊i·h / oh⌋ ..< ⌈(i + 1)·h / oh⌉`.
    /// - Errors: `TensorError.symbolicDimension` for a picture whose size isn't known, unless the result is one number a channel.
    public func adaptiveAveragePool2D(to size: (height: Int, width: Int)) throws(TensorError) -> Tensor {
        try checkAdaptive(spec, Pair(height: size.height, width: size.width), "AdaptiveAveragePool2D")
        if size == (1, 1) { return try mean([2, 3], keepingAxes: true) }
        if let kernel = evenWindow(size) { return try averagePool2D(kernel: kernel, sliding: Sliding(stride: kernel, padding: (0, 0, 0, 0))) }
        // Uneven windows: each axis is a product with the matrix whose rows are the windows.
        let columns = try windowMeans(shape.size(3), size.width).transposed(), rows = try windowMeans(shape.size(2), size.height)
        return try rows.matmul(matmul(columns))
    }

    /// The window that covers the picture without overlap or rest, where there is one.
    private func evenWindow(_ size: (height: Int, width: Int)) -> (height: Int, width: Int)? {
        guard let h = shape[2].number, let w = shape[3].number, h % size.height == 0, w % size.width == 0 else { return nil }
        return (h / size.height, w / size.width)
    }

    private func windowMeans(_ size: Int, _ windows: Int) throws(TensorError) -> Tensor {
        var matrix = [Double](repeating: 0, count: size * windows)
        for i in 0..<windows {
            let (first, end) = (i * size / windows, ((i + 1) * size + windows - 1) / windows)
            for k in first..<end { matrix[i * size + k] = 1 / Double(end - first) }
        }
        return try Tensor(matrix, [windows, size]).cast(to: dtype).moved(to: device)
    }

    /// The largest number in each window of a picture `[n, c, h, w]`, whose height and width may differ.
    public func maxPool2D(kernel: (height: Int, width: Int), sliding: Sliding) throws(TensorError) -> Tensor {
        try apply(MaxPool2D(kernel: Pair(height: kernel.height, width: kernel.width), sliding: sliding), self)
    }

    /// The mean of each window of a picture `[n, c, h, w]`, whose height and width may differ.
    ///
    /// - Parameter countsPadding: whether the zeros of the padding count among a window's numbers.
    public func averagePool2D(kernel: (height: Int, width: Int), sliding: Sliding, countsPadding: Bool = true) throws(TensorError) -> Tensor {
        try apply(
            AveragePool2D(kernel: Pair(height: kernel.height, width: kernel.width), sliding: sliding, countsPadding: countsPadding), self)
    }
}
