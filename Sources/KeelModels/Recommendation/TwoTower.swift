public import Keel
public import KeelNN

/// Two towers: Yi et al., *Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations*, 2019. One says what a person is like and one
/// what a thing is like, as vectors of length 1 whose product says how well they go together: what is found among millions of things by a search for near vectors.
///
/// Row numbers of the person, `[batch, fields]`, and of the thing, alike → `[batch, features]` of each.
public struct TwoTower: Network {
    public var personRows, itemRows: Embedding
    public var person, item: Sequential
    public let temperature: Double

    public init(
        personRows people: Int, personFields: Int, itemRows items: Int, itemFields: Int, features: Int, widths: [Int], temperature: Double = 0.05,
        using generator: inout Philox
    ) throws(TensorError) {
        personRows = try Embedding(people, features, deviation: 0.1, using: &generator)
        itemRows = try Embedding(items, features, deviation: 0.1, using: &generator)
        person = try .dense([personFields * features] + widths, using: &generator)
        item = try .dense([itemFields * features] + widths, using: &generator)
        self.temperature = temperature
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "TwoTower")
        return [try people(inputs[0], in: context), try items(inputs[1], in: context)]
    }

    public func people(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try person(personRows(ids, in: context).flattened(from: 1), in: context).normalised()
    }

    public func items(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try item(itemRows(ids, in: context).flattened(from: 1), in: context).normalised()
    }

    /// Each person should find the thing of the same row among those of the whole batch.
    ///
    /// - Parameter itemFrequencies: how often each thing comes, `[batch]`: frequent ones are in many batches, and would be pushed away too often.
    public func loss(_ people: Tensor, _ items: Tensor, itemFrequencies: Tensor? = nil, in context: Context) throws(TensorError) -> Tensor {
        var scores = try self.people(people, in: context).matmul(self.items(items, in: context).transposed()) / temperature
        if let itemFrequencies { scores = try scores - itemFrequencies.log() }
        return try scores.softmaxCrossEntropy(.range(people.shape.size(0)))
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try personRows.forEachState(body, under: "person_rows")
        try itemRows.forEachState(body, under: "item_rows")
        try person.forEachState(body, under: "person")
        try item.forEachState(body, under: "item")
    }
}

extension TwoTower {
    static let named = [named("two-tower-64", 32, [128, 64]), named("two-tower-128", 64, [512, 256, 128])]

    private static func named(_ name: String, _ features: Int, _ widths: [Int]) -> NamedNetwork {
        NamedNetwork(
            name, .recommendation, TwoTower.self, paper: "Yi et al., Sampling-Bias-Corrected Neural Modeling, 2019",
            parameters: 150_000 * features + denseParameters([5 * features] + widths) + denseParameters([3 * features] + widths),
            inputs: [NetworkPort("person", ["batch", 5], .int64), NetworkPort("item", ["batch", 3], .int64)],
            outputs: [
                NetworkPort("person_vector", ["batch", NetworkSize(widths[widths.count - 1])]),
                NetworkPort("item_vector", ["batch", NetworkSize(widths[widths.count - 1])]),
            ]
        ) { generator throws(TensorError) in
            try TwoTower(personRows: 100_000, personFields: 5, itemRows: 50_000, itemFields: 3, features: features, widths: widths, using: &generator)
        }
    }
}
