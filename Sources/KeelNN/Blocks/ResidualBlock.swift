public import Keel

/// Convolutions beside a shortcut, added and put through ReLU: two of 3x3, or, as a bottleneck, 1x1, 3x3 and 1x1. Where the shape changes, the
/// shortcut is a 1x1 convolution.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, ⌈h / stride⌉, ⌈w / stride⌉]`.
/// - Source: He et al., 2016, figure 5; the bottleneck's stride is the 3x3 convolution's, as torchvision has it; its groups: Xie et al., 2017.
public struct ResidualBlock: Layer {
    public var layers: [ConvNorm2D]
    public var shortcut: ConvNorm2D?

    /// - Parameters:
    ///   - dilation: of the 3x3 convolutions, or, in a bottleneck, of the one there is.
    ///   - inner: the channels within a bottleneck; nil for two convolutions of 3x3.
    ///   - groups: of a bottleneck's 3x3 convolution.
    public init(
        _ inChannels: Int, _ outChannels: Int, stride: Int = 1, dilation: Int = 1, inner: Int? = nil, groups: Int = 1,
        using generator: inout Philox
    ) throws(TensorError) {
        if let inner {
            layers = [
                try ConvNorm2D(inChannels, inner, kernel: 1, using: &generator),
                try ConvNorm2D(inner, inner, kernel: 3, stride: stride, dilation: dilation, groups: groups, using: &generator),
                try ConvNorm2D(inner, outChannels, kernel: 1, using: &generator),
            ]
        } else {
            layers = [
                try ConvNorm2D(inChannels, outChannels, kernel: 3, stride: stride, dilation: dilation, using: &generator),
                try ConvNorm2D(outChannels, outChannels, kernel: 3, dilation: dilation, using: &generator),
            ]
        }
        let isSameShape = stride == 1 && inChannels == outChannels
        shortcut = isSameShape ? nil : try ConvNorm2D(inChannels, outChannels, kernel: 1, stride: stride, activation: .identity, using: &generator)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        var y = x
        for layer in layers.dropLast() { y = try layer(y, in: context) }
        return try layers[layers.count - 1](y, adding: shortcut?(x, in: context) ?? x, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        for place in layers.indices { try layers[place].forEachState(body, under: "layers.\(place)") }
        try shortcut?.forEachState(body, under: "shortcut")
    }
}
