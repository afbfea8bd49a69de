import Keel
import Testing

@Test func aGraphOfAMillionNodesIsBuiltDerivedAndFreed() throws {
    let start = try Tensor(Float(1)).requiringGradient()
    var x = start
    for _ in 0..<1_000_000 { x = try x + 0.5 }
    try x.backward()
    #expect(try start.gradient?.item() == 1)
    // And one that goes without ever being derived.
    var y = start
    for _ in 0..<1_000_000 { y = try y * y }
}

@Test func aSecondBackwardNeedsTheGraphKept() throws {
    let x = try Tensor([Float(2), 3]).requiringGradient()
    let y = try x.exp().sum()
    try y.backward(keepsGraph: true)
    try y.backward()
    let error = #expect(throws: TensorError.self) { try y.backward() }
    #expect(error?.description.contains("released") == true)
}

@Test func aTensorChangedInPlaceSinceIsNoticed() throws {
    let x = try Tensor([Float(2), 3]).requiringGradient()
    let y = try (x * x).sum()
    try x.assign(Tensor([Float(5), 6]))
    let error = #expect(throws: TensorError.self) { try y.backward() }
    #expect(error?.description.contains("changed in place") == true)
}

@Test func noGradAndDetachStopGradients() throws {
    let x = try Tensor([Float(2), 3]).requiringGradient()
    #expect(try !noGrad { () throws(TensorError) in try x + x }.requiresGradient)
    let y = try (x.detached() * x).sum()
    try y.backward()
    #expect(try x.gradient?.elements() == [2, 3])
}

@Test func gradientsAddUpUntilCleared() throws {
    let x = try Tensor([Float(2), 3]).requiringGradient()
    for _ in 0..<3 { try (x * 2).sum().backward() }
    #expect(try x.gradient?.elements() == [6, 6])
    x.clearGradient()
    #expect(x.gradient == nil)
}

@Test func aHookSeesTheWholeGradientAndMayChangeIt() throws {
    let x = try Tensor([Float(2), 3]).requiringGradient()
    var seen: [[Float]] = []
    let y = try (x * 5).withGradientHook { gradient throws(TensorError) in
        seen.append(try gradient.elements())
        return try gradient * 10
    }
    try (y * 2 + y).sum().backward()
    #expect(seen == [[3, 3]])
    #expect(try x.gradient?.elements() == [150, 150])

    let wrong = x.withGradientHook { gradient throws(TensorError) in try gradient.sum() }
    let error = #expect(throws: TensorError.self) { try wrong.sum().backward() }
    #expect(error?.description == "gradient hook: needs float32[2], was given []")
    #expect(try !Tensor(Float(1)).withGradientHook { $0 }.requiresGradient)
}

/// In float64 both are sums of the same eight numbers.
@Test func gradientsOfMicroBatchesAddUpToTheWholeBatch() throws {
    var generator = Philox(seed: 3)
    let x = try Tensor.normal([8, 4], using: &generator).cast(to: .float64), labels = try Tensor((0..<8).map { Int64($0 % 3) })
    let weight = try Tensor.normal([4, 3], using: &generator).cast(to: .float64).requiringGradient()
    let whole = try x.matmul(weight).softmaxCrossEntropy(labels).gradients(of: [weight])[0].elements(Double.self)
    for part in 0..<4 {
        let own = try x.sliced(0, from: part * 2, to: part * 2 + 2).matmul(weight)
        try (own.softmaxCrossEntropy(labels.sliced(0, from: part * 2, to: part * 2 + 2)) / 4).backward()
    }
    let sum = try #require(weight.gradient).elements(Double.self)
    #expect(zip(sum, whole).allSatisfy { abs($0 - $1) <= 1e-15 })
}

