import KeelKernels

/// What a normalisation may end with, in the same pass over its numbers.
public enum Rectifier: Hashable, Sendable {
    case none
    /// `max(y, 0)`
    case relu
    /// `min(max(y, 0), 6)`
    case relu6

    var limits: (least: Double, most: Double) {
        switch self {
        case .none: (-.infinity, .infinity)
        case .relu: (0, .infinity)
        case .relu6: (0, 6)
        }
    }

    /// The rectifier alone.
    public func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
        switch self {
        case .none: x
        case .relu: try x.relu()
        case .relu6: try x.relu6()
        }
    }
}

/// Batch normalisation by the batch's own statistics, as in training, with what usually follows it: for each channel (axis 1)
/// `y = rectifier((x - mean) / √(variance + ε) * scale + bias + addend)`.
///
/// - Shapes: `x [n, c, ...]`, `scale [c]`, `bias [c]`, optionally `addend` as `x` → `y` as `x`, `mean [c]`, `variance [c]` (divided by
///   the count). The last two are for the running statistics; gradients don't flow through them.
/// - Gradient: `BatchNormGradient`.
/// - Source: Ioffe and Szegedy, 2015. ONNX `BatchNormalization` with `training_mode`, `Add` and `Relu` or `Clip`.
struct BatchNorm: Primitive {
    let epsilon: Double
    var rectifier = Rectifier.none
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .input(3), .output(1), .output(2)] }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let c = try channels(inputs, Self.name)
        if inputs[0].shape.sizes?.contains(0) == true {
            throw .shape(primitive: Self.name, expected: "one number at least for each channel", inputs[0].shape)
        }
        if inputs.count > 3 {
            guard inputs[3].dtype == inputs[0].dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, inputs[3].dtype)) }
            guard inputs[3].shape == inputs[0].shape else { throw .shape(primitive: Self.name, expected: "an addend \(inputs[0].shape)", inputs[3].shape) }
        }
        return SpecList([inputs[0], TensorSpec(Shape(c), inputs[0].dtype), TensorSpec(Shape(c), inputs[0].dtype)])
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { output.shape.rank == 1 ? .strided : inputs[0].layout }

    static var kernels: Kernels<BatchNorm> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), scale = try inputs[1].contiguous(), bias = try inputs[2].contiguous()
                let addend = inputs.count > 3 ? try inputs[3].contiguous() : nil
                let (n, c, s) = x.shape.split(at: 1), limits = p.rectifier.limits
                if x.dtype == .float32 {
                    keel_reference_batch_norm_f32(
                        Int64(n), Int64(c), Int64(s), p.epsilon, limits.least, limits.most, outputs[0].pointer(Float.self),
                        outputs[1].pointer(Float.self), outputs[2].pointer(Float.self), x.pointer(Float.self), scale.pointer(Float.self),
                        bias.pointer(Float.self), addend?.pointer(Float.self))
                } else {
                    keel_reference_batch_norm_f64(
                        Int64(n), Int64(c), Int64(s), p.epsilon, limits.least, limits.most, outputs[0].pointer(Double.self),
                        outputs[1].pointer(Double.self), outputs[2].pointer(Double.self), x.pointer(Double.self), scale.pointer(Double.self),
                        bias.pointer(Double.self), addend?.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].denseOrBlocked(), addend = inputs.count > 3 ? try inputs[3].laid(out: x.layout) : nil
                let scale = try inputs[1].contiguous(), bias = try inputs[2].contiguous()
                let norm = p.kernel(scale, bias, addend, mean: outputs[1], variance: outputs[2])
                keel_batch_norm_f32(x.channels, norm, outputs[0].pointer(Float.self), x.pointer(Float.self))
                return true
            })
    }

    fileprivate func kernel(_ scale: Tensor, _ bias: Tensor, _ addend: Tensor?, mean: Tensor, variance: Tensor) -> keel_batch_norm {
        let limits = rectifier.limits
        return keel_batch_norm(
            channels: Int64(scale.count), epsilon: Float(epsilon), least: Float(limits.least), most: Float(limits.most),
            scale: scale.pointer(Float.self), bias: bias.pointer(Float.self), addend: addend?.pointer(Float.self),
            mean: mean.pointer(Float.self), variance: variance.pointer(Float.self))
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard g.gradientOfOutput(1) == nil, g.gradientOfOutput(2) == nil, let dy = g.gradientOfOutput(0) else {
            throw TensorError(.noGradient("a batch's mean or variance"))
        }
        var inputs = [dy, g.input(0), g.input(1), g.input(2), g.output(1), g.output(2)]
        if g.inputCount > 3 { inputs.append(g.input(3)) }
        let found = try applyMany(BatchNormGradient(forward: self), inputs)
        for i in 0..<g.inputCount where g.wants(i) { try g.set(i, found[i]) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let x = inputs[0]
        let axes = (0..<x.rank).filter { $0 != 1 }
        let mean = try x.mean(axes, keepingAxes: true)
        let centred = try x - mean
        let variance = try centred.squared().mean(axes, keepingAxes: true)
        var stretched = x.shape
        for axis in axes { stretched[axis] = Dimension(1) }
        let y = try centred / (variance + epsilon).squareRoot() * inputs[1].reshaped(stretched) + inputs[2].reshaped(stretched)
        return [try rectifier(inputs.count > 3 ? y + inputs[3] : y)]
    }
}

