public import Keel
public import KeelNN

/// Residual networks for large pictures: He et al., *Deep Residual Learning for Image Recognition*, 2016, table 1; with twice the inner
/// width, Zagoruyko and Komodakis, *Wide Residual Networks*, 2016; with groups, Xie et al., *Aggregated Residual Transformations*, 2017.
/// The stride is that of the 3x3 convolution, as torchvision has it.
///
/// `[batch, 3, 224, 224]` → logits `[batch, classes]`.
public struct ResNet: Layer, Network {
    public var trunk: Trunk
    public var head: Linear

    /// All but the head.
    public struct Trunk: PictureTrunk {
        public var stem: ConvNorm2D
        public var stages: [[ResidualBlock]]
        public let mapChannels: [Int]

        /// - Parameters:
        ///   - blocks: how many a stage.
        ///   - isBottleneck: whether blocks are of three convolutions, four times as wide outside as inside.
        ///   - inner: the first stage's width within bottlenecks, which doubles from stage to stage; `width` unless given.
        ///   - groups: of the convolutions in the middle of bottlenecks.
        ///   - width: the stem's channels, and those of the first stage, or a quarter of them where blocks are bottlenecks.
        ///   - keepsSixteenth: whether the last stage, instead of halving once more, looks twice as far: its map is 1/16 as high and wide, too.
        public init(
            blocks: [Int], isBottleneck: Bool, inner: Int? = nil, groups: Int = 1, width: Int = 64, keepsSixteenth: Bool = false,
            using generator: inout Philox
        ) throws(TensorError) {
            stem = try ConvNorm2D(3, width, kernel: 7, stride: 2, using: &generator)
            stages = []
            var from = width, channels: [Int] = []
            for (stage, count) in blocks.enumerated() {
                let to = (isBottleneck ? 4 : 1) * width << stage, dilates = keepsSixteenth && stage == blocks.count - 1
                var layers: [ResidualBlock] = []
                for block in 0..<count {
                    layers.append(
                        try ResidualBlock(
                            from, to, stride: block == 0 && stage > 0 && !dilates ? 2 : 1, dilation: block > 0 && dilates ? 2 : 1,
                            inner: isBottleneck ? (inner ?? width) << stage : nil, groups: groups, using: &generator))
                    from = to
                }
                stages.append(layers)
                channels.append(to)
            }
            mapChannels = channels
        }

        public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
            let maps = try maps(images, in: context)
            return try maps[maps.count - 1].globalAveragePool2D()               // [batch, 512 or 2048]
        }

        public func maps(_ images: Tensor, in context: Context) throws(TensorError) -> [Tensor] {
            var x = try stem(images, in: context).maxPool2D(3, stride: 2, padding: 1)  // [batch, 64, 56, 56]
            var maps: [Tensor] = []
            for stage in stages {
                for block in stage { x = try block(x, in: context) }
                maps.append(x)
            }
            return maps
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try stem.forEachState(body, under: "stem")
            for stage in stages.indices {
                for block in stages[stage].indices { try stages[stage][block].forEachState(body, under: "stages.\(stage).\(block)") }
            }
        }
    }

    public init(_ trunk: Trunk, classes: Int, using generator: inout Philox) throws(TensorError) {
        self.trunk = trunk
        head = try Linear(trunk.mapChannels.last ?? 0, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(trunk(images, in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trunk.forEachState(body, under: "trunk")
        try head.forEachState(body, under: "head")
    }
}

extension ResNet {
    static let named = [
        named("resnet-18", [2, 2, 2, 2], false, 11_689_512, table1), named("resnet-34", [3, 4, 6, 3], false, 21_797_672, table1),
        named("resnet-50", [3, 4, 6, 3], true, 25_557_032, table1), named("resnet-101", [3, 4, 23, 3], true, 44_549_160, table1),
        named("resnet-152", [3, 8, 36, 3], true, 60_192_808, table1),
        named("wide-resnet-50-2", [3, 4, 6, 3], true, inner: 128, 68_883_240, wide),
        named("wide-resnet-101-2", [3, 4, 23, 3], true, inner: 128, 126_886_696, wide),
        named("resnext-50-32x4d", [3, 4, 6, 3], true, inner: 128, groups: 32, 25_028_904, aggregated),
        named("resnext-101-32x8d", [3, 4, 23, 3], true, inner: 256, groups: 32, 88_791_336, aggregated),
    ]

    private static let table1 = "He et al., Deep Residual Learning for Image Recognition, 2016"
    private static let wide = "Zagoruyko and Komodakis, Wide Residual Networks, 2016"
    private static let aggregated = "Xie et al., Aggregated Residual Transformations for Deep Neural Networks, 2017"

    private static func named(
        _ name: String, _ blocks: [Int], _ isBottleneck: Bool, inner: Int? = nil, groups: Int = 1, _ parameters: Int, _ paper: String
    ) -> NamedNetwork {
        NamedNetwork(
            name, .pictures, ResNet.self, paper: paper, parameters: parameters, published: .exact(parameters, "torchvision"),
            inputs: [NetworkPort("images", ["batch", 3, 224, 224])], outputs: [NetworkPort("logits", ["batch", 1000])], classes: 1000
        ) { (classes, generator) throws(TensorError) in
            let trunk = try Trunk(blocks: blocks, isBottleneck: isBottleneck, inner: inner, groups: groups, using: &generator)
            return try ResNet(trunk, classes: classes, using: &generator)
        }
    }
}
