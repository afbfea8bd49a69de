public import Keel
public import KeelNN

/// DeepLabV3+: Chen et al., *Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation*, 2018, over any trunk. Its
/// convolutions are plain, as DeepLabV3's; the trunk's last map should be 1/16 as high and wide as the pictures.
///
/// `[batch, 3, h, w]`, sides multiples of 16 → logits `[batch, classes, h, w]`.
public struct DeepLabV3Plus<Trunk: PictureTrunk>: Layer, Network {
    public var trunk: Trunk
    /// One place, and three rings of them, seen by each place of the last map.
    public var rings: [ConvNorm2D]
    /// The whole map's mean, beside the rings.
    public var whole: ConvNorm2D
    public var joined, detail: ConvNorm2D
    public var refined: [ConvNorm2D]
    public var head: Conv2D

    /// - Parameter width: the channels of what looks at the last map.
    public init(_ trunk: Trunk, width: Int = 256, classes: Int, using generator: inout Philox) throws(TensorError) {
        self.trunk = trunk
        let deep = trunk.mapChannels[3]
        rings = [try ConvNorm2D(deep, width, kernel: 1, using: &generator)]
        for dilation in [6, 12, 18] { rings.append(try ConvNorm2D(deep, width, kernel: 3, dilation: dilation, using: &generator)) }
        whole = try ConvNorm2D(deep, width, kernel: 1, using: &generator)
        joined = try ConvNorm2D(5 * width, width, kernel: 1, using: &generator)
        detail = try ConvNorm2D(trunk.mapChannels[0], 48, kernel: 1, using: &generator)
        refined = [
            try ConvNorm2D(width + 48, width, kernel: 3, using: &generator), try ConvNorm2D(width, width, kernel: 3, using: &generator),
        ]
        head = try Conv2D(width, classes, kernel: 1, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let maps = try trunk.maps(images, in: context)
        let (fine, deep) = (maps[0], maps[3])                                        // 1/4 and 1/16 of the sides
        var seen: [Tensor] = []
        for ring in rings { seen.append(try ring(deep, in: context)) }
        let mean = try whole(deep.globalAveragePool2D().withAxis(-1).withAxis(-1), in: context)
        seen.append(try mean.resized(to: (deep.shape.size(2), deep.shape.size(3)), .nearest(.floor), coordinates: .asymmetric))
        var x = try context.dropped(joined(.concatenated(seen, axis: 1), in: context), rate: 0.1)
        x = try x.resized(to: (fine.shape.size(2), fine.shape.size(3)))
        x = try Tensor.concatenated([x, detail(fine, in: context)], axis: 1)         // [batch, 304, h/4, w/4]
        for layer in refined { x = try layer(x, in: context) }
        return try head(x, in: context).resized(to: (images.shape.size(2), images.shape.size(3)))
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trunk.forEachState(body, under: "trunk")
        for place in rings.indices { try rings[place].forEachState(body, under: "rings.\(place)") }
        try whole.forEachState(body, under: "whole")
        try joined.forEachState(body, under: "joined")
        try detail.forEachState(body, under: "detail")
        for place in refined.indices { try refined[place].forEachState(body, under: "refined.\(place)") }
        try head.forEachState(body, under: "head")
    }
}

extension DeepLabV3Plus<ResNet.Trunk> {
    static var named: [NamedNetwork] {
        [named("deeplab-v3-plus-resnet-50", [3, 4, 6, 3], 40_352_181), named("deeplab-v3-plus-resnet-101", [3, 4, 23, 3], 59_344_309)]
    }

    private static func named(_ name: String, _ blocks: [Int], _ parameters: Int) -> NamedNetwork {
        NamedNetwork(
            name, .segmentation, Self.self, paper: "Chen et al., Encoder-Decoder with Atrous Separable Convolution, 2018", parameters: parameters,
            inputs: [NetworkPort("images", ["batch", 3, 512, 512])], outputs: [NetworkPort("logits", ["batch", 21, 512, 512])], classes: 21
        ) { (classes, generator) throws(TensorError) in
            let trunk = try ResNet.Trunk(blocks: blocks, isBottleneck: true, keepsSixteenth: true, using: &generator)
            return try DeepLabV3Plus(trunk, classes: classes, using: &generator)
        }
    }
}

extension DeepLabV3Plus<MobileNetV2.Trunk> {
    static var named: [NamedNetwork] {
        [
            NamedNetwork(
                "deeplab-v3-plus-mobilenet-v2", .segmentation, Self.self,
                paper: "Chen et al., Encoder-Decoder with Atrous Separable Convolution, 2018", parameters: 5_816_053,
                inputs: [NetworkPort("images", ["batch", 3, 512, 512])], outputs: [NetworkPort("logits", ["batch", 21, 512, 512])], classes: 21
            ) { (classes, generator) throws(TensorError) in
                try DeepLabV3Plus(MobileNetV2.Trunk(keepsSixteenth: true, using: &generator), classes: classes, using: &generator)
            }
        ]
    }
}
