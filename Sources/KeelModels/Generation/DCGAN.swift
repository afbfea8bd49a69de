public import Keel
public import KeelNN

/// The generator of DCGAN: Radford, Metz and Chintala, *Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks*, 2016.
///
/// Normal noise `[batch, noise]` → pictures `[batch, 3, 64, 64]` in -1...1.
public struct DCGANGenerator: Layer, Network {
    public var ups: [ConvTranspose2D]
    public var norms: [BatchNorm]

    /// - Parameter width: the channels before the last layer; the first has eight times as many.
    public init(noise: Int = 100, width: Int = 64, using generator: inout Philox) throws(TensorError) {
        let channels = [noise, 8 * width, 4 * width, 2 * width, width, 3]
        (ups, norms) = ([], [])
        for layer in 0..<5 {
            var up = try ConvTranspose2D(
                channels[layer], channels[layer + 1], kernel: 4, stride: layer == 0 ? 1 : 2, padding: layer == 0 ? 0 : 1, hasBias: false, using: &generator)
            up.weight = try .normal(up.weight.shape, deviation: 0.02, using: &generator)
            ups.append(up)
            if layer < 4 { norms.append(try BatchNorm(channels[layer + 1], rectifier: .relu)) }
        }
    }

    public func callAsFunction(_ noise: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try noise.withAxis(-1).withAxis(-1)                                                     // [batch, 100, 1, 1]
        for (up, norm) in zip(ups, norms) { x = try norm(up(x, in: context), in: context) }             // [batch, 64, 32, 32] at last
        return try ups[4](x, in: context).tanh()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for layer in ups.indices {
            try ups[layer].forEachState(body, under: "ups.\(layer)")
            if layer < norms.count { try norms[layer].forEachState(body, under: "norms.\(layer)") }
        }
    }
}

/// DCGAN's discriminator, which tells pictures from those that a generator makes.
///
/// Pictures `[batch, 3, 64, 64]` in -1...1 → logits `[batch, 1]`, above 0 for what it holds for real.
public struct DCGANDiscriminator: Layer, Network {
    public var downs: [Conv2D]
    public var norms: [BatchNorm]

    /// - Parameter width: the channels after the first layer; the last but one has eight times as many.
    public init(width: Int = 64, using generator: inout Philox) throws(TensorError) {
        let channels = [3, width, 2 * width, 4 * width, 8 * width, 1]
        (downs, norms) = ([], [])
        for layer in 0..<5 {
            var down = try Conv2D(
                channels[layer], channels[layer + 1], kernel: 4, stride: layer == 4 ? 1 : 2, padding: layer == 4 ? 0 : 1, hasBias: false, using: &generator)
            down.weight = try .normal(down.weight.shape, deviation: 0.02, using: &generator)
            downs.append(down)
            if 1...3 ~= layer { norms.append(try BatchNorm(channels[layer + 1])) }
        }
    }

    public func callAsFunction(_ images: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try downs[0](images, in: context).leakyRelu(slope: 0.2)                                 // [batch, 64, 32, 32]
        for (down, norm) in zip(downs[1...3], norms) { x = try norm(down(x, in: context), in: context).leakyRelu(slope: 0.2) }
        return try downs[4](x, in: context).flattened(from: 1)                                          // of [batch, 512, 4, 4]
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for layer in downs.indices {
            try downs[layer].forEachState(body, under: "downs.\(layer)")
            if 1...3 ~= layer { try norms[layer - 1].forEachState(body, under: "norms.\(layer - 1)") }
        }
    }
}

extension DCGANGenerator {
    static let named = [
        NamedNetwork(
            "dcgan-generator", .generation, DCGANGenerator.self, paper: "Radford et al., Unsupervised Representation Learning with DCGAN, 2016",
            parameters: 3_576_704, published: .exact(3_576_704, "PyTorch's DCGAN example"), inputs: [NetworkPort("noise", ["batch", 100])],
            outputs: [NetworkPort("images", ["batch", 3, 64, 64])]
        ) { generator throws(TensorError) in try DCGANGenerator(using: &generator) }
    ]
}

extension DCGANDiscriminator {
    static let named = [
        NamedNetwork(
            "dcgan-discriminator", .generation, DCGANDiscriminator.self, paper: "Radford et al., Unsupervised Representation Learning with DCGAN, 2016",
            parameters: 2_765_568, published: .exact(2_765_568, "PyTorch's DCGAN example"), inputs: [NetworkPort("images", ["batch", 3, 64, 64])],
            outputs: [NetworkPort("logits", ["batch", 1])]
        ) { generator throws(TensorError) in try DCGANDiscriminator(using: &generator) }
    ]
}
