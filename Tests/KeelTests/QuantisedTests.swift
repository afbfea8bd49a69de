import Keel
import KeelKernels
import Testing

private let devices: [any Device] = [CPU.shared, Reference.shared]

/// Numbers that every path of the kernels and the plain loops are given.
private struct Numbers {
    private var state: UInt64

    init(seed: Int) { state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next(below limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % limit
    }

    mutating func floats(_ count: Int, within limit: Float = 1) -> [Float] { (0..<count).map { _ in (Float(next(below: 20001)) / 10000 - 1) * limit } }
    /// Weights of 7 bits; every fourth is one of the furthest, so that pairs of them would overflow if anything did.
    mutating func weights(_ count: Int) -> [UInt8] { (0..<count).map { $0 % 4 == 0 ? [64, 192][next(below: 2)] : UInt8(64 + next(below: 129)) } }
}

/// Scratch memory and results come full of a byte that nothing may depend on, at addresses of cache lines.
private func withBytes<T>(_ count: Int, _ body: (UnsafeMutableRawPointer) -> T) -> T {
    let start = UnsafeMutableRawPointer.allocate(byteCount: count + 64, alignment: 64)
    start.initializeMemory(as: UInt8.self, repeating: 0xee, count: count + 64)
    defer { start.deallocate() }
    return body(start)
}

private let paths = (0...keel_quantised_best_path().rawValue).map(keel_quantised_path.init(rawValue:))
private let scale = keel_byte_scale(scale: 1 / 64, zero: 77)

private func withThreads(_ count: Int32, _ body: () -> Void) {
    let before = keel_thread_count()
    keel_set_thread_count(count)
    body()
    keel_set_thread_count(before)
}

/// Float results are compared by their bits: sums are whole numbers, and what follows them is rounded in one order.
private func isSame(_ a: [Float], _ b: [Float]) -> Bool { a.count == b.count && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern } }

@Test(arguments: [
    (1, 1, 1), (1, 17, 5), (2, 16, 4), (3, 64, 64), (5, 33, 130), (6, 65, 3), (7, 15, 63), (11, 80, 257), (13, 130, 7), (32, 384, 96), (197, 70, 33), (400, 20, 12),
    (9, 48, 0),
])
func productsOfBytesAreTheSameOnEveryPath(m: Int, n: Int, k: Int) {
    var numbers = Numbers(seed: m * 1000 + n + k)
    // Some lie beyond what bytes reach over.
    let x = numbers.floats(m * k, within: 3), weight = numbers.weights(n * k), scales = numbers.floats(n), bias = numbers.floats(n)
    var expected = [Float](repeating: 0, count: m * n)
    scales.withUnsafeBufferPointer { scales in
        bias.withUnsafeBufferPointer { bias in
            var end = keel_quantised_end()
            (end.scales, end.bias, end.least, end.most) = (scales.baseAddress, n % 2 == 0 ? bias.baseAddress : nil, -1, .infinity)
            let (m64, n64, k64) = (Int64(m), Int64(n), Int64(k))
            keel_reference_quantised_product(m64, n64, k64, &expected, x, scale, weight, &end)
            withBytes(Int(keel_quantised_packed_bytes(n64, k64, 1, 1))) { packed in
                let packed = packed.assumingMemoryBound(to: Int8.self)
                keel_quantised_pack(n64, k64, 1, 1, packed, weight)
                for path in paths {
                    for threads in [1, 2] as [Int32] {
                        withThreads(threads) {
                            let found = withBytes(Int(keel_quantised_product_scratch(m64, k64))) { scratch in
                                var y = [Float](repeating: .nan, count: m * n)
                                keel_quantised_product(path, m64, n64, k64, &y, x, scale, packed, &end, scratch.assumingMemoryBound(to: UInt8.self))
                                return y
                            }
                            #expect(isSame(found, expected), "path \(path.rawValue), \(threads) threads")
                        }
                    }
                }
            }
        }
    }
}

/// A convolution and the ways in which its tensors may lie.
private struct ConvCase: CustomStringConvertible, Sendable {
    let n, c, k, h, w, kernel, stride, padding: Int
    var dilation = 1
    var groups = 1

