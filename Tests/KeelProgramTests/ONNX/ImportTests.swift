import Foundation
import Keel
import KeelProgram
import KeelProgramTestSupport
import Testing

private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases").path

/// The same answers as the interpreter's are asked of: those of the ONNX project.
@Test func theSampleOfONNXsOwnCasesPassesAsPrograms() throws {
    let result = try ONNXVerifier([folder], way: .imported)
    for one in result.cases { #expect(one.outcome == .passed, "\(one.name)") }
    #expect(result.programs >= 50)
}

/// With symbols for the sizes of first axes, or of all, a traced model either isn't a program, or answers alike.
@Test(arguments: [(1, 30), (8, 20)]) func theSamplePassesWithSymbolsForItsSizes(axes: Int, programs: Int) throws {
    let result = try ONNXVerifier([folder], way: .opened(axes: axes))
    for one in result.cases { #expect(one.outcome == .passed, "\(one.name)") }
    #expect(result.programs >= programs)
}

private let networks = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Networks").path

/// Small networks as torch exports them (`networks.py`), with names for their batches and sequences, against torch's own answers.
@Test func networksOfTorchAnswerAsTorchDoes() throws {
    let cases = try ONNXVerifier([networks], way: .imported).cases
    for one in cases { #expect(one.outcome == .passed, "\(one.name)") }
    // What a picture is resized to has to be known.
    #expect(cases.filter { !$0.isProgram }.map(\.name) == ["unet_open"])
}

@Test(arguments: ["bert_cls", "bert_plain", "bert_sdpa", "decoder", "lstm", "lstm_open", "resnet", "unet", "vit"])
func programsAgreeWithTheInterpreterInOtherSizes(name: String) throws {
    let model = try ONNXModel(reading: "\(networks)/\(name)/model.onnx"), imported = try ImportedModel(model)
    guard case .program(let program) = imported.form else { throw ONNXError.graph("\(name) is no program") }
    var generator = Philox(seed: 7)
    for (batch, sequence) in [(1, 4), (3, 1), (2, 11)] {
        var inputs: [String: ONNXValue] = [:]
        for port in program.inputs {
            let sizes = (0..<port.spec.shape.rank).map { axis in
                port.spec.shape[axis].number ?? (port.spec.shape[axis].description == "batch" ? batch : sequence)
            }
            let numbers = try Tensor.uniform(Shape(sizes), in: 0...20, using: &generator)
            inputs[port.name] = ONNXValue(try port.name.hasSuffix("mask") ? numbers.isGreater(than: Tensor(Float(2))).cast(to: .int64) : numbers.cast(to: port.spec.dtype))
        }
        let (found, expected) = (try imported.run(inputs), try model.run(inputs))
        // Passes round sums in another order.
        try expectClose(found.map { try #require($0.numbers) }, expected.map { try #require($0.numbers) }, 2e-5)
    }
}

extension ONNXValue {
    fileprivate var numbers: Tensor? { if case .tensor(let tensor, _) = self { tensor } else { nil } }
}

private func why(_ model: Message) throws -> String {
    switch try ImportedModel(ONNXModel(model.bytes)).form {
    case .program(let program): "\(program.outputs[0].spec)"
    case .interpreted(_, let why): why
    }
}

private let x = Message.value("x", 1, [-1, 4]), y = Message.value("y")

@Test func whatIsComputedOfSizesLeavesNoStep() throws {
    // [n, 4] as [-1, 2] by way of Shape, Gather, Mul, Concat and Reshape.
    let model = Message.model(
        .graph(
            [
                .node("Shape", ["x"], ["s"]), .node("Gather", ["s", "zero"], ["n"]), .node("Mul", ["n", "two"], ["m"]),
                .node("Unsqueeze", ["m", "zeros"], ["u"]), .node("Concat", ["u", "twos"], ["t"], [.attribute("axis", int: 0)]), .node("Reshape", ["x", "t"], ["y"]),
            ], [x], [y],
            initializers: [.ints("zero", [], [0]), .ints("two", [], [2]), .ints("zeros", [1], [0]), .ints("twos", [1], [2])]))
    let program = try Program(onnx: ONNXModel(model.bytes)).optimised()
    #expect(program.outputs[0].spec.description == "float32[2·n, 2]")
    #expect(program.description.components(separatedBy: "\n").filter { $0.contains(" = ") && $0.contains("%") && !$0.contains("y =") && !$0.contains("x :") }.count == 1)
}

@Test func whatDependsOnNumbersIsInterpretedAndSaysWhy() throws {
    let branch = Message.graph([.node("Neg", ["x"], ["b"])], [], [.value("b")]), other = Message.graph([.node("Abs", ["x"], ["c"])], [], [.value("c")])
    let choice = Message.model(
        .graph(
            [
                .node("ReduceSum", ["x"], ["s"], [.attribute("keepdims", int: 0)]), .node("Greater", ["s", "zero"], ["c0"]),
                .node("If", ["c0"], ["y"], [.attribute("then_branch", graph: branch), .attribute("else_branch", graph: other)]),
            ], [x], [y], initializers: [.number("zero", 0)]))
    #expect(try why(choice).hasPrefix("node If: "))
    let imported = try ImportedModel(ONNXModel(choice.bytes))
    for sign in [Float(1), -1] {
        guard case .tensor(let answer, _) = try imported.run(["x": ONNXValue(Tensor([Float](repeating: sign, count: 4), [1, 4]))])[0] else { continue }
        #expect(try answer.elements() == (sign > 0 ? [-1, -1, -1, -1] : [1, 1, 1, 1]))
    }
    let drawn = Message.model(.graph([.node("RandomNormalLike", ["x"], ["r"]), .node("Add", ["x", "r"], ["y"])], [x], [y]))
    #expect(try why(drawn).contains("random numbers in a program"))
    #expect(try why(.model(.graph([.node("NonZero", ["x"], ["y"])], [x], [.value("y", 7)]))).hasPrefix("node NonZero: "))
    #expect(try why(.model(.graph([.node("Relu", ["x"], ["y"])], [.value("x")], [y]))) == "input 'x': has a rank that the model doesn't say")
}

/// Each would take as much as its inputs' sizes ask for: the limits hold when the program runs.
@Test func limitsHoldWhereSizesAreSymbols() throws {
    let square = Message.model(
        .graph(
            [
                .node("Shape", ["x"], ["s"], [.attribute("start", int: 0), .attribute("end", int: 1)]), .node("Concat", ["s", "s", "s"], ["t"], [.attribute("axis", int: 0)]),
                .node("Expand", ["one", "t"], ["e"]), .node("ReduceSum", ["e"], ["y"]),
            ], [x], [y], initializers: [.number("one", 1)]))
    var limits = ONNXLimits()
    limits.bytes = 1 << 20
    let imported = try ImportedModel(ONNXModel(square.bytes, limits: limits))
    guard case .program = imported.form else { throw ONNXError.graph("is no program") }
    guard case .tensor(let sum, _) = try imported.run(["x": ONNXValue(Tensor.zeros([8, 4]))])[0] else { throw ONNXError.graph("no tensor") }
    #expect(try sum.elements() == [512])
    for rows in [100, 1 << 16] {
        let error = #expect(throws: (any Error).self) { try imported.run(["x": ONNXValue(Tensor.zeros([rows, 4]))]) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("bytes"))
    }
    limits = ONNXLimits()
    limits.time = .zero
    let late = try ImportedModel(ONNXModel(Message.model(.graph([.node("Exp", ["x"], ["y"])], [x], [y])).bytes, limits: limits))
    #expect(throws: ONNXError.self) { try late.run(["x": ONNXValue(Tensor.zeros([8, 4]))]) }
}

@Test func anImportedModelChecksItsInputs() throws {
    let imported = try ImportedModel(ONNXModel(Message.addition(.floats("w", [2], raw: Message.two)).bytes))
    let fine = ONNXValue(try Tensor([Float(1), 2], [1, 2]))
    func error(_ values: [String: ONNXValue]) -> String {
        do { return "\(try imported.run(values).count)" } catch { return "\(error)" }
    }
    #expect(error([:]) == "input 'x': is missing")
    #expect(error(["x": fine, "z": fine]) == "input 'z': isn't one of the model's: x")
    #expect(error(["x": ONNXValue(try Tensor([Float(1)], [1, 1]))]) == "input 'x': has the shape [1, 1], the model takes [n, 2]")
    #expect(error(["x": fine]) == "1")
}

@Test func externalDataMayLieInFilesOfOtherNames() throws {
    let model = Message.addition(.external("w", [2], "weights.bin")), files = FileManager.default
    let path = files.temporaryDirectory.appendingPathComponent("onnx-\(UUID().uuidString)").path
    defer { for end in ["", ".w"] { try? files.removeItem(atPath: path + end) } }
    try Data(model.bytes).write(to: URL(fileURLWithPath: path))
    try Data(Message.two).write(to: URL(fileURLWithPath: path + ".w"))
    let read = try ONNXModel(reading: path, files: ["weights.bin": path + ".w"])
    #expect(read.externalFiles == ["weights.bin"])
    guard case .tensor(let sum, _) = try read.run(["x": ONNXValue(Tensor.zeros([1, 2]))])[0] else { throw ONNXError.graph("no tensor") }
    #expect(try sum.elements() == [1, 2])
    #expect(throws: ONNXError.self) { try ONNXModel(reading: path, files: ["other": path + ".w"]) }
}

/// Multiplied out, each would be an expression of more terms, or of longer ones, than anything has a use for.
@Test(arguments: [[1, 1, 0, 1], [3]]) func whatBecomesTooLongAnExpressionOfSizesIsInterpreted(sizes: [Int]) throws {
    let dims = sizes.indices.reduce(Message()) { message, axis in message.message(1, Message().text(2, "size\(axis)")) }
    let x = Message().text(1, "x").message(2, Message().message(1, Message().int(1, 1).message(2, dims)))
    var nodes = [Message.node("Shape", ["x"], ["s"]), .node("ReduceSum", ["s"], ["p0"], [.attribute("keepdims", int: 0)])]
    for i in 0..<5 { nodes.append(.node("Mul", ["p\(i)", "p\(i)"], ["p\(i + 1)"])) }
    let model = Message.model(.graph(nodes, [x], [.value("p5", 7)]))
    #expect(try why(model).contains("terms"))
    let answer = try ImportedModel(ONNXModel(model.bytes)).run(["x": ONNXValue(Tensor.zeros(Shape(sizes)))])
    #expect(try answer[0].numbers?.elements(Int.self) == [1_853_020_188_851_841])  // 3 to the power of 32
}

private func weights(_ dims: [Int]) -> Message { .zeros("w", dims) }

/// What a node would have to do is known only once the sizes are.
@Test(arguments: [
    (Message.node("MatMul", ["x", "t"], ["y"]), [1, 1, 600, 600]), (.node("Conv", ["x", "w"], ["y"]), [1, 2, 300, 300]),
    (.node("ConvTranspose", ["x", "w"], ["y"]), [1, 2, 300, 300]), (.node("MaxPool", ["x"], ["y"], [.attribute("kernel_shape", ints: [40, 40])]), [1, 2, 300, 300]),
    (.node("AveragePool", ["x"], ["y"], [.attribute("kernel_shape", ints: [40, 40])]), [1, 2, 300, 300]),
]) func aProgramIsBoundByWhatItsStepsDo(node: Message, large: [Int]) throws {
    let x = Message.value("x", 1, [-1, large[1], large[2], large[3]])
    let turn = Message.node("Transpose", ["x"], ["t"], [.attribute("perm", ints: [0, 1, 3, 2])])
    let bytes = Message.model(.graph([turn, node], [x], [y], initializers: [.zeros("w", [2, 2, 20, 20])])).bytes
    var limits = ONNXLimits()
    limits.work = 1 << 30
    let imported = try ImportedModel(ONNXModel(bytes, limits: limits))
    guard case .program = imported.form else { throw ONNXError.graph("is no program") }
    let error = #expect(throws: ONNXError.self) { try imported.run(["x": ONNXValue(Tensor.zeros(Shape([10] + large.dropFirst())))]) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("operations"))
}
