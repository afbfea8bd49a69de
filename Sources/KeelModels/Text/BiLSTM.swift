public import Keel
public import KeelNN

/// Texts read in both directions by long short-term memory, and judged by the mean over their tokens: Graves and Schmidhuber, *Framewise phoneme
/// classification with bidirectional LSTM*, 2005.
///
/// Token numbers `[batch, time]` and lengths `[batch]` → logits `[batch, classes]`.
public struct BiLSTM: Network {
    public var embedding: Embedding
    public var lstm: LSTM
    public var dropout: Dropout
    public var head: Linear

    public init(
        tokens: Int, features: Int, hidden: Int, layers: Int = 1, dropout rate: Double = 0.3, classes: Int, using generator: inout Philox
    ) throws(TensorError) {
        embedding = try Embedding(tokens, features, deviation: 0.1, using: &generator)
        lstm = try LSTM(features, hidden, layers: layers, isBidirectional: true, using: &generator)
        dropout = try Dropout(rate)
        head = try Linear(2 * hidden, classes, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "BiLSTM")
        return [try self(inputs[0], lengths: inputs[1], in: context)]
    }

    public func callAsFunction(_ tokens: Tensor, lengths: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try lstm.run(embedding(tokens, in: context), lengths: lengths).y        // [batch, time, 2 * hidden], 0 past the end
        let mean = try x.sum([1]) / lengths.cast(to: .float32).withAxis(-1)
        return try head(dropout(mean, in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
    }
}

/// The same reader with a tag for each token, of which it knows which follow which: Huang, Xu and Yu, *Bidirectional LSTM-CRF Models for
/// Sequence Tagging*, 2015.
///
/// Token numbers `[batch, time]` and lengths `[batch]` → scores `[batch, time, tags]` and the best tags `[batch, time]`.
public struct BiLSTMCRF: Network {
    public var embedding: Embedding
    public var lstm: LSTM
    public var dropout: Dropout
    public var head: Linear
    public var crf: LinearChainCRF

    public init(tokens: Int, features: Int, hidden: Int, dropout rate: Double = 0.3, tags: Int, using generator: inout Philox) throws(TensorError) {
        embedding = try Embedding(tokens, features, deviation: 0.1, using: &generator)
        lstm = try LSTM(features, hidden, isBidirectional: true, using: &generator)
        dropout = try Dropout(rate)
        head = try Linear(2 * hidden, tags, using: &generator)
        crf = try LinearChainCRF(tags, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "BiLSTMCRF")
        let scores = try scores(inputs[0], lengths: inputs[1], in: context)
        return [scores, try crf.decoded(scores, lengths: inputs[1])]
    }

    /// What speaks for each tag at each token.
    public func scores(_ tokens: Tensor, lengths: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try dropout(embedding(tokens, in: context), in: context)
        return try head(lstm.run(x, lengths: lengths).y, in: context)
    }

    /// The mean of the texts' negative log-likelihoods: what is to be learned from tags `[batch, time]` that are known.
    public func loss(_ tokens: Tensor, _ tags: Tensor, lengths: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try crf.logLikelihood(scores(tokens, lengths: lengths, in: context), tags, lengths: lengths).mean().negated()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
        try crf.forEachState(body, under: "crf")
    }
}

/// How many numbers an LSTM layer of both directions trains.
private func lstmParameters(_ features: Int, _ hidden: Int) -> Int { 2 * 4 * hidden * (features + hidden + 2) }

extension BiLSTM {
    static let named = [named("bilstm-128", 128, 128, layers: 1), named("bilstm-256x2", 128, 256, layers: 2)]

    private static func named(_ name: String, _ features: Int, _ hidden: Int, layers: Int) -> NamedNetwork {
        let recurrent = lstmParameters(features, hidden) + (layers - 1) * lstmParameters(2 * hidden, hidden)
        return NamedNetwork(
            name, .text, BiLSTM.self, paper: "Graves and Schmidhuber, Framewise phoneme classification with bidirectional LSTM, 2005",
            parameters: 20_000 * features + recurrent + 2 * (2 * hidden + 1),
            inputs: [NetworkPort("tokens", ["batch", "time"], .int64), NetworkPort("lengths", ["batch"], .int64)],
            outputs: [NetworkPort("logits", ["batch", 2])], classes: 2
        ) { (classes, generator) throws(TensorError) in
            try BiLSTM(tokens: 20_000, features: features, hidden: hidden, layers: layers, classes: classes, using: &generator)
        }
    }
}

extension BiLSTMCRF {
    static let named = [named("bilstm-crf-100", 100, 100, 20_000), named("bilstm-crf-256", 128, 256, 6_000)]

    private static func named(_ name: String, _ features: Int, _ hidden: Int, _ tokens: Int) -> NamedNetwork {
        NamedNetwork(
            name, .text, BiLSTMCRF.self, paper: "Huang et al., Bidirectional LSTM-CRF Models for Sequence Tagging, 2015",
            parameters: tokens * features + lstmParameters(features, hidden) + 9 * (2 * hidden + 1) + 9 * 11,
            inputs: [NetworkPort("tokens", ["batch", "time"], .int64), NetworkPort("lengths", ["batch"], .int64)],
            outputs: [NetworkPort("scores", ["batch", "time", 9]), NetworkPort("tags", ["batch", "time"], .int64)], classes: 9
        ) { (classes, generator) throws(TensorError) in
            try BiLSTMCRF(tokens: tokens, features: features, hidden: hidden, tags: classes, using: &generator)
        }
    }
}
