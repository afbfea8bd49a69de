public import Keel
public import KeelNN

/// MobileNetV2: Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, 2018, table 2.
///
/// `[batch, 3, 224, 224]` → logits `[batch, classes]`.
public struct MobileNetV2: Layer, Network {
    public var trunk: Trunk
    public var top: ConvNorm2D
    public var dropout: Dropout
    public var head: Linear

    /// The stem and the blocks.
    public struct Trunk: PictureTrunk {
        public var stem: ConvNorm2D
        public var blocks: [InvertedResidual]
        public let mapChannels: [Int]
        /// After which blocks the maps are taken: the last one of each size.
        private let lastOfSize: [Int]

        /// - Parameters:
        ///   - width: multiplies the channels, which are made multiples of 8.
        ///   - keepsSixteenth: whether the last stages, instead of halving once more, look twice as far: their map is 1/16 as high and wide, too.
        public init(width: Double = 1, keepsSixteenth: Bool = false, using generator: inout Philox) throws(TensorError) {
            var from = multipleOf8(32 * width), channels: [Int] = [], places: [Int] = []
            stem = try ConvNorm2D(3, from, kernel: 3, stride: 2, activation: .relu6, using: &generator)
            blocks = []
            for (expansion, count, stride, isLastOfSize, wide) in [
                (1, 1, 1, false, 16.0), (6, 2, 2, true, 24), (6, 3, 2, true, 32), (6, 4, 2, false, 64), (6, 3, 1, true, 96), (6, 3, 2, false, 160),
                (6, 1, 1, true, 320),
            ] {
                let to = multipleOf8(wide * width), dilates = keepsSixteenth && wide >= 160
                for block in 0..<count {
                    blocks.append(
                        try InvertedResidual(
                            from, to, expansion: expansion, stride: block == 0 && !dilates ? stride : 1, dilation: dilates && (block > 0 || wide > 160) ? 2 : 1,
                            using: &generator))
                    from = to
                }
                guard isLastOfSize else { continue }
                channels.append(to)
                places.append(blocks.count - 1)
            }
            (mapChannels, lastOfSize) = (channels, places)
        }

        public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
            try maps(images, in: context)[3].globalAveragePool2D()              // [batch, 320]
        }

        public func maps(_ images: Tensor, in context: Context) throws(TensorError) -> [Tensor] {
            var x = try stem(images, in: context), maps: [Tensor] = []          // [batch, 32, 112, 112]
            for (place, block) in blocks.enumerated() {
                x = try block(x, in: context)
                if lastOfSize.contains(place) { maps.append(x) }
            }
            return maps                                                         // the last one [batch, 320, 7, 7]
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try stem.forEachState(body, under: "stem")
            for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        }
    }

    /// - Parameter width: multiplies the channels; the last layer's 1,280 grow with it but don't shrink.
    public init(width: Double = 1, classes: Int, using generator: inout Philox) throws(TensorError) {
        trunk = try Trunk(width: width, using: &generator)
        let last = multipleOf8(1280 * max(width, 1))
        top = try ConvNorm2D(trunk.mapChannels[3], last, kernel: 1, activation: .relu6, using: &generator)
        dropout = try Dropout(0.2)
        head = try Linear(last, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let map = try trunk.maps(images, in: context)[3]                        // [batch, 320, 7, 7]
        let x = try top(map, in: context).globalAveragePool2D()                 // [batch, 1280]
        return try head(dropout(x, in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trunk.forEachState(body, under: "trunk")
        try top.forEachState(body, under: "top")
        try head.forEachState(body, under: "head")
    }
}

/// The nearest multiple of 8, 8 at least, and no less than nine tenths of `channels`.
func multipleOf8(_ channels: Double) -> Int {
    let near = max(8, Int(channels + 4) / 8 * 8)
    return Double(near) < 0.9 * channels ? near + 8 : near
}

extension MobileNetV2 {
    static let named = [
        named("mobilenet-v2-050", 0.5, 1_968_680, .exact(1_968_680, "torchvision")), named("mobilenet-v2-075", 0.75, 2_636_424, .exact(2_636_424, "torchvision")),
        named("mobilenet-v2-100", 1, 3_504_872, .exact(3_504_872, "torchvision")), named("mobilenet-v2-140", 1.4, 6_108_776, .exact(6_108_776, "torchvision")),
    ]

    private static func named(_ name: String, _ width: Double, _ parameters: Int, _ published: NamedNetwork.Count) -> NamedNetwork {
        NamedNetwork(
            name, .pictures, MobileNetV2.self, paper: "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018",
            parameters: parameters, published: published,
            inputs: [NetworkPort("images", ["batch", 3, 224, 224])], outputs: [NetworkPort("logits", ["batch", 1000])], classes: 1000
        ) { (classes, generator) throws(TensorError) in try MobileNetV2(width: width, classes: classes, using: &generator) }
    }
}
