public import Keel
public import KeelNN

/// Neural collaborative filtering: He, Liao, Zhang, Nie, Hu and Chua, *Neural Collaborative Filtering*, 2017. People and things have two vectors each: those of
/// one pair are multiplied, those of the other go through a deep network, and the head reads both. Either may be left out.
///
/// People `[batch]` and things `[batch]` → logits `[batch, 1]`.
public struct NeuralCollaborativeFiltering: Network {
    public var personFactors, itemFactors, personDeep, itemDeep: Embedding?
    public var deep: Sequential?
    public var head: Linear

    /// - Parameters:
    ///   - factors: the length of the vectors that are multiplied; 0 for none.
    ///   - widths: of the deep network: first what it is given, of which a person and a thing are half each; empty for none.
    public init(people: Int, items: Int, factors: Int, widths: [Int], using generator: inout Philox) throws(TensorError) {
        guard factors >= 1 || widths.count >= 2 else {
            throw TensorError(.argument(primitive: "NeuralCollaborativeFiltering", name: "factors", given: "\(factors)", allowed: "1 and more, or two widths"))
        }
        if factors > 0 {
            personFactors = try Embedding(people, factors, deviation: 0.01, using: &generator)
            itemFactors = try Embedding(items, factors, deviation: 0.01, using: &generator)
        }
        if widths.count >= 2 {
            personDeep = try Embedding(people, widths[0] / 2, deviation: 0.01, using: &generator)
            itemDeep = try Embedding(items, widths[0] - widths[0] / 2, deviation: 0.01, using: &generator)
            deep = try .dense(widths, using: &generator)
        }
        head = try Linear(factors + (widths.count >= 2 ? widths[widths.count - 1] : 0), 1, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "NeuralCollaborativeFiltering")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ people: Tensor, _ items: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var parts: [Tensor] = []
        if let personFactors, let itemFactors { parts.append(try personFactors(people, in: context) * itemFactors(items, in: context)) }
        if let personDeep, let itemDeep, let deep {
            parts.append(try deep(.concatenated([personDeep(people, in: context), itemDeep(items, in: context)], axis: 1), in: context).relu())
        }
        return try head(.concatenated(parts, axis: 1), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try personFactors?.forEachState(body, under: "person_factors")
        try itemFactors?.forEachState(body, under: "item_factors")
        try personDeep?.forEachState(body, under: "person_deep")
        try itemDeep?.forEachState(body, under: "item_deep")
        try deep?.forEachState(body, under: "deep")
        try head.forEachState(body, under: "head")
    }
}

extension NeuralCollaborativeFiltering {
    static let named = [named("gmf", 32, []), named("ncf-mlp", 0, [64, 32, 16, 8]), named("neumf", 8, [64, 32, 16, 8])]

    /// Of the size of MovieLens' million ratings.
    private static func named(_ name: String, _ factors: Int, _ widths: [Int]) -> NamedNetwork {
        NamedNetwork(
            name, .recommendation, NeuralCollaborativeFiltering.self, paper: "He et al., Neural Collaborative Filtering, 2017",
            parameters: (6_040 + 3_706) * (factors + (widths.first ?? 0) / 2) + denseParameters(widths) + factors + (widths.last ?? 0) + 1,
            inputs: [NetworkPort("people", ["batch"], .int64), NetworkPort("items", ["batch"], .int64)], outputs: [NetworkPort("logits", ["batch", 1])]
        ) { generator throws(TensorError) in
            try NeuralCollaborativeFiltering(people: 6_040, items: 3_706, factors: factors, widths: widths, using: &generator)
        }
    }
}
