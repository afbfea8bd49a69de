public import Keel
public import KeelNN

/// EfficientNet-Lite: Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, 2019, without squeeze and
/// excitation and with ReLU6, so that it can be quantised; stem and top aren't scaled. Strided convolutions pad as TensorFlow's `SAME`.
///
/// `[batch, 3, side, side]`, where a byte is `(byte - 127) / 128` → logits `[batch, classes]`.
///
/// - Source of the variant: the `lite` folder of TensorFlow's `efficientnet` models, 2020.
public struct EfficientNetLite: Layer, Network {
    public var trunk: Trunk
    public var dropout: Dropout
    public var head: Linear

    /// All but the head: `[batch, 3, side, side]` → `[batch, 1280]`.
    public struct Trunk: Layer {
        public var stem, top: ConvNorm2D
        public var blocks: [InvertedResidual]

        /// - Parameters:
        ///   - width: multiplies the channels of all blocks, which are made multiples of 8.
        ///   - depth: multiplies the blocks of all stages but the first and the last, rounded up.
        public init(width: Double = 1, depth: Double = 1, using generator: inout Philox) throws(TensorError) {
            stem = try ConvNorm2D(
                3, 32, kernel: 3, stride: 2, padding: .least, activation: .relu6, epsilon: 1e-3, momentum: 0.01, using: &generator)
            blocks = []
            var from = 32
            for (stage, (count, kernel, stride, expansion, channels)) in [
                (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
            ].enumerated() {
                let to = multipleOf8(Double(channels) * width)
                for block in 0..<(stage == 0 || stage == 6 ? count : Int((Double(count) * depth).rounded(.up))) {
                    blocks.append(
                        try InvertedResidual(
                            from, to, expansion: expansion, kernel: kernel, stride: block == 0 ? stride : 1, padding: .least, epsilon: 1e-3,
                            momentum: 0.01, using: &generator))
                    from = to
                }
            }
            top = try ConvNorm2D(from, 1280, kernel: 1, activation: .relu6, epsilon: 1e-3, momentum: 0.01, using: &generator)
        }

        public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
            var x = try stem(images, in: context)                             // [batch, 32, 112, 112] of 224
            for block in blocks { x = try block(x, in: context) }             // [batch, 320, 7, 7]
            return try top(x, in: context).globalAveragePool2D()              // [batch, 1280]
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try stem.forEachState(body, under: "stem")
            for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
            try top.forEachState(body, under: "top")
        }
    }

    /// - Parameters:
    ///   - width, depth: as the trunk's.
    ///   - rate: the share of features that are dropped before the head.
    public init(width: Double = 1, depth: Double = 1, dropout rate: Double = 0.2, classes: Int, using generator: inout Philox) throws(TensorError) {
        trunk = try Trunk(width: width, depth: depth, using: &generator)
        dropout = try Dropout(rate)
        head = try Linear(1280, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(dropout(trunk(images, in: context), in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trunk.forEachState(body, under: "trunk")
        try head.forEachState(body, under: "head")
    }
}

extension EfficientNetLite {
    static let named = [
        named(0, 1, 1, 224, 0.2, 4_652_008), named(1, 1, 1.1, 240, 0.2, 5_416_680), named(2, 1.1, 1.2, 260, 0.3, 6_092_072),
        named(3, 1.2, 1.4, 280, 0.3, 8_197_096), named(4, 1.4, 1.8, 300, 0.3, 13_006_568),
    ]

    private static func named(_ number: Int, _ width: Double, _ depth: Double, _ side: Int, _ dropout: Double, _ parameters: Int) -> NamedNetwork {
        NamedNetwork(
            "efficientnet-lite\(number)", .pictures, EfficientNetLite.self, paper: "Tan and Le, EfficientNet: Rethinking Model Scaling, 2019",
            parameters: parameters, published: .exact(parameters, "timm"),
            inputs: [NetworkPort("images", ["batch", 3, NetworkSize(side), NetworkSize(side)])], outputs: [NetworkPort("logits", ["batch", 1000])],
            classes: 1000
        ) { (classes, generator) throws(TensorError) in
            try EfficientNetLite(width: width, depth: depth, dropout: dropout, classes: classes, using: &generator)
        }
    }
}
