public import Keel

/// Two linear maps with an activation between them.
///
/// - Shapes: `x [..., features]` → the same.
public struct FeedForward: Layer {
    public var up, down: Linear
    public let activation: Activation

    public init(_ features: Int, inner: Int, activation: Activation = .gelu, using generator: inout Philox) throws(TensorError) {
        up = try Linear(features, inner, using: &generator)
        down = try Linear(inner, features, using: &generator)
        self.activation = activation
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try down(activation(up(x, in: context), in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try up.forEachState(body, under: "up")
        try down.forEachState(body, under: "down")
    }
}
