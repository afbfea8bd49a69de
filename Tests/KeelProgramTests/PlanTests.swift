import Foundation
import Keel
import KeelProgram
import KeelProgramTestSupport
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
    #expect(areas.count > 1)
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

@Test(arguments: tracedNetworks)
func whatIsWrittenOverIsReadNoMore(_ network: TracedNetwork) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs).optimised()
    let inputs = try network.sample(batch: 2, time: 5, seed: 1), sizes = try program.plan(for: inputs).sizes
    let plan = try Plan(program.graph, sizes), apart = try Plan(program.graph, sizes, reusesMemory: false)
    #expect(plan.arenaBytes <= apart.arenaBytes && plan.sources.count <= apart.sources.count)
    try expectEqual(Execution(plan, of: program.graph).run(inputs), Execution(apart, of: program.graph).run(inputs))
}

@Test func elementwiseStepsWriteOverWhatDies() throws {
    let spec = TensorSpec([4, 4], .float32), x = try Tensor((0..<16).map { Float($0) / 8 - 1 }, [4, 4])
    func expect(_ made: Int, sourceLocation: SourceLocation = #_sourceLocation, _ function: (Tensor) throws -> Tensor) throws {
        let program = try Program.trace(function, input: "x", spec), plan = try program.plan(for: [x])
        let memories = plan.sources.filter { source in
            switch source {
            case .arena, .output: true
            case .constant, .state, .input: false
            }
        }
        #expect(memories.count == made, sourceLocation: sourceLocation)
        try expectEqual([program(x)], [function(x)], sourceLocation: sourceLocation)
    }
    // The chain happens where the output lies.
    try expect(1) { x in try (x.exp() + x).tanh() * x }
    try expect(1) { x in
        let y = try x.exp()
        return try y * y
    }
    // The input is the caller's; what is read later stays; what lies otherwise in the same memory may be overwritten before it is read.
    try expect(2) { x in
        let y = try x.exp()
        return try y.tanh() * y
    }
    try expect(2) { x in
        let y = try x.exp()
        return try y + y.transposed()
    }
    try expect(2) { x in
        let y = try x.exp()
        return try y * y.sliced(0, to: 1)
    }
    // A sum is none of them.
    try expect(2) { x in try x.exp().sum([0]) }
}

/// What a channel is multiplied by depends on its mean, as in networks that squeeze and excite.
private func gated(_ x: Tensor) throws -> Tensor {
    var generator = Philox(seed: 1)
    let weight = try Tensor.normal([16, 16, 3, 3], using: &generator)
    let y = try x.conv2D(weight, sliding: Sliding(padding: 1)).relu()
    return try (y * y.mean([2, 3], keepingAxes: true).sigmoid()).conv2D(weight, sliding: Sliding(padding: 1))
}

/// The names of a plan's steps, and whether each makes blocks of channels.
private func layouts(_ program: Program, _ inputs: [TensorSpec]) throws -> [String] {
    try program.plannedRun(inputs).steps.map { "\($0.primitive) \($0.layouts[0] == "plain" ? "plain" : "blocks")" }
}

/// Both the mean and the product read plain numbers: each would move them for itself.
@Test func whatTwoStepsReadPlainIsMovedOnce() throws {
    let spec = TensorSpec([2, 16, 14, 14], .float32), program = try Program.trace(gated, input: "x", spec).optimised()
    #expect(
        try layouts(program, [spec]) == [
            "RectifiedConv2D blocks", "Contiguous plain", "ReduceMean plain", "Sigmoid plain", "Mul plain", "Conv blocks",
        ])
    // The product lies where the moved numbers did.
    #expect(try program.plannedRun([spec]).steps[4].place.hasPrefix("over"))
}

