public import Keel

/// A 1x1 convolution that widens, a depthwise one, and a 1x1 one that narrows without an activation; beside the input where the shape stays.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, ⌈h / stride⌉, ⌈w / stride⌉]`.
/// - Source: Sandler et al., 2018; with squeeze and excitation after the depthwise convolution: Howard et al., and Tan and Le, 2019.
public struct InvertedResidual: Layer {
    /// Missing where nothing is widened.
    public var expand: ConvNorm2D?
    public var depthwise, project: ConvNorm2D
    public var excitation: SqueezeExcitation?
    public let isResidual: Bool

    /// - Parameters:
    ///   - inner: how many channels lie in between.
    ///   - dilation: of the depthwise convolution.
    ///   - squeeze: the channels within the squeeze and excitation; nil for none.
    ///   - activation: after the first two convolutions.
    ///   - squeezeActivation, gate: within the squeeze and excitation.
    ///   - padding, epsilon, momentum: as `ConvNorm2D` has them.
    public init(
        _ inChannels: Int, _ outChannels: Int, inner: Int, kernel: Int = 3, stride: Int = 1, dilation: Int = 1, squeeze: Int? = nil,
        activation: Activation = .relu6, squeezeActivation: Activation = .relu, gate: Activation = .sigmoid, padding: ConvNorm2D.Padding = .half,
        epsilon: Double = 1e-5, momentum: Double = 0.1, using generator: inout Philox
    ) throws(TensorError) {
        expand = inner == inChannels
            ? nil : try ConvNorm2D(inChannels, inner, kernel: 1, activation: activation, epsilon: epsilon, momentum: momentum, using: &generator)
        depthwise = try ConvNorm2D(
            inner, inner, kernel: kernel, stride: stride, dilation: dilation, groups: inner, padding: padding, activation: activation,
            epsilon: epsilon, momentum: momentum, using: &generator)
        excitation =
            if let squeeze {
                try SqueezeExcitation(inner, inner: squeeze, activation: squeezeActivation, gate: gate, using: &generator)
            } else { nil }
        project = try ConvNorm2D(
            inner, outChannels, kernel: 1, activation: .identity, epsilon: epsilon, momentum: momentum, using: &generator)
        isResidual = stride == 1 && inChannels == outChannels
    }

    /// The same with a multiple of the input's channels in between, and one activation throughout.
    ///
    /// - Parameter expansion: how many times as many channels lie in between.
    public init(
        _ inChannels: Int, _ outChannels: Int, expansion: Int, kernel: Int = 3, stride: Int = 1, dilation: Int = 1, squeeze: Int? = nil,
        activation: Activation = .relu6, padding: ConvNorm2D.Padding = .half, epsilon: Double = 1e-5, momentum: Double = 0.1, using generator: inout Philox
    ) throws(TensorError) {
        try self.init(
            inChannels, outChannels, inner: inChannels * expansion, kernel: kernel, stride: stride, dilation: dilation, squeeze: squeeze,
            activation: activation, squeezeActivation: activation, padding: padding, epsilon: epsilon, momentum: momentum, using: &generator)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var y = try depthwise(expand?(x, in: context) ?? x, in: context)
        if let excitation { y = try excitation(y, in: context) }
        return try project(y, adding: isResidual ? x : nil, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try expand?.forEachState(body, under: "expand")
        try depthwise.forEachState(body, under: "depthwise")
        try excitation?.forEachState(body, under: "excitation")
        try project.forEachState(body, under: "project")
    }
}
