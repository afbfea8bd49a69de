public import Keel
public import KeelNN

/// Wide and deep: Cheng et al., *Wide & Deep Learning for Recommender Systems*, 2016. A linear model that remembers, and a deep one that
/// generalises.
///
/// Row numbers `[batch, fields]`, each field's rows its own, and `numbers [batch, numbers]` → logits `[batch, 1]`.
public struct WideAndDeep: Network {
    public var wide, embedding: Embedding
    public var wideNumbers: Linear
    public var deep: Sequential

    public init(
        rows: Int, fields: Int, numbers: Int, features: Int, widths: [Int], dropout: Double = 0, using generator: inout Philox
    ) throws(TensorError) {
        wide = try Embedding(rows, 1, deviation: 0.01, using: &generator)
        embedding = try Embedding(rows, features, deviation: 0.01, using: &generator)
        wideNumbers = try Linear(numbers, 1, using: &generator)
        deep = try .dense([fields * features + numbers] + widths + [1], dropout: dropout, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "WideAndDeep")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ ids: Tensor, _ numbers: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let linear = try wide(ids, in: context).sum([1]) + wideNumbers(numbers, in: context)                  // [batch, 1]
        let known = try embedding(ids, in: context).flattened(from: 1)                                        // [batch, fields * features]
        return try linear + deep(.concatenated([known, numbers], axis: 1), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try wide.forEachState(body, under: "wide")
        try embedding.forEachState(body, under: "embedding")
        try wideNumbers.forEachState(body, under: "wide_numbers")
        try deep.forEachState(body, under: "deep")
    }
}

extension WideAndDeep {
    static let named = [named("wide-and-deep", 100_000, 16, [256, 128, 64]), named("wide-and-deep-large", 1_000_000, 32, [1024, 512, 256])]

    private static func named(_ name: String, _ rows: Int, _ features: Int, _ widths: [Int]) -> NamedNetwork {
        NamedNetwork(
            name, .recommendation, WideAndDeep.self, paper: "Cheng et al., Wide & Deep Learning for Recommender Systems, 2016",
            parameters: rows * (features + 1) + 14 + denseParameters([26 * features + 13] + widths + [1]),
            inputs: [NetworkPort("ids", ["batch", 26], .int64), NetworkPort("numbers", ["batch", 13])], outputs: [NetworkPort("logits", ["batch", 1])]
        ) { generator throws(TensorError) in
            try WideAndDeep(rows: rows, fields: 26, numbers: 13, features: features, widths: widths, using: &generator)
        }
    }
}
