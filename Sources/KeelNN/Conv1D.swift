public import Keel

/// One-dimensional convolution.
///
/// - Shapes: `x [n, inChannels, l]` → `[n, outChannels, ol]` with `ol = ⌊(l + before + after - dilation·(kernel - 1) - 1) / stride⌋ + 1`;
///   `weight [outChannels, inChannels / groups, kernel]`, `bias [outChannels]`.
/// - Initial values: weights normal with variance `2 / (inChannels / groups · kernel)` (He et al., 2015), bias 0.
public struct Conv1D: Layer {
    public var weight: Tensor
    public var bias: Tensor?
    public let stride, dilation, groups: Int
    public let padding: (before: Int, after: Int)

    /// - Parameters:
    ///   - padding: zeros before and after the sequence; `(dilation·(kernel - 1), 0)` makes it causal: no result depends on a later number.
    ///   - hasBias: leave it out before a normalisation, which has its own.
    ///   - groups: `inChannels` for a depthwise convolution.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: (before: Int, after: Int) = (0, 0), dilation: Int = 1,
        groups: Int = 1, hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        try checkConvolution("Conv1D", inChannels, outChannels, kernel: [kernel], groups: groups)
        let fan = inChannels / groups * kernel
        weight = try .normal([outChannels, inChannels / groups, kernel], deviation: (2 / Float(fan)).squareRoot(), using: &generator)
        bias = hasBias ? try .zeros([outChannels]) : nil
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.conv1D(weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
