import Keel
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import KeelTestSupport
import Testing

private let x = TensorSpec(Shape(.symbol("batch"), Dimension(3)), .float32)

extension Program {
    /// Its primitives, in order.
    fileprivate var primitives: [String] { graph.nodes.map { type(of: $0.primitive).name } }
}

/// Passes, by the primitives before and after; and what they keep.
private func expect(
    _ passes: Pass..., before: [String], after: [String], tolerance: Float = 0, sourceLocation: SourceLocation = #_sourceLocation,
    _ function: (Tensor) throws -> some TensorGroup
) throws {
    let program = try Program.trace(function, input: "x", x), passed = try program.optimised(passes)
    #expect(program.primitives == before, sourceLocation: sourceLocation)
    #expect(passed.primitives == after, sourceLocation: sourceLocation)
    let given = try Tensor([Float(1), -2, 3, 0, 5, -6], [2, 3])
    try expectClose(passed.run([given]), program.run([given]), tolerance, sourceLocation: sourceLocation)
}

@Test func deadCodeGoes() throws {
    try expect(.deadCode, before: ["Exp", "Log", "Neg"], after: ["Neg"]) { x in
        _ = try x.exp().log()
        return try x.negated()
    }
}

@Test func residualsThatNoGradientReadsAreNotMade() throws {
    let scale = try Tensor([Float(1), 2, 3]), bias = try Tensor([Float(3), 2, 1])
    let program = try Program.trace(
        { x in
            let variable = x.requiringGradient(), y = try variable.layerNormalised(scale: scale, bias: bias)
            _ = try y.sum().gradients(of: [variable])
            return y.detached()
        }, input: "x", x)
    #expect(program.graph.nodes.map(\.residuals).first == 2)
    #expect(try program.optimised([.deadCode]).graph.nodes.map(\.residuals) == [0])
}

@Test func whatIsComputedTwiceIsComputedOnce() throws {
    try expect(.commonSubexpressions, before: ["Exp", "Tanh", "Exp", "Tanh", "Add"], after: ["Exp", "Tanh", "Add"]) { x in
        try x.exp().tanh() + x.exp().tanh()
    }
    // Equal constants are one.
    try expect(.commonSubexpressions, before: ["Mul", "Mul", "Add"], after: ["Mul", "Add"]) { x in
        try x * Tensor([Float(1), 2, 3]) + x * Tensor([Float(1), 2, 3])
    }
    // Of other numbers, and with other sizes of its own, it is something else.
    try expect(.commonSubexpressions, before: ["Mul", "Mul", "Add"], after: ["Mul", "Mul", "Add"]) { x in
        try x * Tensor([Float(1), 2, 3]) + x * Tensor([Float(1), 2, 4])
    }
    try expect(.commonSubexpressions, before: ["ReduceSum", "ReduceSum"], after: ["ReduceSum", "ReduceSum"]) { x in [try x.sum([0]), try x.sum([1])] }
}

@Test func constantsAreFolded() throws {
    // Tracing leaves nothing to fold; what other passes and files bring does.
    var graph = try Program.trace({ try $0.exp() + 1 }, input: "x", TensorSpec([2], .float32)).graph
    let input = graph.inputs.removeFirst()
    graph.constants[input.value] = try Tensor([Float(0), 1])
    let folded = try Program(graph).optimised([.constantFolding])
    #expect(folded.primitives.isEmpty)
    try expectEqual(folded.run([Tensor]()), [Tensor([Float(0), 1]).exp() + 1])

    // A scalar is not stretched to what a model would be a hundred times as large with.
    var wide = try Program.trace({ try $0.expanded(to: [1000, 1000]) }, input: "x", TensorSpec([], .float32)).graph
    wide.constants[wide.inputs.removeFirst().value] = try Tensor(Float(1))
    #expect(try Program(wide).optimised([.constantFolding]).primitives == ["Expand"])
}

@Test func whatChangesNothingIsLeftOut() throws {
    let (zero, ones) = (try Tensor(Float(0)), try Tensor.ones([3]))
    try expect(.algebra, before: ["Add", "Mul", "Sub", "Div", "Exp"], after: ["Exp"]) { x in try (((zero + x) * ones - zero) / ones).exp() }
    try expect(.algebra, before: ["Scale", "Exp"], after: ["Exp"]) { x in try (x * 1).exp() }
    try expect(.algebra, before: ["Concat"], after: []) { x in try Tensor.concatenated([x]) }
    try expect(.algebra, .deadCode, before: ["Transpose", "Transpose", "Exp"], after: ["Exp"]) { x in try x.transposed().transposed().exp() }
    // What stretches the other side, and what isn't all of one number, stays.
    try expect(.algebra, before: ["Add"], after: ["Add"]) { x in try Tensor.zeros([2, 1, 1]) + x }
    try expect(.algebra, before: ["Mul"], after: ["Mul"]) { x in try x * Tensor([Float(1), 1, 2]) }
    try expect(.algebra, before: ["Sub"], after: ["Sub"]) { x in try zero - x }
}

