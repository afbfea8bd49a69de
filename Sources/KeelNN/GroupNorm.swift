public import Keel

/// Group normalisation: each picture's channels, in `groups` equal groups of neighbours, are normalised together. It doesn't depend on the
/// batch, and is the same in training and prediction.
///
/// - Shapes: `x [n, channels, ...]` → the same; `scale`, `bias [channels]`, 1 and 0 at first.
/// - Source: Wu and He, 2018.
public struct GroupNorm: Layer {
    public var scale, bias: Tensor
    public let groups: Int
    public let epsilon: Double

    /// - Parameter groups: a divisor of `channels`; 1 normalises each picture as a whole.
    public init(_ channels: Int, groups: Int, epsilon: Double = 1e-5) throws(TensorError) {
        scale = try .ones([channels])
        bias = try .zeros([channels])
        self.groups = groups
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.groupNormalised(groups: groups, scale: scale, bias: bias, epsilon: epsilon)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("scale", .parameter, &scale)
        try body("bias", .parameter, &bias)
    }
}
