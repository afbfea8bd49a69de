import Keel
import Testing

/// Primitives that write in place; `UpdateTests` and `TableTests` have their rows.
private let updates: Set<String> = [
    "Accumulate", "Assign", "ScaleInPlace", "SGDStep", "AdamStep", "LazyAdamStep", "AdagradStep", "RMSpropStep", "LAMBStep",
    "RunningStatistic",
]

@Test func everyPrimitiveHasARow() {
    let covered = Set(primitiveCases.flatMap(\.names)).union(updates)
    let listed = Set(primitives.map { $0.name })
    #expect(listed.subtracting(covered) == [])
    #expect(covered.subtracting(listed) == [])
}

/// A primitive that can be given nothing is tried with nothing; one that can't refuses it. The mean loss of no rows is NaN, as torch's.
@Test func everyRowIsTriedWithoutElements() {
    func isEmpty(_ shapes: [Shape]) -> Bool { shapes.contains { ($0.sizes ?? []).contains(0) } }
    let tried = primitiveCases.filter { row in row.shapes.contains(where: isEmpty) || row.rejects.contains { isEmpty($0.0) } }
    #expect(Set(primitiveCases.flatMap(\.names)).subtracting(tried.flatMap(\.names)).filter { !$0.hasPrefix("SoftmaxCrossEntropy") } == [])
}

/// Sizes of 1 broadcast and end loops at once; many numbers fill registers, cache lines and threads.
@Test func everyRowIsTriedWithASizeOfOneAndWithManyNumbers() {
    func names(_ isTried: (Shape) -> Bool) -> Set<String> {
        Set(primitiveCases.filter { $0.shapes.contains { $0.contains(where: isTried) } }.flatMap(\.names))
    }
    let all = Set(primitiveCases.flatMap(\.names))
    #expect(all.subtracting(names { $0.rank == 0 || ($0.sizes ?? []).contains(1) }) == [])
    #expect(all.subtracting(names { ($0.sizes ?? []).reduce(1, *) >= 64 }) == [])
}

/// Those of one input that want numbers of some kind.
private let unaryCases = primitiveCases.filter { $0.shapes == PrimitiveCase.unaryShapes && $0.names != ["Cast"] }

@Test(arguments: unaryCases)
func whatIsNoNumberIsRefused(_ row: PrimitiveCase) {
    let error = #expect(throws: TensorError.self) { try row.function([Tensor([true, false])]) }
    let allowed = ["floats", "numbers"].map { "\(row.names[0]): needs \($0), was given bool" }
    #expect(allowed.contains(error?.description ?? ""), "\(String(describing: error))")
}

/// Each has an input that it refuses, and a test of the words in which it does; but for gradients, which get what their primitives made.
@Test func everyPrimitiveRefusesWhatDoesNotFit() {
    let rows = (primitiveCases.filter { !$0.rejects.isEmpty } + unaryCases).flatMap(\.names)
    let calls = (rejections + visionRejections).map { String($0.text.prefix { $0 != ":" }) }
    let takeWhateverThereIs: Set = ["Move", "Contiguous", "Cast", "DivideBySize"]
    let rest = Set(primitives.map { $0.name }).subtracting(rows).subtracting(calls).subtracting(takeWhateverThereIs)
    #expect(rest.filter { !$0.hasSuffix("Gradient") } == [])
}

/// `values` on a device as strided views: each a transpose of its transpose's copy.
private func scattered(_ tensors: [Tensor]) throws -> [Tensor] {
    try tensors.map { $0.rank < 2 ? $0 : try $0.transposed().contiguous().transposed() }
}

/// `values` on a device as a part cut out of something longer: with an offset, and gaps between rows.
private func cut(_ tensors: [Tensor]) throws -> [Tensor] {
    try tensors.map { $0.rank == 0 ? $0 : try $0.padded($0.rank - 1, before: 1, after: 2).sliced(-1, from: 1, to: -2) }
}

