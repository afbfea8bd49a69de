import BadInputs
import Foundation
import Keel
import KeelProgram
import Testing

private func reason(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "accepted"
    } catch {
        return "\(error)"
    }
}

private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("onnx-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

@Test func aModelIsReadAndRun() throws {
    let model = try ONNXModel(Message.addition(.floats("w", [2], raw: Message.two)).bytes)
    #expect(model.inputs.map(\.name) == ["x"])
    #expect(model.inputs[0].kind == .float32)
    #expect(model.opsets == ["": 17])
    #expect(model.unsupported.isEmpty)
    let y = try model.run(["x": ONNXValue(Tensor([Float(10), 20], [1, 2]))])
    guard case .tensor(let sum, .float32) = y[0] else { throw ONNXError.graph("no tensor") }
    #expect(try sum.elements() == [11, 22])
}

@Test(arguments: [true, false]) func repeatedNumbersArePackedOrNot(isPacked: Bool) throws {
    let model = try ONNXModel(
        Message.model(
            .graph(
                [.node("Identity", ["w"], ["y"])], [], [.value("y", 7)], initializers: [.ints("w", [3], [1, -2, 1 << 40], isPacked: isPacked)])
        ).bytes)
    guard case .tensor(let numbers, .int64) = try model.run([:])[0] else { throw ONNXError.graph("no tensor") }
    #expect(try numbers.elements(Int.self) == [1, -2, 1 << 40])
}

@Test func everyTruncationIsRefusedOrReadsAsLess() throws {
    let bytes = Message.addition(.floats("w", [2], raw: Message.two)).bytes
    let complete = bytes.count
    for length in 0..<complete {
        // What is cut between two fields is a sound message without the rest, and then something of the model is missing; what is
        // cut within one names where.
        let text = reason { _ = try ONNXModel(Array(bytes[..<length])) }
        #expect(
            text.contains(", byte ") || text == "the file holds no graph: it isn't an ONNX model" || text == "the model names no operator set",
            "\(length) of \(complete): \(text)")
    }
}

@Test func everyChangedByteIsReadOrRefused() throws {
    let bytes = Message.addition(.floats("w", [2], raw: Message.two)).bytes
    var generator = Philox(seed: 11)
    for place in bytes.indices {
        for _ in 0..<8 {
            var changed = bytes
            changed[place] = UInt8(truncatingIfNeeded: generator.next())
            // Nothing but that it returns, and soon: a model may be another one.
            if let model = try? ONNXModel(changed) { _ = try? model.run(["x": ONNXValue(Tensor([Float(1), 2], [1, 2]))]) }
        }
    }
}

private let w = Message.floats("w", [2], raw: Message.two)
private let x = Message.value("x"), y = Message.value("y")

private func nested(_ depth: Int) -> Message {
    var inner = Message.graph([.node("Identity", ["x"], ["y\(depth)"])], [], [.value("y\(depth)")])
    for level in (0..<depth).reversed() {
        inner = .graph(
            [.node("If", ["c"], ["y\(level)"], [.attribute("then_branch", graph: inner), .attribute("else_branch", graph: inner.bytes.count > 4000 ? .graph([.node("Identity", ["x"], ["e\(level)"])], [], [.value("e\(level)")]) : inner)])],
            [], [.value("y\(level)")])
    }
    return .model(.graph([.node("If", ["c"], ["y"], [.attribute("then_branch", graph: inner), .attribute("else_branch", graph: inner)])], [x, .value("c", 9)], [y]))
}