/// Cuts within a block are views of what was moved.
@Test func whatIsCutWithinBlocksIsMovedOnce() throws {
    let weight = try Tensor.ones([16, 1, 3, 3]), spec = TensorSpec([1, 1, 14, 14], .float32)
    let program = try Program.trace(
        { x in
            let y = try x.conv2D(weight, sliding: Sliding(padding: 1))
            return try y.sliced(1, to: 5).exp().sum() + y.sliced(1, from: 3).tanh().sum()
        }, input: "x", spec)
    let names = try layouts(program, [spec])
    #expect(names.filter { $0 == "Contiguous plain" }.count == 1 && !names.contains { $0.hasPrefix("Slice") })
}

/// Blocks go from convolution to convolution, through what lies between; without that each result is moved.
@Test(arguments: tracedNetworks)
func blocksStayBetweenConvolutions(_ network: TracedNetwork) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs).optimised()
    let inputs = try network.sample(batch: 2, time: 5, seed: 1), sizes = try program.plan(for: inputs).sizes
    let plan = try Plan(program.graph, sizes), plain = try Plan(program.graph, sizes, assignsLayouts: false)
    func moves(_ plan: Plan) -> Int { plan.steps.count { type(of: $0.primitive).name == "Contiguous" } }
    let convolutions = plan.steps.count { type(of: $0.primitive).makesBlocked }
    // Of U-Net's, with blocks of 16 channels (AVX-512), a part is moved, too.
    let most = "\(network)" == "U-Net" ? 2 : 1
    #expect(moves(plan) <= most && moves(plain) >= convolutions - 1, "\(moves(plan)) and \(moves(plain)) for \(convolutions) convolutions")
    // The kernels sum otherwise where numbers lie otherwise.
    try expectClose(Execution(plan, of: program.graph).run(inputs), Execution(plain, of: program.graph).run(inputs), 1e-5)
}

/// An inverted residual block of many large pictures is one step, which takes less memory; of one picture, or of small ones, it isn't.
@Test func picturesPassThroughABlockAFewAtATime() throws {
    var generator = Philox(seed: 2)
    func weight(_ shape: Shape) throws -> Tensor { try .normal(shape, using: &generator) * 0.2 }
    let (expand, own, reduce, next) = (try weight([96, 16, 1, 1]), try weight([96, 1, 3, 3]), try weight([16, 96, 1, 1]), try weight([24, 16, 1, 1]))
    let spec = TensorSpec(Shape(.symbol("batch"), Dimension(16), .symbol("height"), Dimension(40)), .float32)
    let program = try Program.trace(
        { x in
            let inner = try x.conv2D(expand).relu6().conv2D(own, sliding: Sliding(padding: 1), groups: 96).relu6()
            return try (inner.conv2D(reduce) + x).conv2D(next)
        }, input: "x", spec
    ).optimised()
    func steps(_ batch: Int, _ height: Int) throws -> [String] {
        try program.plannedRun([TensorSpec([batch, 16, height, 40], .float32)]).steps.map(\.primitive)
    }
    let apart = ["RectifiedConv2D", "RectifiedConv2D", "RectifiedConv2D", "Conv"]
    #expect(try steps(9, 40) == ["ConvolutionChain", "Conv"] && steps(1, 40) == apart && steps(9, 4) == apart)
    let x = try Tensor.normal([9, 16, 40, 40], using: &generator), sizes = try program.plan(for: [x]).sizes
    let plan = try Plan(program.graph, sizes), plain = try Plan(program.graph, sizes, chainsConvolutions: false)
    #expect(plan.bytes < plain.bytes / 2)
    // The kernels may sum in another order for other numbers of pictures.
    try expectClose(Execution(plan, of: program.graph).run([x]), Execution(plain, of: program.graph).run([x]), 1e-5)
}

