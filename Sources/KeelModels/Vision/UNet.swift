public import Keel
public import KeelNN

/// U-Net: Ronneberger, Fischer and Brox, *U-Net: Convolutional Networks for Biomedical Image Segmentation*, 2015; padded, so that what comes
/// out is as large as what goes in, and with batch normalisation.
///
/// `[batch, 3, h, w]`, sides multiples of 16 → logits `[batch, classes, h, w]`.
public struct UNet: Layer, Network {
    public var first, second: ConvNorm2D
    public var down: [UNetDown]
    public var up: [UNetUp]
    public var head: Conv2D

    /// - Parameter width: the channels at the pictures' own size; they double with each halving.
    public init(width: Int = 64, classes: Int, using generator: inout Philox) throws(TensorError) {
        first = try ConvNorm2D(3, width, kernel: 3, using: &generator)
        second = try ConvNorm2D(width, width, kernel: 3, using: &generator)
        (down, up) = ([], [])
        for level in 0..<4 { down.append(try UNetDown(width << level, width << (level + 1), using: &generator)) }
        for level in (0..<4).reversed() {
            up.append(try UNetUp(width << (level + 1), skip: width << level, width << level, using: &generator))
        }
        head = try Conv2D(width, classes, kernel: 1, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var maps = [try second(first(images, in: context), in: context)]        // [batch, 64, h, w]
        for block in down { maps.append(try block(maps[maps.count - 1], in: context)) }
        var x = maps.removeLast()                                               // [batch, 1024, h/16, w/16]
        for block in up { x = try block(x, skip: maps.removeLast(), in: context) }
        return try head(x, in: context)                                         // [batch, classes, h, w]
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        for level in down.indices { try down[level].forEachState(body, under: "down.\(level)") }
        for level in up.indices { try up[level].forEachState(body, under: "up.\(level)") }
        try head.forEachState(body, under: "head")
    }
}

extension UNet {
    static let named = [
        named("unet-16", 16, 1_942_917), named("unet-32", 32, 7_763_701), named("unet-64", 64, 31_038_933, .rounded(31.0e6, to: 0.1e6, "milesial's Pytorch-UNet")),
    ]

    private static func named(_ name: String, _ width: Int, _ parameters: Int, _ published: NamedNetwork.Count? = nil) -> NamedNetwork {
        NamedNetwork(
            name, .segmentation, UNet.self, paper: "Ronneberger et al., U-Net, 2015", parameters: parameters, published: published,
            inputs: [NetworkPort("images", ["batch", 3, 256, 256])], outputs: [NetworkPort("logits", ["batch", 21, 256, 256])], classes: 21
        ) { (classes, generator) throws(TensorError) in try UNet(width: width, classes: classes, using: &generator) }
    }
}
