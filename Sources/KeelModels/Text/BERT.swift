public import Keel
public import KeelNN

/// The encoder of BERT: Devlin, Chang, Lee and Toutanova, *BERT: Pre-training of Deep Bidirectional Transformers*, 2019. MiniLM is of the same
/// shape: Wang et al., *MiniLM: Deep Self-Attention Distillation*, 2020.
///
/// Token numbers `[batch, time]` and a mask alike, int64, 1 for tokens and 0 for padding → what each token means in its text, `[batch, time, features]`, and
/// the text as a whole, by its first token, `[batch, features]`.
public struct BERT: Network {
    public var tokens, segments: Embedding
    /// `[longest, features]`
    public var positions: Tensor
    public var norm: LayerNorm
    public var encoder: TransformerEncoder
    public var pooler: Linear
    public let dropout: Double

    /// - Parameters:
    ///   - tokens: how many different ones there are.
    ///   - longest: the most tokens that a text may have.
    public init(
        tokens count: Int = 30_522, longest: Int = 512, features: Int, layers: Int, heads: Int, inner: Int? = nil, dropout: Double = 0.1,
        using generator: inout Philox
    ) throws(TensorError) {
        tokens = try Embedding(count, features, deviation: 0.02, using: &generator)
        segments = try Embedding(2, features, deviation: 0.02, using: &generator)
        positions = try .normal([longest, features], deviation: 0.02, using: &generator)
        norm = try LayerNorm(features, epsilon: 1e-12)
        encoder = try TransformerEncoder(
            features, heads: heads, inner: inner ?? 4 * features, layers: layers, dropout: dropout, attentionDropout: dropout,
            epsilon: 1e-12, using: &generator)
        pooler = try Linear(features, features, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "BERT")
        let hidden = try self(inputs[0], mask: inputs[1], in: context)
        return [hidden, try pooled(hidden, in: context)]
    }

    /// - Parameter mask: nil where there is no padding.
    public func callAsFunction(_ tokens: Tensor, mask: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        let x = try self.tokens(tokens, in: context) + segments.weight.at(0) + positions(of: tokens)
        let seen = (try mask.map { mask throws(TensorError) in try mask.isGreater(than: Tensor(Int64(0))) })
        return try encoder(context.dropped(norm(x, in: context), rate: dropout), mask: seen, in: context)
    }

    /// The text by its first token.
    public func pooled(_ hidden: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try pooler(hidden.gathered(Tensor(Int64(0)), axis: 1), in: context).tanh()
    }

    /// The mean over the tokens, of length 1: what sentences are compared by.
    ///
    /// - Shapes: `hidden [batch, time, features]`, `mask [batch, time]` → `[batch, features]`.
    /// - Source: Reimers and Gurevych, *Sentence-BERT*, 2019.
    public static func sentence(_ hidden: Tensor, mask: Tensor) throws(TensorError) -> Tensor {
        let shares = try mask.cast(to: .float32).withAxis(-1)
        return try ((hidden * shares).sum([1]) / shares.sum([1])).normalised()
    }

    private func positions(of tokens: Tensor) throws(TensorError) -> Tensor {
        let longest = try positions.shape.size(0)
        guard let time = tokens.shape[1].number else { return try positions.gathered(.positions(tokens.shape[1])) }
        guard time <= longest else { throw TensorError(.argument(primitive: "BERT", name: "tokens", given: "\(time)", allowed: "at most \(longest)")) }
        return try positions.sliced(0, to: time)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try tokens.forEachState(body, under: "tokens")
        try segments.forEachState(body, under: "segments")
        try body("positions", .parameter, &positions)
        try norm.forEachState(body, under: "norm")
        try encoder.forEachState(body, under: "encoder")
        try pooler.forEachState(body, under: "pooler")
    }
}

extension BERT {
    static let named = [
        named("bert-tiny", 128, 2, 2, .exact(4_385_920, "transformers")), named("bert-mini", 256, 4, 4, .exact(11_170_560, "transformers")),
        named("bert-small", 512, 4, 8, .exact(28_763_648, "transformers")), named("bert-medium", 512, 8, 8, .exact(41_373_184, "transformers")),
        named("bert-base", 768, 12, 12, .exact(109_482_240, "transformers")), named("bert-large", 1024, 24, 16, .exact(335_141_888, "transformers")),
        named("minilm-l6", 384, 6, 12, .exact(22_713_216, "transformers")), named("minilm-l12", 384, 12, 12, .exact(33_360_000, "transformers")),
    ]

    private static func named(_ name: String, _ features: Int, _ layers: Int, _ heads: Int, _ published: NamedNetwork.Count) -> NamedNetwork {
        let layer = 12 * features * features + 13 * features
        return NamedNetwork(
            name, .text, BERT.self,
            paper: name.hasPrefix("bert") ? "Devlin et al., BERT, 2019" : "Wang et al., MiniLM: Deep Self-Attention Distillation, 2020",
            parameters: (30_522 + 2 + 512 + 2) * features + layers * layer + features * (features + 1), published: published,
            inputs: [NetworkPort("tokens", ["batch", "time"], .int64), NetworkPort("mask", ["batch", "time"], .int64)],
            outputs: [NetworkPort("hidden", ["batch", "time", NetworkSize(features)]), NetworkPort("pooled", ["batch", NetworkSize(features)])]
        ) { generator throws(TensorError) in try BERT(features: features, layers: layers, heads: heads, using: &generator) }
    }
}
