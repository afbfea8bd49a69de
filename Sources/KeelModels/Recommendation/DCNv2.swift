public import Keel
public import KeelNN

/// DCN-v2: Wang et al., *DCN V2: Improved Deep & Cross Network*, 2021. Each cross layer multiplies what it is given with a map of it, so that k
/// layers make all products of k + 1 features at most; a deep network stands beside them. A map of low rank has two factors.
///
/// Row numbers `[batch, fields]`, each field's rows its own, and `numbers [batch, numbers]` → logits `[batch, 1]`.
public struct DCNv2: Network {
    public var embedding: Embedding
    public var crosses: [Cross]
    public var deep: Sequential
    public var head: Linear

    /// `first * map(x) + x`
    public struct Cross: Module {
        /// Missing where the rank isn't low.
        public var narrow: Linear?
        public var map: Linear

        init(_ width: Int, rank: Int?, using generator: inout Philox) throws(TensorError) {
            narrow = if let rank { try Linear(width, rank, hasBias: false, using: &generator) } else { nil }
            map = try Linear(rank ?? width, width, using: &generator)
        }

        public func callAsFunction(_ x: Tensor, first: Tensor, in context: Context) throws(TensorError) -> Tensor {
            try first * map(narrow?(x, in: context) ?? x, in: context) + x
        }

        public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try narrow?.forEachState(body, under: "narrow")
            try map.forEachState(body, under: "map")
        }
    }

    public init(
        rows: Int, fields: Int, numbers: Int, features: Int, crosses count: Int, rank: Int? = nil, widths: [Int], using generator: inout Philox
    ) throws(TensorError) {
        guard let last = widths.last else { throw TensorError(.argument(primitive: "DCNv2", name: "widths", given: "none", allowed: "one at least")) }
        let width = fields * features + numbers
        embedding = try Embedding(rows, features, deviation: 0.01, using: &generator)
        crosses = []
        for _ in 0..<count { crosses.append(try Cross(width, rank: rank, using: &generator)) }
        deep = try .dense([width] + widths, using: &generator)
        head = try Linear(width + last, 1, using: &generator)
    }

    public func callAsFunction(_ inputs: [Tensor], in context: Context) throws(TensorError) -> [Tensor] {
        try checkCount(inputs, 2, "DCNv2")
        return [try self(inputs[0], inputs[1], in: context)]
    }

    public func callAsFunction(_ ids: Tensor, _ numbers: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let first = try Tensor.concatenated([embedding(ids, in: context).flattened(from: 1), numbers], axis: 1)
        var x = first
        for cross in crosses { x = try cross(x, first: first, in: context) }
        return try head(.concatenated([x, deep(first, in: context).relu()], axis: 1), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try embedding.forEachState(body, under: "embedding")
        for place in crosses.indices { try crosses[place].forEachState(body, under: "crosses.\(place)") }
        try deep.forEachState(body, under: "deep")
        try head.forEachState(body, under: "head")
    }
}

extension DCNv2 {
    static let named = [named("dcn-v2", rank: nil), named("dcn-v2-rank-64", rank: 64)]

    private static func named(_ name: String, rank: Int?) -> NamedNetwork {
        let width = 26 * 16 + 13, cross = rank.map { $0 * width + ($0 + 1) * width } ?? (width + 1) * width
        return NamedNetwork(
            name, .recommendation, DCNv2.self, paper: "Wang et al., DCN V2: Improved Deep & Cross Network, 2021",
            parameters: 100_000 * 16 + 3 * cross + denseParameters([width, 512, 256]) + width + 256 + 1,
            inputs: [NetworkPort("ids", ["batch", 26], .int64), NetworkPort("numbers", ["batch", 13])], outputs: [NetworkPort("logits", ["batch", 1])]
        ) { generator throws(TensorError) in
            try DCNv2(rows: 100_000, fields: 26, numbers: 13, features: 16, crosses: 3, rank: rank, widths: [512, 256], using: &generator)
        }
    }
}
