public import Keel

/// Half the size, more channels: max pooling and two 3x3 convolutions.
///
/// - Shapes: `x [n, inChannels, h, w]` → `[n, outChannels, ⌊h / 2⌋, ⌊w / 2⌋]`.
/// - Source: Ronneberger, Fischer and Brox, 2015; padded and normalised.
public struct UNetDown: Layer {
    public var first, second: ConvNorm2D

    public init(_ inChannels: Int, _ outChannels: Int, using generator: inout Philox) throws(TensorError) {
        first = try ConvNorm2D(inChannels, outChannels, kernel: 3, using: &generator)
        second = try ConvNorm2D(outChannels, outChannels, kernel: 3, using: &generator)
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try second(first(x.maxPool2D(2), in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}

/// Twice the size, beside what the way down left: a transposed convolution, the skip connection before it, and two 3x3 convolutions.
///
/// - Shapes: `x [n, inChannels, h, w]`, `skip [n, skipChannels, 2·h, 2·w]` → `[n, outChannels, 2·h, 2·w]`.
/// - Source: as `UNetDown`.
public struct UNetUp: Module {
    public var up: ConvTranspose2D
    public var first, second: ConvNorm2D

    public init(_ inChannels: Int, skip skipChannels: Int, _ outChannels: Int, using generator: inout Philox) throws(TensorError) {
        up = try ConvTranspose2D(inChannels, outChannels, kernel: 2, stride: 2, using: &generator)
        first = try ConvNorm2D(skipChannels + outChannels, outChannels, kernel: 3, using: &generator)
        second = try ConvNorm2D(outChannels, outChannels, kernel: 3, using: &generator)
    }

    public func callAsFunction(_ x: Tensor, skip: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let both = try Tensor.concatenated([skip, up(x, in: context)], axis: 1)
        return try second(first(both, in: context), in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try up.forEachState(body, under: "up")
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}
