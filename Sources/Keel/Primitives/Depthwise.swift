import KeelKernels

extension Window {
    /// Whether Keel's own kernel makes a depthwise convolution's weight gradient.
    ///
    /// oneDNN 2.6 has none for kernels wider than 3, and makes a matrix product for each channel of them: on Zen 3, one thread,
    /// `[16, 240, 28, 28]` with 5x5 took 158 ms by that and 5.6 ms by ours; with 3x3 at stride 1 and 56x56 11.5 ms and 8.3 ms.
    var hasOwnDepthwiseGradient: Bool {
        groups > 1 && groups == c && groups == k && dilationHeight == 1 && dilationWidth == 1 && kernelHeight <= Int(KEEL_DEPTHWISE_WIDEST)
            && kernelWidth <= Int(KEEL_DEPTHWISE_WIDEST)
    }

    /// Fills `dweight [c, 1, kh, kw]`.
    func depthwiseWeightGradient(_ dweight: Tensor, _ x: Tensor, _ dy: Tensor) throws(TensorError) {
        var (window, lanes) = (kernel, Int32(8))
        if case .blocked(let block) = x.layout, block % 8 == 0 { lanes = block }
        let (x, dy) = (try x.laid(out: .blocked(lanes)), try dy.laid(out: .blocked(lanes)))
        keel_depthwise_weight_gradient_f32(
            &window, Int64(lanes), dweight.pointer(Float.self), x.pointer(Float.self), dy.pointer(Float.self))
    }
}