@Test func twoStepsBecomeOne() throws {
    // Rounded once instead of twice.
    try expect(.algebra, .deadCode, before: ["Scale", "Scale", "Scale"], after: ["Scale"], tolerance: 2e-7) { x in try (x * 3 + 1) * 0.1 }
    try expect(.algebra, .deadCode, before: ["Relu", "Relu"], after: ["Relu"]) { x in try x.relu().relu() }
    try expect(.algebra, .deadCode, before: ["Neg", "Neg", "Exp"], after: ["Exp"]) { x in try x.negated().negated().exp() }
    try expect(.algebra, .deadCode, before: ["Reshape", "Reshape"], after: ["Reshape"]) { x in try x.flattened().withAxis(0) }
    // The first one stays where something else reads it.
    try expect(.algebra, .deadCode, before: ["Scale", "Scale"], after: ["Scale", "Scale"], tolerance: 2e-7) { x in
        let y = try x * 3
        return [y, try y * 0.5]
    }
}

@Test func normalisationIsFoldedIntoWhatComesBefore() throws {
    var generator = Philox(seed: 5)
    let factor = try Tensor.uniform([4], in: 0.5...2, using: &generator), shift = try Tensor.normal([4], using: &generator)
    let weight = try Tensor.normal([4, 3], using: &generator), bias = try Tensor.normal([4], using: &generator)
    // The same products with weights that were rounded once more: 1e-6 of the largest number.
    try expect(.normalisationFolding, before: ["Affine", "ChannelAffine"], after: ["Affine"], tolerance: 1e-6) { x in
        try x.affine(weight, bias: bias).channelAffine(factor: factor, shift: shift)
    }
    try expect(.normalisationFolding, before: ["Reshape", "Reshape", "Conv", "ChannelAffine"], after: ["Reshape", "Reshape", "Conv"], tolerance: 1e-6) { x in
        let kernel = try weight.reshaped([4, 1, 1, 3])
        return try x.withAxis(1).withAxis(1).conv2D(kernel).channelAffine(factor: factor, shift: shift)
    }
    try expect(.normalisationFolding, before: ["ChannelAffine", "ChannelAffine"], after: ["ChannelAffine"], tolerance: 1e-6) { x in
        let (factor, shift) = (try factor.sliced(0, to: 3), try shift.sliced(0, to: 3))
        return try x.channelAffine(factor: factor, shift: shift).channelAffine(factor: shift, shift: factor)
    }
    // Written as a product and a sum, either way round.
    try expect(.normalisationFolding, before: ["Reshape", "Reshape", "Conv", "Mul", "Add"], after: ["Reshape", "Reshape", "Conv"], tolerance: 1e-6) { x in
        let y = try x.withAxis(1).withAxis(1).conv2D(weight.reshaped([4, 1, 1, 3]))
        return try shift.reshaped([1, 4, 1, 1]) + y * factor.reshaped([4, 1, 1])
    }
    try expect(.normalisationFolding, before: ["Affine", "Mul"], after: ["Affine"], tolerance: 1e-6) { x in try factor * x.affine(weight, bias: bias) }
    // Along another axis than the channels', and as large as the result.
    try expect(.normalisationFolding, before: ["Reshape", "Reshape", "Conv", "Mul"], after: ["Reshape", "Reshape", "Conv", "Mul"]) { x in
        try x.withAxis(1).withAxis(1).conv2D(Tensor.full(0.5, [4, 1, 1, 1])) * shift.sliced(0, to: 3)
    }
    // What something else reads, too, stays.
    try expect(.normalisationFolding, before: ["Affine", "ChannelAffine"], after: ["Affine", "ChannelAffine"]) { x in
        let y = try x.affine(weight)
        return [y, try y.channelAffine(factor: factor, shift: shift)]
    }
}

/// Numbers of which some rows are zero.
private func weights(_ shape: Shape, without rows: [Int], seed: UInt64) throws -> Tensor {
    var generator = Philox(seed: seed)
    let places = try Tensor(rows.map(Int64.init)), parts = try Tensor.normal(shape, using: &generator)
    return try parts.scattered(parts: parts.gathered(places) * 0, at: places)
}

