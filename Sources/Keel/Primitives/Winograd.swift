import KeelKernels

/// Winograd's algorithm F(4x4, 3x3) for convolutions of 3x3 with stride 1, and for both of their gradients: a quarter of the
/// multiplications, for transforms of the pictures and the filters.
///
/// - Numerics: results differ from the direct sum by about 1e-5 of the largest (the direct sum itself by about 2e-6), because the
///   transforms weigh numbers by up to 100. The choice depends on the sizes alone, so the same network gives the same numbers; in an optimised program,
///   whose filters are constants that are kept transformed, more sizes are worth it.
/// - Source: Lavin and Gray, *Fast algorithms for convolutional neural networks*, 2016.
struct Winograd {
    private var kernel: keel_winograd
    private let pass: keel_winograd_pass

    /// What a convolution or the gradient of its input takes, or nil where the direct algorithm is faster.
    init?(_ window: Window, _ pass: keel_winograd_pass, keepsFilters: Bool = false) {
        guard window.suitsWinograd(keepsFilters: keepsFilters) else { return nil }
        self.pass = pass
        let w = window
        kernel = pass == KEEL_WINOGRAD_FORWARD
            ? keel_winograd(
                n: Int64(w.n), in: Int64(w.c), h: Int64(w.h), w: Int64(w.w), out: Int64(w.k), oh: Int64(w.oh), ow: Int64(w.ow),
                top: Int64(w.top), left: Int64(w.left), in_lanes: 0, out_lanes: 0)
            // The gradient of the input is a convolution of the output's, with as much padding as was missing to the full one.
            : keel_winograd(
                n: Int64(w.n), in: Int64(w.k), h: Int64(w.oh), w: Int64(w.ow), out: Int64(w.c), oh: Int64(w.h), ow: Int64(w.w),
                top: Int64(2 - w.top), left: Int64(2 - w.left), in_lanes: 0, out_lanes: 0)
    }

    /// How its result lies: in blocks as wide as the processor's registers.
    static let layout = Layout.blocked(keel_vector_lanes())

    /// `y` from `x`, or the input's gradient from the output's; then, in the same pass, what is added, the addend lying as `y`, and the rectifier.
    func run(
        _ y: Tensor, _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, addend: Tensor? = nil, _ rectifier: Rectifier = .none
    ) throws(TensorError) {
        let x = try x.laidOutInEights()
        var kernel = kernel
        kernel.in_lanes = x.lanesOfBlock
        kernel.out_lanes = y.lanesOfBlock
        let plain = try weight.contiguous()
        let filters = try plain.packed(.winograd(pass.rawValue), bytes: Int(keel_winograd_filter_count(&kernel)) * 4) { bytes in
            keel_winograd_filters_f32(&kernel, pass, bytes.assumingMemoryBound(to: Float.self), plain.pointer(Float.self))
        }
        let scratch = try Storage(bytes: Int(keel_winograd_scratch(&kernel)) * 4, on: .cpu), bias = try bias?.contiguous(), limits = rectifier.limits
        let end = keel_conv_end(
            bias: bias?.pointer(Float.self), addend: addend?.pointer(Float.self), least: Float(limits.least), most: Float(limits.most))
        keel_winograd_f32(
            &kernel, y.pointer(Float.self), x.pointer(Float.self), filters.base.assumingMemoryBound(to: Float.self), end,
            scratch.base.assumingMemoryBound(to: Float.self))
        withExtendedLifetime((filters, scratch, bias)) {}
    }

    /// The weights' gradient, plain, from the input and the output's gradient. Belongs to the forward pass's sizes.
    func runWeightGradient(_ dweight: Tensor, _ x: Tensor, _ dy: Tensor) throws(TensorError) {
        let (x, dy) = (try x.laidOutInEights(), try dy.laidOutInEights())
        var kernel = kernel
        kernel.in_lanes = x.lanesOfBlock
        kernel.out_lanes = dy.lanesOfBlock
        let scratch = try Storage(bytes: Int(keel_winograd_weight_gradient_scratch(&kernel)) * 4, on: .cpu)
        keel_winograd_weight_gradient_f32(
            &kernel, dweight.pointer(Float.self), x.pointer(Float.self), dy.pointer(Float.self), scratch.base.assumingMemoryBound(to: Float.self))
        withExtendedLifetime(scratch) {}
    }
}

extension Window {
    /// Whether Winograd's algorithm takes the convolution and is faster: a rule made from measurements on Zen 3, one thread.
    ///
    /// For each pair of channels the direct algorithm takes 18 floating-point operations a position at 80 a nanosecond. Winograd's
    /// takes 72 a tile at the same rate, 55 ns for the filter, and 20 ns a tile for each channel's transform, which all pairs share. A filter
    /// that is kept transformed is only read, 144 bytes at 12 a nanosecond: a network's filters together are more than the caches hold.
    func suitsWinograd(keepsFilters: Bool = false) -> Bool {
        guard kernelHeight == 3, kernelWidth == 3, strideHeight == 1, strideWidth == 1, dilationHeight == 1, dilationWidth == 1, groups == 1,
            c % 16 == 0, k % 16 == 0, top <= 2, left <= 2, n * oh * ow > 0, h * w > 0, keel_winograd_is_fast() != 0
        else { return false }
        let tiles = Double(n * ((oh + 3) / 4) * ((ow + 3) / 4))
        let direct = 0.225 * Double(n * oh * ow)
        return 0.9 * tiles + (keepsFilters ? 12 : 55) + 20 * tiles * (1 / Double(c) + 1 / Double(k)) < direct
    }
}

extension Tensor {
    /// In blocks that hold whole registers of eight channels.
    func laidOutInEights() throws(TensorError) -> Tensor {
        if case .blocked(let block) = layout, block % 8 == 0 { return self }
        return try laid(out: Winograd.layout)
    }

    /// Channels that lie side by side.
    var lanesOfBlock: Int64 {
        guard case .blocked(let block) = layout else { preconditionFailure("the tensor is blocked") }
        return Int64(block)
    }
}
