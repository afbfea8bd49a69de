import Foundation
import Keel
import KeelBenchNetworks
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

private let batch = Dimension.symbol("batch")

private func primitives(_ form: ImportedModel.Form) throws -> [String] {
    guard case .program(let program) = form else { throw ONNXError.graph("it is no program") }
    return program.graph.nodes.map { type(of: $0.primitive).name }
}

/// Programs with layers of bytes, for other runtimes too.
let quantisedNetworks: [(name: String, kind: Quantisation.Kind, inputs: KeyValuePairs<String, TensorSpec>, make: @Sendable () throws -> ([Tensor]) throws -> Tensor)] = [
    ("int8 small ResNet", .static, ["images": floats(batch, Dimension(3), Dimension(16), Dimension(16))], {
        var generator = Philox(seed: 1)
        return try trained(try SmallResNet(8, 10, using: &generator))
    }),
    ("int8 transformer encoder", .static, ["x": floats(batch, .symbol("time"), Dimension(48))], {
        var generator = Philox(seed: 1)
        return try trained(try EncoderClassifier(48, heads: 4, inner: 96, layers: 2, classes: 2, using: &generator))
    }),
    ("int8 dynamic MLP", .dynamic, ["x": floats(batch, Dimension(20))], {
        var generator = Philox(seed: 1)
        return try trained(try MLP(20, 64, 5, using: &generator))
    }),
    ("int8 dynamic LSTM", .dynamic, ["x": floats(batch, Dimension(12), Dimension(7))], {
        var generator = Philox(seed: 1)
        return try trained(try LSTMForecaster(7, 16, layers: 2, horizon: 3, using: &generator))
    }),
    ("int8 weights MLP", .weights, ["x": floats(batch, Dimension(20))], {
        var generator = Philox(seed: 1)
        return try trained(try MLP(20, 64, 5, using: &generator))
    }),
    ("int8 weights BiLSTM", .weights, ["words": TensorSpec(Shape(batch, .symbol("time")), .int64)], {
        var generator = Philox(seed: 1)
        return try trained(try BiLSTMText(50, 16, 16, 2, using: &generator))
    }),
]

func quantised(_ place: Int) throws -> (program: Program, network: TracedNetwork) {
    let row = quantisedNetworks[place], network = TracedNetwork(description: row.name, inputs: row.inputs, make: row.make)
    let samples = try (0..<4).map { try network.sample(batch: 2, time: 5, seed: UInt64($0) + 50) }
    return (try Program.trace(network.make(), inputs: network.inputs).quantised(Quantisation(row.kind), calibratedBy: samples).program, network)
}

/// Written as operators that round to bytes and back, and read again, the same layers multiply bytes. Scales are rounded once more. (Recurrent layers come
/// back step by step, or interpreted.)
@Test(arguments: quantisedNetworks.indices, [13, 17, 21])
func aQuantisedProgramComesBack(place: Int, opset: Int) throws {
    let (program, network) = try quantised(place), model = try program.reread(opset: opset), imported = try ImportedModel(model)
    if !network.description.contains("LSTM") {
        func bytes(_ names: [String]) -> [String] { names.filter { $0.hasPrefix("Quantised") || $0.hasPrefix("Byte") } }
        let before = bytes(program.graph.nodes.map { type(of: $0.primitive).name }), after = try primitives(imported.form)
        #expect(bytes(after) == before && before.count >= 3 && !after.contains("FakeQuantised"))
    }
    let inputs = try network.sample(batch: 3, time: 4, seed: 9)
    let named = Dictionary(uniqueKeysWithValues: zip(program.inputs.map(\.name), inputs.map { ONNXValue($0) }))
    let expected = try program.run(inputs)
    for made in [try imported.run(named), try model.run(named)] {
        guard case .tensor(let found, _) = made[0] else { throw ONNXError.graph("an output is a tensor") }
        // A number between two bytes may become the other one, which the layers after it carry on; the states of recurrent layers aren't rounded there.
        try expectClose([found], expected, 0.02)
    }
}