/// The shapes of weights and biases before and after; and the same numbers, up to the order of sums: 1e-5 of the largest.
private func expectNarrowed(
    _ spec: TensorSpec, before: [Shape], after: [Shape], sourceLocation: SourceLocation = #_sourceLocation, _ function: (Tensor) throws -> some TensorGroup
) throws {
    let program = try Program.trace(function, input: "x", spec), narrow = try program.optimised([.deadChannels])
    func shapes(_ program: Program) -> [Shape] {
        program.graph.nodes.flatMap { node in node.inputs.dropFirst().compactMap { program.graph.constants[$0]?.shape }.filter { $0.rank > 0 } }
    }
    #expect(shapes(program) == before, sourceLocation: sourceLocation)
    #expect(shapes(narrow) == after, sourceLocation: sourceLocation)
    #expect(program.primitives == narrow.primitives, sourceLocation: sourceLocation)
    var generator = Philox(seed: 3)
    let given = try Tensor.normal(spec.shape.resolved(SymbolSizes(["batch": 2])), using: &generator)
    try expectClose(narrow.run([given]), program.run([given]), 1e-5, sourceLocation: sourceLocation)
    try expectClose(program.optimised().run([given]), program.run([given]), 1e-5, sourceLocation: sourceLocation)
}

@Test func channelsThatAreAlwaysZeroAreLeftOut() throws {
    let first = try weights([4, 3], without: [1, 3], seed: 1), bias = try weights([4], without: [1, 3], seed: 2)
    let second = try weights([5, 4], without: [0], seed: 3), third = try weights([2, 5], without: [], seed: 4)
    try expectNarrowed(x, before: [[4, 3], [4], [5, 4], [2, 5]], after: [[2, 3], [2], [4, 2], [2, 4]]) { x in
        try x.affine(first, bias: bias).relu().affine(second).tanh().affine(third)
    }
    // Functions that come together again, with numbers beside them; and readers of more than one kind.
    try expectNarrowed(x, before: [[4, 3], [5, 4], [5, 4]], after: [[2, 3], [5, 2], [5, 2]]) { x in
        let y = try x.affine(first)
        let z = try y * ((y + 3).relu6() / 6)
        return [try z.affine(second), try y.gelu().affine(second)]
    }
    // Of layers whose sum is read, what is zero in all.
    let other = try weights([4, 3], without: [0, 3], seed: 5)
    try expectNarrowed(x, before: [[4, 3], [4, 3], [4], [5, 4]], after: [[3, 3], [3, 3], [3], [5, 3]]) { x in
        try (x.affine(other) + x.affine(first, bias: bias)).relu().affine(second)
    }
    // One stays.
    let none = try Tensor.zeros([4, 3])
    try expectNarrowed(x, before: [[4, 3], [5, 4]], after: [[1, 3], [5, 1]]) { x in try x.affine(none).relu().affine(second) }
}

@Test func channelsOfPicturesAreLeftOut() throws {
    let pictures = TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(8), Dimension(8)), .float32)
    let first = try weights([6, 3, 3, 3], without: [0, 5], seed: 1), second = try weights([4, 6, 3, 3], without: [2], seed: 2)
    let same = try weights([4, 4, 1, 1], without: [2], seed: 3), head = try weights([2, 4], without: [], seed: 4)
    let padded = Sliding(padding: 1)
    try expectNarrowed(pictures, before: [[6, 3, 3, 3], [4, 6, 3, 3], [2, 4]], after: [[4, 3, 3, 3], [3, 4, 3, 3], [2, 3]]) { x in
        try x.conv2D(first, sliding: padded).relu().maxPool2D(2).conv2D(second, sliding: padded).relu6().mean([2, 3]).affine(head)
    }
    // A shortcut: the middle layer has the same channels on both of its sides.
    try expectNarrowed(pictures, before: [[6, 3, 3, 3], [4, 6, 3, 3], [4, 4, 1, 1], [2, 4]], after: [[4, 3, 3, 3], [3, 4, 3, 3], [3, 3, 1, 1], [2, 3]]) { x in
        let y = try x.conv2D(first, sliding: padded).relu().conv2D(second, sliding: padded).relu()
        return try (y + y.conv2D(same)).relu().mean([2, 3]).affine(head)
    }
}

