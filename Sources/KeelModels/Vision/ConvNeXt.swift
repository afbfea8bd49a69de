public import Keel
public import KeelNN

/// ConvNeXt: Liu et al., *A ConvNet for the 2020s*, 2022, without stochastic depth; the smaller ones as timm has them.
///
/// `[batch, 3, 224, 224]` → logits `[batch, classes]`.
public struct ConvNeXt: Layer, Network {
    public var stem: Patches
    public var downsampling: [Patches]
    public var stages: [[Block]]
    public var norm: LayerNorm
    public var head: Linear

    /// A convolution whose windows don't overlap, and a normalisation of each place's channels, after it or before it.
    public struct Patches: Layer {
        public var conv: Conv2D
        public var norm: LayerNorm
        let isNormFirst: Bool

        init(_ inChannels: Int, _ outChannels: Int, side: Int, isNormFirst: Bool, using generator: inout Philox) throws(TensorError) {
            conv = try Conv2D(inChannels, outChannels, kernel: side, stride: side, using: &generator)
            norm = try LayerNorm(isNormFirst ? inChannels : outChannels, epsilon: 1e-6)
            self.isNormFirst = isNormFirst
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            isNormFirst ? try conv(normed(x, in: context), in: context) : try normed(conv(x, in: context), in: context)
        }

        private func normed(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            try norm(x.permuted([0, 2, 3, 1]), in: context).permuted([0, 3, 1, 2])
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try conv.forEachState(body, under: "conv")
            try norm.forEachState(body, under: "norm")
        }
    }

    /// A depthwise 7x7 convolution, then for each place a normalisation and two linear maps with a GELU between them; scaled, beside its input.
    public struct Block: Layer {
        public var depthwise: Conv2D
        public var norm: LayerNorm
        public var feedForward: FeedForward
        public var scale: Tensor

        init(_ channels: Int, using generator: inout Philox) throws(TensorError) {
            depthwise = try Conv2D(channels, channels, kernel: 7, padding: 3, groups: channels, using: &generator)
            norm = try LayerNorm(channels, epsilon: 1e-6)
            feedForward = try FeedForward(channels, inner: 4 * channels, using: &generator)
            scale = try .full(1e-6, [channels])
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            var y = try depthwise(x, in: context).permuted([0, 2, 3, 1])                 // [batch, h, w, channels]
            y = try feedForward(norm(y, in: context), in: context) * scale
            return try x + y.permuted([0, 3, 1, 2])
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try depthwise.forEachState(body, under: "depthwise")
            try norm.forEachState(body, under: "norm")
            try feedForward.forEachState(body, under: "feed_forward")
            try body("scale", .parameter, &scale)
        }
    }

    /// - Parameters:
    ///   - blocks: how many a stage.
    ///   - channels: of each stage.
    public init(blocks: [Int], channels: [Int], classes: Int, using generator: inout Philox) throws(TensorError) {
        stem = try Patches(3, channels[0], side: 4, isNormFirst: false, using: &generator)
        (downsampling, stages) = ([], [])
        for (stage, (count, width)) in zip(blocks, channels).enumerated() {
            if stage > 0 { downsampling.append(try Patches(channels[stage - 1], width, side: 2, isNormFirst: true, using: &generator)) }
            var layers: [Block] = []
            for _ in 0..<count { layers.append(try Block(width, using: &generator)) }
            stages.append(layers)
        }
        let last = channels[channels.count - 1]
        norm = try LayerNorm(last, epsilon: 1e-6)
        head = try Linear(last, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try stem(images, in: context)                                          // [batch, 96, 56, 56]
        for (stage, blocks) in stages.enumerated() {
            if stage > 0 { x = try downsampling[stage - 1](x, in: context) }
            for block in blocks { x = try block(x, in: context) }                      // [batch, 768, 7, 7] at last
        }
        return try head(norm(x.globalAveragePool2D(), in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        for stage in stages.indices {
            if stage > 0 { try downsampling[stage - 1].forEachState(body, under: "downsampling.\(stage - 1)") }
            for block in stages[stage].indices { try stages[stage][block].forEachState(body, under: "stages.\(stage).\(block)") }
        }
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

extension ConvNeXt {
    static let named = [
        named("atto", [2, 2, 6, 2], [40, 80, 160, 320], 3_695_520), named("femto", [2, 2, 6, 2], [48, 96, 192, 384], 5_217_784),
        named("pico", [2, 2, 6, 2], [64, 128, 256, 512], 9_045_672), named("nano", [2, 2, 8, 2], [80, 160, 320, 640], 15_593_560),
        named("tiny", [3, 3, 9, 3], [96, 192, 384, 768], 28_589_128), named("small", [3, 3, 27, 3], [96, 192, 384, 768], 50_223_688),
        named("base", [3, 3, 27, 3], [128, 256, 512, 1024], 88_591_464), named("large", [3, 3, 27, 3], [192, 384, 768, 1536], 197_767_336),
    ]

    private static func named(_ size: String, _ blocks: [Int], _ channels: [Int], _ parameters: Int) -> NamedNetwork {
        NamedNetwork(
            "convnext-\(size)", .pictures, ConvNeXt.self, paper: "Liu et al., A ConvNet for the 2020s, 2022", parameters: parameters,
            published: .exact(parameters, "timm"), inputs: [NetworkPort("images", ["batch", 3, 224, 224])],
            outputs: [NetworkPort("logits", ["batch", 1000])], classes: 1000
        ) { (classes, generator) throws(TensorError) in try ConvNeXt(blocks: blocks, channels: channels, classes: classes, using: &generator) }
    }
}
