/// Writes messages of the ONNX format, sound or not, for tests.
struct Message: CustomStringConvertible {
    var description: String { "\(bytes.count) bytes" }
    var bytes: [UInt8] = []

    static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value, bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    func int(_ field: Int, _ value: Int) -> Message { raw(Self.varint(UInt64(field << 3)) + Self.varint(UInt64(bitPattern: Int64(value)))) }
    func data(_ field: Int, _ data: [UInt8], length: Int? = nil) -> Message {
        raw(Self.varint(UInt64(field << 3 | 2)) + Self.varint(UInt64(length ?? data.count)) + data)
    }
    func text(_ field: Int, _ text: String) -> Message { data(field, Array(text.utf8)) }
    func message(_ field: Int, _ message: Message) -> Message { data(field, message.bytes) }
    func messages(_ field: Int, _ messages: [Message]) -> Message { messages.reduce(self) { $0.message(field, $1) } }
    func texts(_ field: Int, _ texts: [String]) -> Message { texts.reduce(self) { $0.text(field, $1) } }
    func raw(_ more: [UInt8]) -> Message { Message(bytes: bytes + more) }
}

extension Message {
    static func attribute(_ name: String, int: Int) -> Message { Message().text(1, name).int(3, int).int(20, 2) }
    static func attribute(_ name: String, text: String) -> Message { Message().text(1, name).text(4, text).int(20, 3) }
    static func attribute(_ name: String, floats: [Float]) -> Message {
        Message().text(1, name).data(7, floats.flatMap { x in (0..<4).map { UInt8(truncatingIfNeeded: x.bitPattern >> ($0 * 8)) } }).int(20, 6)
    }
    static func attribute(_ name: String, ints: [Int]) -> Message {
        Message().text(1, name).data(8, ints.flatMap { varint(UInt64(bitPattern: Int64($0))) }).int(20, 7)
    }
    static func attribute(_ name: String, texts: [String]) -> Message { Message().text(1, name).texts(9, texts).int(20, 8) }
    static func attribute(_ name: String, graph: Message) -> Message { Message().text(1, name).message(6, graph).int(20, 5) }
    static func attribute(_ name: String, tensor: Message) -> Message { Message().text(1, name).message(5, tensor).int(20, 4) }

    static func node(_ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [Message] = [], domain: String = "") -> Message {
        Message().texts(1, inputs).texts(2, outputs).text(4, type).messages(5, attributes).text(7, domain)
    }

    /// A tensor of int64s, packed, or one number a field.
    static func ints(_ name: String, _ dims: [Int], _ numbers: [Int], isPacked: Bool = true) -> Message {
        let head = dims.reduce(Message()) { $0.int(1, $1) }.int(2, 7).text(8, name)
        return isPacked ? head.data(7, numbers.flatMap { varint(UInt64(bitPattern: Int64($0))) }) : numbers.reduce(head) { $0.int(7, $1) }
    }

    static func floats(_ name: String, _ dims: [Int], raw: [UInt8]) -> Message {
        dims.reduce(Message()) { $0.int(1, $1) }.int(2, 1).text(8, name).data(9, raw)
    }

    static func zeros(_ name: String, _ dims: [Int]) -> Message { floats(name, dims, raw: [UInt8](repeating: 0, count: 4 * dims.reduce(1, *))) }

    /// One float.
    static func number(_ name: String, _ x: Float) -> Message { floats(name, [], raw: (0..<4).map { UInt8(truncatingIfNeeded: x.bitPattern >> ($0 * 8)) }) }

    /// A float tensor whose bytes lie in a file.
    static func external(_ name: String, _ dims: [Int], _ location: String, offset: String? = nil, length: String? = nil) -> Message {
        var tensor = dims.reduce(Message()) { $0.int(1, $1) }.int(2, 1).text(8, name)
        for (key, value) in [("location", location), ("offset", offset), ("length", length)] {
            if let value { tensor = tensor.message(13, Message().text(1, key).text(2, value)) }
        }
        return tensor.int(14, 1)
    }

    static func value(_ name: String, _ kind: Int = 1, _ dims: [Int]? = nil) -> Message {
        var type = Message().int(1, kind)
        if let dims { type = type.message(2, dims.reduce(Message()) { $0.message(1, $1 < 0 ? Message().text(2, "n") : Message().int(1, $1)) }) }
        return Message().text(1, name).message(2, Message().message(1, type))
    }

    static func graph(_ nodes: [Message], _ inputs: [Message], _ outputs: [Message], initializers: [Message] = []) -> Message {
        Message().messages(1, nodes).text(2, "g").messages(5, initializers).messages(11, inputs).messages(12, outputs)
    }

    static func model(_ graph: Message, opset: Int = 17, functions: [Message] = [], more: [Message] = []) -> Message {
        Message().int(1, 8).message(7, graph).messages(8, [Message().int(2, opset)] + more).messages(25, functions)
    }

    /// `y = x + w` with `w` as an initialiser.
    static func addition(_ w: Message) -> Message {
        model(graph([node("Add", ["x", "w"], ["y"])], [value("x", 1, [-1, 2])], [value("y")], initializers: [w]))
    }

    static let two: [UInt8] = [0, 0, 128, 63, 0, 0, 0, 64]  // 1, 2
}
