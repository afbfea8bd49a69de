public import Keel
public import KeelNN

/// PatchTST: Nie, Nguyen, Sinthong and Kalagnanam, *A Time Series is Worth 64 Words*, 2023. Each channel by itself, of mean 0 and deviation 1, is cut into
/// patches that overlap by half; a Transformer's encoder reads them, with layer normalisation for the paper's batch normalisation.
///
/// `[batch, window, channels]` → `[batch, horizon, channels]`.
public struct PatchTST: Layer, Network {
    public var embedding: Linear
    /// `[patches, features]`
    public var positions: Tensor
    public var encoder: TransformerEncoder
    public var head: Linear
    let patch, stride: Int
    let dropout: Double

    /// - Parameter patch: its steps; even. The window's last value is repeated for half a patch more.
    public init(
        window: Int, horizon: Int, patch: Int = 16, features: Int = 128, layers: Int = 3, heads: Int = 16, inner: Int = 256, dropout: Double = 0.2,
        using generator: inout Philox
    ) throws(TensorError) {
        guard patch >= 2, patch % 2 == 0, window >= patch else {
            throw TensorError(.argument(primitive: "PatchTST", name: "patch", given: "\(patch)", allowed: "an even number up to \(window)"))
        }
        (self.patch, stride, self.dropout) = (patch, patch / 2, dropout)
        let patches = (window + patch / 2 - patch) / (patch / 2) + 1
        embedding = try Linear(patch, features, using: &generator)
        positions = try .uniform([patches, features], in: -0.02...0.02, using: &generator)
        encoder = try TransformerEncoder(features, heads: heads, inner: inner, layers: layers, dropout: dropout, using: &generator)
        head = try Linear(patches * features, horizon, using: &generator)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let series = try x.transposed()                                                           // [batch, channels, window]
        let mean = try series.mean([2], keepingAxes: true)
        let deviation = try ((series - mean).squared().mean([2], keepingAxes: true) + 1e-5).squareRoot()
        let even = try ((series - mean) / deviation).padded([(0, 0), (0, 0), (0, stride)], .edge)
        let patches = try even.frames(patch, hop: stride).flattened(through: 1)                   // [batch * channels, patches, 16]
        let tokens = try context.dropped(embedding(patches, in: context) + positions, rate: dropout)
        let seen = try head(encoder(tokens, in: context).flattened(from: 1), in: context)         // [batch * channels, horizon]
        let forecast = try seen.reshaped(Shape(x.shape[0], x.shape[2], seen.shape[1]))
        return try (forecast * deviation + mean).transposed()
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        try body("positions", .parameter, &positions)
        try encoder.forEachState(body, under: "encoder")
        try head.forEachState(body, under: "head")
    }
}

extension PatchTST {
    static let named = [named("patchtst-42", 336), named("patchtst-64", 512)]

    private static func named(_ name: String, _ window: Int) -> NamedNetwork {
        let patches = window / 8, layer = 4 * 128 * 129 + denseParameters([128, 256, 128]) + 4 * 128
        return NamedNetwork(
            name, .forecasting, PatchTST.self, paper: "Nie et al., A Time Series is Worth 64 Words, 2023",
            parameters: denseParameters([16, 128]) + patches * 128 + 3 * layer + denseParameters([patches * 128, 96]),
            inputs: [NetworkPort("window", ["batch", NetworkSize(window), 7])], outputs: [NetworkPort("forecast", ["batch", 96, 7])]
        ) { generator throws(TensorError) in try PatchTST(window: window, horizon: 96, using: &generator) }
    }
}
