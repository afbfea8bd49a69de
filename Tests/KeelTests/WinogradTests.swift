import Keel
import KeelKernels
import Testing

/// A convolution that the kernels are given without asking whether it is worth it: odd sizes, with padding and without.
private struct WinogradCase: CustomStringConvertible, Sendable {
    let n, c, k, h, w, padding, lanes: Int

    var description: String { "[\(n), \(c), \(h), \(w)] -> \(k), padding \(padding), \(lanes) lanes" }
    var oh: Int { h + 2 * padding - 2 }
    var ow: Int { w + 2 * padding - 2 }

    var window: keel_window {
        keel_window(
            n: Int64(n), c: Int64(c), h: Int64(h), w: Int64(w), k: Int64(k), oh: Int64(oh), ow: Int64(ow), kernel_h: 3, kernel_w: 3, stride_h: 1,
            stride_w: 1, top: Int64(padding), left: Int64(padding), dilation_h: 1, dilation_w: 1, groups: 1)
    }
    var forward: keel_winograd {
        keel_winograd(
            n: Int64(n), in: Int64(c), h: Int64(h), w: Int64(w), out: Int64(k), oh: Int64(oh), ow: Int64(ow), top: Int64(padding), left: Int64(padding),
            in_lanes: Int64(lanes), out_lanes: Int64(lanes))
    }
    var backward: keel_winograd {
        keel_winograd(
            n: Int64(n), in: Int64(k), h: Int64(oh), w: Int64(ow), out: Int64(c), oh: Int64(h), ow: Int64(w), top: Int64(2 - padding),
            left: Int64(2 - padding), in_lanes: Int64(lanes), out_lanes: Int64(lanes))
    }
}

/// The transforms weigh numbers by up to 100 where rounding is 6e-8, and sums of some hundred numbers add a little: 2e-5 of the largest, which is
/// about 20; what is limited to 1.5 is as far off.
@Test(arguments: [
    WinogradCase(n: 1, c: 16, k: 16, h: 8, w: 8, padding: 1, lanes: 8), WinogradCase(n: 3, c: 32, k: 48, h: 5, w: 7, padding: 1, lanes: 8),
    WinogradCase(n: 2, c: 48, k: 16, h: 9, w: 3, padding: 0, lanes: 16), WinogradCase(n: 2, c: 16, k: 64, h: 1, w: 2, padding: 2, lanes: 16),
    WinogradCase(n: 70, c: 64, k: 64, h: 4, w: 4, padding: 1, lanes: 8), WinogradCase(n: 2, c: 64, k: 64, h: 21, w: 33, padding: 1, lanes: 64),
], [1, 2])
private func winogradAgreesWithThePlainSum(_ row: WinogradCase, threads: Int) throws {
    let before = Threads.count
    Threads.count = threads
    defer { Threads.count = before }
    var generator = Philox(seed: 7)
    let sizes = (x: row.h * row.w, y: row.oh * row.ow)
    let x = try Tensor.uniform([row.n, row.c, row.h, row.w], in: -1...1, using: &generator).elements()
    let dy = try Tensor.uniform([row.n, row.k, row.oh, row.ow], in: -1...1, using: &generator).elements()
    let weight = try Tensor.uniform([row.k, row.c, 3, 3], in: -1...1, using: &generator).elements()
    let bias = try Tensor.uniform([row.k], in: -1...1, using: &generator).elements()
    var window = row.window, forward = row.forward, backward = row.backward
    var y = [Double](repeating: 0, count: dy.count), dx = [Double](repeating: 0, count: x.count), dweight = [Double](repeating: 0, count: weight.count)
    keel_reference_conv_f64(&window, &y, x.map(Double.init), weight.map(Double.init), bias.map(Double.init))
    keel_reference_conv_input_gradient_f64(&window, &dx, dy.map(Double.init), weight.map(Double.init))
    keel_reference_conv_weight_gradient_f64(&window, &dweight, x.map(Double.init), dy.map(Double.init))

    let (blockedX, blockedDy) = (inBlocks(x, row.c, sizes.x, row.lanes), inBlocks(dy, row.k, sizes.y, row.lanes))
    var foundY = [Float](repeating: .nan, count: dy.count), limitedY = foundY, foundDx = [Float](repeating: .nan, count: x.count)
    var foundDweight = [Float](repeating: .nan, count: weight.count)
    withScratch(keel_winograd_filter_count(&forward)) { filters in
        keel_winograd_filters_f32(&forward, KEEL_WINOGRAD_FORWARD, filters, weight)
        bias.withUnsafeBufferPointer { bias in
            let end = keel_conv_end(bias: bias.baseAddress, addend: nil, least: -.infinity, most: .infinity)
            withScratch(keel_winograd_scratch(&forward)) { keel_winograd_f32(&forward, &foundY, blockedX, filters, end, $0) }
            blockedDy.withUnsafeBufferPointer { addend in
                let end = keel_conv_end(bias: bias.baseAddress, addend: addend.baseAddress, least: 0, most: 1.5)
                withScratch(keel_winograd_scratch(&forward)) { keel_winograd_f32(&forward, &limitedY, blockedX, filters, end, $0) }
            }
        }
    }
    let plainEnd = keel_conv_end(bias: nil, addend: nil, least: -.infinity, most: .infinity)
    withScratch(keel_winograd_filter_count(&backward)) { filters in
        keel_winograd_filters_f32(&backward, KEEL_WINOGRAD_INPUT_GRADIENT, filters, weight)
        withScratch(keel_winograd_scratch(&backward)) { keel_winograd_f32(&backward, &foundDx, blockedDy, filters, plainEnd, $0) }
    }
    withScratch(keel_winograd_weight_gradient_scratch(&forward)) { keel_winograd_weight_gradient_f32(&forward, &foundDweight, blockedX, blockedDy, $0) }
    #expect(relativeError(fromBlocks(foundY, row.k, sizes.y, row.lanes), y) < 2e-5)
    #expect(relativeError(fromBlocks(limitedY, row.k, sizes.y, row.lanes), zip(y, dy).map { min(max($0 + Double($1), 0), 1.5) }) < 5e-4)
    #expect(relativeError(fromBlocks(foundDx, row.c, sizes.x, row.lanes), dx) < 2e-5)
    #expect(relativeError(foundDweight, dweight) < 2e-5)
}