@Test func aGradientFollowsItsTensorBackToAnotherDevice() throws {
    let x = try Tensor([Float(2), 3]).requiringGradient()
    let y = try x.moved(to: Reference.shared).exp().moved(to: CPU.shared)
    let gradient = try (y * y).sum().gradients(of: [x])[0]
    #expect(gradient.device === CPU.shared)
    #expect(try zip(gradient.elements(), x.elements()).allSatisfy { try abs($0 - 2 * Tensor(2 * $1).exp().item()) < 1e-3 })
}

/// Where torch says so: 0 at 0 ^ 0 for both, and no gradient for a power that stays 0; NaN for the exponent of a negative base.
@Test func aPowerAtZeroHasTheGradientsOfTorch() throws {
    for device in [CPU.shared, Reference.shared] as [any Device] {
        let a = try Tensor([Float(0), 0, 0, -2, 3]).moved(to: device).requiringGradient()
        let b = try Tensor([Float(0), 1, 2, 3, 0]).moved(to: device).requiringGradient()
        let found = try a.power(b).sum().gradients(of: [a, b], createsGraph: true)
        #expect(try found[0].moved(to: CPU.shared).elements() == [0, 1, 0, 12, 0])
        let byExponent = try found[1].moved(to: CPU.shared).elements()
        #expect(byExponent[..<3] == [0, 0, 0])
        #expect(byExponent[3].isNaN)
        #expect(abs(byExponent[4] - 1.0986123) < 1e-5)
        let again = try found[0].sum().gradients(of: [a])[0].moved(to: CPU.shared).elements()
        #expect(again == [0, 0, 2, -12, 0])
    }
}

/// A size that is known only when a program runs must not be frozen into what a gradient or a statistic is made of.
@Test func aSizeStaysADimensionWhereItIsDividedBy() throws {
    let state = try Tensor([1.0]), batch = try Tensor([2.0])
    let error = #expect(throws: TensorError.self) {
        try state.updateRunning(towards: batch, momentum: 0.5, samples: .symbol("batch") * Dimension(4))
    }
    #expect(error?.description.contains("4·batch") == true)
    try state.updateRunning(towards: batch, momentum: 0.5, samples: Dimension(3))
    #expect(try state.item(Double.self) == 2)
}

@Test func aFullCacheLetsGoOfWhatWasUsedLongestAgo() {
    var cache = BoundedCache<Int, String>(limit: 2)
    #expect(cache.keep("one", for: 1) == "one")
    #expect(cache.keep("two", for: 2) == "two")
    #expect(cache.value(for: 1) == "one")
    #expect(cache.keep("three", for: 3) == "three")
    #expect(cache.value(for: 2) == nil)
    #expect(cache.keep("other", for: 1) == "one")
    #expect(cache.count == 2)
}

@Test func anErrorNamesTheLayerOfItsParameter() throws {
    let gradient = try Tensor.zeros([3, 2])
    let weight = try Tensor.zeros([3, 2]).parameter(named: "encoder.hidden.weight", gradient: gradient)
    let error = #expect(throws: TensorError.self) { try Tensor.zeros([4, 2]).matmul(weight) }
    #expect(error?.layerPath == "encoder.hidden")
    #expect(error?.description.contains("inner dimensions") == true)
}

@Test func symbolicDimensionsGoThroughShapeRules() throws {
    let batch = Dimension.symbol("batch"), side = Dimension.symbol("side")
    #expect(batch == Dimension.symbol("batch"))
    #expect((batch * Dimension(2) + Dimension(3)).description == "2·batch + 3")
    #expect(batch + side - batch == side)
    #expect((batch * side).description == (side * batch).description)
    let error = #expect(throws: TensorError.self) { try Shape(batch, Dimension(3)).elementCount() }
    #expect(error?.description.contains("batch") == true)
}

