import KeelKernels

/// Group normalisation: within each picture, channels in `groups` equal groups of neighbours are normalised together:
/// `y = (x - mean) / √(variance + ε) * scale + bias`. With as many groups as channels that is instance normalisation.
///
/// - Shapes: `x [n, c, ...]`, `scale [c]`, `bias [c]` → as `x`. Residuals: each group's mean and `1 / √(variance + ε)`, `[n, groups]`.
/// - Gradient: `GroupNormGradient`.
/// - Errors: `TensorError.argument` unless `groups` divides the channels; `TensorError.shape` for groups without a number.
/// - Source: Wu and He, 2018. ONNX `GroupNormalization`, opset 21; with `groups` = c, `InstanceNormalization`, opset 6.
struct GroupNorm: Primitive {
    let groups: Int
    let epsilon: Double
    static var onnxName: String? { "GroupNormalization" }
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .residual(0), .residual(1)] }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard x.shape.rank >= 2 else { throw .rank(primitive: Self.name, expected: "[n, c, ...]", x.shape) }
        for i in 1...2 {
            guard inputs[i].dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, inputs[i].dtype)) }
            guard inputs[i].shape == Shape(x.shape[1]) else { throw .shape(primitive: Self.name, expected: "[\(x.shape[1])]", inputs[i].shape) }
        }
        let channels = try x.shape.size(1)
        guard groups >= 1, channels % groups == 0 else {
            throw .argument(primitive: Self.name, name: "groups", given: groups, allowed: "a divisor of the \(channels) channels")
        }
        for axis in 1..<x.shape.rank where x.shape[axis].number == 0 {
            throw .shape(primitive: Self.name, expected: "one number at least in each group", x.shape)
        }
        return SpecList(x)
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let each = TensorSpec(Shape(inputs[0].shape[0], Dimension(groups)), inputs[0].dtype)
        return SpecList([each, each])
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { output.shape == inputs[0].shape ? inputs[0].layout : .strided }

    static var kernels: Kernels<GroupNorm> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), scale = try inputs[1].contiguous(), bias = try inputs[2].contiguous()
                let (n, c, s) = x.shape.split(at: 1)
                let (mean, inverse) = try p.statistics(outputs, x)
                if x.dtype == .float32 {
                    keel_reference_group_norm_f32(
                        Int64(n), Int64(c), Int64(s), Int64(p.groups), p.epsilon, outputs[0].pointer(Float.self), mean.pointer(Float.self),
                        inverse.pointer(Float.self), x.pointer(Float.self), scale.pointer(Float.self), bias.pointer(Float.self))
                } else {
                    keel_reference_group_norm_f64(
                        Int64(n), Int64(c), Int64(s), Int64(p.groups), p.epsilon, outputs[0].pointer(Double.self), mean.pointer(Double.self),
                        inverse.pointer(Double.self), x.pointer(Double.self), scale.pointer(Double.self), bias.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].denseOrBlocked(), scale = try inputs[1].contiguous(), bias = try inputs[2].contiguous()
                if x.count == 0 { return true }
                let (at, width) = x.pictureChannels
                let (mean, inverse) = try p.statistics(outputs, x)
                let work = try Tensor(undefined: TensorSpec([4, x.size(0) * width], .float32), on: CPU.shared)
                let vector = { work.pointer(Float.self) + $0 * x.size(0) * width }
                keel_channel_statistics_f32(at, vector(0), vector(1), x.pointer(Float.self))
                keel_group_factors_f32(
                    Int64(x.size(0)), Int64(x.size(1)), Int64(width), Int64(p.groups), Float(p.epsilon), mean.pointer(Float.self),
                    inverse.pointer(Float.self), vector(2), vector(3), vector(0), vector(1), scale.pointer(Float.self), bias.pointer(Float.self))
                keel_channel_affine_f32(at, outputs[0].pointer(Float.self), x.pointer(Float.self), vector(2), vector(3))
                return true
            })
    }

    private func statistics(_ outputs: Operands, _ x: Tensor) throws(TensorError) -> (Tensor, Tensor) {
        if outputs.count > 1 { return (outputs[1], outputs[2]) }
        let each = TensorSpec([x.size(0), groups], x.dtype)
        return (try Tensor(undefined: each, on: x.device), try Tensor(undefined: each, on: x.device))
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let found = try applyMany(GroupNormGradient(groups: groups), [g.outputGradient, g.input(0), g.input(1), g.residual(0), g.residual(1)])
        for i in 0..<3 where g.wants(i) { try g.set(i, found[i]) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let x = inputs[0]
        let together = try x.reshaped(Shape(x.shape[0], Dimension(groups), x.shape.axes(1..<x.rank).product.divided(by: groups)))
        let centred = try together - together.mean([2], keepingAxes: true)
        let variance = try centred.squared().mean([2], keepingAxes: true)
        var stretched = Shape(x.shape[1])
        for _ in 2..<x.rank { stretched.append(Dimension(1)) }
        let normal = try (centred / (variance + epsilon).squareRoot()).reshaped(x.shape)
        return [try normal * inputs[1].reshaped(stretched) + inputs[2].reshaped(stretched)]
    }
}

