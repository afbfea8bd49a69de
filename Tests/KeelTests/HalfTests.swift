import Keel
import KeelKernels
import Testing

private let halves: [DType] = [.bfloat16, .float16]
private let devices: [any Device] = [CPU.shared, Reference.shared]

private func kind(_ half: DType) -> keel_half { half == .bfloat16 ? KEEL_BFLOAT16 : KEEL_FLOAT16 }

// Conversions. What they are measured against shares nothing with them: Swift's Float16, and for bfloat16 distances in Double.

private func widened(_ half: DType, _ bits: UInt16) -> Float {
    half == .float16 ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
}

/// The pattern nearest to `x`, of two that are as near the even one; NaN isn't asked for.
private func nearestBFloat16(_ x: Float) -> UInt16 {
    let sign: UInt16 = x.sign == .minus ? 0x8000 : 0, size = Double(x.magnitude)
    guard size.isFinite else { return sign | 0x7f80 }
    func number(_ bits: UInt16) -> Double { bits < 0x7f80 ? Double(widened(.bfloat16, bits)) : 0x1p128 }
    let below = UInt16(x.magnitude.bitPattern >> 16), (down, up) = (size - number(below), number(below + 1) - size)
    return sign | (down < up || down == up && below % 2 == 0 ? below : below + 1)
}

private func nearest(_ half: DType, _ x: Float) -> UInt16 { half == .float16 ? Float16(x).bitPattern : nearestBFloat16(x) }

private func isNaN(_ half: DType, _ bits: UInt16) -> Bool { bits & 0x7fff > (half == .float16 ? 0x7c00 : 0x7f80) }

private typealias Widening = (keel_half, Int64, UnsafeMutablePointer<Float>?, UnsafePointer<UInt16>?) -> Void
private typealias Narrowing = (keel_half, Int64, UnsafeMutablePointer<UInt16>?, UnsafePointer<Float>?) -> Void

private func widen(_ half: DType, _ bits: [UInt16], with kernel: Widening) -> [Float] {
    var numbers = [Float](repeating: 0, count: bits.count)
    kernel(kind(half), Int64(bits.count), &numbers, bits)
    return numbers
}

private func narrow(_ half: DType, _ numbers: [Float], with kernel: Narrowing) -> [UInt16] {
    var bits = [UInt16](repeating: 0, count: numbers.count)
    kernel(kind(half), Int64(numbers.count), &bits, numbers)
    return bits
}

@Test(arguments: halves)
func everyHalfFloatIsWidenedExactlyAndComesBack(_ half: DType) {
    let patterns = (0...0xffff).map { UInt16($0) }
    let plain = widen(half, patterns, with: keel_reference_widen), fast = widen(half, patterns, with: keel_widen)
    #expect(plain.map(\.bitPattern) == fast.map(\.bitPattern))
    let back = narrow(half, plain, with: keel_reference_narrow)
    #expect(back == narrow(half, fast, with: keel_narrow))
    for (bits, (number, returned)) in zip(patterns, zip(plain, back)) {
        let isRight = isNaN(half, bits)
            ? number.isNaN && isNaN(half, returned) && returned & 0x8000 == bits & 0x8000
            : number.bitPattern == widened(half, bits).bitPattern && returned == bits
        if !isRight { Issue.record("\(half) \(String(bits, radix: 16)) became \(number), and \(String(returned, radix: 16))") }
    }
}