@Test func channelsThatSomethingElseSeesStay() throws {
    let first = try weights([4, 3], without: [1, 3], seed: 1), bias = try weights([4], without: [], seed: 2), second = try weights([5, 4], without: [], seed: 3)
    func expectKept(_ shapes: [Shape], _ function: (Tensor) throws -> some TensorGroup) throws { try expectNarrowed(x, before: shapes, after: shapes, function) }
    try expectKept([[4, 3], [4], [5, 4]]) { x in try x.affine(first, bias: bias).relu().affine(second) }
    // A function that makes something of zero.
    try expectKept([[4, 3], [5, 4]]) { x in try x.affine(first).sigmoid().affine(second) }
    // One that looks at all channels.
    try expectKept([[4, 3], [5, 4]]) { x in try x.affine(first).softmax().affine(second) }
    // What is given away, what is added to other numbers, and what nothing reads.
    try expectKept([[4, 3], [5, 4]]) { x in
        let y = try x.affine(first).relu()
        return [y, try y.affine(second)]
    }
    try expectKept([[4, 3], [4], [5, 4]]) { x in try (x.affine(first) + bias).affine(second) }
    try expectKept([[4, 3]]) { x in try x.affine(first).relu() }
    let grouped = TensorSpec(Shape(.symbol("batch"), Dimension(4), Dimension(5), Dimension(5)), .float32)
    let filters = try weights([4, 2, 1, 1], without: [0], seed: 6), whole = try weights([4, 4, 1, 1], without: [], seed: 7)
    try expectNarrowed(grouped, before: [[4, 2, 1, 1], [4, 4, 1, 1]], after: [[4, 2, 1, 1], [4, 4, 1, 1]]) { x in
        try x.conv2D(filters, groups: 2).relu().conv2D(whole)
    }
    // Along another axis they are no channels.
    let rows = try weights([3, 5], without: [], seed: 8)
    try expectNarrowed(grouped, before: [[4, 4, 1, 1], [3, 5]], after: [[4, 4, 1, 1], [3, 5]]) { x in
        try x.conv2D(weights([4, 4, 1, 1], without: [0], seed: 9)).relu().affine(rows)
    }
}

/// Half of the hidden channels go while it trains, and then from the program.
@Test func whatWasPrunedAsChannelsIsASmallerProgram() throws {
    struct Net: Layer {
        var conv: Conv2D
        var norm: BatchNorm
        var head: Linear

        init() throws(TensorError) {
            var generator = Philox(seed: 1)
            conv = try Conv2D(1, 8, kernel: 3, padding: 1, using: &generator)
            norm = try BatchNorm(8)
            head = try Linear(8, 3, using: &generator)
        }

        func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
            try head(norm(conv(x, in: context), in: context).relu().mean([2, 3]), in: context)
        }

        mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
            try conv.forEachState(body, under: "conv")
            try norm.forEachState(body, under: "norm")
            try head.forEachState(body, under: "head")
        }
    }
    var generator = Philox(seed: 4)
    let pictures = try Tensor.normal([32, 1, 6, 6], using: &generator), labels = try Tensor((0..<32).map { Int64($0 % 3) })
    var batches = try TensorBatches(pictures, labels, batchSize: 8, shuffledBy: 1)
    let trainer = try Trainer(Net(), seed: 1, optimizer: { try AdamW($0, learningRate: 0.01) }) { (net: Net, batch: [Tensor], context) in
        try net(batch[0], in: context).softmaxCrossEntropy(batch[1])
    }
    trainer.pruning = try Pruning(
        .channels(power: 1), of: trainer.optimizer.parameters, sparsity: .constant(0.5), everySteps: 4, where: { name, _ in name == "conv.weight" },
        followers: ["conv.weight": ["norm.scale", "norm.bias"]])
    try trainer.train(on: &batches, epochs: 3)
    let network = trainer.network
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", TensorSpec(Shape(.symbol("batch"), Dimension(1), Dimension(6), Dimension(6)), .float32))
    let ready = try program.optimised()
    #expect(ready.graph.constants.values.map(\.shape).filter { $0.rank > 1 }.sorted { $0.rank > $1.rank } == [[4, 1, 3, 3], [3, 4]])
    try expectClose(ready.run([pictures]), program.run([pictures]), 1e-5)
}

