import Keel
import KeelProgram
import KeelProgramTestSupport
import Testing

private let rows = TensorSpec(Shape(.symbol("batch"), Dimension(3)), .float32)

private func numbers(_ batch: Int, seed: UInt64 = 1) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try .normal([batch, 3], using: &generator)
}

/// The larger half of the work where the sum is positive.
func branched(_ x: Tensor) throws -> [Tensor] {
    let isPositive = try x.sum().isGreater(than: Tensor(Float(0)))
    return try Program.branch(on: isPositive, [x]) { v in [try (v[0] * 2).exp(), try v[0].sum([1])] } else: { v in [try v[0].negated(), try v[0].max([1])] }
}

/// Halved until no number is above 1/8; and how often that was.
func halved(_ x: Tensor, atMost limit: Int = 100) throws -> [Tensor] {
    try Program.loop([x, Tensor(Int64(0))], atMost: limit) { v in try v[0].magnitude().max().isGreater(than: Tensor(Float(0.125))) } _: { v in
        [try v[0] * 0.5, try v[1] + Tensor(Int64(1))]
    }
}

@Test func aBranchIsChosenWhenTheProgramRuns() throws {
    let program = try Program.trace({ x in try branched(x[0].tanh()) }, inputs: ["x": rows]), optimised = try program.optimised()
    #expect(program.outputs.map(\.spec.shape) == [rows.shape, Shape(.symbol("batch"))])
    for batch in [1, 4] {
        for x in [try numbers(batch).magnitude(), try numbers(batch).magnitude().negated()] {
            let expected = try branched(x.tanh())
            try expectEqual(program.run([x]), expected)
            // Scaled and exponentiated in one pass: the same numbers.
            try expectEqual(optimised.run([x]), expected)
        }
    }
}

@Test func aLoopEndsWhenItsNumbersSaySo() throws {
    let program = try Program.trace({ x in try halved(x[0]) }, inputs: ["x": rows]), optimised = try program.optimised()
    for x in [try numbers(2), try numbers(5) * 100, try numbers(1) * 0.01] {
        let expected = try halved(x)
        try expectEqual(program.run([x]), expected)
        try expectEqual(optimised.run([x]), expected)
    }
    #expect(try halved(numbers(1) * 0.001)[1].item(Int64.self) == 0)
}

/// Branches and loops within one another, some of what they read made outside, and a loop whose state goes out as it came in.
@Test(arguments: [13, 17, 21])
func branchesAndLoopsAreExported(opset: Int) throws {
    let program = try Program.trace({ x in
        let scaled = try x[0] * 3, count = try Tensor.ones([3]) * 2
        let nested = try Program.branch(on: x[0].sum([0, 1], keepingAxes: true).isGreater(than: Tensor(Float(0))), [scaled, count]) { v in
            try halved(v[0] + v[1]) + [v[1]]
        } else: { v in
            let inner = try branched(v[0].mean([0], keepingAxes: true).expanded(to: v[0].shape))
            return [inner[0], try v[0].argMax(1).sum(), try v[1] * v[0].sum()]
        }
        return ["turns": nested[1], "halved": nested[0], "other": nested[2], "scaled": scaled]
    }, inputs: ["x": rows])
    for program in [program, try program.optimised()] {
        let model = try program.reread(opset: opset)
        for x in [try numbers(2).magnitude() * 100, try numbers(3).magnitude().negated(), try numbers(1).magnitude() * 0] {
            try expectClose(model.run([("x", x)]), program.run([x]), 1e-6)
        }
    }
}

@Test func aLoopHasAnEnd() throws {
    let endless = try numbers(1) * 1e9
    let traced = try Program.trace({ x in try halved(x[0], atMost: 5) }, inputs: ["x": rows])
    for run in [{ _ = try halved(endless, atMost: 5) }, { _ = try traced.run([endless]) }] {
        let error = #expect(throws: TensorError.self) { try run() }
        #expect(error?.description.hasPrefix("Loop: turns is more, allowed is 5 at most") == true)
    }
}

