import Keel
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

private let batch = Dimension.symbol("batch")
private let rows = TensorSpec(Shape(batch, Dimension(3)), .float32)

private func reason(_ body: () throws -> Void) -> TensorError.Reason? {
    do { try body() } catch let error as TensorError { return error.reason } catch {}
    return nil
}

@Test func inputsAndOutputsHaveNames() throws {
    let program = try Program.trace(
        { x in ["sum": [try x[0] + x[1], try x[0] - x[1]], "first": [x[0]]] }, inputs: ["a": rows, "b": rows])
    #expect(program.inputs.map(\.name) == ["a", "b"])
    #expect(program.outputs.map(\.name) == ["first.0", "sum.0", "sum.1"])
    #expect(program.outputs[1].spec == rows)
    let a = try Tensor([Float(1), 2, 3], [1, 3]), b = try Tensor([Float(3), 2, 1], [1, 3])
    let made = try program.run(["a": a, "b": b])
    #expect(try made["sum.0"]?.elements() == [4, 4, 4])
    #expect(try made["sum.1"]?.elements() == [-2, 0, 2])
    #expect(try made["first.0"]?.elements() == [1, 2, 3])
}

@Test func aSymbolTakesAnySize() throws {
    let weight = try Tensor([Float(1), 0, 0, 2, 1, 0], [2, 3])
    let program = try Program.trace({ x in try x.affine(weight).mean([0]) }, input: "x", rows)
    for size in [1, 2, 5] {
        let x = try Tensor((0..<3 * size).map { Float($0) }, [size, 3])
        try expectEqual([program(x)], [x.affine(weight).mean([0])])
    }
}

@Test func sizesAreComputedWithSymbols() throws {
    let time = Dimension.symbol("time")
    let spec = TensorSpec(Shape(batch, time, Dimension(4)), .float32)
    let program = try Program.trace(
        { x in
            let flat = try x[0].reshaped([-1, 2])
            return [flat, try Tensor.concatenated([x[0], x[0]], axis: 1).flattened(from: 1)]
        }, inputs: ["x": spec])
    #expect(program.outputs[0].spec.shape == Shape(batch * time * Dimension(2), Dimension(2)))
    let made = try program.run([try Tensor.zeros([3, 5, 4])])
    #expect(made.map(\.shape) == [[30, 2], [3, 40]])
}

@Test func inputsThatDoNotFitAreRefused() throws {
    let program = try Program.trace({ x in try x[0] + x[1] }, inputs: ["a": rows, "b": rows])
    func given(_ a: Shape, _ b: Shape, _ dtype: DType = .float32) -> TensorError.Reason? {
        reason { _ = try program.run([try Tensor.zeros(a), try Tensor.zeros(b, dtype)]) }
    }
    #expect(given([2, 3], [2, 3]) == nil)
    #expect(given([2, 3], [4, 3]) == .shape(primitive: "program", expected: "'b' [batch, 3] with batch = 2", [4, 3]))
    #expect(given([2, 4], [2, 3]) == .shape(primitive: "program", expected: "'a' [batch, 3] with batch = 2", [2, 4]))
    #expect(given([2, 3], [3]) == .shape(primitive: "program", expected: "'b' [batch, 3]", [3]))
    #expect(given([2, 3], [2, 3], .int32) == .dtype(primitive: "program", expected: "float32 for 'b'", .int32))
    #expect(reason { _ = try program.run([try Tensor.zeros([2, 3])]) } == .argument(primitive: "program", name: "inputs", given: "1", allowed: "2"))
    #expect(reason { _ = try program.run(["a": try Tensor.zeros([2, 3])]) } == .argument(primitive: "program", name: "inputs", given: "a", allowed: "a, b"))
}

@Test func aSymbolStandsAloneSomewhere() {
    let half = TensorSpec(Shape(batch * Dimension(2)), .float32)
    #expect(reason { _ = try Program.trace({ x in x }, input: "x", half) } != nil)
}

@Test func readingWhileTracingIsRefusedAndTheLineIsNamed() throws {
    var line = 0
    func decide(_ x: Tensor) throws -> Tensor {
        line = #line + 1
        if try x.sum().item() > 0 { return try x.relu() }
        return x
    }
    let error = #expect(throws: TensorError.self) { _ = try Program.trace(decide, input: "x", rows) }
    guard case .traced? = error?.reason else {
        Issue.record("\(String(describing: error))")
        return
    }
    #expect(error?.description.hasSuffix("(at TracingTests.swift:\(line))") == true)
}

@Test func whatIsRefusedIsRefusedEvenIfCaught() {
    let spec = TensorSpec([2, 3], .float32)
    for read: (Tensor) throws -> Void in [
        { _ = try $0.elements() }, { _ = try $0.sum().item() }, { try $0.withBytes { _ in } }, { _ = try $0.transposed().elements() },
    ] {
        guard case .traced? = reason({
            _ = try Program.trace(
                { x in
                    try? read(x)
                    return x
                }, input: "x", spec)
        })
        else {
            Issue.record("was read")
            continue
        }
    }
}