@Test func whatFollowsAConvolutionIsDoneWithIt() throws {
    var generator = Philox(seed: 6)
    let pictures = TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(6), Dimension(6)), .float32)
    let weight = try Tensor.normal([3, 3, 3, 3], using: &generator), bias = try Tensor.normal([3], using: &generator)
    let images = try Tensor.normal([2, 3, 6, 6], using: &generator)
    func conv(_ x: Tensor, bias: Tensor? = nil) throws -> Tensor { try x.conv2D(weight, bias: bias, sliding: Sliding(padding: 1)) }
    func expectFused(_ after: [String], _ function: (Tensor) throws -> some TensorGroup) throws {
        let program = try Program.trace(function, input: "images", pictures), fused = try program.optimised([.convolutionFusion])
        #expect(fused.primitives == after)
        // The sum has another order: 1e-5 of the largest number.
        try expectClose(fused.run([images]), program.run([images]), 1e-5)
    }
    try expectFused(["RectifiedConv2D"]) { x in try conv(x, bias: bias).relu() }
    try expectFused(["RectifiedConv2D"]) { x in try (x + conv(x)).relu6() }
    try expectFused(["Conv", "Transpose", "RectifiedConv2D"]) { x in try (conv(x) + conv(x.transposed(), bias: bias)).relu() }
    try expectFused(["RectifiedConv2D", "Tanh"]) { x in try (conv(x) + x).tanh() }
    // A bias of another shape, other limits, and what is read twice, stay.
    try expectFused(["Conv", "Add"]) { x in try conv(x) + bias.reshaped([3, 1, 1]) }
    try expectFused(["Conv", "Clip"]) { x in try conv(x).clipped(from: -1, to: 1) }
    try expectFused(["Conv", "Relu"]) { x in
        let y = try conv(x)
        return [y, try y.relu()]
    }
}

@Test func geluIsRecognisedWhicheverWayItIsWritten() throws {
    let root = 2.0.squareRoot(), two = try Tensor(Float(root)), half = try Tensor(Float(0.5)), one = try Tensor(Float(1))
    // Another order of roundings: a few units in the last place of numbers up to 5.
    try expect(.geluRecognition, .deadCode, before: ["Div", "Erf", "Add", "Mul", "Mul"], after: ["Gelu"], tolerance: 1e-6) { x in
        try x * ((x / two).erf() + one) * half
    }
    try expect(.geluRecognition, .deadCode, before: ["Scale", "Scale", "Erf", "Scale", "Mul"], after: ["Gelu"], tolerance: 1e-6) { x in
        try (x * 0.5) * ((x * (1 / root)).erf() + 1)
    }
    try expect(.algebra, .geluRecognition, .deadCode, before: ["Scale", "Erf", "Scale", "Scale", "Mul"], after: ["Gelu"], tolerance: 1e-6) { x in
        try (0.5 * (1 + (x * (1 / root)).erf())) * x
    }
    let constant = (2 / Double.pi).squareRoot(), three = try Tensor(Float(3))
    try expect(
        .geluRecognition, .deadCode, before: ["Scale", "Pow", "Scale", "Add", "Scale", "Tanh", "Scale", "Mul"], after: ["GeluTanh"], tolerance: 1e-6
    ) { x in
        let halved = try x * 0.5, cubed = try x.power(three)
        return try halved * (((x + cubed * 0.044715) * constant).tanh() + 1)
    }
    try expect(
        .geluRecognition, .deadCode, before: ["Mul", "Scale", "Scale", "Mul", "Scale", "Tanh", "Scale", "Mul", "Scale"], after: ["GeluTanh"], tolerance: 1e-6
    ) { x in try x * ((x * (1 + x * x * 0.044715) * constant).tanh() + 1) * 0.5 }
    // Something that only looks like it.
    try expect(.geluRecognition, .deadCode, before: ["Scale", "Erf", "Scale", "Mul", "Scale"], after: ["Scale", "Erf", "Scale", "Mul", "Scale"]) { x in
        try x * ((x * 0.7).erf() + 1) * 0.5
    }
    try expect(.geluRecognition, .deadCode, before: ["Scale", "Erf", "Scale", "Mul", "Scale"], after: ["Scale", "Erf", "Scale", "Mul", "Scale"]) { x in
        try x * ((x * (1 / root)).erf() + 1) * 0.25
    }
}

@Test func layerNormIsRecognised() throws {
    let scale = try Tensor([Float(1), 2, 3]), bias = try Tensor([Float(3), 2, 1]), two = try Tensor(Float(2)), epsilon = try Tensor(Float(1e-5))
    let statistics = ["ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div"]
    func normalised(_ x: Tensor) throws -> Tensor {
        let difference = try x - x.mean([-1], keepingAxes: true)
        return try difference / (difference.power(two).mean([-1], keepingAxes: true) + epsilon).squareRoot()
    }
    // Sums in another order: a few units in the last place.
    try expect(.layerNormRecognition, .deadCode, before: statistics + ["Mul", "Add"], after: ["LayerNormalization"], tolerance: 1e-6) { x in
        try normalised(x) * scale + bias
    }
    try expect(.layerNormRecognition, .deadCode, before: statistics + ["Mul"], after: ["LayerNormalization"], tolerance: 1e-6) { x in try scale * normalised(x) }
    try expect(.layerNormRecognition, .deadCode, before: statistics, after: ["LayerNormalization"], tolerance: 1e-6) { x in try normalised(x) }
    try expect(
        .layerNormRecognition, .deadCode, before: ["ReduceMean", "Sub", "Mul", "ReduceMean", "Scale", "Sqrt", "Reciprocal", "Mul", "Add"],
        after: ["LayerNormalization", "Add"], tolerance: 1e-6
    ) { x in
        let difference = try x - x.mean([-1], keepingAxes: true)
        return try difference * ((difference * difference).mean([-1], keepingAxes: true) + 1e-5).squareRoot().reciprocal() + x
    }
    // Over another axis, and of something else than its own mean.
    let other = ["ReduceMean", "Sub", "Mul", "ReduceMean", "Scale", "Sqrt", "Div"]
    try expect(.layerNormRecognition, .deadCode, before: other, after: other) { x in
        let difference = try x - x.mean([0], keepingAxes: true)
        return try difference / ((difference * difference).mean([0], keepingAxes: true) + 1e-5).squareRoot()
    }
    try expect(.layerNormRecognition, .deadCode, before: ["Exp"] + other, after: ["Exp"] + other) { x in
        let difference = try x - x.exp().mean([-1], keepingAxes: true)
        return try difference / ((difference * difference).mean([-1], keepingAxes: true) + 1e-5).squareRoot()
    }
}

