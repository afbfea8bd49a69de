public import Keel
public import KeelNN

/// An autoencoder: Hinton and Salakhutdinov, *Reducing the Dimensionality of Data with Neural Networks*, 2006. What it is given has to pass through
/// a few numbers, and is to come out as it was.
///
/// `[batch, features]` → the same; the numbers in the middle are its `code`.
public struct Autoencoder: Layer, Network {
    public var encoder, decoder: Sequential

    /// - Parameter widths: from what is given to the code.
    public init(widths: [Int], using generator: inout Philox) throws(TensorError) {
        encoder = try .dense(widths, using: &generator)
        decoder = try .dense(widths.reversed(), using: &generator)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try decoder(code(x, in: context), in: context) }

    /// - Shapes: `[batch, features]` → `[batch, code]`.
    public func code(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try encoder(x, in: context) }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try encoder.forEachState(body, under: "encoder")
        try decoder.forEachState(body, under: "decoder")
    }
}

/// A variational autoencoder: Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014. Its code is a distribution, near enough to the normal one that
/// new things come out where codes are drawn from that.
///
/// `[batch, features]` in 0...1, and normal noise `[batch, code]` → logits of each number, and the code's mean and the logarithm of its variance, `[batch, code]`.
public struct VariationalAutoencoder: Network {
    public var encoder, decoder: Sequential
    public var mean, logVariance: Linear

    /// - Parameters:
    ///   - widths: from what is given to the last hidden layer.
    ///   - code: how many numbers there are in the middle.
    public init(widths: [Int], code: Int, using generator: inout Philox) throws(TensorError) {
        guard let last = widths.last else {
            throw TensorError(.argument(primitive: "VariationalAutoencoder", name: "widths", given: "none", allowed: "two at least"))
        }
        encoder = try .dense(widths, using: &generator)
        mean = try Linear(last, code, using: &generator)
        logVariance = try Linear(last, code, using: &generator)
        decoder = try .dense([code] + widths.reversed(), using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "VariationalAutoencoder")
        let code = try distribution(inputs[0], in: context)
        let drawn = try code.mean + (code.logVariance * 0.5).exp() * inputs[1]
        return [try decoder(drawn, in: context), code.mean, code.logVariance]
    }

    /// Where in the middle the given things lie.
    public func distribution(_ x: Tensor, in context: Context) throws(TensorError) -> (mean: Tensor, logVariance: Tensor) {
        let y = try encoder(x, in: context).relu()
        return (try mean(y, in: context), try logVariance(y, in: context))
    }

    /// New things of codes `[batch, code]`, in 0...1.
    public func decoded(_ codes: Tensor, in context: Context) throws(TensorError) -> Tensor { try decoder(codes, in: context).sigmoid() }

    /// What each thing costs to be told by its code, and the code's distance from the normal distribution: in nats, the mean over the batch.
    public func loss(_ x: Tensor, noise: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let made = try self([x, noise], in: context), (mean, logVariance) = (made[1], made[2])
        let telling = try made[0].binaryCrossEntropy(x, reduction: .sum)
        let distance = try (logVariance.exp() + mean.squared() - logVariance - 1).sum() * 0.5
        return try (telling + distance) / Double(x.shape.size(0))
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try encoder.forEachState(body, under: "encoder")
        try mean.forEachState(body, under: "mean")
        try logVariance.forEachState(body, under: "log_variance")
        try decoder.forEachState(body, under: "decoder")
    }
}

extension Autoencoder {
    static let named = [named("autoencoder-30", [784, 1000, 500, 250, 30]), named("autoencoder-16", [784, 128, 16])]

    private static func named(_ name: String, _ widths: [Int]) -> NamedNetwork {
        NamedNetwork(
            name, .generation, Autoencoder.self, paper: "Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006",
            parameters: denseParameters(widths) + denseParameters(widths.reversed()), inputs: [NetworkPort("things", ["batch", 784])],
            outputs: [NetworkPort("reconstruction", ["batch", 784])]
        ) { generator throws(TensorError) in try Autoencoder(widths: widths, using: &generator) }
    }
}

extension VariationalAutoencoder {
    static let named = [named("vae-20", [784, 400], 20), named("vae-2", [784, 512, 256], 2)]

    private static func named(_ name: String, _ widths: [Int], _ code: Int) -> NamedNetwork {
        let last = widths[widths.count - 1]
        return NamedNetwork(
            name, .generation, VariationalAutoencoder.self, paper: "Kingma and Welling, Auto-Encoding Variational Bayes, 2014",
            parameters: denseParameters(widths) + 2 * denseParameters([last, code]) + denseParameters([code] + widths.reversed()),
            inputs: [NetworkPort("things", ["batch", 784]), NetworkPort("noise", ["batch", NetworkSize(code)])],
            outputs: [
                NetworkPort("logits", ["batch", 784]), NetworkPort("mean", ["batch", NetworkSize(code)]), NetworkPort("log_variance", ["batch", NetworkSize(code)]),
            ]
        ) { generator throws(TensorError) in try VariationalAutoencoder(widths: widths, code: code, using: &generator) }
    }
}
