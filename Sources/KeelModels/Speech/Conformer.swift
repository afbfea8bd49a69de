public import Keel
public import KeelNN

/// The Conformer's encoder with connectionist temporal classification: Gulati et al., *Conformer: Convolution-augmented Transformer for Speech
/// Recognition*, 2020. Positions are added once, as sines; the paper's are relative, in each attention.
///
/// Mel spectrograms `[batch, time, bands]` → logits `[batch, ⌈time / 4⌉, characters]`, of which number 0 is the blank.
public struct Conformer: Layer, Network {
    public var first, second: Conv2D
    public var embedding: Linear
    public var blocks: [Block]
    public var head: Linear
    let dropout: Double

    /// Half a feed-forward, attention, a convolution, and the other half, each beside its input; then a normalisation.
    public struct Block: Layer {
        public var norms: [LayerNorm]
        public var before, after: FeedForward
        public var attention: MultiHeadAttention
        public var convolution: Convolution
        let dropout: Double

        init(_ features: Int, heads: Int, kernel: Int, dropout: Double, using generator: inout Philox) throws(TensorError) {
            norms = []
            for _ in 0..<5 { norms.append(try LayerNorm(features)) }
            before = try FeedForward(features, inner: 4 * features, activation: .silu, using: &generator)
            attention = try MultiHeadAttention(features, heads: heads, using: &generator)
            convolution = try Convolution(features, kernel: kernel, using: &generator)
            after = try FeedForward(features, inner: 4 * features, activation: .silu, using: &generator)
            self.dropout = dropout
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            func beside(_ x: Tensor, _ norm: LayerNorm, _ layer: some Layer, share: Double = 1) throws(TensorError) -> Tensor {
                let y = try context.dropped(layer(norm(x, in: context), in: context), rate: dropout)
                return share == 1 ? try x + y : try x + y * share
            }
            var y = try beside(x, norms[0], before, share: 0.5)
            y = try beside(y, norms[1], attention)
            y = try beside(y, norms[2], convolution)
            y = try beside(y, norms[3], after, share: 0.5)
            return try norms[4](y, in: context)
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            for place in norms.indices { try norms[place].forEachState(body, under: "norms.\(place)") }
            try before.forEachState(body, under: "before")
            try attention.forEachState(body, under: "attention")
            try convolution.forEachState(body, under: "convolution")
            try after.forEachState(body, under: "after")
        }
    }

    /// A gated map, a depthwise convolution over time, normalisation, SiLU, a map.
    public struct Convolution: Layer {
        public var gated, project: Linear
        public var depthwise: Conv1D
        public var norm: BatchNorm

        init(_ features: Int, kernel: Int, using generator: inout Philox) throws(TensorError) {
            gated = try Linear(features, 2 * features, using: &generator)
            depthwise = try Conv1D(features, features, kernel: kernel, padding: (kernel / 2, kernel / 2), groups: features, using: &generator)
            norm = try BatchNorm(features)
            project = try Linear(features, features, using: &generator)
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            let y = try gated(x, in: context).gatedLinear().transposed()                        // [batch, features, time]
            return try project(norm(depthwise(y, in: context), in: context).silu().transposed(), in: context)
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try gated.forEachState(body, under: "gated")
            try depthwise.forEachState(body, under: "depthwise")
            try norm.forEachState(body, under: "norm")
            try project.forEachState(body, under: "project")
        }
    }

    /// - Parameters:
    ///   - bands: of a spectrogram's step.
    ///   - kernel: how many steps a block's convolution reads; odd.
    ///   - characters: how many there are, with the blank.
    public init(
        bands: Int = 80, features: Int, layers: Int, heads: Int, kernel: Int = 31, dropout: Double = 0.1, characters: Int, using generator: inout Philox
    ) throws(TensorError) {
        first = try Conv2D(1, features, kernel: 3, stride: 2, padding: 1, using: &generator)
        second = try Conv2D(features, features, kernel: 3, stride: 2, padding: 1, using: &generator)
        embedding = try Linear(features * (((bands + 1) / 2 + 1) / 2), features, using: &generator)
        blocks = []
        for _ in 0..<layers { blocks.append(try Block(features, heads: heads, kernel: kernel, dropout: dropout, using: &generator)) }
        head = try Linear(features, characters, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ spectrograms: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let map = try second(first(spectrograms.withAxis(1), in: context).relu(), in: context).relu()   // [batch, features, time/4, bands/4]
        let steps = try embedding(framesOfMap(map), in: context)
        var x = try context.dropped(SinusoidalEncoding()(steps, in: context), rate: dropout)            // [batch, time/4, features]
        for block in blocks { x = try block(x, in: context) }
        return try head(x, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try embedding.forEachState(body, under: "embedding")
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        try head.forEachState(body, under: "head")
    }
}

extension Conformer {
    static let named = [named("conformer-small", 144, 16, 4), named("conformer-medium", 256, 16, 4), named("conformer-large", 512, 17, 8)]

    private static func named(_ name: String, _ d: Int, _ layers: Int, _ heads: Int) -> NamedNetwork {
        let convolution = denseParameters([d, 2 * d]) + denseParameters([d, d]) + 32 * d + 2 * d
        let block = 10 * d + 2 * denseParameters([d, 4 * d, d]) + 4 * denseParameters([d, d]) + convolution
        return NamedNetwork(
            name, .speech, Conformer.self, paper: "Gulati et al., Conformer, 2020",
            parameters: 10 * d + (9 * d + 1) * d + denseParameters([20 * d, d]) + layers * block + denseParameters([d, 29]),
            inputs: [NetworkPort("spectrograms", ["batch", "time", 80])],
            outputs: [NetworkPort("logits", ["batch", NetworkSize((.symbol("time") + Dimension(3)).divided(by: 4)), 29])], classes: 29
        ) { (classes, generator) throws(TensorError) in
            try Conformer(features: d, layers: layers, heads: heads, characters: classes, using: &generator)
        }
    }
}