private let hostile: [(String, Message, String)] = [
    ("nothing", Message(), "the file holds no graph: it isn't an ONNX model"),
    ("a length beyond the end", Message().data(7, [1, 2, 3], length: 100), "model, byte 2: a field of 100 bytes in a message with 3 left"),
    ("a length of 2^63", Message().raw([0x3a] + Message.varint(1 << 63)), "a field of 9223372036854775808 bytes"),
    ("a number that goes on", Message().raw([0x08] + [UInt8](repeating: 0xff, count: 11)), "a number of more than 64 bits"),
    ("a group", Message().raw([0x0b, 0x0c]), "field 1 has the wire type 3"),
    ("field 0", Message().raw([0x02, 0x00]), "a field's number is 0"),
    ("a name that isn't text", .model(Message().data(2, [0xff, 0xfe])), "graph, byte 6: text that isn't UTF-8"),
    ("no output", .model(.graph([.node("Relu", ["x"], ["y"])], [x], [])), "the graph has no output"),
    ("an output that nothing makes", .model(.graph([.node("Relu", ["x"], ["z"])], [x], [y])), "nothing makes the output 'y' of graph 'g'"),
    ("a circle", .model(.graph([.node("Add", ["x", "b"], ["a"]), .node("Relu", ["a"], ["b"])], [x], [.value("a")])), "node Add that makes 'a' reads 'b', which nothing before it makes"),
    ("a value made twice", .model(.graph([.node("Relu", ["x"], ["y"]), .node("Abs", ["x"], ["y"])], [x], [y])), "'y' is made twice"),
    ("an initialiser twice", .model(.graph([.node("Add", ["x", "w"], ["y"])], [x], [y], initializers: [w, w])), "'w' is made twice"),
    ("an input made by a node", .model(.graph([.node("Relu", ["x"], ["x"])], [x], [x])), "'x' is made twice"),
    ("an attribute twice", .model(.graph([.node("Softmax", ["x"], ["y"], [.attribute("axis", int: 0), .attribute("axis", int: 1)])], [x], [y])), "has the attribute 'axis' twice"),
    ("opset 99", .model(.graph([.node("Relu", ["x"], ["y"])], [x], [y]), opset: 99), "opset 99 of ai.onnx isn't known: allowed is 1...28"),
    ("opset -1", .model(.graph([.node("Relu", ["x"], ["y"])], [x], [y]), opset: -1), "opset -1 of ai.onnx"),
    ("a negative size", .addition(.floats("w", [-2], raw: Message.two)), "tensor 'w': has the size -2"),
    ("sizes whose product overflows", .addition(.floats("w", [1 << 30, 1 << 30], raw: Message.two)), "tensor 'w': [1073741824, 1073741824] is no shape"),
    ("sizes that overflow beside a zero", .addition(.floats("w", [1 << 30, 1 << 30, 0], raw: [])), "is no shape"),
    ("a size beyond all limits", .addition(.floats("w", [1 << 62, 0], raw: [])), "tensor 'w': has the size 4611686018427387904"),
    ("nine axes", .addition(.floats("w", [1, 1, 1, 1, 1, 1, 1, 1, 2], raw: Message.two)), "is no shape: at most eight sizes"),
    ("too few bytes", .addition(.floats("w", [1000, 1000], raw: Message.two)), "tensor 'w': has 8 bytes, its shape [1000, 1000] of float32 takes 4000000"),
    ("too many numbers", .addition(.ints("w", [1], [1, 2])), "tensor 'w': has 2 elements, its shape [1] takes 1"),
    ("an unknown kind", .addition(Message().int(1, 2).int(2, 99).text(8, "w").data(9, Message.two)), "tensor 'w': elements of kind 99 aren't supported"),
    ("complex numbers", .addition(Message().int(1, 1).int(2, 14).text(8, "w").data(9, Message.two)), "elements of kind 14 aren't supported"),
    ("a tensor that holds nothing and is wide", .addition(.floats("w", [1 << 30, 0], raw: [])), "tensor 'w': holds nothing, and its shape [1073741824, 0] is too large"),
    ("a name that commands a terminal", .model(.graph([.node("Identity", ["w\u{1B}[2J"], ["y"])], [], [y], initializers: [.floats("w\u{1B}[2J", [1], raw: [])])), "tensor 'w\u{FFFD}[2J': has 0 bytes"),
    ("a nameless initialiser", .addition(.floats("", [2], raw: Message.two)), "an initialiser of graph 'g' has no name"),
    ("external data of a model without a folder", .addition(.external("w", [2], "w.bin")), "the model came without a folder"),
    ("200 graphs in each other", nested(200), "messages lie more than 128 deep in each other"),
    ("40 graphs in each other", nested(40), "graphs lie more than 32 deep in each other"),
    ("a function that calls itself", .model(.graph([.node("f", ["x"], ["y"], domain: "d")], [x], [y]), functions: [Message().text(1, "f").texts(4, ["x"]).texts(5, ["y"]).message(7, .node("f", ["x"], ["y"], domain: "d")).text(10, "d")], more: [Message().text(1, "d").int(2, 1)]), "the function f calls itself"),
    ("two million empty nodes", .model(Message().raw([UInt8](repeating: 0, count: 2_000_000 * 2).enumerated().map { $0.offset % 2 == 0 ? 0x0a : 0 })), "the file holds more than a million messages"),
]

