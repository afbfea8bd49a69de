public import Keel
public import KeelNN

/// DeepFM: Guo, Tang, Ye, Li and He, *DeepFM: A Factorization-Machine based Neural Network for CTR Prediction*, 2017. What each row means by itself,
/// what each two mean together, and a deep network, all of one table.
///
/// Row numbers `[batch, fields]`, each field's rows its own, and `numbers [batch, numbers]` → logits `[batch, 1]`.
public struct DeepFM: Network {
    public var first, second: Embedding
    public var dense: Linear
    public var deep: Sequential

    public init(rows: Int, features: Int, fields: Int, numbers: Int, widths: [Int], using generator: inout Philox) throws(TensorError) {
        first = try Embedding(rows, 1, deviation: 0.01, using: &generator)
        second = try Embedding(rows, features, deviation: 0.01, using: &generator)
        dense = try Linear(numbers, 1, using: &generator)
        deep = try .dense([fields * features + numbers] + widths + [1], using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "DeepFM")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ ids: Tensor, _ numbers: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let e = try second(ids, in: context)                                                      // [batch, fields, features]
        let linear = try first(ids, in: context).sum([1]) + dense(numbers, in: context)           // [batch, 1]
        // The sum over all pairs is half the square of the sum less the sum of the squares.
        let pairs = try (e.sum([1]).squared() - e.squared().sum([1])).sum([1], keepingAxes: true) * 0.5
        return try linear + pairs + deep(.concatenated([e.flattened(from: 1), numbers], axis: 1), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try dense.forEachState(body, under: "dense")
        try deep.forEachState(body, under: "deep")
    }
}

extension DeepFM {
    static let named = [named("deepfm", 100_000, 10, [400, 400, 400]), named("deepfm-large", 1_000_000, 32, [1024, 512, 256])]

    private static func named(_ name: String, _ rows: Int, _ features: Int, _ widths: [Int]) -> NamedNetwork {
        NamedNetwork(
            name, .recommendation, DeepFM.self, paper: "Guo et al., DeepFM, 2017",
            parameters: rows * (features + 1) + 14 + denseParameters([26 * features + 13] + widths + [1]),
            inputs: [NetworkPort("ids", ["batch", 26], .int64), NetworkPort("numbers", ["batch", 13])], outputs: [NetworkPort("logits", ["batch", 1])]
        ) { generator throws(TensorError) in
            try DeepFM(rows: rows, features: features, fields: 26, numbers: 13, widths: widths, using: &generator)
        }
    }
}