/// What goes back through `BatchNorm`: `(dy, x, scale, bias, mean, variance)` and the addend, if there was one → `dx, dscale, dbias`, and
/// `daddend`, which is `dy` where the rectifier let it pass.
///
/// Where that was is computed again from `x`: then `y` needn't be kept.
struct BatchNormGradient: Primitive {
    let forward: BatchNorm
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].shape == inputs[1].shape else { throw .shape(primitive: Self.name, expected: "\(inputs[1].shape)", inputs[0].shape) }
        return inputs.count > 6 ? SpecList([inputs[1], inputs[2], inputs[2], inputs[1]]) : SpecList([inputs[1], inputs[2], inputs[2]])
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { output.shape.rank == 1 ? .strided : inputs[1].layout }

    static var kernels: Kernels<BatchNormGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous(), scale = try inputs[2].contiguous()
                let bias = try inputs[3].contiguous(), mean = try inputs[4].contiguous(), variance = try inputs[5].contiguous()
                let addend = inputs.count > 6 ? try inputs[6].contiguous() : nil
                let (n, c, s) = x.shape.split(at: 1), limits = p.forward.rectifier.limits, epsilon = p.forward.epsilon
                let passed: Tensor
                if outputs.count > 3 { passed = outputs[3] } else { passed = try Tensor(undefined: x.spec, on: x.device) }
                if x.dtype == .float32 {
                    keel_reference_rectified_slope_f32(
                        Int64(n), Int64(c), Int64(s), epsilon, limits.least, limits.most, passed.pointer(Float.self), dy.pointer(Float.self),
                        x.pointer(Float.self), scale.pointer(Float.self), bias.pointer(Float.self), mean.pointer(Float.self),
                        variance.pointer(Float.self), addend?.pointer(Float.self))
                    keel_reference_batch_norm_gradient_f32(
                        Int64(n), Int64(c), Int64(s), epsilon, outputs[0].pointer(Float.self), outputs[1].pointer(Float.self),
                        outputs[2].pointer(Float.self), passed.pointer(Float.self), x.pointer(Float.self), scale.pointer(Float.self),
                        mean.pointer(Float.self), variance.pointer(Float.self))
                } else {
                    keel_reference_rectified_slope_f64(
                        Int64(n), Int64(c), Int64(s), epsilon, limits.least, limits.most, passed.pointer(Double.self), dy.pointer(Double.self),
                        x.pointer(Double.self), scale.pointer(Double.self), bias.pointer(Double.self), mean.pointer(Double.self),
                        variance.pointer(Double.self), addend?.pointer(Double.self))
                    keel_reference_batch_norm_gradient_f64(
                        Int64(n), Int64(c), Int64(s), epsilon, outputs[0].pointer(Double.self), outputs[1].pointer(Double.self),
                        outputs[2].pointer(Double.self), passed.pointer(Double.self), x.pointer(Double.self), scale.pointer(Double.self),
                        mean.pointer(Double.self), variance.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[1].denseOrBlocked(), dy = try inputs[0].laid(out: x.layout)
                let addend = inputs.count > 6 ? try inputs[6].laid(out: x.layout) : nil
                let scale = try inputs[2].contiguous(), bias = try inputs[3].contiguous()
                let mean = try inputs[4].contiguous(), variance = try inputs[5].contiguous()
                keel_batch_norm_gradient_f32(
                    x.channels, p.forward.kernel(scale, bias, addend, mean: mean, variance: variance), outputs[0].pointer(Float.self),
                    outputs[1].pointer(Float.self), outputs[2].pointer(Float.self), addend == nil ? nil : outputs[3].pointer(Float.self),
                    dy.pointer(Float.self), x.pointer(Float.self))
                return true
            })
    }
}

