public import Keel

/// Two-dimensional transposed convolution.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, oh, ow]` with
///   `oh = (h - 1)·stride - 2·padding + dilation·(kernel - 1) + 1 + outputPadding`; `weight [inChannels, outChannels / groups, kernel, kernel]`,
///   `bias [outChannels]`.
/// - Initial values: weights normal with variance `2·stride² / (inChannels / groups · kernel²)`, as each result is made of that many
///   inputs (after He et al., 2015); bias 0.
public struct ConvTranspose2D: Layer {
    public var weight: Tensor
    public var bias: Tensor?
    public let sliding: Sliding
    public let outputPadding, groups: Int

    /// - Parameters:
    ///   - padding: of the convolution that this one transposes: rows and columns taken away on all four sides.
    ///   - outputPadding: rows and columns more at the bottom and the right; less than the stride or the dilation.
    ///   - hasBias: leave it out before a normalisation, which has its own.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0, dilation: Int = 1,
        groups: Int = 1, hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        let fan = Float(max(inChannels / groups * kernel * kernel, 1)) / Float(stride * stride)
        weight = try .normal([inChannels, outChannels / groups, kernel, kernel], deviation: (2 / fan).squareRoot(), using: &generator)
        bias = hasBias ? try .zeros([outChannels]) : nil
        sliding = Sliding(stride: stride, padding: padding, dilation: dilation)
        self.outputPadding = outputPadding
        self.groups = groups
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.convTranspose2D(weight, bias: bias, sliding: sliding, outputPadding: (outputPadding, outputPadding), groups: groups)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
