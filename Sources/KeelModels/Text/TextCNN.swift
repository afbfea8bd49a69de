public import Keel
public import KeelNN

/// TextCNN: Kim, *Convolutional Neural Networks for Sentence Classification*, 2014. Windows of several lengths look for what tells classes apart,
/// anywhere in the text.
///
/// Token numbers `[batch, time]`, at least as many as the longest window → logits `[batch, classes]`.
public struct TextCNN: Layer, Network {
    public var embedding: Embedding
    public var windows: [TemporalConv]
    public var dropout: Dropout
    public var head: Linear

    /// - Parameters:
    ///   - tokens: how many different ones there are.
    ///   - lengths: of the windows, in tokens.
    ///   - width: how many windows of each length.
    public init(
        tokens: Int, features: Int, lengths: [Int] = [3, 4, 5], width: Int = 100, classes: Int, using generator: inout Philox
    ) throws(TensorError) {
        embedding = try Embedding(tokens, features, deviation: 0.1, using: &generator)
        windows = []
        for length in lengths { windows.append(try TemporalConv(features, width, kernel: length, using: &generator)) }
        dropout = try Dropout(0.5)
        head = try Linear(lengths.count * width, classes, using: &generator)
    }

    public func callAsFunction(_ tokens: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try embedding(tokens, in: context)                                         // [batch, time, features]
        var found: [Tensor] = []
        for window in windows { found.append(try window(x, in: context).relu().max([1])) }  // [batch, 100] each
        return try head(dropout(.concatenated(found, axis: 1), in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        for place in windows.indices { try windows[place].forEachState(body, under: "windows.\(place)") }
        try head.forEachState(body, under: "head")
    }
}

extension TextCNN {
    static let named = [named("text-cnn-100", 100, 100, 20_000), named("text-cnn-300", 300, 100, 20_000)]

    private static func named(_ name: String, _ features: Int, _ width: Int, _ tokens: Int) -> NamedNetwork {
        NamedNetwork(
            name, .text, TextCNN.self, paper: "Kim, Convolutional Neural Networks for Sentence Classification, 2014",
            parameters: tokens * features + width * (12 * features + 3) + 2 * (3 * width + 1),
            inputs: [NetworkPort("tokens", ["batch", "time"], .int64)], outputs: [NetworkPort("logits", ["batch", 2])], classes: 2
        ) { (classes, generator) throws(TensorError) in
            try TextCNN(tokens: tokens, features: features, width: width, classes: classes, using: &generator)
        }
    }
}
