import KeelKernels

/// Convolutions of small maps as a product: patches of the picture, gathered some at a time, times filters that are kept in panels.
///
/// - Numerics: the sums have the order of a matrix product.
/// - Source: Chellapilla, Puri and Simard, *High performance convolutional neural networks for document processing*, 2006.
struct PatchProduct {
    private var kernel: keel_window

    /// What a convolution takes, or nil where another algorithm is faster.
    init?(_ window: Window, keepsFilters: Bool) {
        guard window.suitsPatches(keepsFilters: keepsFilters) else { return nil }
        kernel = window.kernel
    }

    /// How its result lies.
    static let layout = Layout.blocked(keel_vector_lanes())

    /// `y`, and in the same pass what is added, the addend lying as `y`, and the rectifier.
    func run(
        _ y: Tensor, _ x: Tensor, _ weight: Tensor, bias: Tensor?, addend: Tensor?, _ rectifier: Rectifier
    ) throws(TensorError) {
        var kernel = kernel
        let x = try x.laidOutInEights(), plain = try weight.contiguous(), bias = try bias?.contiguous(), limits = rectifier.limits
        let filters = try plain.packed(.patches, bytes: Int(keel_patch_filter_count(&kernel)) * 4) { bytes in
            keel_patch_filters_f32(&kernel, bytes.assumingMemoryBound(to: Float.self), plain.pointer(Float.self))
        }
        let scratch = try Storage(bytes: Int(keel_patch_scratch(&kernel)) * 4, on: .cpu)
        let end = keel_conv_end(
            bias: bias?.pointer(Float.self), addend: addend?.pointer(Float.self), least: Float(limits.least), most: Float(limits.most))
        keel_patch_product_f32(
            &kernel, x.lanesOfBlock, y.lanesOfBlock, y.pointer(Float.self), x.pointer(Float.self), filters.base.assumingMemoryBound(to: Float.self), end,
            scratch.base.assumingMemoryBound(to: Float.self))
        withExtendedLifetime((x, filters, scratch, bias)) {}
    }
}

extension Window {
    /// Whether the product of patches takes the convolution and is faster: a rule made from measurements on Zen 3, one thread. There oneDNN reaches
    /// 51 to 69 GFLOP/s on maps of 7 x 7 to 28 x 28 with windows of 3 x 3, this 81 to 88. Windows of 1 x 1, where
    /// oneDNN reaches 73 and more, and registers of 512 bits weren't measured.
    func suitsPatches(keepsFilters: Bool) -> Bool {
        keepsFilters && groups == 1 && c % 16 == 0 && k % 16 == 0 && kernelHeight * kernelWidth > 1 && n * oh * ow <= 784 && h * w > 0
            && keel_vector_lanes() == 8 && keel_winograd_is_fast() != 0
    }
}