private func expectClose(_ a: Tensor, _ b: Tensor, _ tolerance: Float, _ what: String) throws {
    #expect(a.shape == b.shape, "\(what)")
    let x = try a.cast(to: .float32).elements(), y = try b.cast(to: .float32).elements()
    let scale = max(y.map(abs).max() ?? 0, 1e-3)
    for (i, (p, q)) in zip(x, y).enumerated() where !(abs(p - q) <= tolerance * scale) {
        Issue.record("\(what): number \(i) is \(p), expected \(q)")
        return
    }
}

/// A scalar that depends on every number of `y` differently.
private func weighed(_ y: Tensor) throws -> Tensor {
    let weights = try Tensor((0..<y.count).map { Float(($0 * 37 + 11) % 17) / 8 - 1 }, y.shape).cast(to: y.dtype).moved(to: y.device)
    return try (y * weights).sum()
}

/// float32 rounding is 6e-8; a tolerance of 2e-5 of the largest number leaves room for sums and for polynomials instead of libm.
@Test(arguments: primitiveCases)
func fastKernelsAgreeWithPlainLoops(_ row: PrimitiveCase) throws {
    for (i, shapes) in row.shapes.enumerated() {
        let inputs = try row.sample(shapes, seed: UInt64(i))
        let plain = try inputs.map { try $0.moved(to: Reference.shared) }
        let expected = try row.function(plain)
        try expectClose(row.function(inputs), expected.moved(to: CPU.shared), row.tolerance, "\(shapes)")
        try expectClose(row.function(scattered(inputs)), expected.moved(to: CPU.shared), row.tolerance, "\(shapes), strided")
        try expectClose(row.function(scattered(plain)).moved(to: CPU.shared), expected.moved(to: CPU.shared), row.tolerance, "\(shapes), strided, reference")
        try expectClose(row.function(cut(inputs)), expected.moved(to: CPU.shared), row.tolerance, "\(shapes), cut out")
        try expectClose(row.function(cut(plain)).moved(to: CPU.shared), expected.moved(to: CPU.shared), row.tolerance, "\(shapes), cut out, reference")
        guard row.isDifferentiable else { continue }
        let variables = inputs.map { $0.requiringGradient() }, others = plain.map { $0.requiringGradient() }
        let found = try weighed(row.function(variables)).gradients(of: variables)
        let wanted = try weighed(row.function(others)).gradients(of: others)
        for (a, b) in zip(found, wanted) {
            try expectClose(a, b.moved(to: CPU.shared), row.tolerance * 5, "\(shapes), gradient")
        }
    }
}

/// In float64 with a step of 1e-5 a central difference is right to about 1e-9; kinks are avoided by random inputs.
@Test(arguments: primitiveCases.filter(\.isDifferentiable))
func gradientMatchesCentralDifferences(_ row: PrimitiveCase) throws {
    for (i, shapes) in row.shapes.enumerated() where shapes.allSatisfy({ ($0.sizes ?? []).reduce(1, *) < 2000 }) {
        let inputs = try row.sample(shapes, seed: UInt64(i) + 50).map { try $0.cast(to: .float64) }
        var generator = Philox(seed: 99)
        let directions = try shapes.map { try Tensor.uniform($0, in: -1...1, using: &generator).cast(to: .float64) }
        let others = try shapes.map { try Tensor.uniform($0, in: -1...1, using: &generator).cast(to: .float64) }
        let step = 1e-5

        func along(_ directions: [Tensor], _ by: Double) throws -> [Tensor] { try zip(inputs, directions).map { try $0 + $1 * by } }
        func dot(_ a: [Tensor], _ b: [Tensor]) throws -> Tensor {
            var sum = try Tensor(0.0)
            for (x, y) in zip(a, b) { sum = try sum + (x * y).sum() }
            return sum
        }

        let variables = inputs.map { $0.requiringGradient() }
        let slope = try dot(weighed(row.function(variables)).gradients(of: variables), directions).item(Double.self)
        let difference = try
            (weighed(row.function(along(directions, step))).item(Double.self) - weighed(row.function(along(directions, -step))).item(Double.self))
            / (2 * step)
        #expect(abs(slope - difference) <= 1e-6 * max(1, abs(difference)), "\(shapes): \(slope), by differences \(difference)")

        guard row.isTwiceDifferentiable else { continue }
        func slopeAlong(_ by: Double) throws -> Double {
            let variables = try along(others, by).map { $0.requiringGradient() }
            return try dot(weighed(row.function(variables)).gradients(of: variables), directions).item(Double.self)
        }
        let again = inputs.map { $0.requiringGradient() }
        let first = try dot(weighed(row.function(again)).gradients(of: again, createsGraph: true), directions)
        let curvature = first.requiresGradient ? try dot(first.gradients(of: again), others).item(Double.self) : 0
        let byDifference = try (slopeAlong(step) - slopeAlong(-step)) / (2 * step)
        #expect(
            abs(curvature - byDifference) <= 1e-5 * max(1, abs(byDifference)), "\(shapes), second order: \(curvature), by differences \(byDifference)")
    }
}

