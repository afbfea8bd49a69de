import Foundation
import Keel
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

/// The exported model, read back, on inputs of other sizes than one: our own operators, of which another table says what they do.
///
/// Tolerance: both sides calculate in float32, in another order; 1e-4 of the largest number is the bar for other runtimes too.
@Test(arguments: tracedNetworks + tracedLayers, [13, 17, 21])
func anExportedModelComputesWhatTheProgramDoes(_ network: TracedNetwork, opset: Int) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs)
    let model = try program.reread(opset: opset)
    #expect(model.unsupported.isEmpty)
    for (batch, time) in [(1, 9), (3, 4)] {
        let inputs = try network.sample(batch: batch, time: time, seed: UInt64(batch))
        try expectClose(model.run(zip(network.inputs, inputs).map { ($0.key, $1) }), program.run(inputs), 1e-4)
    }
}

/// Fused convolutions and folded normalisations are operators again.
@Test(arguments: tracedNetworks)
func anOptimisedProgramIsExportedToo(_ network: TracedNetwork) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs).optimised(), model = try program.reread(opset: 17)
    let inputs = try network.sample(batch: 2, time: 5, seed: 1)
    try expectClose(model.run(zip(network.inputs, inputs).map { ($0.key, $1) }), program.run(inputs), 1e-4)
}

/// Attention that passes found: with a factor of its own, and with what is added to its scores.
@Test(arguments: [13, 17, 21])
func attentionThatPassesFoundIsExported(opset: Int) throws {
    let time = Dimension.symbol("time"), batch = Dimension.symbol("batch"), features = floats(batch, time, Dimension(12))
    func cut(_ x: Tensor) throws -> Tensor { try x.reshaped(Shape(x.shape[0], x.shape[1], Dimension(3), Dimension(4))).permuted([0, 2, 1, 3]) }
    let inputs: KeyValuePairs = ["q": features, "k": features, "v": features, "bias": floats(batch, Dimension(1), Dimension(1), time)]
    for hasBias in [true, false] {
        let program = try Program.trace({ x in
            let scores = try cut(x[0]).matmul(cut(x[1]).transposed()) * 0.3
            let y = try (hasBias ? scores + x[3] : scores).softmax().matmul(cut(x[2]))
            return try y.permuted([0, 2, 1, 3]).reshaped(Shape(y.shape[0], y.shape[2], Dimension(12)))
        }, inputs: inputs).optimised()
        #expect(program.graph.nodes.contains { type(of: $0.primitive).name == "Attention" })
        var generator = Philox(seed: 8)
        let parts = try (0..<3).map { _ in try Tensor.normal([2, 5, 12], using: &generator) }
        let bias = try Tensor([Float](repeating: 0, count: 8) + [-1e4, -1e4], [2, 1, 1, 5])
        let given = zip(inputs, parts + [bias]).map { ($0.key, $1) }
        try expectClose(program.reread(opset: opset).run(given), program.run(parts + [bias]), 1e-5)
    }
}

private let open = floats(.symbol("batch"), Dimension(6))
private let counted = floats(.symbol("batch"), .symbol("time"), Dimension(4))

