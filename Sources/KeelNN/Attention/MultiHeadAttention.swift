public import Keel

/// Attention with several heads: one map to queries, keys and values, and one of what they give. A sequence attends to itself, or to another.
///
/// - Shapes: `x [batch, time, features]`, `memory [batch, keys, features]` → `[batch, time, features]`; `mask` bool, true where a key is seen, `[batch,
///   keys]` for padding, or `[batch or 1, time or 1, keys]`.
/// - Dropout: of the probabilities with which keys are seen, in training only. The matrix of them then is in memory, which it isn't otherwise.
/// - Source: Vaswani et al., 2017, section 3.2.2.
public struct MultiHeadAttention: Layer {
    /// `qkv` maps to `3 * features`, queries first, then keys, then values.
    public var qkv, projection: Linear
    public let heads: Int
    /// Whether no step sees a later one, where a sequence attends to itself.
    public let isCausal: Bool
    /// Turns queries and keys by their positions, where a sequence attends to itself.
    public let rotary: RotaryEncoding?
    public let dropout: Double

    public init(
        _ features: Int, heads: Int, isCausal: Bool = false, rotary: RotaryEncoding? = nil, dropout: Double = 0, using generator: inout Philox
    ) throws(TensorError) {
        guard heads >= 1, features % heads == 0 else {
            throw TensorError(.argument(primitive: "MultiHeadAttention", name: "heads", given: "\(heads)", allowed: "a divisor of \(features)"))
        }
        qkv = try Linear(features, 3 * features, using: &generator)
        projection = try Linear(features, features, using: &generator)
        self.heads = heads
        self.isCausal = isCausal
        self.rotary = rotary
        self.dropout = try checkedRate(dropout, in: "MultiHeadAttention")
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, mask: nil, in: context) }

    /// The sequence attends to itself.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        let packed = try qkv(x, in: context)
        if rotary == nil, !drops(in: context) {
            return try projection(packed.selfAttention(heads: heads, mask: mask, isCausal: isCausal), in: context)
        }
        var parts = try packed.split(into: 3, axis: -1)
        if let rotary { (parts[0], parts[1]) = (try rotary(parts[0], heads: heads), try rotary(parts[1], heads: heads)) }
        return try projection(attention(parts[0], parts[1], parts[2], mask, isCausal: isCausal, context), in: context)
    }

    /// The sequence attends to another one.
    public func callAsFunction(_ x: Tensor, to memory: Tensor, mask: Tensor? = nil, in context: Context) throws(TensorError) -> Tensor {
        let features = try projection.weight.shape.size(0)
        let q = try x.affine(qkv.weight.sliced(0, to: features), bias: qkv.bias?.sliced(0, to: features))
        let kv = try memory.affine(qkv.weight.sliced(0, from: features), bias: qkv.bias?.sliced(0, from: features)).split(into: 2, axis: -1)
        return try projection(attention(q, kv[0], kv[1], mask, isCausal: false, context), in: context)
    }

    /// The next steps of a sequence whose earlier ones lie in the cache, and are seen; for decoding step by step, with causal attention.
    ///
    /// - Shapes: `x [batch, steps, features]`, the sequence's next ones → the same.
    public func callAsFunction(_ x: Tensor, continuing cache: inout KeyValueCache, in context: Context) throws(TensorError) -> Tensor {
        var parts = try qkv(x, in: context).split(into: 3, axis: -1)
        if let rotary {
            parts[0] = try rotary(parts[0], heads: heads, from: cache.count)
            parts[1] = try rotary(parts[1], heads: heads, from: cache.count)
        }
        let (keys, values) = try cache.append(keys: parts[1], values: parts[2])
        return try projection(attention(parts[0], keys, values, nil, isCausal: true, context), in: context)
    }

    private func drops(in context: Context) -> Bool { context.isTraining && dropout > 0 }

    /// What the queries see, some of it dropped in training.
    private func attention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ mask: Tensor?, isCausal: Bool, _ context: Context
    ) throws(TensorError) -> Tensor {
        guard drops(in: context) else { return try q.attention(to: k, values: v, heads: heads, mask: mask, isCausal: isCausal) }
        return try q.composedAttention(to: k, values: v, heads: heads, mask: mask, isCausal: isCausal) { shares throws(TensorError) in
            try context.dropped(shares, rate: dropout)
        }
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try qkv.forEachState(body, under: "qkv")
        try projection.forEachState(body, under: "projection")
    }
}

/// The keys and values of the steps so far.
public struct KeyValueCache: Sendable {
    private var keys, values: Tensor?
    /// How many steps there are.
    public private(set) var count = 0

    public init() {}

    mutating func append(keys new: Tensor, values newValues: Tensor) throws(TensorError) -> (keys: Tensor, values: Tensor) {
        let all = (try keys.map { old throws(TensorError) in try Tensor.concatenated([old, new], axis: 1) } ?? new)
        let allValues = (try values.map { old throws(TensorError) in try Tensor.concatenated([old, newValues], axis: 1) } ?? newValues)
        keys = all
        values = allValues
        count = try all.shape.size(1)
        return (all, allValues)
    }
}
