public import Keel

/// Batch normalisation of each channel (axis 1), with running statistics for predicting.
///
/// - Shapes: `x [n, channels, ...]` → the same; `scale`, `bias`, `runningMean`, `runningVariance [channels]`.
/// - Initial values: scale 1, bias 0, running mean 0, running variance 1.
/// - Training: the batch's own statistics (variance divided by the count); the running ones move by `momentum` towards them, the
///   variance's with the count less one, as torch has it. They are updated in place.
/// - Rectifier: applied to the result, after an addend if there is one: a residual block's end in one pass.
/// - Source: Ioffe and Szegedy, 2015.
public struct BatchNorm: Layer {
    public var scale, bias, runningMean, runningVariance: Tensor
    public let epsilon, momentum: Double
    public let rectifier: Rectifier

    public init(_ channels: Int, epsilon: Double = 1e-5, momentum: Double = 0.1, rectifier: Rectifier = .none) throws(TensorError) {
        scale = try .ones([channels])
        bias = try .zeros([channels])
        runningMean = try .zeros([channels])
        runningVariance = try .ones([channels])
        self.epsilon = epsilon
        self.momentum = momentum
        self.rectifier = rectifier
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, adding: nil, in: context) }

    /// The same with `addend`, of the shape of `x`, added before the rectifier.
    public func callAsFunction(_ x: Tensor, adding addend: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        guard context.isTraining else {
            // Half floats are rounded once, at the end: a rounded shift may be off by more than what it leaves of `x * factor`.
            let isHalf = x.dtype.isHalf && x.dtype == scale.dtype
            func wide(_ tensor: Tensor) throws(TensorError) -> Tensor { isHalf ? try tensor.cast(to: .float32) : tensor }
            let factor = try wide(scale) / (wide(runningVariance) + epsilon).squareRoot()
            var y = try wide(x).channelAffine(factor: factor, shift: wide(bias) - wide(runningMean) * factor)
            if let addend { y = try y + addend }
            return try rectifier(y).cast(to: x.dtype)
        }
        let batch = try x.batchNormalised(scale: scale, bias: bias, epsilon: epsilon, adding: addend, rectifier: rectifier)
        var samples = Dimension(1)
        for axis in 0..<x.rank where axis != 1 { samples = samples * x.shape[axis] }
        try runningMean.updateRunning(towards: batch.mean, momentum: momentum)
        try runningVariance.updateRunning(towards: batch.variance, momentum: momentum, samples: samples)
        return batch.y
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("scale", .parameter, &scale)
        try body("bias", .parameter, &bias)
        try body("running_mean", .buffer, &runningMean)
        try body("running_variance", .buffer, &runningVariance)
    }
}
