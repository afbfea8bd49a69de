public import Keel
public import KeelNN

/// The decoder of GPT-2, which goes on with a text: Radford, Wu, Child, Luan, Amodei and Sutskever, *Language Models are Unsupervised Multitask
/// Learners*, 2019. What tokens are read by is what they are told apart by, too.
///
/// Token numbers `[batch, time]` → for each place logits of the token after it, `[batch, time, tokens]`.
public struct GPT: Layer, Network {
    public var tokens: Embedding
    public var positions: LearnedEncoding
    public var blocks: [Block]
    public var norm: LayerNorm
    public let dropout: Double

    /// Attention to what came before, and two linear maps with an approximated GELU between them; each of its normalised input, beside it.
    public struct Block: Module {
        public var norm1, norm2: LayerNorm
        public var attention: MultiHeadAttention
        public var feedForward: FeedForward
        let dropout: Double

        init(_ features: Int, heads: Int, dropout: Double, using generator: inout Philox) throws(TensorError) {
            norm1 = try LayerNorm(features)
            norm2 = try LayerNorm(features)
            attention = try MultiHeadAttention(features, heads: heads, isCausal: true, using: &generator)
            feedForward = try FeedForward(features, inner: 4 * features, activation: .geluTanh, using: &generator)
            self.dropout = dropout
        }

        /// - Parameter attend: the attention, to a text from its beginning or to one whose first tokens lie in a cache.
        func callAsFunction(
            _ x: Tensor, in context: Context, attend: (Tensor) throws(TensorError) -> Tensor
        ) throws(TensorError) -> Tensor {
            let y = try x + context.dropped(attend(norm1(x, in: context)), rate: dropout)
            return try y + context.dropped(feedForward(norm2(y, in: context), in: context), rate: dropout)
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try norm1.forEachState(body, under: "norm1")
            try attention.forEachState(body, under: "attention")
            try norm2.forEachState(body, under: "norm2")
            try feedForward.forEachState(body, under: "feed_forward")
        }
    }

    /// - Parameters:
    ///   - tokens: how many different ones there are.
    ///   - longest: the most tokens that a text may have.
    public init(
        tokens count: Int = 50_257, longest: Int = 1024, features: Int, layers: Int, heads: Int, dropout: Double = 0.1, using generator: inout Philox
    ) throws(TensorError) {
        tokens = try Embedding(count, features, deviation: 0.02, using: &generator)
        positions = try LearnedEncoding(longest, features, using: &generator)
        blocks = []
        for _ in 0..<layers { blocks.append(try Block(features, heads: heads, dropout: dropout, using: &generator)) }
        norm = try LayerNorm(features)
        self.dropout = dropout
    }

    public func callAsFunction(_ tokens: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try context.dropped(positions(self.tokens(tokens, in: context), in: context), rate: dropout)
        for block in blocks {
            x = try block(x, in: context) { y throws(TensorError) in try block.attention(y, in: context) }
        }
        return try norm(x, in: context).affine(self.tokens.weight)
    }

    /// Logits of what follows the next tokens of texts whose earlier ones lie in the caches, one a block; an empty list begins.
    public func callAsFunction(_ tokens: Tensor, continuing caches: inout [KeyValueCache], in context: Context) throws(TensorError) -> Tensor {
        if caches.isEmpty { caches = blocks.map { _ in KeyValueCache() } }
        guard caches.count == blocks.count else {
            throw TensorError(.argument(primitive: "GPT", name: "caches", given: "\(caches.count)", allowed: "\(blocks.count), or none"))
        }
        let (start, end) = (caches[0].count, caches[0].count + (try tokens.shape.size(1))), longest = try positions.weight.shape.size(0)
        guard end <= longest else { throw TensorError(.argument(primitive: "GPT", name: "tokens", given: "\(end)", allowed: "at most \(longest)")) }
        var x = try self.tokens(tokens, in: context) + positions.weight.sliced(0, from: start, to: end)
        for (place, block) in blocks.enumerated() {
            x = try block(x, in: context) { y throws(TensorError) in try block.attention(y, continuing: &caches[place], in: context) }
        }
        return try norm(x, in: context).affine(self.tokens.weight)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try tokens.forEachState(body, under: "tokens")
        try positions.forEachState(body, under: "positions")
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        try norm.forEachState(body, under: "norm")
    }
}

