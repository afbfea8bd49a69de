public import Keel

/// Attention of a sequence to itself with several heads: one map to queries, keys and values, and one of what they give.
///
/// - Shapes: `x [batch, time, features]` → the same; `mask` as in `Tensor.attention`.
/// - Source: Vaswani et al., 2017, section 3.2.2.
public struct MultiHeadAttention: Layer {
    /// `qkv` maps to `3 * features`, queries first, then keys, then values.
    public var qkv, projection: Linear
    public let heads: Int
    public let isCausal: Bool

    public init(_ features: Int, heads: Int, isCausal: Bool = false, using generator: inout Philox) throws(TensorError) {
        guard heads >= 1, features % heads == 0 else {
            throw TensorError(.argument(primitive: "MultiHeadAttention", name: "heads", given: "\(heads)", allowed: "a divisor of \(features)"))
        }
        qkv = try Linear(features, 3 * features, using: &generator)
        projection = try Linear(features, features, using: &generator)
        self.heads = heads
        self.isCausal = isCausal
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, mask: nil, in: context) }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        try projection(qkv(x, in: context).selfAttention(heads: heads, mask: mask, isCausal: isCausal), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try qkv.forEachState(body, under: "qkv")
        try projection.forEachState(body, under: "projection")
    }
}
