public import Keel

/// A convolution without bias, padded by half its kernel; batch normalisation; an activation.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, ⌈h / stride⌉, ⌈w / stride⌉]` for odd kernels.
public struct ConvNorm2D: Layer {
    public var conv: Conv2D
    public var norm: BatchNorm
    public let activation: Activation

    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, groups: Int = 1, activation: Activation = .relu,
        using generator: inout Philox
    ) throws(TensorError) {
        conv = try Conv2D(
            inChannels, outChannels, kernel: kernel, stride: stride, padding: kernel / 2, groups: groups, hasBias: false, using: &generator)
        norm = try BatchNorm(outChannels)
        self.activation = activation
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try activation(norm(conv(x, in: context), in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
    }
}
