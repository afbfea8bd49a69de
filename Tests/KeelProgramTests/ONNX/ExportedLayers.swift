import Keel
import KeelNN
import Testing

/// Every layer of KeelNN as a network, for predicting, with symbols for the batch and, where it may vary, for time. Absent: the mixture of experts, which
/// reads its data and can't be traced, and the conditional random field, whose best path no operators stand for.
let tracedLayers: [TracedNetwork] = [
    layer("Linear", sequences) { generator in try Linear(8, 5, using: &generator) },
    layer("Linear of rows", rows(8)) { generator in try Linear(8, 5, hasBias: false, using: &generator) },
    layer("Conv1D", signals) { generator in try Conv1D(8, 6, kernel: 3, stride: 2, padding: (1, 0), dilation: 2, groups: 2, using: &generator) },
    layer("Conv2D", pictures(6, 10)) { generator in try Conv2D(6, 8, kernel: 3, stride: 2, padding: 1, groups: 2, using: &generator) },
    layer("Conv2D, dilated", pictures(6, 10)) { generator in try Conv2D(6, 8, kernel: 3, dilation: 2, hasBias: false, using: &generator) },
    layer("ConvTranspose2D", pictures(6, 5)) { generator in
        try ConvTranspose2D(6, 4, kernel: 3, stride: 2, padding: 1, outputPadding: 1, groups: 2, using: &generator)
    },
    layer("ConvTranspose2D, dilated", pictures(6, 5)) { generator in try ConvTranspose2D(6, 4, kernel: 3, stride: 3, dilation: 2, using: &generator) },
    layer("TemporalConv", sequences) { generator in try TemporalConv(8, 6, kernel: 3, padding: .causal, dilation: 2, using: &generator) },
    layer("TemporalConv, same", sequences) { generator in try TemporalConv(8, 6, kernel: 5, padding: .same, hasBias: false, using: &generator) },
    layer("BatchNorm", pictures(6, 5)) { _ in try BatchNorm(6, rectifier: .relu6) },
    layer("BatchNorm of rows", rows(6)) { _ in try BatchNorm(6) },
    layer("LayerNorm", sequences) { _ in try LayerNorm(8) },
    layer("RMSNorm", sequences) { _ in try RMSNorm(8) },
    layer("GroupNorm", pictures(6, 5)) { _ in try GroupNorm(6, groups: 3) },
    layer("GroupNorm of rows", rows(6)) { _ in try GroupNorm(6, groups: 2) },
    layer("InstanceNorm", pictures(6, 5)) { _ in try InstanceNorm(6) },
    layer("LSTM", sequences) { generator in try LSTM(8, 5, using: &generator) },
    layer("LSTM, two ways, two layers", sequences) { generator in try LSTM(8, 5, layers: 2, isBidirectional: true, using: &generator) },
    layer("GRU", sequences) { generator in try GRU(8, 5, using: &generator) },
    layer("GRU, two ways, two layers", sequences) { generator in try GRU(8, 5, layers: 2, isBidirectional: true, using: &generator) },
    network("LSTM with lengths", ["x": sequences, "lengths": TensorSpec(Shape(batch), .int64)]) { generator in
        let lstm = try LSTM(8, 5, isBidirectional: true, using: &generator)
        return { try lstm.run($0[0], lengths: $0[1]).y }
    },
    network("GRU with lengths", ["x": sequences, "lengths": TensorSpec(Shape(batch), .int64)]) { generator in
        let gru = try GRU(8, 5, isBidirectional: true, using: &generator)
        return { try gru.run($0[0], lengths: $0[1]).y }
    },
    network("Embedding", ["words": TensorSpec(Shape(batch, time), .int64)]) { generator in
        let embedding = try Embedding(50, 8, using: &generator)
        return { try embedding($0[0], in: .prediction) }
    },
    layer("Dropout", sequences) { _ in try Dropout(0.5) },
    layer("MaxPool", pictures(6, 9)) { _ in MaxPool(3, stride: 2, padding: 1) },
    layer("MaxPool of sequences", signals) { _ in MaxPool(2) },
    layer("AveragePool", pictures(6, 9)) { _ in AveragePool(3, stride: 2, padding: 1) },
    layer("AveragePool, padding left out", pictures(6, 9)) { _ in AveragePool(3, stride: 2, padding: 1, countsPadding: false) },
    layer("AdaptivePool, largest", pictures(6, 9)) { _ in AdaptivePool(.max, 4, 2) },
    layer("AdaptivePool, mean", pictures(6, 9)) { _ in AdaptivePool(.average, 4, 2) },
    layer("GlobalMaxPool", pictures(6, 9)) { _ in GlobalMaxPool() },
    layer("GlobalAveragePool", signals) { _ in GlobalAveragePool() },
    layer("Upsample", pictures(6, 5)) { _ in Upsample(2) },
    layer("Upsample, linear", pictures(6, 5)) { _ in Upsample(3, .linear) },
    layer("PReLU", pictures(6, 5)) { _ in try PReLU(6) },
    layer("MultiHeadAttention", sequences) { generator in try MultiHeadAttention(8, heads: 2, using: &generator) },
    layer("MultiHeadAttention, causal", sequences) { generator in try MultiHeadAttention(8, heads: 2, isCausal: true, using: &generator) },
    network("MultiHeadAttention with a mask", ["x": sequences, "mask": TensorSpec(Shape(batch, time), .bool)]) { generator in
        let attention = try MultiHeadAttention(8, heads: 2, isCausal: true, using: &generator)
        return { try attention($0[0], mask: $0[1], in: .prediction) }
    },
    network("cross attention", ["x": sequences, "memory": floats(batch, Dimension(5), Dimension(8))]) { generator in
        let attention = try MultiHeadAttention(8, heads: 2, using: &generator)
        return { try attention($0[0], to: $0[1], in: .prediction) }
    },
    layer("SinusoidalEncoding", sequences) { _ in SinusoidalEncoding() },
    layer("LearnedEncoding", sequences) { generator in try LearnedEncoding(10, 8, using: &generator) },
    layer("TransformerEncoder", sequences) { generator in
        try TransformerEncoder(8, heads: 2, inner: 16, layers: 2, isPreNorm: true, isCausal: true, dropout: 0.1, using: &generator)
    },
    network("TransformerDecoder", ["x": sequences, "memory": floats(batch, Dimension(5), Dimension(8))]) { generator in
        let decoder = try TransformerDecoder(8, heads: 2, inner: 16, layers: 2, using: &generator)
        return { try decoder($0[0], memory: $0[1], in: .prediction) }
    },
    layer("FeedForward", sequences) { generator in try FeedForward(8, inner: 12, using: &generator) },
    layer("ConvNorm2D", pictures(6, 8)) { generator in try ConvNorm2D(6, 8, kernel: 3, stride: 2, activation: .hardSwish, using: &generator) },
    layer("ResidualBlock", pictures(6, 8)) { generator in try ResidualBlock(6, 8, stride: 2, inner: 4, using: &generator) },
    layer("InvertedResidual", pictures(6, 8)) { generator in try InvertedResidual(6, 6, expansion: 2, squeeze: 3, using: &generator) },
    layer("SqueezeExcitation", pictures(6, 8)) { generator in try SqueezeExcitation(6, inner: 3, using: &generator) },
    layer("UNetDown", pictures(6, 8)) { generator in try UNetDown(6, 8, using: &generator) },
    network("UNetUp", ["x": pictures(6, 4), "skip": pictures(3, 8)]) { generator in
        let up = try UNetUp(6, skip: 3, 4, using: &generator)
        return { try up($0[0], skip: $0[1], in: .prediction) }
    },
    network("FeaturePyramid", ["large": pictures(4, 8), "small": pictures(6, 4)]) { generator in
        let pyramid = try FeaturePyramid([4, 6], 5, using: &generator)
        return { try pyramid($0, in: .prediction)[0] }
    },
    network("branch", ["x": rows(3)]) { _ in { x in
        let made = try branched(x[0])
        return try made[0] * made[1].magnitude().max()
    } },
    network("loop", ["x": rows(3)]) { _ in { x in
        let made = try halved(x[0] * 10)
        return try made[0] + made[1].cast(to: .float32)
    } },
    layer("Sequential", rows(8)) { generator in Sequential([try Linear(8, 4, using: &generator), Activation.tanh]) },
    layer("GELU by tanh", sequences) { _ in Activation.geluTanh },
] + activations.map { activation in layer(activation.name, sequences) { _ in activation } }

