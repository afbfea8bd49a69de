public import Keel
public import KeelNN

/// One sequence turned into another by recurrent networks that look back: Bahdanau, Cho and Bengio, *Neural Machine Translation by Jointly
/// Learning to Align and Translate*, 2015, with the scores of Luong, Pham and Manning, 2015. A bidirectional reader, a writer, and attention of what
/// the writer has to what the reader read.
///
/// Source tokens `[batch, time]`, their lengths `[batch]`, and the target's tokens so far `[batch, steps]`, a start token first → for each step logits of the
/// token after it, `[batch, steps, tokens]`.
public struct RecurrentSeq2Seq: Network {
    public var source, target: Embedding
    public var reader, writer: LSTM
    public var memory, joined, head: Linear
    public let dropout: Double

    public init(
        sourceTokens: Int, targetTokens: Int, features: Int, hidden: Int, dropout: Double = 0.2, using generator: inout Philox
    ) throws(TensorError) {
        source = try Embedding(sourceTokens, features, deviation: 0.1, using: &generator)
        target = try Embedding(targetTokens, features, deviation: 0.1, using: &generator)
        reader = try LSTM(features, hidden, isBidirectional: true, using: &generator)
        memory = try Linear(2 * hidden, hidden, using: &generator)
        writer = try LSTM(features, hidden, using: &generator)
        joined = try Linear(2 * hidden, hidden, using: &generator)
        head = try Linear(hidden, targetTokens, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 3, "RecurrentSeq2Seq")
        let read = try self.read(inputs[0], lengths: inputs[1], in: context)
        return [try written(inputs[2], read, in: context).logits]
    }

    /// What the reader makes of the source: what is looked back at, and what the writer begins with.
    public struct Reading: Sendable {
        /// `[batch, time, hidden]`; bool `[batch, time]`, where there are tokens.
        let memory, mask: Tensor
        var states: [(h: Tensor, c: Tensor)]?
    }

    public func read(_ tokens: Tensor, lengths: Tensor, in context: Context) throws(TensorError) -> Reading {
        let x = try context.dropped(source(tokens, in: context), rate: dropout)
        let y = try memory(reader.run(x, lengths: lengths).y, in: context)                       // [batch, time, hidden]
        return Reading(memory: y, mask: try lengths.lengthMask(tokens.shape[1]), states: nil)
    }

    /// The next steps of the target, and the reading for those after them.
    public func written(_ tokens: Tensor, _ reading: Reading, in context: Context) throws(TensorError) -> (logits: Tensor, reading: Reading) {
        let x = try context.dropped(target(tokens, in: context), rate: dropout)
        let (y, states) = try writer.run(x, states: reading.states)                              // [batch, steps, hidden]
        let seen = try y.attention(to: reading.memory, values: reading.memory, heads: 1, mask: reading.mask)
        let both = try joined(.concatenated([y, seen], axis: -1), in: context).tanh()
        var next = reading
        next.states = states
        return (try head(both, in: context), next)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try source.forEachState(body, under: "source")
        try target.forEachState(body, under: "target")
        try reader.forEachState(body, under: "reader")
        try memory.forEachState(body, under: "memory")
        try writer.forEachState(body, under: "writer")
        try joined.forEachState(body, under: "joined")
        try head.forEachState(body, under: "head")
    }
}

/// One sequence turned into another by attention alone: Vaswani et al., *Attention Is All You Need*, 2017. Source, target and output share
/// one table of tokens.
///
/// Source tokens `[batch, time]`, a mask alike, int64, 1 for tokens and 0 for padding, and the target's tokens so far `[batch, steps]`, a start token
/// first → for each step logits of the token after it, `[batch, steps, tokens]`.
public struct TransformerSeq2Seq: Network {
    public var tokens: Embedding
    public var encoder: TransformerEncoder
    public var decoder: TransformerDecoder
    public let dropout: Double
    private let scale: Double

    public init(
        tokens count: Int, features: Int, heads: Int, inner: Int, layers: Int, dropout: Double = 0.1, using generator: inout Philox
    ) throws(TensorError) {
        scale = Double(features).squareRoot()
        tokens = try Embedding(count, features, deviation: Float(1 / scale), using: &generator)
        encoder = try TransformerEncoder(features, heads: heads, inner: inner, layers: layers, dropout: dropout, using: &generator)
        decoder = try TransformerDecoder(features, heads: heads, inner: inner, layers: layers, dropout: dropout, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 3, "TransformerSeq2Seq")
        let mask = try inputs[1].isGreater(than: Tensor(Int64(0)))
        let memory = try read(inputs[0], mask: mask, in: context)
        let y = try decoder(embedded(inputs[2], in: context), memory: memory, memoryMask: mask, in: context)
        return [try y.affine(tokens.weight)]
    }

    /// What the encoder makes of the source, `[batch, time, features]`; `mask` bool, where there are tokens.
    public func read(_ source: Tensor, mask: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        try encoder(embedded(source, in: context), mask: mask, in: context)
    }

    private func embedded(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try context.dropped(SinusoidalEncoding()(tokens(ids, in: context) * scale, in: context), rate: dropout)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try tokens.forEachState(body, under: "tokens")
        try encoder.forEachState(body, under: "encoder")
        try decoder.forEachState(body, under: "decoder")
    }
}

extension RecurrentSeq2Seq {
    static let named = [named("seq2seq-lstm-256", 128, 256, 8_000), named("seq2seq-lstm-512", 256, 512, 16_000)]

    private static func named(_ name: String, _ features: Int, _ hidden: Int, _ tokens: Int) -> NamedNetwork {
        let cell = 4 * hidden * (features + hidden + 2), linear = 2 * hidden * hidden + hidden
        return NamedNetwork(
            name, .text, RecurrentSeq2Seq.self, paper: "Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate, 2015",
            parameters: 2 * tokens * features + 3 * cell + 2 * linear + tokens * (hidden + 1),
            inputs: [
                NetworkPort("source", ["batch", "time"], .int64), NetworkPort("lengths", ["batch"], .int64), NetworkPort("target", ["batch", "steps"], .int64),
            ], outputs: [NetworkPort("logits", ["batch", "steps", NetworkSize(tokens)])]
        ) { generator throws(TensorError) in
            try RecurrentSeq2Seq(sourceTokens: tokens, targetTokens: tokens, features: features, hidden: hidden, using: &generator)
        }
    }
}

extension TransformerSeq2Seq {
    static let named = [named("transformer-base", 512, 8, 2048), named("transformer-big", 1024, 16, 4096)]

    private static func named(_ name: String, _ features: Int, _ heads: Int, _ inner: Int) -> NamedNetwork {
        let attention = 4 * features * (features + 1), maps = 2 * features * inner + features + inner, norm = 2 * features
        return NamedNetwork(
            name, .text, TransformerSeq2Seq.self, paper: "Vaswani et al., Attention Is All You Need, 2017",
            parameters: 37_000 * features + 6 * (3 * attention + 2 * maps + 5 * norm),
            inputs: [
                NetworkPort("source", ["batch", "time"], .int64), NetworkPort("mask", ["batch", "time"], .int64), NetworkPort("target", ["batch", "steps"], .int64),
            ], outputs: [NetworkPort("logits", ["batch", "steps", 37_000])]
        ) { generator throws(TensorError) in
            try TransformerSeq2Seq(tokens: 37_000, features: features, heads: heads, inner: inner, layers: 6, using: &generator)
        }
    }
}