    var description: String {
        "[\(n), \(c), \(h), \(w)] -> \(k), kernel \(kernel), stride \(stride), padding \(padding), dilation \(dilation), \(groups) groups"
    }
    var oh: Int { (h + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1 }
    var ow: Int { (w + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1 }
    var window: keel_window {
        keel_window(
            n: Int64(n), c: Int64(c), h: Int64(h), w: Int64(w), k: Int64(k), oh: Int64(oh), ow: Int64(ow), kernel_h: Int64(kernel), kernel_w: Int64(kernel),
            stride_h: Int64(stride), stride_w: Int64(stride), top: Int64(padding), left: Int64(padding), dilation_h: Int64(dilation),
            dilation_w: Int64(dilation), groups: Int64(groups))
    }

    /// `[n, channels, area]` as `[n, ⌈channels / lanes⌉, area, lanes]` with zeros past the last channel.
    func blocked(_ x: [Float], _ channels: Int, _ area: Int, _ lanes: Int) -> [Float] {
        let blocks = (channels + lanes - 1) / lanes
        var y = [Float](repeating: 0, count: n * blocks * area * lanes)
        for (place, value) in x.enumerated() {
            let (image, channel, position) = (place / (channels * area), place / area % channels, place % area)
            y[((image * blocks + channel / lanes) * area + position) * lanes + channel % lanes] = value
        }
        return y
    }
}

@Test(arguments: [
    ConvCase(n: 2, c: 16, k: 16, h: 9, w: 7, kernel: 3, stride: 1, padding: 1), ConvCase(n: 1, c: 48, k: 32, h: 6, w: 21, kernel: 3, stride: 1, padding: 0),
    ConvCase(n: 3, c: 32, k: 80, h: 14, w: 13, kernel: 3, stride: 1, padding: 2), ConvCase(n: 1, c: 3, k: 64, h: 23, w: 22, kernel: 7, stride: 2, padding: 3),
    ConvCase(n: 2, c: 5, k: 7, h: 11, w: 9, kernel: 3, stride: 2, padding: 1), ConvCase(n: 1, c: 17, k: 19, h: 8, w: 8, kernel: 1, stride: 1, padding: 0),
    ConvCase(n: 2, c: 16, k: 40, h: 9, w: 10, kernel: 1, stride: 2, padding: 0), ConvCase(n: 2, c: 16, k: 8, h: 6, w: 7, kernel: 1, stride: 3, padding: 1),
    ConvCase(n: 1, c: 6, k: 9, h: 12, w: 13, kernel: 3, stride: 1, padding: 2, dilation: 2),
    ConvCase(n: 2, c: 20, k: 20, h: 6, w: 5, kernel: 3, stride: 1, padding: 1, groups: 20),
    ConvCase(n: 1, c: 12, k: 18, h: 7, w: 7, kernel: 3, stride: 2, padding: 1, groups: 3), ConvCase(n: 1, c: 1, k: 1, h: 1, w: 1, kernel: 1, stride: 1, padding: 0),
])
private func convolutionsOfBytesAreTheSameOnEveryPathAndInEveryLayout(_ row: ConvCase) {
    var numbers = Numbers(seed: row.c * 100 + row.k), window = row.window
    let (c, k, area, outputs, taps) = (row.c, row.k, row.h * row.w, row.oh * row.ow, row.kernel * row.kernel)
    let x = numbers.floats(row.n * c * area, within: 3), weight = numbers.weights(k * (c / row.groups) * taps), scales = numbers.floats(k), bias = numbers.floats(k)
    let addend = numbers.floats(row.n * k * outputs)
    var expected = [Float](repeating: 0, count: row.n * k * outputs)
    /// What follows, with an addend that lies in some way.
    func withEnd(_ addend: [Float], _ body: (inout keel_quantised_end) -> Void) {
        scales.withUnsafeBufferPointer { scales in
            bias.withUnsafeBufferPointer { bias in
                addend.withUnsafeBufferPointer { addend in
                    var end = keel_quantised_end()
                    (end.scales, end.bias, end.addend) = (scales.baseAddress, k % 3 == 0 ? nil : bias.baseAddress, k % 5 == 0 ? nil : addend.baseAddress)
                    (end.least, end.most) = (0, 60)
                    body(&end)
                }
            }
        }
    }
    withEnd(addend) { keel_reference_quantised_conv(&window, &expected, x, scale, weight, &$0) }
    let packedBytes = Int(keel_quantised_packed_bytes(Int64(k), Int64(c / row.groups), Int64(taps), Int64(row.groups)))
    withBytes(packedBytes) { packed in
        let packed = packed.assumingMemoryBound(to: Int8.self)
        keel_quantised_pack(Int64(k), Int64(c / row.groups), Int64(taps), Int64(row.groups), packed, weight)
        for (from, to) in [(1, 1), (8, 8), (16, 16), (1, 16), (8, 1), (c, k), (16, k)] where row.groups == 1 || to == 1 || to == k {
            let given = row.blocked(x, c, area, from), wanted = row.blocked(expected, k, outputs, to)
            withEnd(row.blocked(addend, k, outputs, to)) { end in
                for (path, threads) in paths.flatMap({ path in [1, 2].map { (path, Int32($0)) } }) {
                    withThreads(threads) {
                        var y = [Float](repeating: .nan, count: wanted.count)
                        withBytes(Int(keel_quantised_conv_scratch(&window))) { scratch in
                            keel_quantised_conv(path, &window, &y, Int64(to), given, Int64(from), scale, packed, &end, scratch.assumingMemoryBound(to: UInt8.self))
                        }
                        #expect(isSame(y, wanted), "path \(path.rawValue), \(threads) threads, lanes \(from) -> \(to)")
                        guard keel_quantised_winograd_takes(path, &window) != 0 else { return }
                        y = [Float](repeating: .nan, count: wanted.count)
                        withBytes(Int(keel_quantised_winograd_filter_bytes(&window))) { filters in
                            let filters = filters.assumingMemoryBound(to: Int16.self)
                            keel_quantised_winograd_filters(&window, filters, weight)
                            withBytes(Int(keel_quantised_winograd_scratch(&window))) { scratch in
                                keel_quantised_winograd(
                                    &window, &y, Int64(to), given, Int64(from), scale, filters, &end, scratch.assumingMemoryBound(to: UInt8.self))
                            }
                        }
                        #expect(isSame(y, wanted), "Winograd's, \(threads) threads, lanes \(from) -> \(to)")
                    }
                }
            }
        }
    }
}

/// What is kept of a constant is what is made anew each time: panels, transformed filters.
@Test(arguments: [(32, 48, 3, 1), (16, 16, 1, 0), (3, 20, 5, 2)])
func constantsGiveWhatTheirNumbersGive(c: Int, k: Int, kernel: Int, padding: Int) throws {
    var generator = Philox(seed: 7)
    let x = try Tensor.uniform([2, c, 9, 10], in: -2...2, using: &generator), range = ByteScale(covering: -2...2)
    let (weight, scales) = try Tensor.normal([k, c, kernel, kernel], using: &generator).quantisedWeights(bits: 7)
    let expected = try x.moved(to: Reference.shared).quantisedConv2D(
        weight.moved(to: Reference.shared), scales: scales.moved(to: Reference.shared), input: range, sliding: Sliding(padding: padding))
    weight.keepForms()
    for _ in 0..<2 {
        let y = try x.quantisedConv2D(weight, scales: scales, input: range, sliding: Sliding(padding: padding))
        #expect(try isSame(y.elements(), expected.moved(to: CPU.shared).elements()))
    }
}

@Test func theFinestScaleThatCoversARangeHasAnExactZero() {
    #expect(ByteScale(covering: -1...1.55) == ByteScale(scale: 2.55 / 255, zero: 100))
    #expect(ByteScale(covering: 2...5.1) == ByteScale(scale: 5.1 / 255, zero: 0))
    #expect(ByteScale(covering: -5.1 ... -2) == ByteScale(scale: 5.1 / 255, zero: 255))
    #expect(ByteScale(covering: 0...0) == ByteScale(scale: 1, zero: 0))
    #expect(ByteScale(covering: 0...(.leastNonzeroMagnitude)) == ByteScale(scale: 1, zero: 0))
    #expect(ByteScale(covering: -.infinity ... .infinity).zero == 0)
}

@Test func weightsBecomeBytesSymmetricallyRowByRow() throws {
    let (weight, scales) = try Tensor([Float(-2), 1, 0.5, 0, 0, 0, 0.25, 64, -32], [3, 3]).quantisedWeights(bits: 7)
    #expect(try weight.elements(UInt8.self) == [64, 160, 144, 128, 128, 128, 128, 192, 96])
    #expect(try scales.elements() == [2 / 64, .leastNormalMagnitude, 1])
    let wide = try Tensor([Float(-127), 3], [1, 2, 1]).quantisedWeights(bits: 8)
    #expect(try wide.weight.elements(UInt8.self) == [1, 131] && wide.weight.shape == [1, 2, 1])
    #expect(try Tensor.zeros([2, 0]).quantisedWeights(bits: 7).scales.elements() == [1, 1])
}

/// A number is off by half a step of its scale at most, so that a sum is off by `Σ |x| * dw / 2 + |w| * dx / 2 + dx * dw / 4`.
@Test(arguments: [nil, ByteScale(covering: -1.5...3)])
func productsOfBytesAreWithinHalfAStepOfThoseOfFloats(_ input: ByteScale?) throws {
    var generator = Philox(seed: 3)
    let x = try Tensor.uniform([6, 40], in: -1.5...3, using: &generator), w = try Tensor.normal([17, 40], using: &generator)
    let (weight, scales) = try w.quantisedWeights(bits: 7)
    let found = try x.quantisedAffine(weight, scales: scales, input: input), exact = try x.affine(w)
    let step = Double(4.5 / 255) * 1.01
    let bound = try x.magnitude().sum([1], keepingAxes: true) * (scales / 2) + (w.magnitude().sum([1]) * (step / 2)) + scales * (40 * step / 4)
    #expect(try (found - exact).magnitude().isLess(than: bound).all().item(Bool.self))
    // It isn't exact either: the bound is not much too wide.
    #expect(try (found - exact).magnitude().max().item(Float.self) > bound.max().item(Float.self) / 100)
}

@Test func weightsFurtherThanSixtyFourAreRefused() throws {
    let weight = try Tensor([UInt8(128), 193], [1, 2]), scales = try Tensor([Float(1)])
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let error = #expect(throws: TensorError.self) {
            try Tensor.ones([1, 2], on: device).quantisedAffine(weight.moved(to: device), scales: scales.moved(to: device), input: nil)
        }
        #expect(error?.description == "QuantisedAffine: weight is further than 64 from 128, allowed is 64...192")
    }
    #expect(try Tensor.ones([1, 2]).byteWeightAffine(weight, scales: scales).elements() == [65])
}