/// Around every number, every middle between two, and the ends; and 100,000 patterns at random. 7 and 40,001 leave lanes over and share the work.
@Test(arguments: halves)
func roundingGoesToTheNearestAndOfTwoToTheEven(_ half: DType) {
    var numbers: [Float] = [.infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .leastNormalMagnitude, 65504, 65519.996, 65520, 65536]
    let end: UInt16 = half == .float16 ? 0x7c00 : 0x7f80
    for bits in 0..<end {
        let number = widened(half, bits), next = bits + 1 < end ? widened(half, bits + 1) : number + (number - widened(half, bits - 1))
        let middle = number + (next - number) / 2
        for x in [number, middle] { numbers += [x.nextDown, x, x.nextUp, -x] }
    }
    var generator = Philox(seed: 11)
    while numbers.count < 100_000 + 8 * Int(end) {
        let x = Float(bitPattern: UInt32(truncatingIfNeeded: generator.next() as UInt64))
        if !x.isNaN { numbers.append(x) }
    }
    let expected = numbers.map { nearest(half, $0) }
    for (name, kernel) in [("plain", keel_reference_narrow), ("fast", keel_narrow)] as [(String, Narrowing)] {
        let found = narrow(half, numbers, with: kernel)
        for i in numbers.indices where found[i] != expected[i] {
            Issue.record("\(name): \(half) of \(numbers[i]) is \(String(found[i], radix: 16)), expected \(String(expected[i], radix: 16))")
            break
        }
        for count in [0, 1, 7, 40_001] { #expect(narrow(half, Array(numbers[..<count]), with: kernel) == Array(expected[..<count])) }
    }
}

@Test(arguments: halves)
func aNaNStaysOneAndIsQuiet(_ half: DType) {
    let numbers = [0x7f800001, 0xff800001, 0x7fc00000, 0x7fffffff, 0xffbfffff].map { Float(bitPattern: $0) }
    let plain = narrow(half, numbers, with: keel_reference_narrow), quiet: UInt16 = half == .float16 ? 0x200 : 0x40
    #expect(plain == narrow(half, numbers, with: keel_narrow))
    #expect(plain.allSatisfy { isNaN(half, $0) && $0 & quiet != 0 })
    #expect(plain.map { $0 & 0x8000 != 0 } == [false, true, false, false, true])
}

@Test(arguments: halves)
func castsOfOtherKindsGoByWayOfFloat32(_ half: DType) throws {
    for device in devices {
        let x = try Tensor([Float(-1.5), 0, 300.4, .nan, .infinity, -.infinity, 3e-7], [7]).moved(to: device), y = try x.cast(to: half), single = try y.cast(to: .float32)
        #expect(y.dtype == half)
        for dtype in DType.allCases {
            #expect(try y.cast(to: dtype).cast(to: .float64).description == single.cast(to: dtype).cast(to: .float64).description, "\(dtype)")
            let other = try x.cast(to: dtype)
            #expect(try other.cast(to: half).description == other.cast(to: .float32).cast(to: half).description, "\(dtype)")
        }
    }
    // A view in strides, and one of nothing.
    let x = try Tensor((0..<12).map { Float($0) / 3 }, [3, 4])
    #expect(try x.cast(to: half).transposed().cast(to: .float32).elements() == x.transposed().cast(to: half).elements())
    #expect(try Tensor.zeros([0, 3], half).cast(to: .int64).count == 0)
}

// Primitives.

/// What moves elements or asks for their order, and so rounds nothing.
private let exact: Set<String> = [
    "Cast", "Contiguous", "Concat", "Gather", "GatherElements", "Where", "Pad", "Unslice", "Slice", "Move", "OneHot", "Compare", "ArgMax", "NonZero", "Reshape",
]

/// Rows in which an order, a sign or a byte is asked of what other primitives have rounded: result and gradient may jump there. The primitives
/// have rows of their own, or `orderingsOfHalfFloatsAreThoseOfFloat32`.
private func jumps(_ row: PrimitiveCase) -> Bool {
    let isRectified = row.names.first == "Conv" && (row.names.contains("BatchNorm") || row.names.contains("GroupNormalization"))
    let isOfBytes = row.names.contains { $0.hasPrefix("Quantised") }
    return isRectified || isOfBytes || row.names.contains("TopK") || row.names.contains("NonMaximumSuppression")
}

private func expectHalf(_ found: Tensor, _ expected: Tensor, _ tolerance: Float, _ what: String) throws {
    #expect(found.shape == expected.shape, "\(what)")
    let x = try found.cast(to: .float32).elements(), y = try expected.cast(to: .float32).elements()
    let scale = max(y.map(abs).max() ?? 0, 1e-3)
    for (i, (p, q)) in zip(x, y).enumerated() where !(p == q || p.isNaN && q.isNaN || abs(p - q) <= tolerance * scale) {
        Issue.record("\(what): number \(i) is \(p), expected \(q)")
        return
    }
}

/// Each row with inputs of half floats is what float32 gives for the same numbers, rounded: to the bit where it is one primitive. Where there are
/// several, each rounds by up to `u`, half of `ulpOfOne`, and slopes and sums carry that on: 24 `u` of the largest number leave room for ten.
@Test(arguments: primitiveCases, halves)
func rowsOfHalfFloatsAreThoseOfFloat32Rounded(_ row: PrimitiveCase, _ half: DType) throws {
    let u: Float = half == .bfloat16 ? 0x1p-8 : 0x1p-11
    for (i, shapes) in row.shapes.enumerated() {
        let inputs = try row.sample(shapes, seed: UInt64(i) + 7).map { try $0.cast(to: half) }, wide = try inputs.map { try $0.cast(to: .float32) }
        let expected = try row.function(wide), (y, profile) = try profile { try row.function(inputs) }
        let roundings = profile.events.filter { !exact.contains($0.name) }.count, what = "\(half) \(shapes)"
        if roundings <= 1 {
            try expectHalf(y, expected.cast(to: y.dtype), 0, what)
        } else if !jumps(row) {
            try expectHalf(y, expected, 24 * u, "\(what), \(roundings) primitives")
        }
        guard row.isDifferentiable else { continue }
        #expect(y.dtype == half, "\(what)")
        let variables = inputs.map { $0.requiringGradient() }, others = wide.map { $0.requiringGradient() }
        let seed = try Tensor((0..<y.count).map { Float(($0 * 37 + 11) % 17) / 8 - 1 }, y.shape)
        let found = try row.function(variables).gradients(of: variables, seed: seed.cast(to: half))
        let wanted = try row.function(others).gradients(of: others, seed: seed)
        for (k, (a, b)) in zip(found, wanted).enumerated() {
            #expect(a.dtype == half && a.shape == b.shape, "\(what)")
            if !jumps(row) { try expectHalf(a, b, 48 * u, "\(what), gradient \(k)") }
        }
    }
}

/// Ties included, of which 700 numbers between -2 and 2 have many.
@Test(arguments: halves)
func orderingsOfHalfFloatsAreThoseOfFloat32(_ half: DType) throws {
    var generator = Philox(seed: 21)
    let x = try Tensor.uniform([3, 700], in: -2...2, using: &generator).cast(to: half)
    let boxes = try Tensor.uniform([2, 40, 4], in: 0...1, using: &generator).cumulativeSum(-1).cast(to: half), scores = try x.sliced(1, to: 240).reshaped([2, 9, 40])
    for device in devices {
        func run(_ dtype: DType) throws -> ([Tensor], gradient: Tensor) {
            let x = try x.cast(to: dtype).moved(to: device).requiringGradient()
            let (values, indices) = try x.topK(9), (least, places) = try x.topK(2, axis: 0, largest: false)
            let kept = try boxes.cast(to: dtype).moved(to: device).nonMaximumSuppression(scores: scores.cast(to: dtype).moved(to: device), overlap: 0.3, most: 20)
            let (highest, when) = try x.cumulativeMax(1), all = [values, indices, least, places, try x.sorted(), try x.argSorted(), kept.chosen, kept.counts, highest, when]
            return (all, try values.sum().gradients(of: [x])[0])
        }
        let (found, gradient) = try run(half), (expected, wanted) = try run(.float32)
        for (a, b) in zip(found + [gradient], expected + [wanted]) {
            #expect(a.dtype == (b.dtype.isFloat ? half : b.dtype))
            #expect(try a.moved(to: CPU.shared).cast(to: .float64).elements(Double.self) == b.moved(to: CPU.shared).cast(to: .float64).elements(Double.self))
        }
    }
}

@Test(arguments: halves)
func derivativesOfHigherOrderAreThoseOfTheRoundedNumbers(_ half: DType) throws {
    for device in devices {
        let x = try Tensor([Float(1), -2, 3]).cast(to: half).moved(to: device).requiringGradient()
        let cube = try x * x * x, first = try cube.sum().gradients(of: [x], createsGraph: true)[0], second = try first.sum().gradients(of: [x])[0]
        #expect(first.dtype == half && second.dtype == half)
        #expect(try first.moved(to: CPU.shared).elements() == [3, 12, 27])
        #expect(try second.moved(to: CPU.shared).elements() == [6, -12, 18])
        let direction = try Tensor([Float(1), 0.5, 2]).cast(to: half).moved(to: device)
        let (_, tangents) = try jvp({ x throws(TensorError) in [try x[0] * x[0] * x[0]] }, at: [x.detached()], along: [direction])
        #expect(tangents[0].dtype == half)
        #expect(try tangents[0].moved(to: CPU.shared).elements() == [3, 6, 54])
    }
}

@Test func hooksAndCheckpointsSeeHalfFloats() throws {
    let x = try Tensor([Float(1), 2]).cast(to: .bfloat16).requiringGradient()
    let hooked = try (x * 3).withGradientHook { gradient throws(TensorError) in
        #expect(gradient.dtype == .bfloat16)
        return try gradient * 2
    }
    let y = try checkpointed([hooked]) { x throws(TensorError) in [try x[0] * x[0]] }[0]
    try y.sum().backward()
    #expect(x.gradient?.dtype == .bfloat16)
    #expect(try x.gradient?.elements() == [36, 72])
    try (x * 1).sum().backward()
    #expect(try x.gradient?.elements() == [37, 73])
}

@Test func rowsOfATableOfHalfFloatsStayRows() throws {
    let table = try Tensor((0..<8).map { Float($0) }, [4, 2]).cast(to: .float16).table(named: "words")
    try table.gathered(Tensor([Int64(3), 1])).sum().backward()
    #expect(table.rowGradients.count == 1)
    #expect(try table.rowGradients.first?.values.elements(Float16.self) == [1, 1, 1, 1])
}

@Test func whatRoundsToInfinityIsAnAnomaly() throws {
    let x = try Tensor([Float16(300), 1])
    func body() throws(TensorError) { _ = try x * x }
    let error = #expect(throws: TensorError.self) { try detectingAnomalies(body) }
    #expect(error?.reason == .notFinite(primitive: "Cast", isGradient: false, number: "inf at element 0 of float16[2]"))
    #expect(try (x * x).elements() == [.infinity, 1])
    #expect(try x.isFinite() as Bool)
    #expect(try (x * x).isFinite() as Bool == false)
}

// Updates.

@Test(arguments: halves)
func updatesOfHalfFloatsAreRoundedBack(_ half: DType) throws {
    for device in devices {
        let running = try Tensor.full(1, [3], half, on: device)
        try running.updateRunning(towards: Tensor([Float(2), 3, -5]).cast(to: half).moved(to: device), momentum: 0.25)
        #expect(try running.moved(to: CPU.shared).elements() == [1.25, 1.5, -0.5])
        try running.assign(Tensor.full(0.1, [3], half, on: device))
        try running.setInPlace(to: 0.3)
        #expect(try running.moved(to: CPU.shared).elements() == Tensor.full(0.3, [3], half).elements())
    }
    // Gradients add up in the parameter's own memory.
    let destination = try Tensor.full(1, [2], half), x = try Tensor([Float(2), 3]).cast(to: half).parameter(named: "x", gradient: destination)
    try (x * x).sum().backward()
    #expect(try destination.elements() == [5, 7])
}

// Making and reading.

@Test(arguments: halves)
func tensorsOfHalfFloatsAreMadeAndRead(_ half: DType) throws {
    #expect(try Tensor.zeros([2], half).elements() == [0, 0])
    #expect(try Tensor.ones([2], half).elements() == [1, 1])
    #expect(try Tensor.full(1e9, [1], half).elements() == [half == .float16 ? .infinity : 998_244_352])
    #expect(try Tensor.range(3, half).elements() == [0, 1, 2])
    #expect(try Tensor.range(4).oneHot(4, half).sum([0]).elements() == [1, 1, 1, 1])
    var generator = Philox(seed: 3), other = Philox(seed: 3)
    #expect(try Tensor.exponential([5], half, using: &generator).elements() == Tensor.exponential([5], using: &other).cast(to: half).elements())
    #expect(try Tensor.full(2.5, [], half).item() == 2.5)
    #expect(try Tensor.full(2.5, [], half, on: Reference.shared).moved(to: CPU.shared).item() == 2.5)
    #expect(throws: TensorError(.dtype(primitive: "elements", expected: "float64", half))) { try Tensor.zeros([2], half).elements(Double.self) }
}

@Test func float16IsANumberOfSwift() throws {
    let x = try Tensor([Float16(0.1), -2, .infinity])
    #expect(x.dtype == .float16)
    #expect(try x.elements(Float16.self) == [0.1, -2, .infinity])
    #expect(throws: TensorError(.dtype(primitive: "elements", expected: "float16", .bfloat16))) { try Tensor.zeros([1], .bfloat16).elements(Float16.self) }
}
