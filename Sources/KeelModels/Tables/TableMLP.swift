public import Keel
public import KeelNN

/// A table's row: its numbers, and a vector for each of its categories.
struct TableInput: Module {
    var embedding: Embedding?

    /// - Parameters:
    ///   - rows: how many categories there are in all columns together; 0 for none.
    init(rows: Int, features: Int, using generator: inout Philox) throws(TensorError) {
        embedding = rows > 0 ? try Embedding(rows, features, deviation: 0.1, using: &generator) : nil
    }

    /// `numbers [batch, numbers]`, `ids [batch, fields]` → `[batch, numbers + fields * features]`
    func callAsFunction(_ numbers: Tensor, _ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        guard let embedding else { return numbers }
        return try .concatenated([numbers, embedding(ids, in: context).flattened(from: 1)], axis: 1)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try embedding?.forEachState(body, under: "embedding") }
}

/// Linear maps with batch normalisation, ReLU and dropout between them: what Gorishniy, Rubachev, Khrulkov and Babenko, *Revisiting Deep Learning Models for
/// Tabular Data*, 2021, compare others with.
///
/// `numbers [batch, numbers]` and categories, row numbers `[batch, fields]`, each field's its own → logits `[batch, classes]`, or one number.
public struct TableMLP: Network {
    var input: TableInput
    public var layers: [Linear]
    public var norms: [BatchNorm]
    public var head: Linear
    public let dropout: Double

    public init(
        numbers: Int, rows: Int, fields: Int, features: Int = 8, widths: [Int], dropout: Double = 0.1, classes: Int, using generator: inout Philox
    ) throws(TensorError) {
        input = try TableInput(rows: rows, features: features, using: &generator)
        (layers, norms) = ([], [])
        var from = numbers + (rows > 0 ? fields * features : 0)
        for width in widths {
            layers.append(try Linear(from, width, using: &generator))
            norms.append(try BatchNorm(width, rectifier: .relu))
            from = width
        }
        head = try Linear(from, classes, using: &generator)
        self.dropout = dropout
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "TableMLP")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ numbers: Tensor, _ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try input(numbers, ids, in: context)
        for (layer, norm) in zip(layers, norms) { x = try context.dropped(norm(layer(x, in: context), in: context), rate: dropout) }
        return try head(x, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try input.forEachState(body)
        for place in layers.indices {
            try layers[place].forEachState(body, under: "layers.\(place)")
            try norms[place].forEachState(body, under: "norms.\(place)")
        }
        try head.forEachState(body, under: "head")
    }
}

/// Blocks of two linear maps, each beside its input: the same paper's ResNet for tables.
///
/// Inputs and outputs as `TableMLP`'s.
public struct TableResNet: Network {
    var input: TableInput
    public var first: Linear
    public var blocks: [Block]
    public var norm: BatchNorm
    public var head: Linear

    /// Normalisation, a map that widens, ReLU, one that narrows; beside the input.
    public struct Block: Layer {
        public var norm: BatchNorm
        public var up, down: Linear
        let dropout: Double

        init(_ width: Int, inner: Int, dropout: Double, using generator: inout Philox) throws(TensorError) {
            norm = try BatchNorm(width)
            up = try Linear(width, inner, using: &generator)
            down = try Linear(inner, width, using: &generator)
            self.dropout = dropout
        }

        public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            let inner = try context.dropped(up(norm(x, in: context), in: context).relu(), rate: dropout)
            return try x + down(inner, in: context)
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try norm.forEachState(body, under: "norm")
            try up.forEachState(body, under: "up")
            try down.forEachState(body, under: "down")
        }
    }

    public init(
        numbers: Int, rows: Int, fields: Int, features: Int = 8, width: Int, inner: Int, blocks count: Int, dropout: Double = 0.1, classes: Int,
        using generator: inout Philox
    ) throws(TensorError) {
        input = try TableInput(rows: rows, features: features, using: &generator)
        first = try Linear(numbers + (rows > 0 ? fields * features : 0), width, using: &generator)
        blocks = []
        for _ in 0..<count { blocks.append(try Block(width, inner: inner, dropout: dropout, using: &generator)) }
        norm = try BatchNorm(width, rectifier: .relu)
        head = try Linear(width, classes, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "TableResNet")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ numbers: Tensor, _ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var x = try first(input(numbers, ids, in: context), in: context)
        for block in blocks { x = try block(x, in: context) }
        return try head(norm(x, in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try input.forEachState(body)
        try first.forEachState(body, under: "first")
        for place in blocks.indices { try blocks[place].forEachState(body, under: "blocks.\(place)") }
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

/// A table of 20 numbers and 10 categories, 200 in all columns together: what the named networks are counted with.
enum ExampleTable {
    static let numbers = 20, rows = 200, fields = 10
    static let inputs = [NetworkPort("numbers", ["batch", 20]), NetworkPort("ids", ["batch", 10], .int64)]
    static let paper = "Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, 2021"
}

extension TableMLP {
    static let named = [named("table-mlp-128", [128, 128]), named("table-mlp-512", [512, 256, 128])]

    private static func named(_ name: String, _ widths: [Int]) -> NamedNetwork {
        NamedNetwork(
            name, .tables, TableMLP.self, paper: ExampleTable.paper, parameters: 1_600 + denseParameters([100] + widths + [2]) + 2 * widths.reduce(0, +),
            inputs: ExampleTable.inputs, outputs: [NetworkPort("logits", ["batch", 2])], classes: 2
        ) { (classes, generator) throws(TensorError) in
            try TableMLP(
                numbers: ExampleTable.numbers, rows: ExampleTable.rows, fields: ExampleTable.fields, widths: widths, classes: classes, using: &generator)
        }
    }
}

extension TableResNet {
    static let named = [named("table-resnet-4", 128, 256, 4), named("table-resnet-8", 256, 512, 8)]

    private static func named(_ name: String, _ width: Int, _ inner: Int, _ blocks: Int) -> NamedNetwork {
        NamedNetwork(
            name, .tables, TableResNet.self, paper: ExampleTable.paper,
            parameters: 1_600 + denseParameters([100, width]) + blocks * (2 * width + denseParameters([width, inner, width])) + 2 * width + denseParameters([width, 2]),
            inputs: ExampleTable.inputs, outputs: [NetworkPort("logits", ["batch", 2])], classes: 2
        ) { (classes, generator) throws(TensorError) in
            try TableResNet(
                numbers: ExampleTable.numbers, rows: ExampleTable.rows, fields: ExampleTable.fields, width: width, inner: inner, blocks: blocks,
                classes: classes, using: &generator)
        }
    }
}
