public import Keel

/// Layer normalisation over the last axis.
///
/// - Shapes: `x [..., features]` → the same; `scale`, `bias [features]`, 1 and 0 at first.
/// - Source: Ba, Kiros and Hinton, 2016.
public struct LayerNorm: Layer {
    public var scale, bias: Tensor
    public let epsilon: Double

    public init(_ features: Int, epsilon: Double = 1e-5) throws(TensorError) {
        scale = try .ones([features])
        bias = try .zeros([features])
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.layerNormalised(scale: scale, bias: bias, epsilon: epsilon)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("scale", .parameter, &scale)
        try body("bias", .parameter, &bias)
    }
}
