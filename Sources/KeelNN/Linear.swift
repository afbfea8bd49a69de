public import Keel

/// Affine map of the last axis: `y = x · weightᵀ + bias`.
///
/// - Shapes: `x [..., inFeatures]` → `[..., outFeatures]`; `weight [outFeatures, inFeatures]`, `bias [outFeatures]`.
/// - Initial values: both uniform in ±1/√inFeatures.
public struct Linear: Layer {
    public var weight: Tensor
    public var bias: Tensor?

    public init(_ inFeatures: Int, _ outFeatures: Int, hasBias: Bool = true, using generator: inout Philox) throws(TensorError) {
        let bound = 1 / Float(max(inFeatures, 1)).squareRoot()
        weight = try .uniform([outFeatures, inFeatures], in: -bound...bound, using: &generator)
        bias = hasBias ? try .uniform([outFeatures], in: -bound...bound, using: &generator) : nil
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.affine(weight, bias: bias)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
