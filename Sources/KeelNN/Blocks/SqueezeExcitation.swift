public import Keel

/// Weighs each channel by what all channels' means say: mean, linear, activation, linear, gate.
///
/// - Shapes: `x [n, channels, h, w]` → the same.
/// - Source: Hu, Shen and Sun, 2018.
public struct SqueezeExcitation: Layer {
    public var squeeze, excite: Linear
    public let activation, gate: Activation

    /// - Parameter inner: the channels in between, often a quarter or a sixteenth.
    public init(
        _ channels: Int, inner: Int, activation: Activation = .relu, gate: Activation = .sigmoid, using generator: inout Philox
    ) throws(TensorError) {
        squeeze = try Linear(channels, inner, using: &generator)
        excite = try Linear(inner, channels, using: &generator)
        self.activation = activation
        self.gate = gate
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let inner = try activation(squeeze(x.globalAveragePool2D(), in: context), in: context)
        return try x * gate(excite(inner, in: context), in: context).withAxis(-1).withAxis(-1)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try squeeze.forEachState(body, under: "squeeze")
        try excite.forEachState(body, under: "excite")
    }
}
