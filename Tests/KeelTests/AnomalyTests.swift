import Keel
import Testing

@Test func theFirstPrimitiveThatMakesANumberInfiniteIsNamed() throws {
    let x = try Tensor([Float(1), 0, 2])
    let line = #line + 2
    func body() throws(TensorError) {
        let y = try x.log()
        _ = try y.exp()
    }
    let error = #expect(throws: TensorError.self) { try detectingAnomalies(body) }
    guard case .notFinite(let primitive, false, let number)? = error?.reason else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(primitive == "Log")
    #expect(number == "-inf at element 1 of float32[3]")
    #expect(error?.description == "Log: made -inf at element 1 of float32[3] of finite numbers (at AnomalyTests.swift:\(line))")
}

@Test func aGradientThatBecomesInfiniteIsNamedWithItsCalls() throws {
    let x = try Tensor([4.0, 0]).requiringGradient()
    let line = #line + 2
    func body() throws(TensorError) {
        let root = try x.squareRoot()
        try (root + x.exp()).sum().backward()
    }
    let error = #expect(throws: TensorError.self) { try detectingAnomalies(body) }
    guard case .notFinite(let primitive, true, _)? = error?.reason else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(primitive == "Sqrt")
    // Where the root was taken, not where gradients were asked for.
    #expect(error?.description.hasSuffix("(at AnomalyTests.swift:\(line))") == true, "\(String(describing: error))")
}

@Test func whatIsGivenAsInfiniteIsNoAnomaly() throws {
    let mask = try Tensor([Float(0), -.infinity]), x = try Tensor([Float(1), 2]).requiringGradient()
    try detectingAnomalies { () throws(TensorError) in try (x + mask).softmax().sum().backward() }
    #expect(try x.gradient?.elements() == [0, 0])
    // Outside nothing is looked at.
    #expect(try Tensor(Float(0)).log().item() == -.infinity)
}
