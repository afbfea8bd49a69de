public import Keel
public import KeelNN

/// The Deep Interest Network: Zhou et al., *Deep Interest Network for Click-Through Rate Prediction*, 2018. Of what a person chose before, it weighs
/// each thing by how much it has to do with the candidate; the weights don't add up to one, so that a strong interest stays strong.
///
/// Candidates `[batch]`, what was chosen before, `[batch, time]`, how many of them there are, `[batch]`, and what else is known of the person, row numbers
/// `[batch, fields]` → logits `[batch, 1]`.
public struct DIN: Network {
    public var items, profile: Embedding
    public var interest, deep: Sequential

    public init(
        items count: Int, profiles: Int, fields: Int, features: Int, interestWidths: [Int] = [80, 40], widths: [Int] = [200, 80],
        using generator: inout Philox
    ) throws(TensorError) {
        items = try Embedding(count, features, deviation: 0.05, using: &generator)
        profile = try Embedding(profiles, features, deviation: 0.05, using: &generator)
        interest = try .dense([4 * features] + interestWidths + [1], activation: .sigmoid, using: &generator)
        deep = try .dense([(2 + fields) * features] + widths + [1], activation: .leakyRelu(slope: 0.1), using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 4, "DIN")
        return [try self(inputs[0], history: inputs[1], lengths: inputs[2], person: inputs[3], in: context)]
    }

    public func callAsFunction(_ candidates: Tensor, history: Tensor, lengths: Tensor, person: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let candidate = try items(candidates, in: context)                                                  // [batch, features]
        let chosen = try items(history, in: context)                                                        // [batch, time, features]
        let asked = try candidate.withAxis(1) + chosen * 0                                                  // beside each
        let pairs = try Tensor.concatenated([asked, chosen, asked - chosen, asked * chosen], axis: -1)
        let weights = try interest(pairs, in: context) * lengths.lengthMask(history.shape[1]).cast(to: .float32).withAxis(-1)
        let interests = try (chosen * weights).sum([1])                                                     // [batch, features]
        let known = try profile(person, in: context).flattened(from: 1)
        return try deep(.concatenated([candidate, interests, known], axis: 1), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try items.forEachState(body, under: "items")
        try profile.forEachState(body, under: "profile")
        try interest.forEachState(body, under: "interest")
        try deep.forEachState(body, under: "deep")
    }
}

extension DIN {
    static let named = [named("din-16", 16), named("din-64", 64)]

    private static func named(_ name: String, _ features: Int) -> NamedNetwork {
        NamedNetwork(
            name, .recommendation, DIN.self, paper: "Zhou et al., Deep Interest Network for Click-Through Rate Prediction, 2018",
            parameters: 51_000 * features + denseParameters([4 * features, 80, 40, 1]) + denseParameters([6 * features, 200, 80, 1]),
            inputs: [
                NetworkPort("candidates", ["batch"], .int64), NetworkPort("history", ["batch", "time"], .int64), NetworkPort("lengths", ["batch"], .int64),
                NetworkPort("person", ["batch", 4], .int64),
            ], outputs: [NetworkPort("logits", ["batch", 1])]
        ) { generator throws(TensorError) in try DIN(items: 50_000, profiles: 1_000, fields: 4, features: features, using: &generator) }
    }
}
