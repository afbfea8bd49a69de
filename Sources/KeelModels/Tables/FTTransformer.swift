public import Keel
public import KeelNN

/// FT-Transformer: Gorishniy, Rubachev, Khrulkov and Babenko, *Revisiting Deep Learning Models for Tabular Data*, 2021. Each column is a token, a number's
/// being its column's direction times the number; a token of their own answers. Its linear maps have a GELU between them, not a ReGLU.
///
/// Inputs and outputs as `TableMLP`'s.
public struct FTTransformer: Network {
    /// A number's direction and where it begins, `[numbers, features]`; where a category's column begins, `[fields, features]`; what answers, `[1, 1, features]`.
    public var direction, origin, column, answer: Tensor
    public var embedding: Embedding
    public var encoder: TransformerEncoder
    public var head: Linear

    /// - Parameter rows: how many categories there are in all columns together.
    public init(
        numbers: Int, rows: Int, fields: Int, features: Int, layers: Int, heads: Int = 8, inner: Int? = nil, dropout: Double = 0.1, classes: Int,
        using generator: inout Philox
    ) throws(TensorError) {
        let bound = 1 / Float(features).squareRoot()
        func tokens(_ count: Int) throws(TensorError) -> Tensor { try .uniform([count, features], in: -bound...bound, using: &generator) }
        (direction, origin, column) = (try tokens(numbers), try tokens(numbers), try tokens(fields))
        answer = try .uniform([1, 1, features], in: -bound...bound, using: &generator)
        embedding = try Embedding(rows, features, deviation: bound / 1.7320508, using: &generator)
        encoder = try TransformerEncoder(
            features, heads: heads, inner: inner ?? features * 4 / 3, layers: layers, isPreNorm: true, dropout: dropout, using: &generator)
        head = try Linear(features, classes, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "FTTransformer")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ numbers: Tensor, _ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let columns = try numbers.withAxis(-1) * direction + origin                                  // [batch, numbers, features]
        let categories = try embedding(ids, in: context) + column                                    // [batch, fields, features]
        let first = try answer.expanded(to: Shape(numbers.shape[0], Dimension(1), answer.shape[2]))
        let x = try encoder(.concatenated([first, columns, categories], axis: 1), in: context)
        return try head(x.at(0, axis: 1).relu(), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("direction", .parameter, &direction)
        try body("origin", .parameter, &origin)
        try body("column", .parameter, &column)
        try body("answer", .parameter, &answer)
        try embedding.forEachState(body, under: "embedding")
        try encoder.forEachState(body, under: "encoder")
        try head.forEachState(body, under: "head")
    }
}

extension FTTransformer {
    static let named = [named("ft-transformer-64", 64, 2), named("ft-transformer-192", 192, 3)]

    private static func named(_ name: String, _ features: Int, _ layers: Int) -> NamedNetwork {
        let inner = features * 4 / 3, layer = 4 * features * (features + 1) + denseParameters([features, inner, features]) + 4 * features
        return NamedNetwork(
            name, .tables, FTTransformer.self, paper: ExampleTable.paper,
            parameters: (2 * ExampleTable.numbers + ExampleTable.fields + 1 + ExampleTable.rows) * features + layers * layer + 2 * features + 2 * (features + 1),
            inputs: ExampleTable.inputs, outputs: [NetworkPort("logits", ["batch", 2])], classes: 2
        ) { (classes, generator) throws(TensorError) in
            try FTTransformer(
                numbers: ExampleTable.numbers, rows: ExampleTable.rows, fields: ExampleTable.fields, features: features, layers: layers, classes: classes,
                using: &generator)
        }
    }
}
