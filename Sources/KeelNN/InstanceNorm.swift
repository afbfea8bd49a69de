public import Keel

/// Instance normalisation: each picture's every channel is normalised by itself.
///
/// - Shapes: `x [n, channels, ...]` → the same; `scale`, `bias [channels]`, 1 and 0 at first.
/// - Source: Ulyanov, Vedaldi and Lempitsky, 2016.
public struct InstanceNorm: Layer {
    public var scale, bias: Tensor
    public let epsilon: Double

    public init(_ channels: Int, epsilon: Double = 1e-5) throws(TensorError) {
        scale = try .ones([channels])
        bias = try .zeros([channels])
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.instanceNormalised(scale: scale, bias: bias, epsilon: epsilon)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("scale", .parameter, &scale)
        try body("bias", .parameter, &bias)
    }
}
