// The workloads over sequences, with their networks, as their specification has them.
import Keel
import KeelNN

/// An embedding, one bidirectional LSTM layer, mean over time, linear. `[batch, time]` ids → logits `[batch, classes]`.
struct BiLSTMText: Layer {
    var embedding: Embedding
    var lstm: LSTM
    var head: Linear

    init(_ words: Int, _ features: Int, _ hidden: Int, _ classes: Int, using generator: inout Philox) throws(TensorError) {
        embedding = try Embedding(words, features, using: &generator)
        lstm = try LSTM(features, hidden, isBidirectional: true, using: &generator)
        head = try Linear(2 * hidden, classes, using: &generator)
    }

    func callAsFunction(_ words: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(lstm(embedding(words, in: context), in: context).mean([1]), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
    }
}

/// LSTM layers, the last step, linear. `[batch, window, channels]` → `[batch, horizon * channels]`.
struct LSTMForecaster: Layer {
    var lstm: LSTM
    var head: Linear

    init(_ channels: Int, _ hidden: Int, layers: Int, horizon: Int, using generator: inout Philox) throws(TensorError) {
        lstm = try LSTM(channels, hidden, layers: layers, using: &generator)
        head = try Linear(hidden, horizon * channels, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(lstm(x, in: context).at(x.shape.size(1) - 1, axis: 1), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try lstm.forEachState(body, under: "lstm")
        try head.forEachState(body, under: "head")
    }
}

/// Post-norm encoder layers, mean over time, linear. `[batch, time, features]` → logits `[batch, classes]`.
struct EncoderClassifier: Layer {
    var layers: Sequential
    var head: Linear

    init(_ features: Int, heads: Int, inner: Int, layers: Int, classes: Int, using generator: inout Philox) throws(TensorError) {
        var made: [any Layer] = []
        for _ in 0..<layers { made.append(try TransformerEncoderLayer(features, heads: heads, inner: inner, using: &generator)) }
        self.layers = Sequential(made)
        head = try Linear(features, classes, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try head(layers(x, in: context).mean([1]), in: context) }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try layers.forEachState(body, under: "layers")
        try head.forEachState(body, under: "head")
    }
}

/// Two causal convolutions with ReLU beside a shortcut, and ReLU (Bai et al., 2018).
struct TCNBlock: Layer {
    var first, second: TemporalConv
    var shortcut: TemporalConv?

    init(_ from: Int, _ to: Int, taps: Int, dilation: Int, using generator: inout Philox) throws(TensorError) {
        first = try TemporalConv(from, to, kernel: taps, padding: .causal, dilation: dilation, using: &generator)
        second = try TemporalConv(to, to, kernel: taps, padding: .causal, dilation: dilation, using: &generator)
        shortcut = from == to ? nil : try TemporalConv(from, to, kernel: 1, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let y = try second(first(x, in: context).relu(), in: context).relu()
        return try (y + (shortcut?(x, in: context) ?? x)).relu()
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try shortcut?.forEachState(body, under: "shortcut")
    }
}

/// TCN blocks, the last step, linear. `[batch, window, channels]` → `[batch, horizon * channels]`.
struct TCNForecaster: Layer {
    var blocks: Sequential
    var head: Linear

    init(_ channels: Int, _ width: Int, taps: Int, dilations: [Int], horizon: Int, using generator: inout Philox) throws(TensorError) {
        var layers: [any Layer] = []
        for (i, dilation) in dilations.enumerated() {
            layers.append(try TCNBlock(i == 0 ? channels : width, width, taps: taps, dilation: dilation, using: &generator))
        }
        blocks = Sequential(layers)
        head = try Linear(width, horizon * channels, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(blocks(x, in: context).at(x.shape.size(1) - 1, axis: 1), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try blocks.forEachState(body, under: "blocks")
        try head.forEachState(body, under: "head")
    }
}

let sequenceWorkloads: [Workload] = [
    Workload(name: "bilstm-text", group: .train, work: 64, unit: "sequences/s") {
        var generator = Philox(seed: 0)
        let words = try ids(below: 10_000, 64 * 64).reshaped([64, 64])
        return try trainingStep(BiLSTMText(10_000, 128, 128, 2, using: &generator), words, ids(below: 2, 64)) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
    Workload(name: "lstm-forecast", group: .train, work: 64, unit: "windows/s") {
        var generator = Philox(seed: 0)
        let network = try LSTMForecaster(7, 64, layers: 2, horizon: 24, using: &generator)
        return try trainingStep(network, floats(64, 96, 7), floats(64, 168, seed: 3), loss: { try $0.meanSquaredError($1) }) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
    Workload(name: "transformer-encoder", group: .train, work: 8, unit: "sequences/s") {
        var generator = Philox(seed: 0)
        let network = try EncoderClassifier(384, heads: 12, inner: 1536, layers: 6, classes: 2, using: &generator)
        return try trainingStep(network, floats(8, 128, 384), ids(below: 2, 8)) { try AdamW($0, learningRate: 1e-4, weightDecay: 0.01) }
    },
    Workload(name: "tcn-forecast", group: .train, work: 64, unit: "windows/s") {
        var generator = Philox(seed: 0)
        let network = try TCNForecaster(7, 64, taps: 3, dilations: [1, 2, 4, 8], horizon: 24, using: &generator)
        return try trainingStep(network, floats(64, 96, 7), floats(64, 168, seed: 3), loss: { try $0.meanSquaredError($1) }) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        }
    },
]
