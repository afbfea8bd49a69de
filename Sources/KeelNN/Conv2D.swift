public import Keel

/// Two-dimensional convolution.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, oh, ow]` with `oh = ⌊(h + 2·padding - dilation·(kernel - 1) - 1) / stride⌋ + 1`;
///   `weight [outChannels, inChannels / groups, kernel, kernel]`, `bias [outChannels]`.
/// - Initial values: weights normal with variance `2 / (inChannels / groups · kernel²)` (He et al., 2015), bias 0.
public struct Conv2D: Layer {
    public var weight: Tensor
    public var bias: Tensor?
    public let sliding: Sliding
    public let groups: Int

    /// - Parameters:
    ///   - padding: on all four sides; `kernel / 2` keeps the size at stride 1.
    ///   - hasBias: leave it out before a normalisation, which has its own.
    ///   - groups: `inChannels` for a depthwise convolution.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1,
        hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        let fan = inChannels / groups * kernel * kernel
        weight = try .normal(
            [outChannels, inChannels / groups, kernel, kernel], deviation: (2 / Float(max(fan, 1))).squareRoot(), using: &generator)
        bias = hasBias ? try .zeros([outChannels]) : nil
        sliding = Sliding(stride: stride, padding: padding, dilation: dilation)
        self.groups = groups
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.conv2D(weight, bias: bias, sliding: sliding, groups: groups)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