@Test func initialisersTakeNoMoreThanTheLimitTogether() {
    var limits = ONNXLimits()
    func refusal(_ graph: Message) -> String { reason { _ = try ONNXModel(Message.model(graph).bytes, limits: limits) } }
    let nodes = [Message.node("Add", ["v", "w"], ["y"])], v = Message.floats("v", [2], raw: Message.two)
    limits.bytes = 15
    #expect(refusal(.graph(nodes, [], [y], initializers: [v, w])) == "tensor 'w': the initialisers take more than 15 bytes")
    limits.bytes = 16
    #expect(refusal(.graph(nodes, [], [y], initializers: [v, w])) == "accepted")
    // 1 GiB of zeros, from a few bytes.
    let sparse = Message().message(1, .floats("w", [0], raw: [])).message(2, .ints("", [0], [])).int(3, 1 << 28)
    limits.bytes = 1 << 20
    #expect(refusal(Message.graph(nodes, [], [y], initializers: [v]).message(15, sparse)) == "tensor 'w': the initialisers take more than 1048576 bytes")
    // Bytes that an Int counts, bits that it doesn't.
    limits.bytes = .max
    #expect(
        refusal(.graph(nodes, [], [y], initializers: [v, .floats("w", [1 << 30, 1 << 28], raw: [])]))
            == "tensor 'w': its shape [1073741824, 268435456] holds too many elements")
}

@Test(arguments: hostile) func hostileModelsAreRefused(what: String, model: Message, message: String) {
    let text = reason { _ = try ONNXModel(model.bytes) }
    #expect(text.contains(message), "\(what): \(text)")
}

@Test(arguments: [
    ("../w.bin", "isn't a plain path inside the model's folder"), ("a/../w.bin", "isn't a plain path"), ("/etc/passwd", "isn't a plain path"),
    ("./w.bin", "isn't a plain path"), ("a//w.bin", "isn't a plain path"), ("a\\w.bin", "isn't a plain path"), ("w\u{0}.bin", "isn't a plain path"), ("", "isn't a plain path"),
    ("link.bin", "goes over a symbolic link"), ("linked/w.bin", "goes over a symbolic link"), ("none.bin", "isn't there"), ("folder", "isn't a file"),
    ("w.bin/w.bin", "isn't a file"),
]) func externalDataStaysInTheModelsFolder(location: String, message: String) throws {
    try withFolder { folder in
        let files = FileManager.default
        try Data(Message.two).write(to: URL(fileURLWithPath: folder + "/w.bin"))
        try files.createDirectory(atPath: folder + "/folder", withIntermediateDirectories: true)
        try files.createSymbolicLink(atPath: folder + "/link.bin", withDestinationPath: "w.bin")
        try files.createSymbolicLink(atPath: folder + "/linked", withDestinationPath: ".")
        try Data(Message.addition(.external("w", [2], location)).bytes).write(to: URL(fileURLWithPath: folder + "/m.onnx"))
        let text = reason { _ = try ONNXModel(reading: folder + "/m.onnx") }
        #expect(text.contains("tensor 'w': external data '\(location.replacing("\u{0}", with: "\u{FFFD}"))'") && text.contains(message), "\(text)")
    }
}

