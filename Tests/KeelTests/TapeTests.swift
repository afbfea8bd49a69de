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
