import Keel
import KeelKernels
import Testing

/// Strides, dilations, windows and padding that go over the edge by more than a window; channels of a few blocks, positions of one
/// block and of several.
private struct PatchCase: CustomStringConvertible, Sendable {
    let n, c, k, h, w, kernel, stride, dilation, padding, lanes: Int

    var description: String { "[\(n), \(c), \(h), \(w)] -> \(k), \(kernel) x \(kernel) by \(stride), dilation \(dilation), padding \(padding), \(lanes) lanes" }

    var window: keel_window {
        func size(_ size: Int) -> Int64 { Int64((size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1) }
        return keel_window(
            n: Int64(n), c: Int64(c), h: Int64(h), w: Int64(w), k: Int64(k), oh: size(h), ow: size(w), kernel_h: Int64(kernel), kernel_w: Int64(kernel),
            stride_h: Int64(stride), stride_w: Int64(stride), top: Int64(padding), left: Int64(padding), dilation_h: Int64(dilation),
            dilation_w: Int64(dilation), groups: 1)
    }
}

/// Sums of up to 1,600 products of numbers up to 1, each rounded by 6e-8 of a sum of about 15: 3e-6 of the largest, and room.
@Test(arguments: [
    PatchCase(n: 1, c: 32, k: 48, h: 7, w: 7, kernel: 3, stride: 1, dilation: 1, padding: 1, lanes: 8),
    PatchCase(n: 3, c: 16, k: 16, h: 5, w: 9, kernel: 3, stride: 2, dilation: 1, padding: 1, lanes: 16),
    PatchCase(n: 2, c: 64, k: 80, h: 6, w: 4, kernel: 5, stride: 1, dilation: 1, padding: 6, lanes: 16),
    PatchCase(n: 2, c: 48, k: 16, h: 9, w: 11, kernel: 2, stride: 1, dilation: 3, padding: 0, lanes: 8),
    PatchCase(n: 1, c: 16, k: 128, h: 1, w: 2, kernel: 1, stride: 1, dilation: 1, padding: 0, lanes: 8),
    PatchCase(n: 70, c: 16, k: 32, h: 3, w: 3, kernel: 3, stride: 1, dilation: 1, padding: 1, lanes: 8),
], [1, 2])
private func productsOfPatchesAreConvolutions(_ row: PatchCase, threads: Int) throws {
    let before = Threads.count
    Threads.count = threads
    defer { Threads.count = before }
    var generator = Philox(seed: 11), window = row.window
    let area = Int(window.oh * window.ow)
    let x = try Tensor.uniform([row.n, row.c, row.h, row.w], in: -1...1, using: &generator).elements()
    let addend = try Tensor.uniform([row.n, row.k, area], in: -1...1, using: &generator).elements()
    let weight = try Tensor.uniform([row.k, row.c, row.kernel, row.kernel], in: -1...1, using: &generator).elements()
    let bias = try Tensor.uniform([row.k], in: -1...1, using: &generator).elements()
    var expected = [Double](repeating: 0, count: addend.count)
    keel_reference_conv_f64(&window, &expected, x.map(Double.init), weight.map(Double.init), bias.map(Double.init))
    let limited = zip(expected, addend).map { min(max($0 + Double($1), -0.5), 2) }

    let blockedX = inBlocks(x, row.c, row.h * row.w, row.lanes), blockedAddend = inBlocks(addend, row.k, area, row.lanes)
    var found = [Float](repeating: .nan, count: addend.count), foundLimited = found, again = found
    let lanes = Int64(row.lanes)
    withScratch(keel_patch_filter_count(&window)) { filters in
        keel_patch_filters_f32(&window, filters, weight)
        bias.withUnsafeBufferPointer { bias in
            blockedAddend.withUnsafeBufferPointer { addend in
                let free = keel_conv_end(bias: bias.baseAddress, addend: nil, least: -.infinity, most: .infinity)
                withScratch(keel_patch_scratch(&window)) { keel_patch_product_f32(&window, lanes, lanes, &found, blockedX, filters, free, $0) }
                Threads.count = 3
                withScratch(keel_patch_scratch(&window)) { keel_patch_product_f32(&window, lanes, lanes, &again, blockedX, filters, free, $0) }
                let end = keel_conv_end(bias: bias.baseAddress, addend: addend.baseAddress, least: -0.5, most: 2)
                withScratch(keel_patch_scratch(&window)) { keel_patch_product_f32(&window, lanes, lanes, &foundLimited, blockedX, filters, end, $0) }
            }
        }
    }
    #expect(found == again, "three threads give the same bits")
    #expect(relativeError(fromBlocks(found, row.k, area, row.lanes), expected) < 1e-5)
    #expect(relativeError(fromBlocks(foundLimited, row.k, area, row.lanes), limited) < 1e-4)
}
