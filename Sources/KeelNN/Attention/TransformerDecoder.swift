public import Keel

/// One layer of a Transformer's decoder: causal attention to itself, attention to the encoder's result, and two linear maps with an exact GELU
/// between them, each beside a shortcut; post-norm or pre-norm as `TransformerEncoderLayer`.
///
/// - Shapes: `x [batch, time, features]`, `memory [batch, keys, features]` → `[batch, time, features]`; masks as in `MultiHeadAttention`.
/// - Dropout: after each of the three, and, if asked for, of both attentions' probabilities; in training only.
/// - Source: Vaswani et al., 2017, section 3.1.
public struct TransformerDecoderLayer: Module {
    public var attention, crossAttention: MultiHeadAttention
    public var feedForward: FeedForward
    public var norm1, norm2, norm3: LayerNorm
    public let isPreNorm: Bool
    public let dropout: Double

    public init(
        _ features: Int, heads: Int, inner: Int, isPreNorm: Bool = false, dropout: Double = 0, attentionDropout: Double = 0,
        using generator: inout Philox
    ) throws(TensorError) {
        attention = try MultiHeadAttention(features, heads: heads, isCausal: true, dropout: attentionDropout, using: &generator)
        crossAttention = try MultiHeadAttention(features, heads: heads, dropout: attentionDropout, using: &generator)
        feedForward = try FeedForward(features, inner: inner, using: &generator)
        norm1 = try LayerNorm(features)
        norm2 = try LayerNorm(features)
        norm3 = try LayerNorm(features)
        self.isPreNorm = isPreNorm
        self.dropout = try checkedRate(dropout, in: "TransformerDecoderLayer")
    }

    /// - Parameters:
    ///   - mask: of the sequence itself.
    ///   - memoryMask: of the encoder's result.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor, mask: Tensor? = nil, memoryMask: Tensor? = nil, in context: Context
    ) throws(TensorError) -> Tensor {
        try run(x, memory, memoryMask, context) { x throws(TensorError) in try attention(x, mask: mask, in: context) }
    }

    /// The next steps of a sequence whose earlier ones lie in the cache.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor, memoryMask: Tensor? = nil, continuing cache: inout KeyValueCache, in context: Context
    ) throws(TensorError) -> Tensor {
        try run(x, memory, memoryMask, context) { x throws(TensorError) in try attention(x, continuing: &cache, in: context) }
    }

    private func run(
        _ x: Tensor, _ memory: Tensor, _ memoryMask: Tensor?, _ context: Context, attend: (Tensor) throws(TensorError) -> Tensor
    ) throws(TensorError) -> Tensor {
        func beside(_ x: Tensor, _ norm: LayerNorm, _ body: (Tensor) throws(TensorError) -> Tensor) throws(TensorError) -> Tensor {
            isPreNorm
                ? try x + context.dropped(body(norm(x, in: context)), rate: dropout)
                : try norm(x + context.dropped(body(x), rate: dropout), in: context)
        }
        let y = try beside(x, norm1, attend)
        let z = try beside(y, norm2) { x throws(TensorError) in try crossAttention(x, to: memory, mask: memoryMask, in: context) }
        return try beside(z, norm3) { x throws(TensorError) in try feedForward(x, in: context) }
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try attention.forEachState(body, under: "attention")
        try norm1.forEachState(body, under: "norm1")
        try crossAttention.forEachState(body, under: "cross_attention")
        try norm2.forEachState(body, under: "norm2")
        try feedForward.forEachState(body, under: "feed_forward")
        try norm3.forEachState(body, under: "norm3")
    }
}

/// Layers of a Transformer's decoder, one after the other; where they normalise first, a normalisation comes last.
///
/// - Shapes: as `TransformerDecoderLayer`.
public struct TransformerDecoder: Module {
    public var layers: [TransformerDecoderLayer]
    public var norm: LayerNorm?

    public init(
        _ features: Int, heads: Int, inner: Int, layers count: Int, isPreNorm: Bool = false, dropout: Double = 0, attentionDropout: Double = 0,
        using generator: inout Philox
    ) throws(TensorError) {
        layers = []
        for _ in 0..<count {
            layers.append(
                try TransformerDecoderLayer(
                    features, heads: heads, inner: inner, isPreNorm: isPreNorm, dropout: dropout, attentionDropout: attentionDropout,
                    using: &generator))
        }
        norm = isPreNorm ? try LayerNorm(features) : nil
    }

    public func callAsFunction(
        _ x: Tensor, memory: Tensor, mask: Tensor? = nil, memoryMask: Tensor? = nil, in context: Context
    ) throws(TensorError) -> Tensor {
        var x = x
        for layer in layers { x = try layer(x, memory: memory, mask: mask, memoryMask: memoryMask, in: context) }
        return try norm?(x, in: context) ?? x
    }

    /// The next steps of a sequence; an empty list of caches begins one, and holds one a layer afterwards.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor, memoryMask: Tensor? = nil, continuing caches: inout [KeyValueCache], in context: Context
    ) throws(TensorError) -> Tensor {
        if caches.isEmpty { caches = layers.map { _ in KeyValueCache() } }
        var x = x
        for (place, layer) in layers.enumerated() {
            x = try layer(x, memory: memory, memoryMask: memoryMask, continuing: &caches[place], in: context)
        }
        return try norm?(x, in: context) ?? x
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in layers.indices { try layers[place].forEachState(body, under: "layers.\(place)") }
        try norm?.forEachState(body, under: "norm")
    }
}