/// What is read elsewhere, or added from elsewhere, is made for itself.
@Test func whatIsReadElsewhereIsNotPassedOn() throws {
    let expand = try Tensor.ones([64, 16, 1, 1]), own = try Tensor.ones([64, 1, 3, 3]), reduce = try Tensor.ones([16, 64, 1, 1])
    func steps(_ function: @escaping (Tensor) throws -> [Tensor]) throws -> [String] {
        let spec = TensorSpec([12, 16, 64, 64], .float32)
        return try Program.trace({ x in try function(x[0]) }, inputs: ["x": spec]).optimised().plannedRun([spec]).steps.map(\.primitive)
    }
    let sliding = Sliding(padding: 1)
    #expect(
        try steps { x in
            let y = try x.conv2D(expand).relu()
            return [try y.conv2D(own, sliding: sliding, groups: 64).relu().conv2D(reduce), y]
        } == ["RectifiedConv2D", "ConvolutionChain"])
    #expect(
        try steps { x in
            let y = try x.conv2D(expand).relu().conv2D(own, sliding: sliding, groups: 64).relu()
            return [try y.conv2D(reduce), y]
        } == ["ConvolutionChain", "Conv"])
    #expect(
        try steps { x in [try x.conv2D(expand).relu().conv2D(own, sliding: sliding, groups: 64).relu().conv2D(reduce) + x.exp()] }
            == ["ConvolutionChain", "Exp", "RectifiedConv2D"])
}

/// Small inputs and outputs are copied: nobody sees the memory that the next run writes. Those that lie in one memory, or where an input does, share it.
@Test func whatIsCopiedIsTheCallersOwn() throws {
    func expect(_ function: @escaping (Tensor, Tensor) throws -> [Tensor], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let spec = TensorSpec(Shape(.symbol("rows"), Dimension(4)), .float32)
        let program = try Program.trace({ x in try function(x[0], x[1]) }, inputs: ["x": spec, "y": spec])
        var kept: [(made: [Tensor], expected: [Tensor])] = []
        // 256 rows take 4 KiB.
        for (round, rows) in [2, 2, 256, 257, 256, 2].enumerated() {
            let x = try Tensor((0..<rows * 4).map { Float($0 + round) / 2048 }, [4, rows]).transposed(), y = try x * 2
            kept.append((try program.run([x, y]), try function(x, y)))
            kept.append((try program.run([y, y]), try function(y, y)))
        }
        for (made, expected) in kept { try expectEqual(made, expected, sourceLocation: sourceLocation) }
    }
    try expect { x, y in [try x + y] }
    try expect { x, y in [try (x + y).transposed()] }
    try expect { x, y in [try x + y, try x * y, try x.exp().sum()] }
    try expect { x, y in
        let sum = try x + y
        return [sum, try sum.transposed(), sum, try x.transposed(), y]
    }
}

@Test func whatIsSharedByOutputsIsForetold() async throws {
    await #expect(processExitsWith: .success) {
        let spec = TensorSpec([32, 32], .float32), pool = MemoryPool.host
        let program = try Program.trace(
            { x in
                let y = try x[0].exp()
                return [y, y, try y.transposed(), try y.reshaped([-1])]
            }, inputs: ["x": spec])
        let memory = try program.memoryUse([spec]), x = try Tensor.ones([32, 32]), before = pool.usedBytes
        pool.resetPeak()
        for _ in 0..<3 { _ = try program.run([x]) }
        #expect(pool.peakBytes - before <= memory.peak)
    }
}

/// A stem and two blocks with a stride and an addend, whose channels fill no whole block.
private func invertedResiduals() throws -> Program {
    var generator = Philox(seed: 3)
    func weight(_ shape: Shape) throws -> Tensor { try .normal(shape, using: &generator) * 0.2 }
    let stem = try weight([24, 3, 3, 3]), bias = try weight([72])
    let (expand, own, reduce) = (try weight([72, 24, 1, 1]), try weight([72, 1, 5, 5]), try weight([24, 72, 1, 1]))
    let spec = TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(96), Dimension(96)), .float32)
    return try Program.trace(
        { x in
            var x = try x.conv2D(stem, sliding: Sliding(stride: 2, padding: 1)).relu6()
            for stride in [1, 2] {
                let inner = try x.conv2D(expand, bias: bias).relu6().conv2D(own, sliding: Sliding(stride: stride, padding: 2), groups: 72).relu6()
                let made = try inner.conv2D(reduce)
                x = stride == 1 ? try made + x : made
            }
            return x
        }, input: "x", spec
    ).optimised()
}