/// `x * factor + shift` for each channel (axis 1): batch normalisation when predicting.
///
/// - Shapes: `x [n, c, ...]`, `factor [c]`, `shift [c]` → as `x`.
/// - Gradient: `dx = dy * factor`, `dfactor = Σ dy * x`, `dshift = Σ dy`.
struct ChannelAffine: Primitive {
    static var gradientReads: Reads { [.input(0), .input(1)] }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try channels(inputs, Self.name)
        return SpecList(inputs[0])
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<ChannelAffine> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let stretched = Shape([inputs[0].size(1)] + [Int](repeating: 1, count: inputs[0].rank - 2))
                let product = Operands(inputs[0], try inputs[1].reshaped(stretched))
                try Multiply.kernels.reference(Multiply(), product, outputs)
                let sum = Operands(outputs[0], try inputs[2].reshaped(stretched))
                try Add.kernels.reference(Add(), sum, outputs)
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                if outputs[0].count == 0 { return true }
                let x = try inputs[0].denseOrBlocked()
                let work = try ChannelVectors(2, x.channelWidth)
                let (factor, shift) = (try inputs[1].contiguous().pointer(Float.self), try inputs[2].contiguous().pointer(Float.self))
                for k in 0..<x.size(1) {
                    work[0][k] = factor[k]
                    work[1][k] = shift[k]
                }
                keel_channel_affine_f32(x.channels, outputs[0].pointer(Float.self), x.pointer(Float.self), work[0], work[1])
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, factor, dy) = (g.input(0), g.input(1), g.outputGradient)
        let axes = (0..<x.rank).filter { $0 != 1 }
        if g.wants(0) {
            try g.set(0, try apply(ChannelAffine(), dy, factor, try Tensor.zeros(factor.shape, factor.dtype, on: factor.device)))
        }
        if g.wants(1) { try g.set(1, try (dy * x).sum(axes)) }
        if g.wants(2) { try g.set(2, try dy.sum(axes)) }
    }
}

/// The running statistics' step: `running += momentum * (batch * correction - running)`, written over `running`.
///
/// The correction is 1, or for a variance of `samples` numbers `samples / (samples - 1)`: a size, which a traced program may learn
/// only when it runs. Of one number there is no such variance, and it counts as it is.
struct RunningStatistic: Primitive {
    let momentum: Double
    let samples: Dimension?
    static var overwrites: [Int] { [0] }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> RunningStatistic { RunningStatistic(momentum: momentum, samples: try samples?.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        guard inputs[0] == inputs[1] else { throw .shape(primitive: Self.name, expected: "\(inputs[0])", inputs[1].shape) }
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<RunningStatistic> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try step(p, inputs, outputs) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try step(p, inputs, outputs)
                return true
            })
    }

    private static func step(_ p: RunningStatistic, _ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        let batch = try inputs[1].contiguous(), count = Int64(inputs[0].count)
        var correction = 1.0
        if let samples = try p.samples?.value(), samples > 1 { correction = Double(samples) / Double(samples - 1) }
        if inputs[0].dtype == .float32 {
            keel_running_statistic_f32(count, outputs[0].pointer(Float.self), batch.pointer(Float.self), Float(p.momentum), Float(correction))
        } else {
            keel_running_statistic_f64(count, outputs[0].pointer(Double.self), batch.pointer(Double.self), p.momentum, correction)
        }
    }
}

