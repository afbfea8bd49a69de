public import Keel

/// Normalisation over the last axis by the root mean square.
///
/// - Shapes: `x [..., features]` → the same; `scale [features]`, 1 at first.
/// - Source: Zhang and Sennrich, 2019.
public struct RMSNorm: Layer {
    public var scale: Tensor
    public let epsilon: Double

    public init(_ features: Int, epsilon: Double = 1e-6) throws(TensorError) {
        scale = try .ones([features])
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.rmsNormalised(scale: scale, epsilon: epsilon)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try body("scale", .parameter, &scale) }
}