@Test func blocksOfConvolutionsGiveTheSameAtAnyTime() throws {
    var generator = Philox(seed: 4)
    let program = try invertedResiduals(), x = try Tensor.normal([9, 3, 96, 96], using: &generator), sizes = try program.plan(for: [x]).sizes
    let plan = try Plan(program.graph, sizes), plain = try Plan(program.graph, sizes, chainsConvolutions: false)
    #expect(plan.steps.map { type(of: $0.primitive).name } == ["RectifiedConv2D", "ConvolutionChain", "ConvolutionChain"])
    try expectClose(Execution(plan, of: program.graph).run([x]), Execution(plain, of: program.graph).run([x]), 1e-5)
    func work(_ plan: Plan) throws -> Int {
        let execution = try Execution(plan, of: program.graph)
        return try profile { () throws(TensorError) in try execution.run([x]) }.profile.events.reduce(0) { $0 + $1.flops }
    }
    // But for the addend, which a chain's inputs don't show.
    #expect(try work(plain) - work(plan) == 9 * 24 * 48 * 48)
    for picture in [0, 4, 8] {
        let one = try program(x.sliced(0, from: picture, to: picture + 1))
        try expectClose([program(x).sliced(0, from: picture, to: picture + 1)], [one], 1e-5)
    }
}

@Test func whatConvolutionsPassOnIsForetold() async throws {
    await #expect(processExitsWith: .success) {
        let program = try invertedResiduals(), pool = MemoryPool.host, x = try Tensor.ones([9, 3, 96, 96])
        let memory = try program.memoryUse([x.spec]), fresh = try invertedResiduals(), before = pool.usedBytes
        pool.resetPeak()
        for _ in 0..<3 { _ = try fresh.run([x]) }
        #expect(pool.peakBytes - before <= memory.peak - memory.constants)
    }
}

/// What is too small for a window is told of as ever, with its line.
@Test func picturesTooSmallForABlockAreRefused() throws {
    let expand = try Tensor.ones([64, 16, 1, 1]), own = try Tensor.ones([64, 1, 5, 5])
    let spec = TensorSpec(Shape(.symbol("batch"), Dimension(16), .symbol("height"), Dimension(40)), .float32)
    let program = try Program.trace({ x in try x.conv2D(expand).relu().conv2D(own, groups: 64) }, input: "x", spec).optimised()
    let error = #expect(throws: TensorError.self) { try program(.ones([1, 16, 2, 40])) }
    #expect(error.map { "\($0)".contains("window") && "\($0)".contains("PlanTests.swift") } == true, "\(error.map { "\($0)" } ?? "")")
    // Sizes whose product no number holds.
    let wide = Sliding(padding: Int(Int32.max)), open = TensorSpec(Shape(.symbol("batch"), Dimension(16), .symbol("height"), .symbol("width")), .float32)
    let padded = try Program.trace({ x in try x.conv2D(expand).relu().conv2D(own, sliding: wide, groups: 64) }, input: "x", open).optimised()
    #expect(throws: TensorError.self) { try padded(.ones([1, 16, 6, 6])) }
}

/// In a process of its own, as the next one.
@Test func whatIsMovedIsForetold() async throws {
    await #expect(processExitsWith: .success) {
        let spec = TensorSpec([2, 16, 14, 14], .float32), program = try Program.trace(gated, input: "x", spec).optimised(), pool = MemoryPool.host
        let memory = try program.memoryUse([spec]), x = try Tensor.ones([2, 16, 14, 14]), before = pool.usedBytes
        pool.resetPeak()
        for _ in 0..<3 { _ = try program.run([x]) }
        #expect(pool.peakBytes - before <= memory.peak - memory.constants - memory.prepared)
    }
}

