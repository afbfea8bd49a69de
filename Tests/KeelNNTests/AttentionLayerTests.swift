import Keel
import KeelNN
import Testing

private func numbers(_ shape: Shape, _ seed: UInt64) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try .normal(shape, using: &generator)
}

/// The same products in the same order, up to rows that share a tile.
private func expectClose(_ a: Tensor, _ b: Tensor) throws {
    #expect(a.shape == b.shape)
    #expect(try zip(a.elements(), b.elements()).allSatisfy { abs($0 - $1) <= 1e-5 })
}

@Test(arguments: [false, true])
func stepsWithACacheGiveWhatTheWholeSequenceGives(isRotary: Bool) throws {
    var generator = Philox(seed: 1)
    let layer = try MultiHeadAttention(8, heads: 2, isCausal: true, rotary: isRotary ? RotaryEncoding() : nil, using: &generator)
    let x = try numbers([2, 6, 8], 2)
    let whole = try layer(x, in: .prediction)
    var cache = KeyValueCache(), parts: [Tensor] = []
    for range in [0..<3, 3..<4, 4..<6] {
        parts.append(try layer(x.sliced(1, from: range.lowerBound, to: range.upperBound), continuing: &cache, in: .prediction))
    }
    #expect(cache.count == 6)
    try expectClose(.concatenated(parts, axis: 1), whole)
}

@Test(arguments: [false, true])
func aDecoderGoesOnFromItsCaches(isPreNorm: Bool) throws {
    var generator = Philox(seed: 1)
    let decoder = try TransformerDecoder(8, heads: 2, inner: 12, layers: 2, isPreNorm: isPreNorm, using: &generator)
    let x = try numbers([2, 5, 8], 2), memory = try numbers([2, 3, 8], 3), whole = try decoder(x, memory: memory, in: .prediction)
    var caches: [KeyValueCache] = [], parts: [Tensor] = []
    for step in 0..<5 { parts.append(try decoder(x.sliced(1, from: step, to: step + 1), memory: memory, continuing: &caches, in: .prediction)) }
    try expectClose(.concatenated(parts, axis: 1), whole)
}

@Test func rotaryProductsDependOnDistanceAlone() throws {
    let q = try numbers([1, 1, 8], 4), k = try numbers([1, 1, 8], 5), rotary = RotaryEncoding()
    func product(_ i: Int, _ j: Int) throws -> Float { try (rotary(q, heads: 1, from: i) * rotary(k, heads: 1, from: j)).sum().item() }
    #expect(try abs(product(7, 4) - product(103, 100)) <= 1e-4)
    #expect(try abs(product(7, 4) - product(7, 5)) > 1e-3)
}

@Test func whatDoesNotFitIsRefused() throws {
    var generator = Philox(seed: 1)
    #expect(throws: TensorError.self) { try MixtureOfExperts(4, inner: 4, experts: 2, chosen: 3, using: &generator) }
    #expect(throws: TensorError.self) { try SinusoidalEncoding()(.zeros([1, 2, 3]), in: .prediction) }
    #expect(throws: TensorError.self) { try LearnedEncoding(2, 4, using: &generator)(.zeros([1, 3, 4]), in: .prediction) }
    #expect(throws: TensorError.self) { try RotaryEncoding()(.zeros([1, 3, 6]), heads: 2) }
    #expect(throws: TensorError.self) { try FeaturePyramid([2, 3], 4, using: &generator)([.zeros([1, 2, 4, 4])], in: .prediction) }
    let layer = try MixtureOfExperts(4, inner: 4, experts: 2, using: &generator)
    #expect(try layer(.zeros([0, 4]), in: .prediction).shape == [0, 4])
    #expect(try Context.prediction.auxiliaryLoss() == nil)
}

/// With next to nothing dropped, the matrix of probabilities gives what attention without one gives: sums in another order, and so do their
/// gradients. A query that sees nothing gets zeros.
@Test(arguments: [false, true], [false, true])
func attentionThatDropsIsTheSameAttention(isCausal: Bool, isRotary: Bool) throws {
    func layer(_ dropout: Double) throws -> MultiHeadAttention {
        var generator = Philox(seed: 1)
        return try MultiHeadAttention(
            8, heads: 2, isCausal: isCausal, rotary: isRotary ? RotaryEncoding() : nil, dropout: dropout, using: &generator)
    }
    let plain = try layer(0), dropping = try layer(1e-12), training = try Context.training(seed: 1, step: 1)
    let x = try numbers([2, 5, 8], 2).requiringGradient(), memory = try numbers([2, 3, 8], 3).requiringGradient()
    let padding = try Tensor([true, true, true, false, false, false, false, false, false, false], [2, 5])
    func all(_ layer: MultiHeadAttention, _ context: Context) throws -> [Tensor] {
        [
            try layer(x, in: context), try layer(x, mask: padding, in: context),
            try layer(x, mask: Tensor((0..<25).map { $0 % 3 != 1 }, [1, 5, 5]), in: context), try layer(x, to: memory, in: context),
        ]
    }
    for (found, expected) in zip(try all(dropping, training), try all(plain, training)) {
        try expectClose(found, expected)
        let (a, b) = (try found.squared().sum().gradients(of: [x])[0], try expected.squared().sum().gradients(of: [x])[0])
        #expect(try zip(a.elements(), b.elements()).allSatisfy { abs($0 - $1) <= 1e-4 })
    }
    // Predicting, nothing is dropped.
    let half = try layer(0.5)
    let predicted = try plain(x, in: .prediction).elements(), first = try half(x, in: .training(seed: 1, step: 1)).elements()
    #expect(try half(x, in: .prediction).elements() == predicted)
    #expect(first != predicted)
    #expect(try half(x, in: .training(seed: 1, step: 1)).elements() == first)
    #expect(try half(x, in: .training(seed: 1, step: 2)).elements() != first)
    #expect(throws: TensorError.self) { try layer(1) }
}

/// A bias of 0 is none, and one far below all scores hides a key as a mask does.
@Test(arguments: [false, true])
func aBiasOfScoresHidesKeysAsAMaskDoes(isCausal: Bool) throws {
    let q = try numbers([2, 4, 6], 1), k = try numbers([2, 5, 6], 2), v = try numbers([2, 5, 6], 3)
    func seen(_ mask: Tensor? = nil, bias: Tensor? = nil) throws -> Tensor {
        try q.attention(to: k, values: v, heads: 3, mask: mask, isCausal: isCausal, bias: bias)
    }
    try expectClose(seen(bias: .zeros([1])), seen())
    let mask = try Tensor((0..<20).map { $0 % 5 == 0 || $0 % 3 != 1 }, [1, 4, 5])
    try expectClose(seen(bias: mask.not().cast(to: .float32) * -1e9), seen(mask))
    try expectClose(seen(mask, bias: numbers([3, 4, 5], 4)), seen(bias: numbers([3, 4, 5], 4) + mask.not().cast(to: .float32) * -1e9))
}
