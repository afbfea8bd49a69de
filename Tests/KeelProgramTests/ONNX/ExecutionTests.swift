import Foundation
import Keel
import KeelProgram
import Testing

private let x = Message.value("x"), y = Message.value("y")

private func run(_ model: Message, _ values: [String: ONNXValue] = [:], limits: ONNXLimits = ONNXLimits()) throws -> Tensor {
    guard case .tensor(let tensor, _) = try ONNXModel(model.bytes, limits: limits).run(values)[0] else { throw ONNXError.graph("no tensor") }
    return tensor
}

private func error(_ model: Message, _ values: [String: ONNXValue] = [:], limits: ONNXLimits = ONNXLimits()) -> String {
    do {
        return "\(try run(model, values, limits: limits).shape)"
    } catch {
        return "\(error)"
    }
}

@Test func inputsAreCheckedAgainstTheModel() throws {
    let model = Message.addition(.floats("w", [2], raw: Message.two))
    #expect(error(model) == "input 'x': is missing")
    #expect(error(model, ["x": ONNXValue(try Tensor([Float(1)], [1, 1]))]) == "input 'x': has the shape [1, 1], the model takes [n, 2]")
    #expect(error(model, ["x": ONNXValue(try Tensor([1.0, 2], [1, 2]))]) == "input 'x': is float64, the model takes float32")
    let fine = ONNXValue(try Tensor([Float(1), 2], [1, 2]))
    #expect(error(model, ["x": fine, "z": fine]) == "input 'z': isn't one of the model's: x")
}

/// Each would take more memory than there is: the limit is named before anything is allocated.
@Test(arguments: [
    ("Expand", [1 << 20, 1 << 20]), ("ConstantOfShape", [1 << 20, 1 << 20]), ("Tile", [1 << 40]), ("ConstantOfShape", [1 << 58]),
] as [(String, [Int])]) func valuesThatAreTooLargeAreNotBegun(type: String, sizes: [Int]) {
    let shape = Message.ints("s", [sizes.count], sizes)
    let inputs = type == "ConstantOfShape" ? ["s"] : ["v", "s"]
    let model = Message.model(.graph([.node(type, inputs, ["y"])], [], [y], initializers: [shape, .ints("v", [1], [1])]))
    let text = error(model)
    #expect(text.contains("the limit is 4294967296 for all"), "\(type): \(text)")
}

@Test func valuesThatGrowInALoopMeetTheLimit() {
    // Each pass doubles what is carried.
    let body = Message.graph(
        [.node("Concat", ["v", "v"], ["w"], [.attribute("axis", int: 0)]), .node("Identity", ["c"], ["d"])],
        [.value("i", 7), .value("c", 9), .value("v", 7)], [.value("d", 9), .value("w", 7)])
    let model = Message.model(
        .graph([.node("Loop", ["m", "", "s"], ["y"], [.attribute("body", graph: body)])], [], [y], initializers: [.ints("m", [], [1 << 62]), .ints("s", [4], [1, 2, 3, 4])]))
    var limits = ONNXLimits()
    limits.bytes = 64 << 20
    #expect(error(model, limits: limits).contains("67108864"))
}

@Test func anEndlessLoopIsCutByStepsAndByTime() {
    let body = Message.graph([.node("Identity", ["c"], ["d"])], [.value("i", 7), .value("c", 9)], [.value("d", 9)])
    let model = Message.model(
        .graph(
            [.node("Loop", ["m", ""], [], [.attribute("body", graph: body)]), .node("Identity", ["m"], ["y"])], [], [y], initializers: [.ints("m", [], [1 << 62])]))
    var limits = ONNXLimits()
    limits.steps = 1000
    #expect(error(model, limits: limits).contains("took more than 1000 nodes"))
    limits.steps = .max
    limits.time = .milliseconds(20)
    #expect(error(model, limits: limits).contains("took longer than"))
}

@Test func aLoopThatDoesNothingIsCutToo() {
    let body = Message.graph([], [.value("i", 7), .value("c", 9)], [.value("c", 9)])
    let model = Message.model(
        .graph(
            [.node("Loop", ["m", ""], [], [.attribute("body", graph: body)]), .node("Identity", ["m"], ["y"])], [], [y], initializers: [.ints("m", [], [1 << 62])]))
    var limits = ONNXLimits()
    limits.steps = 1000
    #expect(error(model, limits: limits).contains("took more than 1000 nodes"))
}

@Test func innerGraphsSeeTheNamesAroundThem() throws {
    func branch(_ type: String, _ name: String) -> Message { .graph([.node(type, ["x", "w"], [name])], [], [.value(name)]) }
    let model = Message.model(
        .graph(
            [.node("If", ["c"], ["y"], [.attribute("then_branch", graph: branch("Add", "a")), .attribute("else_branch", graph: branch("Sub", "b"))])],
            [x, .value("c", 9)], [y], initializers: [.floats("w", [2], raw: Message.two)]))
    let five = ONNXValue(try Tensor([Float(5), 5]))
    #expect(try run(model, ["x": five, "c": ONNXValue(Tensor(true))]).elements() == [6, 7])
    #expect(try run(model, ["x": five, "c": ONNXValue(Tensor(false))]).elements() == [4, 3])
}

