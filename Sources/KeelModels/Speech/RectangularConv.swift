internal import Keel
internal import KeelNN

/// A convolution whose window differs along its two axes, with batch normalisation.
struct RectangularConv: Layer {
    var weight: Tensor
    var norm: BatchNorm
    let sliding: Sliding

    /// - Parameter padding: before and after, along each axis.
    init(
        _ inChannels: Int, _ outChannels: Int, kernel: (height: Int, width: Int), stride: (height: Int, width: Int),
        padding: (top: Int, left: Int, bottom: Int, right: Int), rectifier: Rectifier, using generator: inout Philox
    ) throws(TensorError) {
        let fan = Float(inChannels * kernel.height * kernel.width)
        weight = try .normal([outChannels, inChannels, kernel.height, kernel.width], deviation: (2 / fan).squareRoot(), using: &generator)
        norm = try BatchNorm(outChannels, rectifier: rectifier)
        sliding = Sliding(stride: stride, padding: padding)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try norm(x.conv2D(weight, sliding: sliding), in: context) }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("weight", .parameter, &weight)
        try norm.forEachState(body, under: "norm")
    }
}

/// Channels and frequencies as one axis of features: `[batch, channels, time, frequencies]` → `[batch, time, channels * frequencies]`.
func framesOfMap(_ x: Tensor) throws(TensorError) -> Tensor { try x.permuted([0, 2, 1, 3]).flattened(from: 2) }