/// Layer normalisation over the last axis: `y = (x - mean) / √(variance + ε) * scale + bias`.
///
/// - Shapes: `x [..., n]`, `scale [n]`, `bias [n]`. Residuals: each row's mean and `1 / √(variance + ε)`.
/// - Gradient: `LayerNormGradient`.
/// - Source: Ba, Kiros and Hinton, 2016. ONNX `LayerNormalization`, opset 17.
struct LayerNorm: Primitive {
    let epsilon: Double
    static var onnxName: String? { "LayerNormalization" }
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .residual(0), .residual(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard x.shape.rank >= 1, x.shape[-1].number != 0 else { throw .rank(primitive: Self.name, expected: "a last axis of one number at least", x.shape) }
        for i in 1...2 {
            guard inputs[i].dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, inputs[i].dtype)) }
            guard inputs[i].shape == Shape(x.shape[-1]) else { throw .shape(primitive: Self.name, expected: "[\(x.shape[-1])]", inputs[i].shape) }
        }
        return SpecList(x)
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let rows = TensorSpec(inputs[0].shape.dropLast(1), inputs[0].dtype)
        return SpecList([rows, rows])
    }

    static var kernels: Kernels<LayerNorm> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), scale = try inputs[1].contiguous(), bias = try inputs[2].contiguous()
                let (rows, n) = x.rows
                let (mean, inverse) = try p.statistics(outputs, x)
                if x.dtype == .float32 {
                    keel_reference_layer_norm_f32(
                        rows, n, p.epsilon, outputs[0].pointer(Float.self), mean.pointer(Float.self), inverse.pointer(Float.self),
                        x.pointer(Float.self), scale.pointer(Float.self), bias.pointer(Float.self))
                } else {
                    keel_reference_layer_norm_f64(
                        rows, n, p.epsilon, outputs[0].pointer(Double.self), mean.pointer(Double.self), inverse.pointer(Double.self),
                        x.pointer(Double.self), scale.pointer(Double.self), bias.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous(), scale = try inputs[1].contiguous(), bias = try inputs[2].contiguous()
                let (rows, n) = x.rows
                let (mean, inverse) = try p.statistics(outputs, x)
                keel_layer_norm_f32(
                    rows, n, Float(p.epsilon), outputs[0].pointer(Float.self), mean.pointer(Float.self), inverse.pointer(Float.self),
                    x.pointer(Float.self), scale.pointer(Float.self), bias.pointer(Float.self))
                return true
            })
    }

    private func statistics(_ outputs: Operands, _ x: Tensor) throws(TensorError) -> (Tensor, Tensor) {
        if outputs.count > 1 { return (outputs[1], outputs[2]) }
        let rows = TensorSpec(x.shape.dropLast(1), x.dtype)
        return (try Tensor(undefined: rows, on: x.device), try Tensor(undefined: rows, on: x.device))
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let found = try applyMany(LayerNormGradient(), [g.outputGradient, g.input(0), g.input(1), g.residual(0), g.residual(1)])
        for i in 0..<3 where g.wants(i) { try g.set(i, found[i]) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let centred = try inputs[0] - inputs[0].mean([-1], keepingAxes: true)
        let variance = try centred.squared().mean([-1], keepingAxes: true)
        return [try centred / (variance + epsilon).squareRoot() * inputs[1] + inputs[2]]
    }
}

/// What goes back through `LayerNorm`: `(dy, x, scale, mean, inverse)` → `dx, dscale, dbias`.
struct LayerNormGradient: Primitive {
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList([inputs[1], inputs[2], inputs[2]]) }

    static var kernels: Kernels<LayerNormGradient> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous(), scale = try inputs[2].contiguous()
                let mean = try inputs[3].contiguous(), inverse = try inputs[4].contiguous()
                let (rows, n) = x.rows
                if x.dtype == .float32 {
                    keel_reference_layer_norm_gradient_f32(
                        rows, n, outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self),
                        dy.pointer(Float.self), x.pointer(Float.self), scale.pointer(Float.self), mean.pointer(Float.self),
                        inverse.pointer(Float.self))
                } else {
                    keel_reference_layer_norm_gradient_f64(
                        rows, n, outputs[0].pointer(Double.self), outputs[1].pointer(Double.self), outputs[2].pointer(Double.self),
                        dy.pointer(Double.self), x.pointer(Double.self), scale.pointer(Double.self), mean.pointer(Double.self),
                        inverse.pointer(Double.self))
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous(), scale = try inputs[2].contiguous()
                let (rows, n) = x.rows
                keel_layer_norm_gradient_f32(
                    rows, n, outputs[0].pointer(Float.self), outputs[1].pointer(Float.self), outputs[2].pointer(Float.self),
                    dy.pointer(Float.self), x.pointer(Float.self), scale.pointer(Float.self), inputs[3].pointer(Float.self),
                    inputs[4].pointer(Float.self))
                return true
            })
    }
}

