public import Keel

/// A table of vectors, looked up by index.
///
/// - Shapes: `indices [i...]` int64 or int32 in `0..<count` → `[i..., features]`; `weight [count, features]`.
/// - Initial values: normal with variance 1, or with `deviation`.
public struct Embedding: Layer {
    public var weight: Tensor

    public init(_ count: Int, _ features: Int, deviation: Float = 1, using generator: inout Philox) throws(TensorError) {
        weight = try .normal([count, features], deviation: deviation, using: &generator)
    }

    public func callAsFunction(_ indices: Tensor, in context: Context) throws(TensorError) -> Tensor { try weight.gathered(indices) }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try body("weight", .parameter, &weight) }
}