@Test func attentionIsRecognised() throws {
    let time = Dimension.symbol("time"), batch = Dimension.symbol("batch")
    let sequences = TensorSpec(Shape(batch, time, Dimension(12)), .float32), biases = TensorSpec(Shape(batch, Dimension(1), Dimension(1), time), .float32)
    func cut(_ x: Tensor) throws -> Tensor { try x.reshaped(Shape(x.shape[0], x.shape[1], Dimension(3), Dimension(4))).permuted([0, 2, 1, 3]) }
    func joined(_ y: Tensor) throws -> Tensor { try y.permuted([0, 2, 1, 3]).reshaped(Shape(y.shape[0], y.shape[2], Dimension(12))) }
    func expect(_ after: [String], sourceLocation: SourceLocation = #_sourceLocation, _ function: ([Tensor]) throws -> Tensor) throws {
        let program = try Program.trace(function, inputs: ["q": sequences, "k": sequences, "v": sequences, "bias": biases])
        let fused = try program.optimised([.algebra, .attentionRecognition, .deadCode])
        #expect(fused.primitives == after, sourceLocation: sourceLocation)
        var generator = Philox(seed: 8)
        let parts = try (0..<3).map { _ in try Tensor.normal([2, 5, 12], using: &generator) }, bias = try Tensor([Float](repeating: 0, count: 8) + [-1e4, -.infinity], [2, 1, 1, 5])
        // The same sums in another order: 1e-5 of numbers of about 1.
        try expectClose(fused.run(parts + [bias]), program.run(parts + [bias]), 1e-5, sourceLocation: sourceLocation)
    }
    try expect(["Attention"]) { x in try joined((cut(x[0]).matmul(cut(x[1]).transposed()) * 0.5 + x[3]).softmax().matmul(cut(x[2]))) }
    // The factor before the product, on both sides; another one than is usual.
    try expect(["Scale", "Attention"]) { x in try joined(((cut(x[0]) * 0.7).matmul(cut(x[1] * 0.3).transposed())).softmax().matmul(cut(x[2]))) }
    // Joined to something else, as for a product of many rows.
    try expect(["Attention", "Reshape"]) { x in
        try joined((x[3] + cut(x[0]).matmul(cut(x[1]).transposed()) / Tensor(Float(2))).softmax().matmul(cut(x[2]))).flattened(from: 0, through: 1)
    }
    // What is read elsewhere, too, and another axis' softmax, stay.
    let parts = ["Reshape", "Transpose", "Reshape", "Transpose", "MatMul", "Softmax", "Reshape", "Transpose", "MatMul", "Transpose", "Reshape"]
    try expect(parts + ["ReduceSum", "Add"]) { x in
        let p = try cut(x[0]).matmul(cut(x[1]).transposed()).softmax()
        return try joined(p.matmul(cut(x[2]))) + p.sum()
    }
}