@Test(arguments: primitiveCases.filter { !$0.rejects.isEmpty })
func badShapesAreRefusedWithTheReason(_ row: PrimitiveCase) throws {
    for (shapes, text) in row.rejects {
        let inputs = try row.sample(shapes, seed: 1)
        let error = #expect(throws: TensorError.self) { try row.function(inputs) }
        #expect(error?.description.contains(text) == true, "\(error?.description ?? "nothing thrown") doesn't say '\(text)'")
    }
}

/// A convolution's result lies channel-blocked; whatever comes after it must treat the lanes past the last channel, and plain
/// neighbours, as the plain loops do. Roundings add up over five layers.
@Test(arguments: [1, 3, 7, 8, 9, 15, 16, 17, 24, 33, 40])
func blockedNetworksAgreeWithPlainLoopsAtAnyChannelCount(_ channels: Int) throws {
    var generator = Philox(seed: UInt64(channels))
    let sizes: [Shape] = [[3, 2, 9, 7], [channels, 2, 3, 3], [channels], [channels], [channels, 1, 3, 3], [channels, channels, 1, 1], [5, channels]]
    let inputs = try sizes.map { try Tensor.uniform(Shape($0.sizes ?? []), in: -1...1, using: &generator) }

    func run(_ inputs: [Tensor]) throws -> (Tensor, [Tensor]) {
        let v = inputs.map { $0.requiringGradient() }
        let x = try v[0].conv2D(v[1], sliding: Sliding(stride: 2, padding: 1)).batchNormalised(scale: v[2], bias: v[3], epsilon: 1e-3).y.relu()
        let deep = try x.conv2D(v[4], sliding: Sliding(padding: 1), groups: channels).clipped(from: -0.5, to: 6)
        let joined = try (deep.conv2D(v[5]) + x).relu() + x.transposed().contiguous().transposed()
        let pooled = try joined.maxPool2D(2, stride: 1) * 0.5 + joined.averagePool2D(2, stride: 1)
        let y = try pooled.globalAveragePool2D().matmul(v[6].transposed())
        return (y, try weighed(y).gradients(of: v))
    }
    let (y, gradients) = try run(inputs)
    let (expected, wanted) = try run(inputs.map { try $0.moved(to: Reference.shared) })
    try expectClose(y, expected.moved(to: CPU.shared), 1e-4, "\(channels) channels")
    for (i, (a, b)) in zip(gradients, wanted).enumerated() {
        try expectClose(a, b.moved(to: CPU.shared), 1e-3, "\(channels) channels, gradient \(i)")
    }
}

/// Infinities, NaN, zeros of both signs and the ends of float32, wherever a polynomial stands for a function of the C library.
@Test(arguments: primitiveCases.filter { $0.shapes == PrimitiveCase.unaryShapes })
func specialNumbersGoThroughFastKernelsAsThroughPlainLoops(_ row: PrimitiveCase) throws {
    let special: [Float] = [.nan, .infinity, -.infinity, 0, -0.0, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 88, -88, 104, -104, 1e-30, -1e-30, 20, -20]
    let x = try Tensor(special)
    let found = try row.function([x]).elements(), expected = try row.function([x.moved(to: Reference.shared)]).moved(to: CPU.shared).elements()
    for (i, (a, b)) in zip(found, expected).enumerated() {
        let isClose = a == b || a.isNaN && b.isNaN || abs(a - b) <= 2e-6 * max(abs(b), 1e-30)
        #expect(isClose, "of \(special[i % special.count]): \(a), expected \(b)")
    }
}
