public import Keel

/// Convolution over time.
///
/// - Shapes: `x [batch, time, inFeatures]` → `[batch, steps, outFeatures]`; `weight [outFeatures, inFeatures, kernel]`, `bias [outFeatures]`.
/// - Initial values: all uniform in ±1/√(inFeatures * kernel).
public struct TemporalConv: Layer {
    public var weight: Tensor
    public var bias: Tensor?
    public let padding: Padding
    public let dilation, stride: Int

    /// Where zeros are put.
    public enum Padding: Sendable, Hashable {
        /// Nowhere: the result is shorter.
        case none
        /// Before and after, alike; with stride 1 and an odd kernel the result is as long as the input.
        case same
        /// All before: no step sees a later one.
        case causal
    }

    public init(
        _ inFeatures: Int, _ outFeatures: Int, kernel: Int, padding: Padding = .none, dilation: Int = 1, stride: Int = 1, hasBias: Bool = true,
        using generator: inout Philox
    ) throws(TensorError) {
        let bound = 1 / Float(max(inFeatures * kernel, 1)).squareRoot()
        weight = try .uniform([outFeatures, inFeatures, kernel], in: -bound...bound, using: &generator)
        bias = hasBias ? try .uniform([outFeatures], in: -bound...bound, using: &generator) : nil
        self.padding = padding
        self.dilation = dilation
        self.stride = stride
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let span = (try weight.shape.size(2) - 1) * dilation
        let zeros = switch padding {
        case .none: (before: 0, after: 0)
        case .same: (before: span / 2, after: span - span / 2)
        case .causal: (before: span, after: 0)
        }
        return try x.temporalConv(weight, bias: bias, padding: zeros, dilation: dilation, stride: stride)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
