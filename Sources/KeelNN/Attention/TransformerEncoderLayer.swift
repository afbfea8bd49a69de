public import Keel

/// One layer of a Transformer's encoder: attention and two linear maps with an exact GELU between them, each beside a shortcut.
///
/// Post-norm, `x = norm(x + f(x))`, as it was published; or pre-norm, `x = x + f(norm(x))`, which trains without a warm-up.
///
/// - Shapes: `x [batch, time, features]` → the same; `mask` as in `Tensor.attention`.
/// - Dropout: after the attention and after the second map, and, if asked for, of the attention's probabilities; in training only.
/// - Source: Vaswani et al., 2017, section 3.1; pre-norm: Xiong et al., 2020.
public struct TransformerEncoderLayer: Layer {
    public var attention: MultiHeadAttention
    public var up, down: Linear
    public var norm1, norm2: LayerNorm
    public let isPreNorm: Bool
    public let dropout: Double

    public init(
        _ features: Int, heads: Int, inner: Int, isPreNorm: Bool = false, isCausal: Bool = false, dropout: Double = 0, attentionDropout: Double = 0,
        epsilon: Double = 1e-5, using generator: inout Philox
    ) throws(TensorError) {
        attention = try MultiHeadAttention(features, heads: heads, isCausal: isCausal, dropout: attentionDropout, using: &generator)
        up = try Linear(features, inner, using: &generator)
        down = try Linear(inner, features, using: &generator)
        norm1 = try LayerNorm(features, epsilon: epsilon)
        norm2 = try LayerNorm(features, epsilon: epsilon)
        self.isPreNorm = isPreNorm
        self.dropout = try checkedRate(dropout, in: "TransformerEncoderLayer")
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, mask: nil, in: context) }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        if isPreNorm {
            let y = try x + context.dropped(attention(norm1(x, in: context), mask: mask, in: context), rate: dropout)
            return try y + context.dropped(feedForward(norm2(y, in: context), in: context), rate: dropout)
        }
        let y = try norm1(x + context.dropped(attention(x, mask: mask, in: context), rate: dropout), in: context)
        return try norm2(y + context.dropped(feedForward(y, in: context), rate: dropout), in: context)
    }

    private func feedForward(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try down(up(x, in: context).gelu(), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try attention.forEachState(body, under: "attention")
        try norm1.forEachState(body, under: "norm1")
        try up.forEachState(body, under: "up")
        try down.forEachState(body, under: "down")
        try norm2.forEachState(body, under: "norm2")
    }
}
