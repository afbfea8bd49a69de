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