@Test func aTracedTensorPrintsWithoutNumbers() throws {
    var text = ""
    _ = try Program.trace(
        { x in
            text = "\(x)"
            return x
        }, input: "x", TensorSpec([2], .float32))
    #expect(text == "float32[2], whose numbers a program has when it runs")
}

@Test func aSymbolsNumberIsRefused() throws {
    #expect(reason { _ = try Program.trace({ x in try x * Double(x.shape.size(0)) }, input: "x", rows) } == .symbolicDimension(batch))
    // A count throws nothing itself; so the trace does.
    #expect(reason { _ = try Program.trace({ x in try x * Double(x.count) }, input: "x", rows) } == .symbolicDimension(batch * Dimension(3)))
    #expect(reason { _ = try Program.trace({ x in try x.sliced(0, to: 1) }, input: "x", rows) } == .symbolicDimension(batch))
}

/// What is taken of every second place has half as many, rounded as a run has it.
@Test func sizesThatAreHalvedStaySymbols() throws {
    var generator = Philox(seed: 1)
    let weight = try Tensor.normal([2, 3, 3, 3], using: &generator)
    let spec = TensorSpec(Shape(batch, Dimension(3), .symbol("height"), .symbol("width")), .float32)
    func function(_ x: Tensor) throws -> Tensor {
        let y = try x.conv2D(weight, sliding: Sliding(stride: 2, padding: 1)).maxPool2D(2)
        return try y.flattened(from: 1, through: 2).at(-1, axis: 2)
    }
    let program = try Program.trace(function, input: "x", spec)
    #expect(program.outputs[0].spec.description == "float32[batch, 2·⌊(height + 1) / 4⌋]")
    for (height, width) in [(6, 9), (7, 4), (5, 8), (8, 3)] {
        let x = try Tensor.normal([2, 3, height, width], using: &generator)
        try expectEqual([program(x)], [function(x)])
    }
    #expect(throws: TensorError.self) { try program(Tensor.zeros([2, 3, 6, 1])) }
}

@Test func tracedTensorsDoNotOutliveTheirFunction() throws {
    var kept: Tensor?
    _ = try Program.trace(
        { x in
            kept = x
            return x
        }, input: "x", rows)
    let x = try #require(kept)
    for use: (Tensor) throws -> Void in [{ _ = try $0 + 1 }, { x in _ = try Program.trace({ try $0 + x }, input: "y", rows) }] {
        guard case .traced? = reason({ try use(x) }) else {
            Issue.record("was used")
            continue
        }
    }
}

@Test func aProgramKeepsItsConstants() throws {
    var generator = Philox(seed: 7)
    let network = try Linear(3, 2, using: &generator)
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", rows)
    let x = try Tensor([Float(1), 2, 3], [1, 3]), before = try program(x)
    try network.weight.updateRunning(towards: .zeros([2, 3]), momentum: 1)
    #expect(try network.weight.elements() == [0, 0, 0, 0, 0, 0])
    try expectEqual([program(x)], [before])
}

@Test func whatRunsOnConstantsAloneIsNoNode() throws {
    let weight = try Tensor([Float(1), 2, 3])
    let program = try Program.trace({ try $0 * (weight * weight).exp() }, input: "x", rows)
    #expect(program.graph.nodes.count == 1)
}

@Test func stateIsReadAndWrittenInPlace() throws {
    let (norm, eager) = (try BatchNorm(3), try BatchNorm(3))
    let program = try Program.trace(
        { try norm($0[0], in: .training(seed: 0, step: 0)) }, inputs: ["x": rows], state: [norm.runningMean, norm.runningVariance])
    // Tracing ran nothing.
    #expect(try norm.runningMean.elements() == [0, 0, 0])
    for size in [4, 2] {
        let x = try Tensor((0..<3 * size).map { Float($0 * $0) }, [size, 3])
        try expectEqual([program(x)], [eager(x, in: .training(seed: 0, step: 0))])
        try expectEqual([norm.runningMean, norm.runningVariance], [eager.runningMean, eager.runningVariance])
    }
    // An optimised program updates it as well.
    let x = try Tensor((0..<6).map { Float($0) }, [2, 3])
    try expectEqual([program.optimised()(x)], [eager(x, in: .training(seed: 0, step: 0))])
    try expectEqual([norm.runningMean, norm.runningVariance], [eager.runningMean, eager.runningVariance])
}

@Test func whatIsUpdatedIsState() throws {
    // Else it would be frozen, or updated once, by tracing.
    let norm = try BatchNorm(3), counter = try Tensor(Float(0))
    for function: (Tensor) throws -> Tensor in [
        { try norm($0, in: .training(seed: 0, step: 0)) },
        { x in
            try counter.updateRunning(towards: Tensor(Float(1)), momentum: 1)
            return x
        },
    ] {
        guard case .traced? = reason({ _ = try Program.trace(function, input: "x", rows) }) else {
            Issue.record("was traced")
            continue
        }
    }
    #expect(try counter.item() == 0)
}