/// Checks `x [n, c, ...]` and two vectors `[c]`.
private func channels(_ inputs: SpecList, _ name: String) throws(TensorError) -> Dimension {
    let x = inputs[0]
    guard x.dtype.isFloat else { throw .dtype(primitive: name, expected: "floats", x.dtype) }
    guard x.shape.rank >= 2 else { throw .rank(primitive: name, expected: "[n, c, ...]", x.shape) }
    for i in 1...2 {
        guard inputs[i].dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: name, x.dtype, inputs[i].dtype)) }
        guard inputs[i].shape == Shape(x.shape[1]) else { throw .shape(primitive: name, expected: "[\(x.shape[1])]", inputs[i].shape) }
    }
    return x.shape[1]
}

/// A few vectors of one number a channel, zero at first; lanes of padding included.
private struct ChannelVectors {
    private let storage: Storage
    private let width: Int

    init(_ count: Int, _ width: Int) throws(TensorError) {
        storage = try Storage(bytes: count * width * 4, on: .cpu)
        self.width = width
        storage.base.initializeMemory(as: Float.self, repeating: 0, count: count * width)
    }

    subscript(_ i: Int) -> UnsafeMutablePointer<Float> { storage.base.assumingMemoryBound(to: Float.self) + i * width }
}

extension Tensor {
    func denseOrBlocked() throws(TensorError) -> Tensor { descriptor.isBlocked ? self : try contiguous() }

    /// Rows along the last axis, and their length.
    var rows: (Int64, Int64) {
        let n = size(-1)
        return (n == 0 ? 0 : Int64(count / n), Int64(n))
    }

    /// How the channels of `[n, c, ...]` lie.
    fileprivate var channels: keel_channels {
        var positions = 1
        for axis in 2..<Swift.max(rank, 2) { positions *= size(axis) }
        if case .blocked(let block) = layout {
            return keel_channels(
                images: Int64(size(0)), groups: Int64((size(1) + Int(block) - 1) / Int(block)), positions: Int64(positions), lanes: Int64(block))
        }
        if positions == 1 { return keel_channels(images: 1, groups: 1, positions: Int64(size(0)), lanes: Int64(size(1))) }
        return keel_channels(images: Int64(size(0)), groups: Int64(size(1)), positions: Int64(positions), lanes: 1)
    }

    /// Channels, with the lanes of padding.
    fileprivate var channelWidth: Int {
        let at = channels
        return Int(at.groups * at.lanes)
    }

    /// Batch normalisation by the batch's statistics, for each channel of `[n, c, ...]`.
    ///
    /// - Parameters:
    ///   - addend: of the same shape; it is added to the result before the rectifier.
    ///   - rectifier: what the result ends with. It and the addend cost no pass of their own.
    /// - Returns: the result, and the batch's mean and variance `[c]`.
    public func batchNormalised(
        scale: Tensor, bias: Tensor, epsilon: Double, adding addend: Tensor? = nil, rectifier: Rectifier = .none
    ) throws(TensorError) -> (y: Tensor, mean: Tensor, variance: Tensor) {
        let made = try applyMany(BatchNorm(epsilon: epsilon, rectifier: rectifier), [self, scale, bias] + (addend.map { [$0] } ?? []))
        return (made[0], made[1].detached(), made[2].detached())
    }

    /// `self * factor + shift` for each channel of `[n, c, ...]`.
    public func channelAffine(factor: Tensor, shift: Tensor) throws(TensorError) -> Tensor { try apply(ChannelAffine(), self, factor, shift) }

    /// Layer normalisation over the last axis.
    public func layerNormalised(scale: Tensor, bias: Tensor, epsilon: Double = 1e-5) throws(TensorError) -> Tensor {
        try apply(LayerNorm(epsilon: epsilon), self, scale, bias)
    }

    /// In place: `self += momentum * (batch * correction - self)`. For buffers. The correction is 1, or for the variance of `samples`
    /// numbers, divided by their count, `samples / (samples - 1)`.
    public func updateRunning(towards batch: Tensor, momentum: Double, samples: Dimension? = nil) throws(TensorError) {
        try update(RunningStatistic(momentum: momentum, samples: samples), [self, batch.detached()])
    }
}