/// Functions for the primitives that no layer uses, and for sizes that are known when a model runs.
private let functions: [(name: String, TensorSpec, since: Int, @Sendable (Tensor) throws -> Tensor)] = [
    ("arithmetic", open, 13, { x in try (x - 0.5) / (x.squared() + 2) + x.maximum(x.negated()) * x.minimum(Tensor(Float(0.2))) }),
    ("exponents", open, 13, { x in try x.exp().log1p() + x.magnitude().power(1.5) + x.expm1() - (x.magnitude() + 1).log() }),
    ("angles", open, 13, { x in try x.sine() + x.cosine() * x.arctangent() + x.arctangent(over: x.cosine()) + x.hyperbolicSine() / x.hyperbolicCosine() }),
    ("small numbers", open, 13, { x in try ((x * 1e-6).log1p() + (x * 1e-6).expm1()) * 1e6 }),
    ("rounding", open, 13, { x in try x.floor() + x.ceil() * 2 + (x * 3).truncated() + (x * 5).remainder(over: Tensor(Float(1.5))) }),
    ("whole numbers", open, 13, { x in try (x * 10).cast(to: .int64).remainder(over: Tensor(Int64(7))).cast(to: .float32) }),
    ("comparisons", open, 13, { x in try x.isAtLeast(x.negated()).xor(x.isLess(than: Tensor(Float(0.3)))).select(x, x.sign()) }),
    ("reductions", open, 13, { x in try x.sum([1]) + x.max([1]) * x.min([1]) + x.mean([1]) + x.argMax(1).cast(to: .float32) + x.norm() }),
    ("sizes", counted, 13, { x in try x.mean([1]).expanded(to: Shape(Dimension(2), x.shape[0], Dimension(4))) }),
    ("flattening", counted, 13, { x in try x.flattened(from: 0, through: 1).reshaped(Shape(x.shape[0], x.shape[1] * Dimension(2), Dimension(2))) }),
    ("running sums", open, 13, { x in try x.cumulativeSum(1, exclusive: true) + x.cumulativeSum(1, reversed: true) }),
    ("sorting", open, 13, { x in try x.sorted(descending: true) + x.topK(3).values.sum([1], keepingAxes: true) }),
    ("padding", open, 13, { x in
        try .concatenated([x.padded([(0, 0), (1, 2)], .constant(3)), x.padded([(0, 0), (2, 1)], .reflect), x.padded([(0, 0), (1, 1)], .edge)], axis: 1)
    }),
    ("wrapping", open, 13, { x in try x.padded([(0, 0), (2, 3)], .wrap) + x.padded(1, before: 2, after: 3) }),
    ("parts", open, 13, { x in try x.flipped([1]) + x.rolled(by: 2, axis: 1) + .concatenated(x.split(into: 3, axis: 1).reversed(), axis: 1) }),
    ("places", open, 13, { x in
        try x.gathered(Tensor([Int64(0), 3, -1]), axis: 1) + x.takenAlong(1, at: x.topK(3).indices) + x.argMax(1).remainder(over: Tensor(Int64(3))).oneHot(3)
    }),
    ("scattering", open, 16, { x in try x.scattered(x.sine(), along: 1, at: x.topK(6).indices, .add) }),
    ("Fourier", floats(.symbol("batch"), Dimension(12), Dimension(3)), 13, { x in
        try x.realFFT([1]).fft([1]).inverseFFT([1]).inverseRealFFT([1], count: 12) + x.realFFT([1]).sliced(1, to: 1).sum([1, 3], keepingAxes: true).withoutAxis(3)
    }),
    ("resizing", floats(.symbol("batch"), Dimension(2), Dimension(4), Dimension(5)), 13, { x in
        try x.resized(to: (7, 3), .linear, coordinates: .alignCorners) + x.resized(to: (7, 3), .nearest, coordinates: .asymmetric)
    }),
    ("bytes", open, 13, { x in
        var generator = Philox(seed: 5)
        let (weight, scales) = try Tensor.normal([3, 6], using: &generator).quantisedWeights(bits: 7), bias = try Tensor([Float(1), 2, -3])
        let byScale = try x.quantisedAffine(weight, scales: scales, bias: bias, input: ByteScale(covering: -2...2.5), .relu6)
        return try byScale + x.quantisedAffine(weight, scales: scales, input: nil) + x.byteWeightAffine(weight, scales: scales, bias: bias, .relu)
    }),
    ("a convolution of bytes", floats(.symbol("batch"), Dimension(4), Dimension(5), Dimension(6)), 13, { x in
        var generator = Philox(seed: 6)
        let (weight, scales) = try Tensor.normal([4, 2, 3, 3], using: &generator).quantisedWeights(bits: 7)
        return try x.quantisedConv2D(weight, scales: scales, input: ByteScale(covering: -2...2.5), sliding: Sliding(padding: 1), groups: 2, adding: x, .relu)
    }),
]

@Test(arguments: functions.indices, [13, 17, 21])
func anExportedFunctionComputesWhatTheProgramDoes(_ place: Int, opset: Int) throws {
    let (_, spec, since, function) = functions[place]
    guard opset >= since else { return }
    let program = try Program.trace(function, input: "x", spec), model = try program.reread(opset: opset)
    for (batch, time) in [(1, 5), (4, 3)] {
        var generator = Philox(seed: UInt64(batch))
        let sizes = (0..<spec.shape.rank).map { axis in spec.shape[axis].number ?? (axis == 0 ? batch : time) }
        let x = try Tensor.normal(Shape(sizes), using: &generator)
        try expectClose(model.run([("x", x)]), program.run([x]), 1e-4)
    }
}

/// A new primitive has to be put into one of the two lists.
@Test func eachPrimitiveHasOperatorsOrIsNamedHere() {
    let without = primitives.filter { !($0 is any Exportable.Type) }.map { String(describing: $0) }
    #expect(without.sorted() == withoutOperators.sorted())
}

