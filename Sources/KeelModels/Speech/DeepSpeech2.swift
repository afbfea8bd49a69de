public import Keel
public import KeelNN

/// Deep Speech 2: Amodei et al., *Deep Speech 2: End-to-End Speech Recognition in English and Mandarin*, 2016. Two convolutions over time and frequency,
/// bidirectional recurrent layers, and connectionist temporal classification of characters.
///
/// Spectrograms `[batch, time, frequencies]` → logits `[batch, ⌈time / 2⌉, characters]`, of which number 0 is the blank.
public struct DeepSpeech2: Layer, Network {
    var convs: [RectangularConv]
    public var recurrent: GRU
    public var norm: LayerNorm
    public var head: Linear

    /// - Parameters:
    ///   - frequencies: of a spectrogram's step.
    ///   - characters: how many there are, with the blank.
    public init(
        frequencies: Int = 161, channels: Int = 32, hidden: Int, layers: Int, characters: Int, using generator: inout Philox
    ) throws(TensorError) {
        convs = [
            try RectangularConv(
                1, channels, kernel: (11, 41), sliding: Sliding(stride: (2, 2), padding: (5, 20, 5, 20)), rectifier: .relu, using: &generator),
            try RectangularConv(
                channels, channels, kernel: (11, 21), sliding: Sliding(stride: (1, 2), padding: (5, 10, 5, 10)), rectifier: .relu, using: &generator),
        ]
        let rest = ((frequencies + 1) / 2 + 1) / 2
        recurrent = try GRU(channels * rest, hidden, layers: layers, isBidirectional: true, using: &generator)
        norm = try LayerNorm(2 * hidden)
        head = try Linear(2 * hidden, characters, using: &generator)
    }

    public func callAsFunction(_ spectrograms: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try spectrograms.withAxis(1)                                            // [batch, 1, time, 161]
        for conv in convs { x = try conv(x, in: context) }                              // [batch, 32, time/2, 41]
        x = try recurrent(framesOfMap(x), in: context)                                  // [batch, time/2, 2 * hidden]
        return try head(norm(x, in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in convs.indices { try convs[place].forEachState(body, under: "convs.\(place)") }
        try recurrent.forEachState(body, under: "recurrent")
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

extension DeepSpeech2 {
    static let named = [named("deepspeech2-3x512", 512, 3), named("deepspeech2-5x800", 800, 5)]

    private static func named(_ name: String, _ hidden: Int, _ layers: Int) -> NamedNetwork {
        let convs = 32 * 11 * 41 + 32 * 32 * 11 * 21 + 4 * 32
        func layer(_ features: Int) -> Int { 2 * 3 * hidden * (features + hidden + 2) }
        return NamedNetwork(
            name, .speech, DeepSpeech2.self, paper: "Amodei et al., Deep Speech 2, 2016",
            parameters: convs + layer(32 * 41) + (layers - 1) * layer(2 * hidden) + 4 * hidden + 29 * (2 * hidden + 1),
            inputs: [NetworkPort("spectrograms", ["batch", "time", 161])],
            outputs: [NetworkPort("logits", ["batch", NetworkSize((.symbol("time") + Dimension(1)).divided(by: 2)), 29])], classes: 29
        ) { (classes, generator) throws(TensorError) in try DeepSpeech2(hidden: hidden, layers: layers, characters: classes, using: &generator) }
    }
}