/// What goes back through `GroupNorm`: `(dy, x, scale, mean, inverse)` → `dx, dscale, dbias`.
struct GroupNormGradient: Primitive {
    let groups: Int
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].shape == inputs[1].shape else { throw .shape(primitive: Self.name, expected: "\(inputs[1].shape)", inputs[0].shape) }
        return SpecList([inputs[1], inputs[2], inputs[2]])
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { output.shape.rank == 1 ? .strided : inputs[1].layout }

    static var kernels: Kernels<GroupNormGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous(), scale = try inputs[2].contiguous()
                let mean = try inputs[3].contiguous(), inverse = try inputs[4].contiguous()
                let (n, c, s) = x.shape.split(at: 1)
                if x.dtype == .float32 {
                    keel_reference_group_norm_gradient_f32(
                        Int64(n), Int64(c), Int64(s), Int64(p.groups), outputs[0].pointer(Float.self), outputs[1].pointer(Float.self),
                        outputs[2].pointer(Float.self), dy.pointer(Float.self), x.pointer(Float.self), scale.pointer(Float.self),
                        mean.pointer(Float.self), inverse.pointer(Float.self))
                } else {
                    keel_reference_group_norm_gradient_f64(
                        Int64(n), Int64(c), Int64(s), Int64(p.groups), outputs[0].pointer(Double.self), outputs[1].pointer(Double.self),
                        outputs[2].pointer(Double.self), dy.pointer(Double.self), x.pointer(Double.self), scale.pointer(Double.self),
                        mean.pointer(Double.self), inverse.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32, inputs[0].count > 0 else { return false }
                let x = try inputs[1].denseOrBlocked(), dy = try inputs[0].laid(out: x.layout)
                let scale = try inputs[2].contiguous(), mean = try inputs[3].contiguous(), inverse = try inputs[4].contiguous()
                let (at, width) = x.pictureChannels
                let (n, c, groups) = (Int64(x.size(0)), Int64(x.size(1)), Int64(p.groups))
                let work = try Tensor(undefined: TensorSpec([6, x.size(0) * width], .float32), on: CPU.shared)
                let vector = { work.pointer(Float.self) + $0 * x.size(0) * width }
                keel_group_spread_f32(n, c, Int64(width), groups, vector(0), mean.pointer(Float.self))
                keel_channel_gradient_sums_f32(at, vector(1), vector(2), dy.pointer(Float.self), x.pointer(Float.self), vector(0))
                keel_group_slopes_f32(
                    n, c, Int64(width), groups, Int64(x.count) / (n * c), vector(3), vector(4), vector(5), outputs[1].pointer(Float.self),
                    outputs[2].pointer(Float.self), vector(1), vector(2), scale.pointer(Float.self), mean.pointer(Float.self),
                    inverse.pointer(Float.self))
                keel_channel_gradient_f32(
                    at, outputs[0].pointer(Float.self), dy.pointer(Float.self), x.pointer(Float.self), vector(3), vector(4), vector(5))
                return true
            })
    }
}

extension Tensor {
    /// How the channels of each picture lie when every picture's are channels of their own; and channels a picture, with the lanes of
    /// padding.
    fileprivate var pictureChannels: (keel_channels, width: Int) {
        var positions = 1
        for axis in 2..<Swift.max(rank, 2) { positions *= size(axis) }
        guard case .blocked(let block) = layout else {
            return (keel_channels(images: 1, groups: Int64(size(0) * size(1)), positions: Int64(positions), lanes: 1), size(1))
        }
        let groups = (size(1) + Int(block) - 1) / Int(block)
        return (keel_channels(images: 1, groups: Int64(size(0) * groups), positions: Int64(positions), lanes: Int64(block)), groups * Int(block))
    }

    /// Group normalisation: each picture's channels, in `groups` equal groups of neighbours, are normalised together.
    ///
    /// - Shapes: self `[n, c, ...]`, `scale [c]`, `bias [c]` → as self.
    /// - Errors: `TensorError.argument` unless `groups` divides `c`.
    /// - Source: Wu and He, 2018.
    public func groupNormalised(groups: Int, scale: Tensor, bias: Tensor, epsilon: Double = 1e-5) throws(TensorError) -> Tensor {
        try apply(GroupNorm(groups: groups, epsilon: epsilon), self, scale, bias)
    }

    /// Instance normalisation: each picture's every channel is normalised by itself.
    ///
    /// - Shapes: self `[n, c, ...]`, `scale [c]`, `bias [c]` → as self.
    /// - Source: Ulyanov, Vedaldi and Lempitsky, 2016. ONNX `InstanceNormalization`, opset 6.
    public func instanceNormalised(scale: Tensor, bias: Tensor, epsilon: Double = 1e-5) throws(TensorError) -> Tensor {
        guard rank >= 3 else { throw .rank(primitive: "InstanceNormalization", expected: "[n, c, ...] with positions", shape) }
        return try groupNormalised(groups: Swift.max(try shape.size(1), 1), scale: scale, bias: bias, epsilon: epsilon)
    }
}