/// How the next token is chosen from its logits.
public struct Sampling: Sendable, Hashable {
    /// Logits are divided by it; 0 always takes the likeliest token.
    public let temperature: Double
    /// Only so many of the likeliest tokens are drawn from; nil for all.
    public let most: Int?
    /// Only the likeliest tokens are drawn from that together have this probability (Holtzman et al., 2020).
    public let share: Double

    /// - Throws: `TensorError.argument` unless the temperature is 0 and more, `most` 1 and more, and the share above 0 and at most 1.
    public init(temperature: Double = 1, most: Int? = nil, share: Double = 1) throws(TensorError) {
        func refused(_ name: String, _ given: some CustomStringConvertible, _ allowed: String) -> TensorError {
            TensorError(.argument(primitive: "Sampling", name: name, given: "\(given)", allowed: allowed))
        }
        guard temperature >= 0, temperature.isFinite else { throw refused("temperature", temperature, "0 and more") }
        if let most, most < 1 { throw refused("most", most, "1 and more") }
        guard share > 0, share <= 1 else { throw refused("share", share, "above 0 and at most 1") }
        self.init(checked: temperature, most, share)
    }

    private init(checked temperature: Double, _ most: Int?, _ share: Double) { (self.temperature, self.most, self.share) = (temperature, most, share) }

    /// Each token as likely as its logit says.
    public static let plain = Sampling(checked: 1, nil, 1)
    /// The likeliest token, always.
    public static let greedy = Sampling(checked: 0, nil, 1)

    /// - Shapes: `logits [batch, tokens]` → `[batch, 1]` int64.
    public func next(_ logits: Tensor, using generator: inout Philox) throws(TensorError) -> Tensor {
        let count = try logits.shape.size(-1)
        guard temperature > 0 else { return try logits.topK(1).indices }
        let (sorted, tokens) = try logits.topK(min(most ?? count, count))
        let scaled = try sorted / temperature, shares = try scaled.softmax()
        // Those before which less than the share has been reached: the first one always.
        let isIn = try shares.cumulativeSum(-1, exclusive: true).isLess(than: Tensor(Float(share)))
        let drawn = try isIn.select(scaled, Tensor(-Float.infinity)).categorical(1, using: &generator)
        return try tokens.takenAlong(-1, at: drawn)
    }
}

extension GPT {
    /// Goes on with texts, token by token; each step computes the new token alone.
    ///
    /// - Parameters:
    ///   - tokens: `[batch, time]` int64, one token at least.
    ///   - count: how many tokens more.
    /// - Returns: the texts with what was added, `[batch, time + count]`.
    public func continued(_ tokens: Tensor, by count: Int, _ sampling: Sampling = .plain, using generator: inout Philox) throws(TensorError) -> Tensor {
        guard count > 0 else { return tokens }
        var caches: [KeyValueCache] = [], texts = [tokens], last = tokens
        for _ in 0..<count {
            let logits = try noGrad { () throws(TensorError) in try self(last, continuing: &caches, in: .prediction).at(-1, axis: 1) }
            last = try sampling.next(logits, using: &generator)
            texts.append(last)
        }
        return try Tensor.concatenated(texts, axis: 1)
    }
}

extension GPT {
    static let named = [
        named("distilgpt2", 768, 6, 12, 81_912_576), named("gpt2", 768, 12, 12, 124_439_808), named("gpt2-medium", 1024, 24, 16, 354_823_168),
        named("gpt2-large", 1280, 36, 20, 774_030_080), named("gpt2-xl", 1600, 48, 25, 1_557_611_200),
    ]

    private static func named(_ name: String, _ features: Int, _ layers: Int, _ heads: Int, _ parameters: Int) -> NamedNetwork {
        NamedNetwork(
            name, .text, GPT.self, paper: "Radford et al., Language Models are Unsupervised Multitask Learners, 2019", parameters: parameters,
            published: .exact(parameters, "transformers"), inputs: [NetworkPort("tokens", ["batch", "time"], .int64)],
            outputs: [NetworkPort("logits", ["batch", "time", 50_257])]
        ) { generator throws(TensorError) in try GPT(features: features, layers: layers, heads: heads, using: &generator) }
    }
}
