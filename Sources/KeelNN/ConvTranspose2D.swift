public import Keel

/// Two-dimensional transposed convolution.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, oh, ow]` with
///   `oh = (h - 1)·stride - 2·padding + dilation·(kernel - 1) + 1 + outputPadding`; `weight [inChannels, outChannels / groups, kernel, kernel]`,
///   `bias [outChannels]`; height and width may have sizes of their own.
/// - Initial values: weights normal with variance `2·stride² / (inChannels / groups · kernel²)`, as each result is made of that many
///   inputs (after He et al., 2015); bias 0.
public struct ConvTranspose2D: Layer {
    public var weight: Tensor
    public var bias: Tensor?
    public let sliding: Sliding
    public let outputPadding: (height: Int, width: Int)
    public let groups: Int

    /// - Parameters:
    ///   - padding: of the convolution that this one transposes: rows and columns taken away on all four sides.
    ///   - outputPadding: rows and columns more at the bottom and the right; less than the stride or the dilation.
    ///   - hasBias: leave it out before a normalisation, which has its own.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0, dilation: Int = 1,
        groups: Int = 1, hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        try self.init(
            inChannels, outChannels, kernel: (kernel, kernel), sliding: Sliding(stride: stride, padding: padding, dilation: dilation),
            outputPadding: (outputPadding, outputPadding), groups: groups, hasBias: hasBias, using: &generator)
    }

    /// With a kernel, stride, padding and dilation that differ between height and width, or between sides.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: (height: Int, width: Int), sliding: Sliding = Sliding(),
        outputPadding: (height: Int, width: Int) = (0, 0), groups: Int = 1, hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        try checkConvolution("ConvTranspose2D", inChannels, outChannels, kernel: [kernel.height, kernel.width], groups: groups)
        let area = Float(max(sliding.stride.height, 1)) * Float(max(sliding.stride.width, 1))
        let fan = Float(inChannels / groups * kernel.height * kernel.width) / area
        weight = try .normal(
            [inChannels, outChannels / groups, kernel.height, kernel.width], deviation: (2 / fan).squareRoot(), using: &generator)
        bias = hasBias ? try .zeros([outChannels]) : nil
        self.sliding = sliding
        self.outputPadding = outputPadding
        self.groups = groups
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.convTranspose2D(weight, bias: bias, sliding: sliding, outputPadding: outputPadding, groups: groups)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try forEachOptional("bias", &bias, body)
    }
}