/// The places of networks that take little time where nothing is optimised: of each kind one.
private let smallNetworks = [0, 3, 5, 6, 8, 9]

/// In a process of its own, whose pool nobody else uses: a run takes no more memory than was foretold, and not much less.
@Test(arguments: smallNetworks)
func aRunTakesNoMoreMemoryThanForetold(_ place: Int) async throws {
    await #expect(processExitsWith: .success) { [place] in
        let network = tracedNetworks[place], pool = MemoryPool.host
        let inputs = try network.sample(batch: 3, time: 6, seed: 1), program = try Program.trace(network.make(), inputs: network.inputs).optimised()
        let constants = try program.memoryUse(inputs.map(\.spec)).constants, foretold = try program.memoryUse(inputs.map(\.spec)).peak - constants
        let fresh = try Program.trace(network.make(), inputs: network.inputs).optimised(), before = pool.usedBytes
        pool.resetPeak()
        for _ in 0..<3 { _ = try fresh.run(inputs) }
        let taken = pool.peakBytes - before
        #expect(taken <= foretold, "\(network), beside \(constants) bytes of constants")
        #expect(Double(foretold) <= 1.1 * Double(taken), "\(network)")
    }
}

/// Pages of this process that are in memory.
private func residentPages() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
}

/// In a process of its own: once it has run, a program asks the system for no memory: the pool stays as large as it is, and the rest of the process
/// as near to it as a mebibyte.
@Test(arguments: smallNetworks)
func aSteadyStateTakesNoMemory(_ place: Int) async throws {
    await #expect(processExitsWith: .success) { [place] in
        let network = tracedNetworks[place], pool = MemoryPool.host
        let inputs = try network.sample(batch: 2, time: 5, seed: 1), program = try Program.trace(network.make(), inputs: network.inputs).optimised()
        for _ in 0..<3 { _ = try program.run(inputs) }
        let (held, pages) = (pool.usedBytes + pool.cachedBytes, residentPages())
        for _ in 0..<20 { _ = try program.run(inputs) }
        #expect(pool.usedBytes + pool.cachedBytes == held, "\(network)")
        #expect(residentPages() <= pages + 256, "\(network)")
    }
}

/// In a process of its own: programs that are gone leave nothing behind. Two per cent are for what the system's allocator keeps here and there.
@Test func programsThatAreGoneLeaveNoMemoryBehind() async throws {
    await #expect(processExitsWith: .success) {
        func cycle() throws {
            let network = tracedNetworks[3], inputs = try network.sample(batch: 1, time: 1, seed: 1)
            _ = try Program.trace(network.make(), inputs: network.inputs).optimised().run(inputs)
        }
        for _ in 0..<5 { try cycle() }
        MemoryPool.host.releaseCached()
        let before = residentPages()
        for _ in 0..<200 { try cycle() }
        MemoryPool.host.releaseCached()
        let after = residentPages()
        #expect(before > 0 && Double(after) <= 1.02 * Double(before), "\(before) pages became \(after)")
    }
}

@Test func runsMayHaveThreadsOfTheirOwn() throws {
    let network = tracedNetworks[1], inputs = try network.sample(batch: 2, time: 1, seed: 1), before = Threads.count
    let program = try Program.trace(network.make(), inputs: network.inputs).optimised()
    let (one, two) = (try program.run(inputs, threads: 1), try program.run(inputs, threads: 2))
    #expect(Threads.count == before)
    // Convolutions may be cut up otherwise, and so have sums in another order: 1e-5 of the largest number.
    try expectClose(one, two, 1e-5)
    #expect(throws: TensorError.self) { try program.run(inputs, threads: 0) }
}

