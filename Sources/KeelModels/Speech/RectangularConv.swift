internal import Keel
internal import KeelNN

/// A convolution whose window differs along its two axes, with batch normalisation.
struct RectangularConv: Layer {
    var conv: Conv2D
    var norm: BatchNorm

    init(
        _ inChannels: Int, _ outChannels: Int, kernel: (height: Int, width: Int), sliding: Sliding, rectifier: Rectifier, using generator: inout Philox
    ) throws(TensorError) {
        conv = try Conv2D(inChannels, outChannels, kernel: kernel, sliding: sliding, hasBias: false, using: &generator)
        norm = try BatchNorm(outChannels, rectifier: rectifier)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try norm(conv(x, in: context), in: context) }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
    }
}

/// Channels and frequencies as one axis of features: `[batch, channels, time, frequencies]` → `[batch, time, channels * frequencies]`.
func framesOfMap(_ x: Tensor) throws(TensorError) -> Tensor { try x.permuted([0, 2, 1, 3]).flattened(from: 2) }
