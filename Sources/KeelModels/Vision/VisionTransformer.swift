public import Keel
public import KeelNN

/// The Vision Transformer: Dosovitskiy et al., *An Image is Worth 16x16 Words*, 2021; the smaller widths are those of Touvron et al., *Training
/// data-efficient image transformers*, 2021.
///
/// `[batch, 3, side, side]` → logits `[batch, classes]`.
public struct VisionTransformer: Layer, Network {
    public var patches: Conv2D
    /// What is put before the patches, `[1, 1, features]`, and what is added to each place, `[1, places, features]`.
    public var classToken, positions: Tensor
    public var encoder: TransformerEncoder
    public var head: Linear

    /// - Parameters:
    ///   - side: the pictures' height and width; a multiple of `patch`.
    ///   - patch: the height and width of a patch.
    public init(
        side: Int = 224, patch: Int, features: Int, layers: Int, heads: Int, classes: Int, using generator: inout Philox
    ) throws(TensorError) {
        guard patch >= 1, side % patch == 0 else {
            throw TensorError(.argument(primitive: "VisionTransformer", name: "patch", given: "\(patch)", allowed: "a divisor of \(side)"))
        }
        let places = side / patch * (side / patch)
        patches = try Conv2D(3, features, kernel: patch, stride: patch, using: &generator)
        classToken = try .zeros([1, 1, features])
        positions = try .normal([1, places + 1, features], deviation: 0.02, using: &generator)
        encoder = try TransformerEncoder(
            features, heads: heads, inner: 4 * features, layers: layers, isPreNorm: true, epsilon: 1e-6, using: &generator)
        head = try Linear(features, classes, using: &generator)
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let places = try patches(images, in: context).flattened(from: 2).transposed()           // [batch, 196, features]
        let token = try classToken.expanded(to: Shape(images.shape[0], Dimension(1), classToken.shape[2]))
        let x = try encoder(.concatenated([token, places], axis: 1) + positions, in: context)   // [batch, 197, features]
        return try head(x.at(0, axis: 1), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try patches.forEachState(body, under: "patches")
        try body("class_token", .parameter, &classToken)
        try body("positions", .parameter, &positions)
        try encoder.forEachState(body, under: "encoder")
        try head.forEachState(body, under: "head")
    }
}

extension VisionTransformer {
    static let named = [
        named("vit-tiny-16", 16, 192, 12, 3, 5_717_416, "timm"), named("vit-small-16", 16, 384, 12, 6, 22_050_664, "timm"),
        named("vit-small-32", 32, 384, 12, 6, 22_878_952, "timm"), named("vit-base-16", 16, 768, 12, 12, 86_567_656, "torchvision"),
        named("vit-base-32", 32, 768, 12, 12, 88_224_232, "torchvision"), named("vit-large-16", 16, 1024, 24, 16, 304_326_632, "torchvision"),
    ]

    private static func named(
        _ name: String, _ patch: Int, _ features: Int, _ layers: Int, _ heads: Int, _ parameters: Int, _ source: String
    ) -> NamedNetwork {
        NamedNetwork(
            name, .pictures, VisionTransformer.self, paper: "Dosovitskiy et al., An Image is Worth 16x16 Words, 2021", parameters: parameters,
            published: .exact(parameters, source), inputs: [NetworkPort("images", ["batch", 3, 224, 224])],
            outputs: [NetworkPort("logits", ["batch", 1000])], classes: 1000
        ) { (classes, generator) throws(TensorError) in
            try VisionTransformer(patch: patch, features: features, layers: layers, heads: heads, classes: classes, using: &generator)
        }
    }
}