@Test func symbolicDimensionsAreDividedAndBounded() {
    let batch = Dimension.symbol("batch"), side = Dimension.symbol("side")
    func n(_ number: Int) -> Dimension { Dimension(number) }
    #expect((batch * side * n(12)).divided(exactlyBy: side * n(4)) == batch * n(3))
    #expect((batch * side * n(6) + batch * n(6)).divided(exactlyBy: side + n(1)) == batch * n(6))
    #expect((batch * n(3)).divided(exactlyBy: n(2)) == nil)
    #expect((batch + n(1)).divided(exactlyBy: batch) == nil)
    #expect(batch.divided(exactlyBy: n(0)) == nil)
    #expect(n(12).divided(exactlyBy: n(4)) == n(3))
    #expect((batch * side + n(3)).lowerBound == 3)
    #expect((batch - n(2)).lowerBound == -2)
    #expect((side - batch).lowerBound == nil)
}

@Test func symbolicDimensionsHaveQuotients() throws {
    let time = Dimension.symbol("time"), side = Dimension.symbol("side")
    func n(_ number: Int) -> Dimension { Dimension(number) }
    let half = (time + n(1)).divided(by: 2)
    #expect(half.description == "⌊(time + 1) / 2⌋" && half.symbols == ["time"] && half.soleSymbol == nil && half.lowerBound == 0)
    // What is a multiple of the divisor comes out of the brackets, and brackets within brackets go.
    #expect((time * n(5) + side * n(4) - n(1)).divided(by: 2) == time * n(2) + side * n(2) - n(1) + half)
    #expect((half + n(1)).divided(by: 2) == (time + n(3)).divided(by: 4))
    #expect((time * n(6) + n(3)).divided(by: 3) == time * n(2) + n(1))
    #expect((n(0) - time).divided(by: 2) == time.divided(by: 2) - time)
    #expect(half.divided(exactlyBy: half) == n(1) && half.divided(exactlyBy: n(2)) == nil)
    for number in 0..<9 {
        let sizes = SymbolSizes(["time": number, "side": 2 * number])
        #expect(try half.resolved(sizes) == n((number + 1) / 2))
        #expect(try (side * half + half - half.divided(by: 3)).resolved(sizes) == n(2 * number * ((number + 1) / 2) + (number + 1) / 2 - (number + 1) / 2 / 3))
    }
    #expect(throws: TensorError.self) { try half.resolved(SymbolSizes(["side": 1])) }
    #expect((side * half).terms.map(\.factor) == [1])
    // The product's parts are in the order in which they first were there.
    #expect(try Set(#require((side * half).terms.first).parts.map { "\($0)" }) == ["symbol(\"side\")", "quotient(time + 1, by: 2)"])
    // Too many brackets around each other are no size, and take no time.
    var deep = time
    for turn in 0..<200 { deep = (deep * deep + n(turn)).divided(by: 3) }
    #expect(deep.number == .max)
}

@Test func memoryIsReusedAndAccountedFor() throws {
    // Other tests run meanwhile, so only what a block's own life tells is checked.
    let before = MemoryPool.host.usedBytes
    let large = try Tensor.zeros([64 << 20])
    #expect(MemoryPool.host.peakBytes >= 256 << 20)
    #expect(before >= 0)
    _ = large
}

@Test func oneAndTwoThreadsAgree() throws {
    func result(_ threads: Int) throws -> [Float] {
        Threads.count = threads
        var generator = Philox(seed: 5)
        let x = try Tensor.uniform([4, 16, 40, 40], in: -1...1, using: &generator)
        let drawn = try Tensor.normal([100_003], using: &generator)
        let y = try x.conv2D(Tensor.uniform([24, 16, 3, 3], in: -1...1, using: &generator), sliding: Sliding(padding: 1)).gelu()
        let sums = try [y.sum([0, 2, 3]), drawn, drawn.softmax(), drawn.dropout(0.5, random: Tensor([Int64(1), 2]), draw: 0)]
        return try sums.flatMap { try $0.elements() }
    }
    let before = Threads.count
    defer { Threads.count = before }
    let (one, two) = (try result(1), try result(2))
    #expect(one.count == two.count)
    // Everything but the convolution's own order of additions is the same bits.
    #expect(one[24...] == two[24...])
    #expect(zip(one[..<24], two[..<24]).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, abs($0)) })
    #expect(try result(2) == two)
}