private let activations: [Activation] = [
    .identity, .relu, .relu6, .leakyRelu(slope: 0.1), .elu(scale: 0.7), .selu, .gelu, .silu, .mish, .softplus, .hardSigmoid, .hardSwish, .tanh,
    .sigmoid, .softmax, .gatedLinear,
]

private let batch = Dimension.symbol("batch"), time = Dimension.symbol("time")
private let sequences = floats(batch, time, Dimension(8)), signals = floats(batch, Dimension(8), Dimension(11))

private func rows(_ features: Int) -> TensorSpec { floats(batch, Dimension(features)) }
private func pictures(_ channels: Int, _ side: Int) -> TensorSpec { floats(batch, Dimension(channels), Dimension(side), Dimension(side)) }

private func network(
    _ name: String, _ inputs: KeyValuePairs<String, TensorSpec>, _ make: @escaping @Sendable (inout Philox) throws -> ([Tensor]) throws -> Tensor
) -> TracedNetwork {
    TracedNetwork(description: name, inputs: inputs) {
        var generator = Philox(seed: 5)
        return try make(&generator)
    }
}

private func layer(_ name: String, _ input: TensorSpec, _ make: @escaping @Sendable (inout Philox) throws -> some Layer) -> TracedNetwork {
    TracedNetwork(description: name, inputs: ["x": input]) {
        var generator = Philox(seed: 5)
        return try trained(make(&generator))
    }
}