/// x and the weights are rounded at once, the state before each step: all by half a step at most. Of a hidden unit's 40 products, each of which is then off by
/// about 1%, the sum is off by less than 3% of what they come to together; 0.03 leaves room for what a few steps make of it.
@Test func recurrentLayersOfBytesAreCloseToThoseOfFloats() throws {
    var generator = Philox(seed: 11)
    func weights(_ gates: Int) throws -> (Tensor, Tensor, Tensor, Tensor) {
        func part(_ shape: Shape) throws -> Tensor { try .uniform(shape, in: -0.25...0.25, using: &generator) }
        return try (part([gates * 24, 16]), part([gates * 24, 24]), part([gates * 24]), part([gates * 24]))
    }
    let x = try Tensor.uniform([3, 6, 16], in: -1...1, using: &generator)
    let (input, recurrent, bias, _) = try weights(4), lstm = (input: input, recurrent: recurrent, bias: bias)
    let difference = try (x.quantisedLSTM([lstm], input: nil)[0] - x.lstm([lstm]).y).magnitude().max().item(Float.self)
    #expect(difference < 0.03 && difference > 1e-5)
    let (a, b, c, d) = try weights(3), gru = (input: a, recurrent: b, inputBias: c, recurrentBias: d)
    let other = try (x.quantisedGRU([gru], input: ByteScale(covering: -1...1))[0] - x.gru([gru]).y).magnitude().max().item(Float.self)
    #expect(other < 0.03 && other > 1e-5)
}

/// Numbers half-way between two steps, too, become the bytes that rounding alone makes of them: the product with one is exact.
@Test func aLayerRoundsAsRoundingAlone() throws {
    let one = try Tensor([UInt8(192)], [1, 1]), unit = try Tensor([Float(1) / 64])
    for device in devices {
        for step: Float in [0.02, 0.04, 0.3, 1e-3] {
            let scale = ByteScale(scale: step, zero: 100), x = try Tensor((-300..<300).map { Float($0) * step / 2 }, [600, 1]).moved(to: device)
            let y = try x.quantisedAffine(one.moved(to: device), scales: unit.moved(to: device), input: scale)
            #expect(try y.elements() == x.fakeQuantised(scale).elements(), "\(step)")
        }
    }
}

/// Rows of the smallest numbers there are have no exact scale.
@Test func weightsThatAreNextToNothingStayFloats() throws {
    let tiny = try Tensor([Float(10200), 5863].map { $0 * .leastNonzeroMagnitude }, [1, 2])
    #expect(try QuantisedWeights(exactly: tiny, most: 127) == nil)
    #expect(try QuantisedWeights(exactly: Tensor([Float(3), -1.5], [1, 2]), most: 64)?.bytes.elements(UInt8.self) == [130, 127])
}
