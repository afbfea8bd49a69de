public import Keel

/// Layers one after the other. Their state is named by their place: `0.weight`, `1.bias`.
public struct Sequential: Layer {
    public var layers: [any Layer]

    public init(_ layers: [any Layer]) { self.layers = layers }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = x
        for layer in layers { x = try layer(x, in: context) }
        return x
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in layers.indices { try layers[place].forEachState(body, under: "\(place)") }
    }
}

/// A function without state, as a layer: `Activation { x throws(TensorError) in try x.relu() }`.
public struct Activation: Layer {
    private let function: @Sendable (Tensor) throws(TensorError) -> Tensor

    public init(_ function: @escaping @Sendable (Tensor) throws(TensorError) -> Tensor) { self.function = function }

    public static var relu: Activation { Activation { x throws(TensorError) in try x.relu() } }
    public static var relu6: Activation { Activation { x throws(TensorError) in try x.relu6() } }
    public static var gelu: Activation { Activation { x throws(TensorError) in try x.gelu() } }
    public static var silu: Activation { Activation { x throws(TensorError) in try x.silu() } }
    public static var tanh: Activation { Activation { x throws(TensorError) in try x.tanh() } }
    public static var sigmoid: Activation { Activation { x throws(TensorError) in try x.sigmoid() } }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try function(x) }
    public mutating func forEachState(_ body: StateVisitor) {}
}
