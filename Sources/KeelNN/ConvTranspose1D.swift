public import Keel

/// One-dimensional transposed convolution.
///
/// - Shapes: `x [n, inChannels, l]` → `[n, outChannels, ol]` with
///   `ol = (l - 1)·stride - before - after + dilation·(kernel - 1) + 1 + outputPadding`; `weight [inChannels, outChannels / groups, kernel]`,
///   `bias [outChannels]`.
/// - Initial values: weights normal with variance `2·stride / (inChannels / groups · kernel)`, as each result is made of that many inputs (after
///   He et al., 2015); bias 0.
public struct ConvTranspose1D: Layer {
    public var weight: Tensor
    public var bias: Tensor?
    public let stride, outputPadding, dilation, groups: Int
    public let padding: (before: Int, after: Int)

    /// - Parameters:
    ///   - padding: of the convolution that this one transposes: numbers taken away before and after.
    ///   - outputPadding: numbers more at the end; less than the stride or the dilation.
    ///   - hasBias: leave it out before a normalisation, which has its own.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: (before: Int, after: Int) = (0, 0), outputPadding: Int = 0,
        dilation: Int = 1, groups: Int = 1, hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        try checkConvolution("ConvTranspose1D", inChannels, outChannels, kernel: [kernel], groups: groups)
        let fan = Float(inChannels / groups * kernel) / Float(max(stride, 1))
        weight = try .normal([inChannels, outChannels / groups, kernel], deviation: (2 / fan).squareRoot(), using: &generator)
        bias = hasBias ? try .zeros([outChannels]) : nil
        self.stride = stride
        self.padding = padding
        self.outputPadding = outputPadding
        self.dilation = dilation
        self.groups = groups
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.convTranspose1D(
            weight, bias: bias, stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation, groups: groups)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
