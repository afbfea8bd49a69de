public import Keel
public import KeelNN

/// MobileNetV3: Howard et al., *Searching for MobileNetV3*, 2019, tables 1 and 2. The squeeze and excitation of its blocks is ReLU inside and gated by a
/// hard sigmoid.
///
/// `[batch, 3, 224, 224]` → logits `[batch, classes]`.
public struct MobileNetV3: Layer, Network {
    public var stem, top: ConvNorm2D
    public var blocks: [InvertedResidual]
    public var hidden, head: Linear
    public var dropout: Dropout

    /// A line of the tables.
    struct Row: Sendable {
        let kernel, inner, channels: Int
        let isExcited, isHard: Bool
        let stride: Int

        init(_ kernel: Int, _ inner: Int, _ channels: Int, _ isExcited: Bool, _ isHard: Bool, _ stride: Int) {
            (self.kernel, self.inner, self.channels, self.isExcited, self.isHard, self.stride) = (kernel, inner, channels, isExcited, isHard, stride)
        }
    }

    /// The two sizes that were published.
    public enum Size: Sendable { case small, large }

    /// - Parameter width: multiplies the channels, which are made multiples of 8.
    public init(_ size: Size, width: Double = 1, classes: Int, using generator: inout Philox) throws(TensorError) {
        let rows = size == .large ? Self.large : Self.small
        var from = multipleOf8(16 * width)
        stem = try ConvNorm2D(3, from, kernel: 3, stride: 2, activation: .hardSwish, epsilon: 1e-3, momentum: 0.01, using: &generator)
        blocks = []
        for row in rows {
            let inner = multipleOf8(Double(row.inner) * width), to = multipleOf8(Double(row.channels) * width)
            blocks.append(
                try InvertedResidual(
                    from, to, inner: inner, kernel: row.kernel, stride: row.stride, squeeze: row.isExcited ? multipleOf8(Double(inner) / 4) : nil,
                    activation: row.isHard ? .hardSwish : .relu, gate: .hardSigmoid, epsilon: 1e-3, momentum: 0.01, using: &generator))
            from = to
        }
        let last = multipleOf8((size == .large ? 1280 : 1024) * width)
        top = try ConvNorm2D(from, 6 * from, kernel: 1, activation: .hardSwish, epsilon: 1e-3, momentum: 0.01, using: &generator)
        hidden = try Linear(6 * from, last, using: &generator)
        dropout = try Dropout(0.2)
        head = try Linear(last, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try stem(images, in: context)                                              // [batch, 16, 112, 112]
        for block in blocks { x = try block(x, in: context) }                              // [batch, 160 or 96, 7, 7]
        x = try top(x, in: context).globalAveragePool2D()                                  // [batch, 960 or 576]
        x = try dropout(hidden(x, in: context).hardSwish(), in: context)                   // [batch, 1280 or 1024]
        return try head(x, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try stem.forEachState(body, under: "stem")
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        try top.forEachState(body, under: "top")
        try hidden.forEachState(body, under: "hidden")
        try head.forEachState(body, under: "head")
    }

    private static let large = [
        Row(3, 16, 16, false, false, 1), Row(3, 64, 24, false, false, 2), Row(3, 72, 24, false, false, 1), Row(5, 72, 40, true, false, 2),
        Row(5, 120, 40, true, false, 1), Row(5, 120, 40, true, false, 1), Row(3, 240, 80, false, true, 2), Row(3, 200, 80, false, true, 1),
        Row(3, 184, 80, false, true, 1), Row(3, 184, 80, false, true, 1), Row(3, 480, 112, true, true, 1), Row(3, 672, 112, true, true, 1),
        Row(5, 672, 160, true, true, 2), Row(5, 960, 160, true, true, 1), Row(5, 960, 160, true, true, 1),
    ]
    private static let small = [
        Row(3, 16, 16, true, false, 2), Row(3, 72, 24, false, false, 2), Row(3, 88, 24, false, false, 1), Row(5, 96, 40, true, true, 2),
        Row(5, 240, 40, true, true, 1), Row(5, 240, 40, true, true, 1), Row(5, 120, 48, true, true, 1), Row(5, 144, 48, true, true, 1),
        Row(5, 288, 96, true, true, 2), Row(5, 576, 96, true, true, 1), Row(5, 576, 96, true, true, 1),
    ]
}

extension MobileNetV3 {
    static let named = [
        named("mobilenet-v3-large", .large, 5_483_032), named("mobilenet-v3-small", .small, 2_542_856),
    ]

    private static func named(_ name: String, _ size: Size, _ parameters: Int) -> NamedNetwork {
        NamedNetwork(
            name, .pictures, MobileNetV3.self, paper: "Howard et al., Searching for MobileNetV3, 2019", parameters: parameters,
            published: .exact(parameters, "torchvision"),
            inputs: [NetworkPort("images", ["batch", 3, 224, 224])], outputs: [NetworkPort("logits", ["batch", 1000])], classes: 1000
        ) { (classes, generator) throws(TensorError) in try MobileNetV3(size, classes: classes, using: &generator) }
    }
}
