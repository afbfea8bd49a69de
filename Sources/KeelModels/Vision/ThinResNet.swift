public import Keel
public import KeelNN

/// Residual networks for pictures of 32x32: He et al., *Deep Residual Learning for Image Recognition*, 2016, section 4.2. Three stages of 16, 32
/// and 64 channels; shortcuts have no parameters: they take every second place, and the new channels are zeros.
///
/// `[batch, 3, 32, 32]` → logits `[batch, classes]`.
public struct ThinResNet: Layer, Network {
    public var stem: ConvNorm2D
    public var blocks: [Block]
    public var head: Linear

    /// Two convolutions beside a shortcut without parameters.
    public struct Block: Layer {
        public var first, second: ConvNorm2D
        let stride, newChannels: Int

        init(_ inChannels: Int, _ outChannels: Int, stride: Int, using generator: inout Philox) throws(TensorError) {
            first = try ConvNorm2D(inChannels, outChannels, kernel: 3, stride: stride, using: &generator)
            second = try ConvNorm2D(outChannels, outChannels, kernel: 3, using: &generator)
            self.stride = stride
            newChannels = outChannels - inChannels
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            var shortcut = x
            if stride > 1 { shortcut = try x.sliced(2, step: stride).sliced(3, step: stride) }
            if newChannels > 0 { shortcut = try shortcut.padded(1, before: newChannels / 2, after: newChannels - newChannels / 2) }
            return try second(first(x, in: context), adding: shortcut, in: context)
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try first.forEachState(body, under: "first")
            try second.forEachState(body, under: "second")
        }
    }

    /// - Parameters:
    ///   - blocks: how many a stage; the depth is six times that, and two.
    ///   - width: the first stage's channels.
    public init(blocks count: Int, width: Int = 16, classes: Int, using generator: inout Philox) throws(TensorError) {
        stem = try ConvNorm2D(3, width, kernel: 3, using: &generator)
        blocks = []
        var from = width
        for stage in 0..<3 {
            for block in 0..<count {
                blocks.append(try Block(from, width << stage, stride: block == 0 && stage > 0 ? 2 : 1, using: &generator))
                from = width << stage
            }
        }
        head = try Linear(from, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try stem(images, in: context)                             // [batch, 16, 32, 32]
        for block in blocks { x = try block(x, in: context) }             // [batch, 64, 8, 8]
        return try head(x.globalAveragePool2D(), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        try head.forEachState(body, under: "head")
    }
}

extension ThinResNet {
    static let named = [
        named(20, 269_722, 0.27e6, to: 0.01e6), named(32, 464_154, 0.46e6, to: 0.01e6), named(44, 658_586, 0.66e6, to: 0.01e6),
        named(56, 853_018, 0.85e6, to: 0.01e6), named(110, 1_727_962, 1.7e6, to: 0.1e6), named(1202, 19_421_274, 19.4e6, to: 0.1e6),
    ]

    private static func named(_ depth: Int, _ parameters: Int, _ published: Double, to unit: Double) -> NamedNetwork {
        NamedNetwork(
            "cifar-resnet-\(depth)", .pictures, ThinResNet.self, paper: "He et al., Deep Residual Learning for Image Recognition, 2016, section 4.2",
            parameters: parameters, published: .rounded(published, to: unit, "table 6"),
            inputs: [NetworkPort("images", ["batch", 3, 32, 32])], outputs: [NetworkPort("logits", ["batch", 10])], classes: 10
        ) { (classes, generator) throws(TensorError) in try ThinResNet(blocks: (depth - 2) / 6, classes: classes, using: &generator) }
    }
}
