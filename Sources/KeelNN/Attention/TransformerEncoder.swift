public import Keel

/// Layers of a Transformer's encoder, one after the other; where they normalise first, a normalisation comes last.
///
/// - Shapes: as `TransformerEncoderLayer`.
public struct TransformerEncoder: Layer {
    public var layers: [TransformerEncoderLayer]
    public var norm: LayerNorm?

    public init(
        _ features: Int, heads: Int, inner: Int, layers count: Int, isPreNorm: Bool = false, isCausal: Bool = false, dropout: Double = 0,
        attentionDropout: Double = 0, epsilon: Double = 1e-5, using generator: inout Philox
    ) throws(TensorError) {
        layers = []
        for _ in 0..<count {
            layers.append(
                try TransformerEncoderLayer(
                    features, heads: heads, inner: inner, isPreNorm: isPreNorm, isCausal: isCausal, dropout: dropout,
                    attentionDropout: attentionDropout, epsilon: epsilon, using: &generator))
        }
        norm = isPreNorm ? try LayerNorm(features, epsilon: epsilon) : nil
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, mask: nil, in: context) }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        var x = x
        for layer in layers { x = try layer(x, mask: mask, in: context) }
        return try norm?(x, in: context) ?? x
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in layers.indices { try layers[place].forEachState(body, under: "layers.\(place)") }
        try norm?.forEachState(body, under: "norm")
    }
}
