public import Keel

/// Two-dimensional convolution.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, oh, ow]` with `oh = ⌊(h + 2·padding - dilation·(kernel - 1) - 1) / stride⌋ + 1`;
///   `weight [outChannels, inChannels / groups, kernel, kernel]`, `bias [outChannels]`; height and width may have sizes of their own.
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
        try self.init(
            inChannels, outChannels, kernel: (kernel, kernel), sliding: Sliding(stride: stride, padding: padding, dilation: dilation),
            groups: groups, hasBias: hasBias, using: &generator)
    }

    /// With a kernel, stride, padding and dilation that differ between height and width, or between sides.
    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: (height: Int, width: Int), sliding: Sliding = Sliding(), groups: Int = 1,
        hasBias: Bool = true, using generator: inout Philox
    ) throws(TensorError) {
        try checkConvolution("Conv2D", inChannels, outChannels, kernel: [kernel.height, kernel.width], groups: groups)
        let fan = inChannels / groups * kernel.height * kernel.width
        weight = try .normal(
            [outChannels, inChannels / groups, kernel.height, kernel.width], deviation: (2 / Float(fan)).squareRoot(), using: &generator)
        bias = hasBias ? try .zeros([outChannels]) : nil
        self.sliding = sliding
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

/// What sizes of a convolution's weights have to be.
func checkConvolution(_ layer: String, _ inChannels: Int, _ outChannels: Int, kernel: [Int], groups: Int) throws(TensorError) {
    func refuse(_ name: String, _ given: String, _ allowed: String) -> TensorError {
        TensorError(.argument(primitive: layer, name: name, given: given, allowed: allowed))
    }
    guard inChannels >= 1, outChannels >= 1 else { throw refuse("channels", "\(inChannels) and \(outChannels)", "1 and more") }
    guard kernel.allSatisfy({ $0 >= 1 }) else { throw refuse("kernel", "\(kernel)", "1 and more") }
    guard groups >= 1, inChannels % groups == 0, outChannels % groups == 0 else {
        throw refuse("groups", "\(groups)", "a divisor of \(inChannels) and of \(outChannels)")
    }
    _ = try Shape(checking: [outChannels, inChannels / groups] + kernel)
}