@Test func aModelFolderKeepsBytes() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "keel-int8-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var generator = Philox(seed: 1)
    let network = try MLP(64, 512, 10, using: &generator)
    let program = try Program.trace({ try network($0, in: .prediction) }, input: "x", floats(batch, Dimension(64)))
    let quantised = try program.quantised(Quantisation(.dynamic)).program
    try ModelFolder.write(quantised, metadata: ModelMetadata(name: "small"), to: folder)
    let read = try ModelFolder(reading: folder)
    #expect(try primitives(read.model.form) == ["QuantisedAffine", "QuantisedAffine", "QuantisedAffine"])
    let size = try #require(FileManager.default.attributesOfItem(atPath: folder + "/model.safetensors")[.size] as? Int)
    #expect(size < (64 * 512 + 512 * 512 + 512 * 10) * 5 / 4)
    let x = try Tensor.normal([4, 64], using: &generator)
    try expectClose([try #require(try read.run(["x": x])["output"])], quantised.run([x]), 0.02)
}

/// A model as other tools write it: activations of signed bytes, weights of signed bytes with a scale each row, Conv, Relu, Gemm.
private func model(weights: [Int], activations kind: Int = 3, zero: Int) -> Message {
    func number(_ name: String, _ x: Float) -> Message { .number(name, x) }
    func bytes(_ name: String, _ dims: [Int], _ kind: Int, _ numbers: [Int]) -> Message {
        dims.reduce(Message()) { $0.int(1, $1) }.int(2, kind).text(8, name).data(9, numbers.map { UInt8(truncatingIfNeeded: $0) })
    }
    let scales: [Float] = [0.02, 0.05]
    let raw = scales.flatMap { x in (0..<4).map { UInt8(truncatingIfNeeded: x.bitPattern >> ($0 * 8)) } }
    let nodes: [Message] = [
        .node("QuantizeLinear", ["x", "s", "z"], ["xq"]), .node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
        .node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], [.attribute("axis", int: 0)]), .node("Conv", ["xf", "wf"], ["c"]), .node("Relu", ["c"], ["y"]),
    ]
    return .model(
        .graph(
            nodes, [.value("x", 1, [-1, 3, 4, 4])], [.value("y")],
            initializers: [
                number("s", 0.04), bytes("z", [], kind, [zero]), bytes("w", [2, 3, 1, 1], 3, weights), .floats("ws", [2], raw: raw), bytes("wz", [2], 3, [0, 0]),
            ]))
}

@Test(arguments: [(3, -10), (2, 118)])
func quantisedModelsOfOtherToolsMultiplyBytes(kind: Int, zero: Int) throws {
    var generator = Philox(seed: 2)
    let x = try Tensor.normal([2, 3, 4, 4], using: &generator) * 3
    // Of 7 bits, as `reduce_range` makes them, and of 8, which stay floats.
    for (weights, expected) in [([64, -20, 3, -63, 1, 0], ["QuantisedConv2D"]), ([127, -20, 3, -63, 1, 0], ["FakeQuantised", "RectifiedConv2D"])] {
        let model = try ONNXModel(model(weights: weights, activations: kind, zero: zero).bytes), imported = try ImportedModel(model)
        #expect(try primitives(imported.form) == expected)
        let interpreted = try model.run([("x", x)])
        guard case .tensor(let found, _) = try imported.run(["x": ONNXValue(x)])[0] else { throw ONNXError.graph("a tensor goes out") }
        // Sums of bytes are exact, those of floats are rounded.
        try expectClose([found], interpreted, 1e-5)
    }
}