@Test func stateIsNotReadWhileItIsTraced() throws {
    let counter = try Tensor(Float(3))
    guard case .traced? = reason({
        _ = try Program.trace({ x in try x[0] * Double(counter.item()) }, inputs: ["x": rows], state: [counter])
    })
    else {
        Issue.record("was read")
        return
    }
    #expect(try counter.item() == 3)
}

@Test func aTrainingStepIsAProgram() throws {
    let weights = TensorSpec([2, 3], .float32), labels = TensorSpec(Shape(batch), .int64)
    func step(_ x: Tensor, _ labels: Tensor, _ weight: Tensor) throws -> [Tensor] {
        let weight = weight.requiringGradient()
        let loss = try x.affine(weight).softmaxCrossEntropy(labels)
        let slope = try loss.gradients(of: [weight])[0]
        return [loss.detached(), try weight.detached() - slope * 0.1]
    }
    let program = try Program.trace({ try step($0[0], $0[1], $0[2]) }, inputs: ["x": rows, "labels": labels, "weight": weights])
    var (own, eager) = (try Tensor.zeros([2, 3]), try Tensor.zeros([2, 3]))
    for size in [4, 2, 4] {
        let x = try Tensor((0..<3 * size).map { Float($0 % 5) }, [size, 3]), labels = try Tensor((0..<size).map { Int64($0 % 2) })
        let made = try program.run([x, labels, own]), expected = try step(x, labels, eager)
        try expectEqual(made, expected)
        (own, eager) = (made[1], expected[1])
    }
}

/// The gradient of a mean begins with a constant over a size that only a run knows.
@Test func aMeanOfOpenSizesHasAGradient() throws {
    let program = try Program.trace(
        { x in
            let variable = x.requiringGradient()
            return try variable.mean().gradients(of: [variable])[0]
        }, input: "x", rows)
    for size in [1, 4] { #expect(try program(Tensor.ones([size, 3])).elements() == Array(repeating: 1 / Float(3 * size), count: 3 * size)) }
}

@Test func errorsOfARunNameTheLineThatWasTraced() throws {
    let table = try Tensor((0..<8).map { Float($0) }, [4, 2])
    let line = #line + 1
    let program = try Program.trace({ try table.gathered($0) }, input: "ids", TensorSpec(Shape(batch), .int64))
    #expect(try program(Tensor([Int64(3), 0])).elements() == [6, 7, 0, 1])
    let error = #expect(throws: TensorError.self) { _ = try program(Tensor([Int64(0), 9])) }
    #expect(error?.reason == .indexOutOfRange(primitive: "Gather", position: 1, index: 9, limit: 4))
    #expect(error?.description.hasSuffix("(at TracingTests.swift:\(line))") == true)
}

@Test func manyThreadsRunOneProgram() async throws {
    let weight = try Tensor((0..<64 * 3).map { Float($0 % 7) - 3 }, [64, 3])
    let program = try Program.trace({ try $0.affine(weight).relu().softmax() }, input: "x", rows)
    let inputs = try (1...16).map { size in try Tensor((0..<3 * size).map { Float($0 % 11) / 4 }, [size, 3]) }
    let expected = try inputs.map { try $0.affine(weight).relu().softmax() }
    try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<8 {
            group.addTask {
                for i in 0..<64 {
                    let place = (i * 5 + task) % inputs.count
                    try expectEqual([program(inputs[place])], [expected[place]])
                }
            }
        }
        try await group.waitForAll()
    }
}

@Test func aProgramPrintsItsGraph() throws {
    let weight = try Tensor.zeros([2, 3]), counter = try Tensor(Float(0))
    let program = try Program.trace(
        { x in
            try counter.updateRunning(towards: Tensor(Float(1)), momentum: 0.5)
            return try x[0].affine(weight) * 2
        }, inputs: ["x": rows], state: [counter])
    #expect(
        program.description == """
            inputs
              %1 = x : float32[batch, 3]
            constants, 28 bytes
              $3 : float32[]
              $5 : float32[2, 3]
            state
              %0 -> %4
            nodes
              %2 = MemoryView(spec: float32[], strides: [], offset: 0) %0 : float32[]
              %4 = RunningStatistic(momentum: 0.5, samples: nil) %2 $3 : memory
              %6 = Affine %1 $5 : float32[batch, 2]
              %7 = Scale(factor: 2.0, offset: 0.0) %6 : float32[batch, 2]
            outputs
              output = %7 : float32[batch, 2]
            """)
}

/// Each looked for among all, so many would take minutes.
@Test(.timeLimit(.minutes(1))) func manySymbolsAreToldApart() {
    let all = (0..<60_000).map { Dimension.symbol("many\($0)") }
    #expect(Set(all).count == all.count)
    #expect(Dimension.symbol("many59999") == all[59_999])
}