@Test func branchesAndBodiesThatDoNotFitAreRefused() throws {
    func expect(_ message: String, sourceLocation: SourceLocation = #_sourceLocation, _ function: (Tensor) throws -> [Tensor]) {
        let error = #expect(throws: TensorError.self, sourceLocation: sourceLocation) { try Program.trace({ try function($0[0]) }, inputs: ["x": rows]) }
        #expect(error?.description.contains(message) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
    }
    expect("what the other branch gives") { x in
        try Program.branch(on: x.sum().isGreater(than: Tensor(Float(0))), [x]) { v in [v[0]] } else: { v in [try v[0].sum()] }
    }
    expect("a bool") { x in try Program.branch(on: x.sum(), [x]) { v in [v[0]] } else: { v in [v[0]] } }
    expect("one element") { x in try Program.branch(on: x.isGreater(than: Tensor(Float(0))), [x]) { v in [v[0]] } else: { v in [v[0]] } }
    expect("allowed is the state") { x in
        try Program.loop([x], atMost: 3) { v in try v[0].sum().isGreater(than: Tensor(Float(0))) } _: { v in [try v[0].sum([1])] }
    }
    // What isn't among the inputs.
    expect("outside of the function") { x in
        try Program.branch(on: x.sum().isGreater(than: Tensor(Float(0))), [x]) { v in [try v[0] + x] } else: { v in [v[0]] }
    }
}

/// Each turn's memory is free before the next one, so that a thousand turns take no more than ten.
@Test func aLongLoopTakesNoMoreMemory() async throws {
    await #expect(processExitsWith: .success) {
        let spec = TensorSpec([256, 256], .float32), pool = MemoryPool.host
        let program = try Program.trace(
            { x in
                try Program.loop([x[0], x[1]], atMost: 2000) { v in try v[1].isGreater(than: Tensor(Float(0.5))) } _: { v in [try (v[0] * 0.5 + 1).tanh(), try v[1] - 1] }
            }, inputs: ["x": spec, "turns": TensorSpec([], .float32)])
        let x = try Tensor.ones([256, 256])
        func peak(_ turns: Float) throws -> Int {
            pool.resetPeak()
            _ = try program.run([x, Tensor(turns)])
            return pool.peakBytes
        }
        _ = try peak(3)
        #expect(try peak(1000) == peak(10))
    }
}

/// In a process of its own, whose pool nobody else uses: zeros take the branch that needs little.
@Test func bothBranchesCountAsMemory() async throws {
    await #expect(processExitsWith: .success) {
        let program = try Program.trace({ x in
            try Program.branch(on: x[0].sum().isGreater(than: Tensor(Float(0))), [x[0]]) { v in
                let wide = try v[0].expanded(to: [1 << 18, 3]).exp()
                return [try (wide + wide.sum([0])).sum([0], keepingAxes: true)]
            } else: { v in [try v[0] * 2] }
        }, inputs: ["x": TensorSpec([1, 3], .float32)])
        let foretold = try program.memoryUse([TensorSpec([1, 3], .float32)]), x = try Tensor.ones([1, 3]), pool = MemoryPool.host
        let before = pool.usedBytes
        pool.resetPeak()
        for _ in 0..<3 { _ = try program.run([x]) }
        #expect(pool.peakBytes - before <= foretold.peak)
        #expect(foretold.peak >= 3 << 20)
    }
}

/// In a process of its own, as above: a body's memory counts.
@Test func aLoopsBodyCountsAsMemory() async throws {
    await #expect(processExitsWith: .success) {
        let spec = TensorSpec([1, 3], .float32), program = try Program.trace({ x in
            try Program.loop(x, atMost: 9) { v in try v[0].sum().isGreater(than: Tensor(Float(1))) } _: { v in
                [try v[0].expanded(to: [1 << 18, 3]).exp().log().sum([0], keepingAxes: true) * Tensor(Float(1) / Float(1 << 19))]
            }
        }, inputs: ["x": spec])
        let foretold = try program.memoryUse([spec]), x = try Tensor.ones([1, 3]), pool = MemoryPool.host
        let before = pool.usedBytes
        pool.resetPeak()
        for _ in 0..<3 { _ = try program.run([x]) }
        #expect(pool.peakBytes - before <= foretold.peak)
        #expect(foretold.peak >= 3 << 20)
    }
}

@Test(.timeLimit(.minutes(1))) func aLoopEndsWithItsDeadline() throws {
    let spec = TensorSpec([3], .float32), program = try Program.trace({ x in
        try Program.loop(x, atMost: 1 << 40) { v in try v[0].sum().isAtLeast(Tensor(Float(0))) } _: { v in [try v[0] * 1] }
    }, inputs: ["x": spec])
    #expect(throws: TensorError.self) { try program.memoryUse([spec], until: .now + .milliseconds(50)) }
}