private let withoutOperators: [String] =
    // What only gradients and training compute.
    [
        "ClipGradient", "ReluGradient", "LeakyReluGradient", "TanhGradient", "SigmoidGradient", "SiluGradient", "GeluGradient", "Unpad", "Conv2DWeightGradient",
        "MaxPool2DGradient", "MaxPool2DPick", "AveragePool2DGradient", "ResizeGradient", "RegionAlignGradient", "BatchNorm", "BatchNormGradient",
        "LayerNormGradient", "GroupNormGradient", "RMSNormGradient", "SoftmaxGradient", "LogSoftmaxGradient", "LSTMGradient", "GRUGradient",
        "AttentionGradient", "TemporalConvWeightGradient", "ScatterAdd", "SoftmaxCrossEntropy", "SoftmaxCrossEntropyGradient", "LogisticLoss", "CTCLoss",
        "CRFLogPartition", "Dropout",
    ]
    // Updates of state.
    + [
        "RunningStatistic", "Accumulate", "Assign", "ScaleInPlace", "SGDStep", "AdamStep", "LazyAdamStep", "AdagradStep", "RMSpropStep", "LAMBStep",
    ]
    // What only plans have.
    + ["ConvolutionChain"]
    // What operators don't do, or only with loops.
    + [
        "NonMaximumSuppression", "CumulativeExtreme", "LinearRecurrence", "Cholesky", "TriangularSolve", "Solve", "LogDeterminant", "QR", "SVD",
        "SymmetricEigen", "Eigenvalues", "OverlapAdd", "Viterbi",
    ]

@Test func whatCantBeExportedIsNamedWithItsLine() throws {
    let program = try Program.trace({ x in try x.cumulativeMax(1).values }, input: "x", open)
    #expect { try program.onnx() } throws: { error in
        guard case ONNXError.notExportable("CumulativeExtreme", let line, _) = error else { return false }
        return line?.hasPrefix("ExportTests.swift:") ?? false
    }
    let scatter = try Program.trace({ x in try x.scattered(x, along: 1, at: x.topK(6).indices, .maximum) }, input: "x", open)
    #expect { try scatter.onnx(opset: 17) } throws: { "\($0)".contains("18 and later for 'max'") }
    #expect(throws: ONNXError.self) { try program.onnx(opset: 12) }
    #expect(throws: ONNXError.opset(domain: "", version: 22, allowed: "13...21 for an export")) { try program.onnx(opset: 22) }
    let same = try Program.trace({ x in ["x": try x.exp()] }, input: "x", open)
    #expect(throws: ONNXError.self) { try same.onnx() }
}

@Test func stateThatIsReadIsExportedAndUpdatesAreNot() throws {
    let memory = try Tensor([Float](repeating: 2, count: 6))
    let reading = try Program.trace({ x in try x[0] * memory }, inputs: ["x": open], state: [memory])
    let model = try reading.reread(opset: 17, weights: [("factor", memory)])
    #expect(model.initializers.keys.contains("factor"))
    let x = try Tensor([Float](repeating: 3, count: 6), [1, 6])
    try expectEqual(model.run([("x", x)]), [Tensor([Float](repeating: 6, count: 6), [1, 6])])

    let updating = try Program.trace({ x in
        try memory.assign(x[0].sum([0]))
        return x[0]
    }, inputs: ["x": open], state: [memory])
    #expect { try updating.onnx() } throws: { if case ONNXError.notExportable = $0 { true } else { false } }
}

@Test func weightsHaveTheirNamesAndSizesTheirSymbols() throws {
    var generator = Philox(seed: 1)
    let layer = try Linear(6, 3, using: &generator)
    let program = try Program.trace({ try layer($0, in: .prediction) }, input: "x", open)
    let model = try program.onnx(weights: layer.state().map { ($0.name, $0.tensor) })
    let graph = try #require(model.graph)
    #expect(graph.initializers.map(\.name) == ["weight", "bias"])
    #expect(graph.nodes.map(\.type) == ["Gemm"])
    #expect(graph.inputs[0].type == .tensor(kind: 1, [.parameter("batch"), .size(6)]))
    #expect(graph.outputs[0].type == .tensor(kind: 1, [.parameter("batch"), .size(3)]))
    #expect(graph.outputs[0].name == "output" && graph.nodes[0].outputs == ["output"])
}

@Test func whatGoesOutTwiceOrAsItCameInHasNamesOfItsOwn() throws {
    let program = try Program.trace({ x in
        let y = try x.exp()
        return ["first": y, "second": y, "third": x]
    }, input: "x", open)
    let model = try program.reread(opset: 17), x = try Tensor.zeros([2, 6])
    try expectEqual(model.run([("x", x)]), program.run([x]))
}

@Test func weightsTooLargeForOneFileLieBesideIt() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "keel-export-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var generator = Philox(seed: 1)
    let layer = try Linear(6, 300, using: &generator)
    let program = try Program.trace({ try layer($0, in: .prediction) }, input: "x", open)
    var model = try program.onnx()
    try model.moveWeights(to: folder + "/model.onnx.weights")
    var writer = ProtobufWriter()
    model.write(to: &writer)
    try NewFile.write(to: folder + "/model.onnx") { file in try writer.forEachPiece { try file.write($0) } }
    let x = try Tensor.normal([2, 6], using: &generator)
    try expectClose(ONNXModel(reading: folder + "/model.onnx").run([("x", x)]), program.run([x]), 1e-5)
}