@Test func fullyConnectedLayersAreOneStep() throws {
    var generator = Philox(seed: 5)
    let weight = try Tensor.normal([4, 3], using: &generator), bias = try Tensor.normal([4], using: &generator), matrix = try weight.transposed().contiguous()
    // Sums in another order: 1e-6 of the largest number.
    try expect(.linearFusion, .deadCode, before: ["Affine", "Relu", "Affine"], after: ["ActivatedAffine", "ActivatedAffine"], tolerance: 1e-6) { x in
        try x.affine(weight, bias: bias).relu().affine(Tensor.ones([2, 4]))
    }
    try expect(.linearFusion, .deadCode, before: ["MatMul", "Add", "Gelu"], after: ["ActivatedAffine"], tolerance: 1e-6) { x in
        try (bias + x.matmul(matrix)).gelu()
    }
    try expect(
        .linearFusion, .deadCode, before: ["Reshape", "Reshape", "MatMul", "Reshape", "Add", "Tanh"], after: ["Reshape", "ActivatedAffine"], tolerance: 1e-6
    ) { x in
        let stack = try x.withAxis(0)
        return try (stack.flattened(from: 0, through: 1).matmul(matrix).reshaped(Shape(stack.shape[0], stack.shape[1], Dimension(4))) + bias).tanh()
    }
    // No constant weights; a bias that isn't one; what is read twice.
    try expect(.linearFusion, .deadCode, before: ["Transpose", "MatMul"], after: ["Transpose", "MatMul"]) { x in try x.matmul(x.transposed()) }
    try expect(.linearFusion, .deadCode, before: ["MatMul", "Add"], after: ["ActivatedAffine", "Add"], tolerance: 1e-6) { x in
        try x.matmul(matrix) + Tensor.ones([1])
    }
    try expect(.linearFusion, .deadCode, before: ["Affine", "Relu"], after: ["ActivatedAffine", "Relu"], tolerance: 1e-6) { x in
        let y = try x.affine(weight)
        return [y, try y.relu()]
    }
}

@Test func layersBehindARectifierPassOverItsZeros() throws {
    var generator = Philox(seed: 6)
    let first = try Tensor.normal([5, 3], using: &generator), second = try Tensor.normal([70, 5], using: &generator), narrow = try Tensor.ones([63, 5])
    let infinite = try Tensor((0..<350).map { $0 == 7 ? Float.infinity : 1 }, [70, 5])
    func skips(_ function: @escaping (Tensor) throws -> Tensor) throws -> [Bool] {
        let program = try Program.trace(function, input: "x", x).optimised()
        for rows in [1, 3] {
            let given = try Tensor((0..<rows * 3).map { Float($0 % 5) - 2 }, [rows, 3])
            try expectClose([program(given)], [function(given)], 1e-5)
        }
        return program.graph.nodes.map { $0.primitive.skippingZeros == nil }
    }
    #expect(try skips { x in try x.affine(first).relu().affine(second) } == [false, true])
    #expect(try skips { x in try x.affine(first).relu6().affine(second).tanh() } == [false, true])
    #expect(try skips { x in try x.affine(first).relu().affine(narrow) } == [false, false])
    #expect(try skips { x in try x.affine(first).gelu().affine(second) } == [false, false])
    // Zero times infinity is no number, and stays none.
    #expect(try skips { x in try x.affine(first).relu().affine(infinite).isNaN().cast(to: .float32) }[1] == false)
}

@Test func elementwiseStepsAreDoneInOnePass() throws {
    let row = try Tensor([Float(1), 2, 3]), one = try Tensor([Float(0.5)])
    try expect(.elementwiseFusion, before: ["Mul", "Add", "Tanh", "Mul"], after: ["ElementwiseChain"]) { x in try (x * row + one).tanh() * x }
    try expect(.elementwiseFusion, before: ["Exp", "Mul"], after: ["ElementwiseChain"]) { x in
        let y = try x.exp()
        return try y * y
    }
    // Two branches of one input, each of several steps.
    try expect(.elementwiseFusion, before: ["Exp", "Sqrt", "Sigmoid", "Neg", "Div"], after: ["ElementwiseChain"]) { x in
        try x.exp().squareRoot() / x.sigmoid().negated()
    }
    // What is read elsewhere, what is stretched afterwards, sums, and whole numbers, stay.
    try expect(.elementwiseFusion, before: ["Exp", "Tanh"], after: ["Exp", "Tanh"]) { x in
        let y = try x.exp()
        return [y, try y.tanh()]
    }
    try expect(.elementwiseFusion, before: ["ReduceSum", "Exp", "Add"], after: ["ReduceSum", "Exp", "Add"]) { x in try x + x.sum([0]).exp() }
    try expect(.elementwiseFusion, before: ["Cast", "Neg", "Neg", "Cast"], after: ["Cast", "Neg", "Neg", "Cast"]) { x in
        try x.cast(to: .int64).negated().negated().cast(to: .float32)
    }
}