@Test func functionsTakeTheirCallersAttributes() throws {
    // f(x; axis) = ReduceSum-like: Softmax's axis stands for any.
    let inner = Message.node("Concat", ["a", "a"], ["b"], [Message().text(1, "axis").int(20, 2).text(21, "where")])
    let function = Message().text(1, "twice").texts(4, ["a"]).texts(5, ["b"]).texts(6, ["where"]).message(7, inner).message(9, Message().int(2, 17)).text(10, "d")
    let model = Message.model(
        .graph([.node("twice", ["x"], ["y"], [.attribute("where", int: 1)], domain: "d")], [x], [y]), functions: [function], more: [Message().text(1, "d").int(2, 1)])
    #expect(try run(model, ["x": ONNXValue(Tensor([Float(1), 2], [1, 2]))]).elements() == [1, 2, 1, 2])
    #expect(try run(model, ["x": ONNXValue(Tensor([Float(1), 2], [1, 2]))]).shape == [1, 4])
}

@Test func unsupportedOperatorsAreListedByOpset() throws {
    let model = try ONNXModel(
        Message.model(
            .graph([.node("NoSuchOp", ["x"], ["a"]), .node("NoSuchOp", ["a"], ["b"]), .node("Scatter", ["b", "b", "b"], ["y"])], [x], [y])
        ).bytes)
    #expect(model.unsupported.map(\.type) == ["NoSuchOp", "Scatter"])
    #expect(model.unsupported.map(\.count) == [2, 1])
    #expect(model.unsupported.map(\.reason) == ["isn't known", "known in opsets 9 to 10"])
    #expect(model.unsupported.allSatisfy { $0.opset == 17 })
}

/// The whole numbers wrap, as the standard's unsigned kinds do.
@Test(arguments: [(2, 250, 10, 4), (4, 65530, 10, 4), (3, 120, 10, -126), (12, 4_294_967_290, 10, 4)]) func narrowWholeNumbersWrap(kind: Int, a: Int, b: Int, sum: Int) throws {
    func number(_ name: String, _ value: Int) -> Message {
        let head = Message().int(2, kind).text(8, name)
        return kind == 12 ? head.int(11, value) : head.int(5, value)
    }
    let model = Message.model(
        .graph([.node("Add", ["a", "b"], ["s"]), .node("Cast", ["s"], ["y"], [.attribute("to", int: 7)])], [], [.value("y", 7)], initializers: [number("a", a), number("b", b)]))
    #expect(try run(model).elements(Int.self) == [sum])
}

/// A sample of the ONNX project's own test directories (`onnx` 1.18.0, Apache-2.0).
@Test func theSampleOfONNXsOwnCasesPasses() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases").path
    let result = try ONNXVerifier([folder])
    for one in result.cases { #expect(one.outcome == .passed, "\(one.name)") }
    #expect(result.cases.count >= 60)
}

@Test func theVerifierTellsWhatFails() throws {
    let files = FileManager.default, folder = files.temporaryDirectory.appendingPathComponent("onnx-\(UUID().uuidString)").path
    defer { try? files.removeItem(atPath: folder) }
    func write(_ name: String, _ model: Message, output: Message) throws {
        try files.createDirectory(atPath: "\(folder)/\(name)/test_data_set_0", withIntermediateDirectories: true)
        let input = Message.floats("", [1, 2], raw: Message.two)
        for (file, message) in [("model.onnx", model), ("test_data_set_0/input_0.pb", input), ("test_data_set_0/output_0.pb", output)] {
            try Data(message.bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)/\(file)"))
        }
    }
    let same = Message.model(.graph([.node("Identity", ["x"], ["y"])], [x], [y])), right = Message.floats("", [1, 2], raw: Message.two)
    try write("a", same, output: right)
    try write("b", same, output: .floats("", [2], raw: Message.two))
    try write("c", .model(.graph([.node("Abs", ["x"], ["z"]), .node("Add", ["z", "z"], ["y"])], [x], [y])), output: right)
    try write("d", .model(.graph([.node("NoSuchOp", ["x"], ["y"])], [x], [y])), output: right)
    try write("e", .model(.graph([.node("Identity", ["x"], ["y"])], [.value("x", 8)], [.value("y", 8)])), output: right)
    let cases = try ONNXVerifier([folder]).cases
    #expect(cases.map(\.name) == ["a", "b", "c", "d", "e"])
    #expect(cases[0].outcome == .passed)
    #expect(cases[1].outcome == .failed("test_data_set_0: output 0: has the shape [1, 2], [2] is expected"))
    #expect(cases[2].outcome == .failed("test_data_set_0: output 0: 2.0 at 0, 1.0 is expected; 2 of 2 differ"))
    #expect(cases[3].outcome == .unsupported("operator NoSuchOp of opset 17 isn't supported: isn't known"))
    #expect(cases[4].outcome == .excluded("strings"))
    #expect(cases[2].subject == "Abs")
}