@Test(arguments: [
    ("8", "8", "accepted"), (nil, nil, "has 16 bytes, its shape [2] of float32 takes 8"), ("8", nil, "accepted"), ("12", "8", "has 16 bytes, the tensor's are 12..<20"),
    ("17", nil, "has 16 bytes, the tensor begins at 17"), ("-1", "8", "has the offset '-1'"), ("x", "8", "has the offset 'x'"), ("8", "9223372036854775807", "has 16 bytes, the tensor's are"),
] as [(String?, String?, String)]) func externalDataIsCut(offset: String?, length: String?, message: String) throws {
    try withFolder { folder in
        try Data(Message.two + Message.two).write(to: URL(fileURLWithPath: folder + "/w.bin"))
        let model = Message.addition(.external("w", [2], "w.bin", offset: offset, length: length))
        try Data(model.bytes).write(to: URL(fileURLWithPath: folder + "/m.onnx"))
        let text = reason { _ = try ONNXModel(reading: folder + "/m.onnx") }
        #expect(text.contains(message), "\(text)")
    }
}

/// What the catalogue of bad inputs says of each model, in this reader's words.
private let badModels: [String: String] = [
    "onnx_external_dotdot.onnx": "isn't a plain path", "onnx_external_absolute.onnx": "isn't a plain path", "onnx_cycle.onnx": "which nothing before it makes",
    "onnx_huge_dims.onnx": "would make a value of the shape", "onnx_wrong_raw_size.onnx": "has 16 bytes", "onnx_unknown_op.onnx": "operator NoSuchOp", "onnx_truncated.onnx": ", byte ",
    "onnx_nested_if_200.onnx": "deep in each other", "onnx_endless_loop.onnx": "the execution took", "onnx_no_output.onnx": "the graph has no output", "onnx_good.onnx": "accepted",
]

@Test(arguments: BadInputs.cases(via: "model-import").filter { $0.file.hasSuffix(".onnx") }) func badInputsAreRefusedOrBounded(row: BadInputs.Case) throws {
    var limits = ONNXLimits()
    limits.steps = 20_000
    let text = reason {
        let model = try ONNXModel(reading: BadInputs.path(of: row), limits: limits)
        if let first = model.unsupported.first { throw ONNXError.unsupported(domain: first.domain, operator: first.type, opset: first.opset, first.reason) }
        var values: [String: ONNXValue] = [:]
        for port in model.inputs {
            let shape = try Shape(checking: (port.sizes ?? []).map { $0.size ?? 1 })
            values[port.name] = .tensor(try Tensor.zeros(shape, port.kind?.carrier ?? .float32), port.kind ?? .float32)
        }
        _ = try model.run(values)
    }
    let expected = badModels[row.file] ?? (row.expect == "accept" ? "accepted" : "")
    #expect(text.contains(expected) && (text == "accepted") == (row.expect == "accept"), "\(row): \(text)")
}

@Test func portsThatDifferInASizeAreNotEqual() throws {
    func port(_ dims: [Int]?) throws -> ONNXModel.Port {
        try ONNXModel(Message.model(.graph([.node("Identity", ["x"], ["y"])], [.value("x", 1, dims)], [.value("y")])).bytes).inputs[0]
    }
    let open = try port([-1, 2])
    #expect(open.sizes == [ONNXModel.Port.Size(size: nil, name: "n"), ONNXModel.Port.Size(size: 2, name: nil)])
    #expect(try open == port([-1, 2]))
    #expect(try Set([open, port([3, 2]), port([-1, 4]), port([-1]), port(nil), port([-1, 2])]).count == 5)
}