/// A ResNet as ONNX Runtime's quantiser makes it: six convolutions and a fully connected layer, each of which reads and gives what was rounded.
@Test(arguments: [("u8s7", 6, 1), ("s8s7", 6, 1), ("u8s8", 0, 0)])
func whatONNXRuntimeQuantisedAnswersAlike(name: String, convolutions: Int, products: Int) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Models").path
    let imported = try ImportedModel(ONNXModel(reading: "\(folder)/\(name).onnx")), found = try primitives(imported.form)
    #expect(found.count { $0 == "QuantisedConv2D" } == convolutions && found.count { $0 == "QuantisedAffine" } == products, "\(found)")
    let file = try Safetensors(reading: "\(folder)/\(name).safetensors")
    let (x, y) = (try #require(try file.tensor(named: "x")), try #require(try file.tensor(named: "y")))
    guard case .tensor(let answer, _) = try imported.run(["input": ONNXValue(x)])[0] else { throw ONNXError.graph("a tensor goes out") }
    // The answer is of 256 steps itself: some number on the way may become its neighbour.
    try expectClose([answer], [y], 0.02)
}

/// Bytes that something else reads as well, and other scales on the way back, are what they are.
@Test func roundingThatIsNoPairStays() throws {
    let nodes: [Message] = [.node("QuantizeLinear", ["x", "s", "z"], ["q"]), .node("DequantizeLinear", ["q", "t", "z"], ["y"])]
    let bytes = Message().int(2, 2).text(8, "z").data(9, [100])
    let model = try ONNXModel(
        Message.model(.graph(nodes, [.value("x", 1, [-1, 2])], [.value("y"), .value("q", 2)], initializers: [.number("s", 0.5), .number("t", 0.25), bytes])).bytes)
    let imported = try ImportedModel(model)
    #expect(try !primitives(imported.form).contains("FakeQuantised"))
    let x = ONNXValue(try Tensor([Float(1), -300, 1000, 0.25], [2, 2]))
    for made in [try model.run(["x": x]), try imported.run(["x": x])] {
        guard case .tensor(let y, _) = made[0], case .tensor(let q, _) = made[1] else { throw ONNXError.graph("tensors go out") }
        #expect(try y.elements() == [0.5, -25, 38.75, 0] && q.elements(UInt8.self) == [102, 0, 255, 100])
    }
}

/// A zero point beyond the bytes that it moves, bytes that nobody takes, and a function with the name of an operator, as sound files have them too.
@Test func oddRoundingIsComputedAsItStands() throws {
    let x = Message.value("x", 1, [-1, 2]), y = Message.value("y"), half = Message.number("s", 0.5)
    let far = Message.model(
        .graph(
            [.node("QuantizeLinear", ["x", "s"], ["q"]), .node("DequantizeLinear", ["q", "s", "z"], ["y"])], [x], [y],
            initializers: [half, Message().int(2, 6).text(8, "z").int(5, 1000)]))
    let untaken = Message.model(.graph([.node("QuantizeLinear", ["x", "s"], []), .node("Identity", ["x"], ["y"])], [x], [y], initializers: [half]))
    let named = Message.model(
        .graph([.node("DequantizeLinear", [], ["c"], domain: "own"), .node("Add", ["x", "c"], ["y"])], [x], [y]),
        functions: [
            Message().text(1, "DequantizeLinear").texts(5, ["y"]).messages(7, [.node("Constant", [], ["y"], [.attribute("value", tensor: half)])])
                .messages(9, [Message().int(2, 17)]).text(10, "own")
        ], more: [Message().text(1, "own").int(2, 1)])
    for (model, expected) in [(far, Float(-499.5)), (untaken, 0.5), (named, 1)] {
        let answer = try ImportedModel(ONNXModel(model.bytes)).run(["x": ONNXValue(Tensor.full(0.5, [1, 2]))])
        guard case .tensor(let tensor, _)? = answer.first else { throw ONNXError.graph("no tensor") }
        #expect(try tensor.elements() == [expected, expected])
    }
}