@Test func aPlanSaysWhatEachStepDoesAndWhatItTakes() throws {
    let program = try Program.trace({ x in try (x.exp().transposed() + 1).contiguous().tanh() }, input: "x", TensorSpec([3, 4], .float32))
    let text = try program.plannedRun([TensorSpec([3, 4], .float32)]).description
    #expect(
        text == """
            step   reads  writes  layout     memory  bytes
            ----------------------------------------------
            Exp       %0      %1   plain  arena + 0     48
            Scale     %2      %3   plain     output     48
            Tanh      %3      %4   plain    over %3     48

            memory of a run                    bytes
            ----------------------------------------
            constants                              0
            constants as kernels prepare them      0
            arena                                192
            outputs                               64
            temporaries of the largest step        0
            ----------------------------------------
            at most, beside the inputs           256
            """)
}

@Test func aPlanHasNumbersForSymbolsAndBounds() throws {
    let spec = TensorSpec(Shape(.symbol("batch"), Dimension(3)), .float32), program = try Program.trace({ x in try x.exp().sum([1]) }, input: "x", spec)
    #expect(program.symbols == ["batch"])
    let specs = try program.inputSpecs(["batch": 1 << 20])
    #expect(specs == [TensorSpec([1 << 20, 3], .float32)])
    #expect(throws: TensorError(.outOfMemory(bytes: 16 << 20))) { try program.plannedRun(specs, mostBytes: 1 << 20) }
    #expect(throws: TensorError.self) { try program.plannedRun(program.inputSpecs(["batch": 2]), until: .now - .seconds(1)) }
    #expect(throws: TensorError.self) { try program.inputSpecs([:]) }
}

/// In a process of its own, whose pool nobody else uses: the memory of runs of many sizes doesn't pile up.
@Test func runsOfManySizesKeepLittleMemory() async throws {
    await #expect(processExitsWith: .success) {
        let spec = TensorSpec(Shape(.symbol("n")), .float32), pool = MemoryPool.host
        let program = try Program.trace({ x in try Tensor(Float(1)).expanded(to: Shape(x.shape[0], Dimension(1 << 20))).exp().sum() }, input: "x", spec)
        for n in 12..<20 { _ = try program.run([.zeros([n])]) }
        #expect(pool.usedBytes <= 300 << 20)
        let held = pool.usedBytes
        // The latest stays, however large.
        _ = try program.run([.zeros([80])])
        #expect(pool.usedBytes >= 80 << 22 && pool.usedBytes <= held + 81 << 22)
    }
}

/// State is copied as far as its block goes; what lies in a mapped file is no memory of the pool.
@Test func stateThatIsLeftAloneIsCopiedWhole() throws {
    func sum(_ state: Tensor) throws -> Execution {
        let spec = TensorSpec([2], .float32), program = try Program.trace({ x in try x[0] + state }, inputs: ["x": spec], state: [state])
        return try Execution(program.plan(for: [.zeros([2])]), of: program.graph, leavesState: true)
    }
    // What a program gives as it came lies within the memory of its input.
    let pool = MemoryPool.blockBytes(1 << 20)
    let whole = try Tensor.concatenated([.zeros([pool / 4 - 2]), Tensor([Float(3), 4])])
    let last = try Program.trace({ $0 }, input: "x", TensorSpec([2], .float32)).run([whole.sliced(0, from: pool / 4 - 2)])[0]
    try expectEqual(sum(last).run([.ones([2])]), [Tensor([Float(4), 5])])

    let path = FileManager.default.temporaryDirectory.appending(path: "keel-state-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(count: 8).write(to: URL(filePath: path))
    let mapped = try #require(try Tensor(in: MappedFile(path), at: 0..<8, last.spec))
    #expect(throws: TensorError.self) { try sum(mapped) }
}
