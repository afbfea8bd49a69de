import Keel
import Testing

@Test func theFirstPrimitiveThatMakesANumberInfiniteIsNamedWithItsLine() throws {
    let x = try Tensor([Float(1), 0, 2])
    var here = 0
    func body() throws(TensorError) {
        here = #line + 1
        let y = try x.log()
        _ = try y.exp()
    }
    let error = #expect(throws: TensorError.self) { try detectingAnomalies(body) }
    guard case .notFinite(let primitive, false, let number, let line)? = error?.reason else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(primitive == "Log")
    #expect(number == "-inf at element 1 of float32[3]")
    #expect(line?.hasSuffix("AnomalyTests.swift:\(here)") == true, "\(line ?? "no line")")
}

@Test func aGradientThatBecomesInfiniteIsNamedWithTheLineOfItsCall() throws {
    let x = try Tensor([4.0, 0]).requiringGradient()
    var here = 0
    func body() throws(TensorError) {
        here = #line + 1
        let root = try x.squareRoot()
        try (root + x.exp()).sum().backward()
    }
    let error = #expect(throws: TensorError.self) { try detectingAnomalies(body) }
    guard case .notFinite(let primitive, true, _, let line)? = error?.reason else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(primitive == "Sqrt")
    #expect(line?.hasSuffix("AnomalyTests.swift:\(here)") == true, "\(line ?? "no line")")
}

@Test func whatIsGivenAsInfiniteIsNoAnomaly() throws {
    let mask = try Tensor([Float(0), -.infinity]), x = try Tensor([Float(1), 2]).requiringGradient()
    try detectingAnomalies { () throws(TensorError) in try (x + mask).softmax().sum().backward() }
    #expect(try x.gradient?.elements() == [0, 0])
    // Outside nothing is looked at.
    #expect(try Tensor(Float(0)).log().item() == -.infinity)
}
