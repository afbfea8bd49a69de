public import Keel

/// A convolution without bias, batch normalisation, and an activation; what is to be added is added before the activation.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, ⌈h / stride⌉, ⌈w / stride⌉]` for odd kernels.
public struct ConvNorm2D: Layer {
    public var conv: Conv2D
    public var norm: BatchNorm
    public let activation: Activation
    public let padding: Padding

    /// Where the zeros are that keep `⌈size / stride⌉` places.
    public enum Padding: Sendable, Hashable {
        /// Half a kernel on each side.
        case half
        /// As few as will do, and if their number is odd, one more at the bottom and the right: TensorFlow's `SAME`. It needs pictures
        /// whose height and width are numbers.
        case least
    }

    public init(
        _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, dilation: Int = 1, groups: Int = 1, padding: Padding = .half,
        activation: Activation = .relu, epsilon: Double = 1e-5, momentum: Double = 0.1, using generator: inout Philox
    ) throws(TensorError) {
        conv = try Conv2D(
            inChannels, outChannels, kernel: kernel, stride: stride, padding: padding == .half ? kernel / 2 * dilation : 0, dilation: dilation,
            groups: groups, hasBias: false, using: &generator)
        norm = try BatchNorm(outChannels, epsilon: epsilon, momentum: momentum, rectifier: activation.rectifier ?? .none)
        self.activation = activation
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try self(x, adding: nil, in: context) }

    /// - Parameter addend: of the result's shape.
    public func callAsFunction(_ x: Tensor, adding addend: Tensor?, in context: Context) throws(TensorError) -> Tensor {
        let y = try norm(convolved(x, in: context), adding: addend, in: context)
        return activation.rectifier == nil ? try activation(y, in: context) : y
    }

    private func convolved(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        guard padding == .least, x.rank == 4 else { return try conv(x, in: context) }
        var sliding = conv.sliding
        func zeros(_ size: Int, _ stride: Int, _ dilation: Int, _ kernel: Int) -> (before: Int, after: Int) {
            let all = max(((size + stride - 1) / stride - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
            return (all / 2, all - all / 2)
        }
        let rows = zeros(try x.shape.size(2), sliding.stride.height, sliding.dilation.height, try conv.weight.shape.size(2))
        let columns = zeros(try x.shape.size(3), sliding.stride.width, sliding.dilation.width, try conv.weight.shape.size(3))
        sliding.padding = (rows.before, columns.before, rows.after, columns.after)
        return try x.conv2D(conv.weight, bias: conv.bias, sliding: sliding, groups: conv.groups)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
    }
}
