import Keel
import Testing

private func weights() throws -> (Tensor, Tensor, Tensor) {
    var generator = Philox(seed: 8)
    let x = try Tensor.normal([6, 5], using: &generator), a = try Tensor.normal([5, 5], using: &generator), b = try Tensor.normal([5], using: &generator)
    return (x.requiringGradient(), a.requiringGradient(), b.requiringGradient())
}

private func block(_ x: Tensor, _ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
    try (x.matmul(a) + b).tanh().dropout(0.4, random: Tensor([Int64(3), 7]), draw: 0) + x
}

/// Twice the same numbers in the same order: equal to the bit.
@Test func aCheckpointGivesTheSameGradients() throws {
    let (x, a, b) = try weights()
    func run(_ keeps: Bool) throws -> [[Float]] {
        var y = try x.exp() * 0.1
        for _ in 0..<3 {
            let input = y
            y = keeps ? try block(input, a, b) : try checkpointed([input]) { x throws(TensorError) in [try block(x[0], a, b)] }[0]
        }
        let loss = try (y * y).mean()
        let asked = try loss.gradients(of: [x, a, b], keepsGraph: true).map { try $0.elements() }
        for variable in [x, a, b] { variable.clearGradient() }
        try loss.backward()
        return try [[loss.item()]] + asked + [x, a, b].map { try $0.gradient.map { try $0.elements() } ?? [] }
    }
    #expect(try run(false) == run(true))
}

@Test func checkpointsNestAndTakeVariablesFromOutside() throws {
    let (x, a, b) = try weights()
    func run(_ keeps: Bool) throws -> [[Float]] {
        let shared = try a.tanh()
        let y: Tensor
        if keeps {
            y = try block(block(x, shared, b), shared, b)
        } else {
            y = try checkpointed([x]) { x throws(TensorError) in
                let inner = try checkpointed([x[0]]) { x throws(TensorError) in [try block(x[0], shared, b)] }
                return [try block(inner[0], shared, b)]
            }[0]
        }
        return try (y * shared.sum()).mean().gradients(of: [x, a, b]).map { try $0.elements() }
    }
    // A variable's parts arrive in another order: roundings.
    let (found, expected) = (try run(false), try run(true))
    for (p, q) in zip(found, expected) { #expect(zip(p, q).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) }) }
}

@Test func aCheckpointCanBeDerivedTwice() throws {
    let x = try Tensor([0.4, -0.9]).requiringGradient(), factor = try Tensor(1.5).requiringGradient()
    func run(_ keeps: Bool) throws -> [[Double]] {
        func body(_ x: Tensor) throws(TensorError) -> Tensor { try (x * factor).tanh() * x }
        let y = keeps ? try body(x) : try checkpointed([x]) { x throws(TensorError) in [try body(x[0])] }[0]
        let first = try y.sum().gradients(of: [x, factor], createsGraph: true)
        return try (first[0].squared().sum() + first[1].squared()).gradients(of: [x, factor]).map { try $0.elements(Double.self) }
    }
    for (p, q) in zip(try run(false), try run(true)) { #expect(zip(p, q).allSatisfy { abs($0 - $1) <= 1e-12 }) }
}

@Test func aCheckpointUpdatesStateOnce() throws {
    let x = try Tensor([Float(1), 2]).requiringGradient(), state = try Tensor.zeros([2])
    let y = try checkpointed([x]) { x throws(TensorError) in
        try state.updateRunning(towards: x[0], momentum: 0.5)
        return [try x[0].exp().log() * 2]
    }
    try y[0].sum().backward()
    #expect(try state.elements() == [0.5, 1])
    #expect(try x.gradient?.elements().allSatisfy { abs($0 - 2) < 1e-5 } == true)
}

/// In a process of its own, whose pool nobody else uses.
@Test func aCheckpointKeepsNoIntermediateResults() async throws {
    await #expect(processExitsWith: .success) {
        let large = try Tensor.ones([1 << 20]).requiringGradient()
        func held(_ keeps: Bool) throws -> Int {
            let before = MemoryPool.host.usedBytes
            func body(_ x: Tensor) throws(TensorError) -> Tensor {
                var x = x
                for _ in 0..<16 { x = try x.sigmoid() }
                return x
            }
            let y = keeps ? try body(large) : try checkpointed([large]) { x throws(TensorError) in [try body(x[0])] }[0]
            defer { withExtendedLifetime(y) {} }
            return MemoryPool.host.usedBytes - before
        }
        // 16 results of 4 MiB, or one.
        #expect(try held(true) - held(false) == 15 << 22)
    }
}

@Test func aTableInACheckpointKeepsItsRows() throws {
    let table = try Tensor([Float(1), 2, 3, 4], [2, 2]).table(), indices = try Tensor([Int64(1), 1])
    try checkpointed([]) { _ throws(TensorError) in [try table.gathered(indices) * 3] }[0].sum().backward()
    #expect(table.gradient == nil)
    #expect(try table.rowGradients.map { try $0.values.elements() } == [[3, 3, 3, 3]])
}

@Test func aCheckpointNoticesThatItsInputChanged() throws {
    let x = try Tensor([Float(1), 2]).requiringGradient()
    let y = try checkpointed([x]) { x throws(TensorError) in [try x[0].exp()] }[0]
    try x.assign(Tensor([Float(3), 4]))
    let error = #expect(throws: TensorError.self) { try y.sum().backward() }
    #expect(error?.description.contains("changed in place") == true)
}
