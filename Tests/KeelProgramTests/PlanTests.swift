import Keel
import KeelProgram
import Testing

/// What lives at the same time lies apart; what doesn't may share, and much does.
@Test(arguments: tracedNetworks)
func theArenaHasRoomForAllThatLivesAtOnce(_ network: TracedNetwork) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs).optimised()
    let plan = try program.plan(for: network.sample(batch: 2, time: 5, seed: 1))
    var areas: [(range: Range<Int>, lifetime: ClosedRange<Int>)] = []
    for (source, lifetime) in zip(plan.sources, plan.lifetimes) {
        guard case .arena(let offset, let bytes) = source else { continue }
        #expect(offset % 64 == 0 && offset + bytes <= plan.arenaBytes)
        for other in areas where other.lifetime.overlaps(lifetime) { #expect(!other.range.overlaps(offset..<offset + bytes)) }
        areas.append((offset..<offset + bytes, lifetime))
    }
    #expect(areas.count > 2)
    #expect(plan.arenaBytes < areas.reduce(0) { $0 + $1.range.count } || areas.count < 4)
}

@Test func viewsAreNoSteps() throws {
    let program = try Program.trace(
        { x in try x.transposed().reshaped([-1]).sliced(0, to: 4).exp().reshaped([2, 2]) }, input: "x", TensorSpec([3, 4], .float32))
    let x = try Tensor((0..<12).map { Float($0) / 8 }, [3, 4]), plan = try program.plan(for: [x])
    // A transposed tensor is copied to be reshaped.
    #expect(plan.steps.map { type(of: $0.primitive).name } == ["Reshape", "Exp"])
    try expectEqual([program(x)], [x.transposed().reshaped([-1]).sliced(0, to: 4).exp().reshaped([2, 2])])
}

@Test func whatIsGivenAwayIsNotInTheArena() throws {
    let spec = TensorSpec([2, 3], .float32), constant = try Tensor([Float(1), 2])
    let program = try Program.trace({ x in [x[0], try x[0].exp(), try x[0].exp().tanh(), constant] }, inputs: ["x": spec])
    let x = try Tensor((0..<6).map { Float($0) / 8 }, [2, 3])
    let first = try program.run([x]), second = try program.run([try x * 2])
    try expectEqual(first, [x, x.exp(), x.exp().tanh(), constant])
    try expectEqual(second, [x * 2, (x * 2).exp(), (x * 2).exp().tanh(), constant])
}

@Test func inputsMayLieAnyhow() throws {
    let program = try Program.trace({ x in try x.transposed().exp() }, input: "x", TensorSpec([3, 2], .float32))
    let x = try Tensor((0..<24).map { Float($0) / 8 }, [4, 6])
    for input in [try x.sliced(0, to: 2).sliced(1, to: 3).transposed(), try x.sliced(0, from: 1).sliced(1, from: 4)] {
        try expectEqual([program(input)], [input.transposed().exp()])
    }
}