@Test func aChainHasOnlySoManyInputsAndLinks() throws {
    let spec = TensorSpec([70, 50], .float32)
    var generator = Philox(seed: 2)
    let inputs = try (0..<6).map { _ in try Tensor.normal([70, 50], using: &generator) }
    let program = try Program.trace(
        { x in
            var y = x[0]
            for step in 0..<30 { y = try (y * x[step % 6]).tanh() + x[(step + 1) % 6] }
            return y
        }, inputs: ["a": spec, "b": spec, "c": spec, "d": spec, "e": spec, "f": spec])
    let fused = try program.optimised([.elementwiseFusion])
    #expect(fused.graph.nodes.count < program.graph.nodes.count / 3)
    try expectEqual(fused.run(inputs), program.run(inputs))
}

/// Folded weights are rounded once more at each layer: 1e-4 of the largest number after up to forty steps, forwards and backwards. (A step whose slope
/// jumps could part gradients; with these seeds none does.)
@Test(arguments: randomFunctions)
func optimisedProgramsGiveTheSameNumbers(_ function: RandomProgram) throws {
    let spec = TensorSpec([function.rows, function.columns], .float32)
    let program = try Program.trace(function.run, inputs: ["a": spec, "b": spec, "c": spec])
    let optimised = try program.optimised()
    #expect(optimised.graph.nodes.count < program.graph.nodes.count)
    let variables = try function.variables(on: CPU.shared)
    try expectClose(optimised.run(variables), program.run(variables), 1e-4)
}

/// Weights with a normalisation in them are rounded once more in each of up to fifty layers: 1e-4 of the largest number.
@Test(arguments: tracedNetworks)
func optimisedNetworksGiveTheSameNumbers(_ network: TracedNetwork) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs), optimised = try program.optimised()
    #expect(!optimised.primitives.contains("ChannelAffine") || network.description == "U-Net")
    let inputs = try network.sample(batch: 2, time: 5, seed: 4)
    try expectClose(optimised.run(inputs), program.run(inputs), 1e-4)
}

/// As in a recurrent layer that was written out step by step.
@Test func weightsOfALayerThatComesAgainAreTurnedOnce() throws {
    var generator = Philox(seed: 5)
    let matrix = try Tensor.normal([3, 3], using: &generator)
    let program = try Program.trace({ x in
        var x = x
        for _ in 0..<5 { x = try x.matmul(matrix).tanh() }
        return x
    }, input: "x", x)
    let fused = try program.optimised([.linearFusion, .deadCode])
    #expect(fused.primitives == [String](repeating: "ActivatedAffine", count: 5))
    #expect(fused.graph.constants.count == 1)
    let given = try Tensor([Float(1), -2, 3, 0, 5, -6], [2, 3])
    // Sums in another order: 1e-6 of the largest number.
    try expectClose(fused.run([given]), program.run([given]), 1e-6)
}

/// Each compared with each, so many would take minutes.
@Test(.timeLimit(.minutes(1))) func manyConstantsOfOneShapeAreToldApart() throws {
    var graph = try Program.trace({ try $0.exp() }, input: "x", x).graph
    let count = 20_000
    for i in 0..<count {
        var numbers = [Float](repeating: 0, count: 100)
        numbers[99] = Float(i / 2)
        _ = graph.constant(try Tensor(numbers))
    }
    #expect(try Pass.commonSubexpressions.rewrite(&graph))
    #expect(graph.constants.count == count / 2)
    #expect(try !Pass.commonSubexpressions.rewrite(&graph))
}

/// In a process of its own, whose pool nobody else uses.
@Test func aLargeConstantIsNotCopiedToBeLookedAt() async throws {
    await #expect(processExitsWith: .success) {
        let zeros = try Tensor.zeros([1 << 20]), one = try Tensor([Float(1)]), spec = TensorSpec([1 << 20 + 1], .float32)
        let constant = try Tensor.concatenated([zeros, one]), program = try Program.trace({ try $0 + constant }, input: "x", spec), pool = MemoryPool.host
        var graph = program.graph
        pool.resetPeak()
        let before = pool.usedBytes
        #expect(try !Pass.algebra.rewrite(&graph))
        #expect(pool.peakBytes - before < 1 << 16)
    }
}

/// A recursion over it would need more of the stack than there is.
@Test func aLongChainOfFactorsIsFollowed() throws {
    let spec = TensorSpec([2, 5, 12], .float32)
    func cut(_ x: Tensor) throws -> Tensor { try x.reshaped([2, 5, 3, 4]).permuted([0, 2, 1, 3]) }
    let program = try Program.trace({ x in
        var scores = try cut(x[0]).matmul(cut(x[0]).transposed())
        for _ in 0..<40_000 { scores = try scores.negated() }
        return try scores.softmax().matmul(cut(x[0])).permuted([0, 2, 1, 3]).reshaped([2, 5, 12])
    }, inputs: ["x": spec])
    #expect(try program.optimised([.attentionRecognition]).primitives.last == "Attention")
}
