public import Keel
public import KeelNN

/// A keyword spotter for small machines: Arik et al., *Convolutional Recurrent Neural Networks for Small-Footprint Keyword Spotting*, 2017. One
/// convolution, two bidirectional recurrent layers, one hidden layer.
///
/// Mel spectrograms `[batch, 151, 40]` → logits `[batch, classes]`.
public struct KeywordCRNN: Layer, Network {
    var conv: RectangularConv
    public var recurrent: GRU
    public var hidden, head: Linear
    let dropout: Double

    /// - Parameters:
    ///   - steps, bands: of the spectrograms.
    ///   - channels: of the convolution.
    ///   - width: of each direction of the recurrent layers.
    public init(
        steps: Int = 151, bands: Int = 40, channels: Int = 32, width: Int = 32, inner: Int = 64, dropout: Double = 0.1, classes: Int,
        using generator: inout Philox
    ) throws(TensorError) {
        let (rows, columns) = ((steps + 7) / 8, (bands + 1) / 2)
        // Zeros all around, as few as let the windows' steps cover everything.
        let (tall, wide) = (max((rows - 1) * 8 + 20 - steps, 0), max((columns - 1) * 2 + 5 - bands, 0))
        conv = try RectangularConv(
            1, channels, kernel: (20, 5), sliding: Sliding(stride: (8, 2), padding: (tall / 2, wide / 2, tall - tall / 2, wide - wide / 2)), rectifier: .relu,
            using: &generator)
        recurrent = try GRU(channels * columns, width, layers: 2, isBidirectional: true, using: &generator)
        hidden = try Linear(rows * 2 * width, inner, using: &generator)
        head = try Linear(inner, classes, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ spectrograms: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let map = try conv(spectrograms.withAxis(1), in: context)                       // [batch, 32, 19, 20]
        let x = try recurrent(framesOfMap(map), in: context)                            // [batch, 19, 64]
        let known = try context.dropped(hidden(x.flattened(from: 1), in: context).relu(), rate: dropout)
        return try head(known, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try recurrent.forEachState(body, under: "recurrent")
        try hidden.forEachState(body, under: "hidden")
        try head.forEachState(body, under: "head")
    }
}

extension KeywordCRNN {
    static let named = [
        named("keyword-crnn", 32, 32, 2, .rounded(230e3, to: 10e3, "the paper's abstract")), named("keyword-crnn-large", 64, 64, 12),
    ]

    private static func named(_ name: String, _ channels: Int, _ width: Int, _ classes: Int, _ published: NamedNetwork.Count? = nil) -> NamedNetwork {
        let recurrent = 6 * width * (20 * channels + width + 2) + 6 * width * (2 * width + width + 2)
        return NamedNetwork(
            name, .speech, KeywordCRNN.self, paper: "Arik et al., Convolutional Recurrent Neural Networks for Small-Footprint Keyword Spotting, 2017",
            parameters: 102 * channels + recurrent + denseParameters([38 * width, 64, classes]), published: published,
            inputs: [NetworkPort("spectrograms", ["batch", 151, 40])], outputs: [NetworkPort("logits", ["batch", NetworkSize(classes)])], classes: classes
        ) { (classes, generator) throws(TensorError) in try KeywordCRNN(channels: channels, width: width, classes: classes, using: &generator) }
    }
}
