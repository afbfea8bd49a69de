// The workloads' networks for sequences, as their specification has them.
package import Keel
package import KeelNN

/// An embedding, one bidirectional LSTM layer, mean over time, linear. `[batch, time]` ids → logits `[batch, classes]`.
package struct BiLSTMText: Layer {
    var embedding: Embedding
    var lstm: LSTM
    var head: Linear

    package init(_ words: Int, _ features: Int, _ hidden: Int, _ classes: Int, using generator: inout Philox) throws(TensorError) {
        embedding = try Embedding(words, features, using: &generator)
        lstm = try LSTM(features, hidden, isBidirectional: true, using: &generator)
        head = try Linear(2 * hidden, classes, using: &generator)
    }

    package func callAsFunction(_ words: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(lstm(embedding(words, in: context), in: context).mean([1]), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
    }
}

/// LSTM layers, the last step, linear. `[batch, window, channels]` → `[batch, horizon * channels]`.
package struct LSTMForecaster: Layer {
    var lstm: LSTM
    var head: Linear

    package init(_ channels: Int, _ hidden: Int, layers: Int, horizon: Int, using generator: inout Philox) throws(TensorError) {
        lstm = try LSTM(channels, hidden, layers: layers, using: &generator)
        head = try Linear(hidden, horizon * channels, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(lstm(x, in: context).at(-1, axis: 1), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
    }
}

/// Post-norm encoder layers, mean over time, linear. `[batch, time, features]` → logits `[batch, classes]`.
package struct EncoderClassifier: Layer {
    var layers: Sequential
    var head: Linear

    package init(_ features: Int, heads: Int, inner: Int, layers: Int, classes: Int, using generator: inout Philox) throws(TensorError) {
        var made: [any Layer] = []
        for _ in 0..<layers { made.append(try TransformerEncoderLayer(features, heads: heads, inner: inner, using: &generator)) }
        self.layers = Sequential(made)
        head = try Linear(features, classes, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try head(layers(x, in: context).mean([1]), in: context) }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try layers.forEachState(body, under: "layers")
        try head.forEachState(body, under: "head")
    }
}

/// MiniLM's shape: words and positions, a norm, post-norm encoder layers, mean over time. `[batch, time]` ids → `[batch, features]`.
package struct MiniLM: Layer {
    var words, positions: Embedding
    var norm: LayerNorm
    var layers: Sequential

    package init(
        _ vocabulary: Int, positions: Int, _ features: Int, heads: Int, inner: Int, layers: Int, using generator: inout Philox
    ) throws(TensorError) {
        words = try Embedding(vocabulary, features, using: &generator)
        self.positions = try Embedding(positions, features, using: &generator)
        norm = try LayerNorm(features)
        var made: [any Layer] = []
        for _ in 0..<layers { made.append(try TransformerEncoderLayer(features, heads: heads, inner: inner, using: &generator)) }
        self.layers = Sequential(made)
    }

    package func callAsFunction(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try words(ids, in: context) + positions.weight.sliced(0, to: ids.shape.size(1))
        return try layers(norm(x, in: context), in: context).mean([1])
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try words.forEachState(body, under: "words")
        try positions.forEachState(body, under: "positions")
        try norm.forEachState(body, under: "norm")
        try layers.forEachState(body, under: "layers")
    }
}

/// Two causal convolutions with ReLU beside a shortcut, and ReLU (Bai et al., 2018).
package struct TCNBlock: Layer {
    var first, second: TemporalConv
    var shortcut: TemporalConv?

    package init(_ from: Int, _ to: Int, taps: Int, dilation: Int, using generator: inout Philox) throws(TensorError) {
        first = try TemporalConv(from, to, kernel: taps, padding: .causal, dilation: dilation, using: &generator)
        second = try TemporalConv(to, to, kernel: taps, padding: .causal, dilation: dilation, using: &generator)
        shortcut = from == to ? nil : try TemporalConv(from, to, kernel: 1, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let y = try second(first(x, in: context).relu(), in: context).relu()
        return try (y + (shortcut?(x, in: context) ?? x)).relu()
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try shortcut?.forEachState(body, under: "shortcut")
    }
}

/// TCN blocks, the last step, linear. `[batch, window, channels]` → `[batch, horizon * channels]`.
package struct TCNForecaster: Layer {
    var blocks: Sequential
    var head: Linear

    package init(_ channels: Int, _ width: Int, taps: Int, dilations: [Int], horizon: Int, using generator: inout Philox) throws(TensorError) {
        var layers: [any Layer] = []
        for (i, dilation) in dilations.enumerated() {
            layers.append(try TCNBlock(i == 0 ? channels : width, width, taps: taps, dilation: dilation, using: &generator))
        }
        blocks = Sequential(layers)
        head = try Linear(width, horizon * channels, using: &generator)
    }

    package func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(blocks(x, in: context).at(-1, axis: 1), in: context)
    }

    package mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try blocks.forEachState(body, under: "blocks")
        try head.forEachState(body, under: "head")
    }
}
