/// Writes small ONNX files field by field: also what exporters and strangers write, and Keel wouldn't.
struct SampleModel {
    enum Size: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
        case number(Int)
        case name(String)
        init(integerLiteral number: Int) { self = .number(number) }
        init(stringLiteral name: String) { self = .name(name) }
    }

    struct Port {
        var name: String
        var sizes: [Size]
        /// ONNX's number of the type.
        var kind = float

        init(_ name: String, _ sizes: [Size], kind: Int = float) { (self.name, self.sizes, self.kind) = (name, sizes, kind) }
    }

    static let float = 1, int64 = 7

    var inputs: [Port] = []
    var outputs: [Port] = []
    private var nodes: [[UInt8]] = []
    private var constants: [[UInt8]] = []
    private var functions: [[UInt8]] = []

    init(_ inputs: [Port], _ outputs: [Port]) { (self.inputs, self.outputs) = (inputs, outputs) }

    /// An operator without attributes, or a call of a function of the domain `local`.
    mutating func add(_ type: String, _ inputs: [String], _ output: String, domain: String = "") {
        nodes.append(Self.node(type, inputs, output, domain))
    }

    /// A function of one operator, in the domain `local`.
    mutating func addFunction(_ name: String, _ inputs: [String], of type: String) {
        functions.append(
            Self.field(1, Array(name.utf8)) + inputs.flatMap { Self.field(4, Array($0.utf8)) } + Self.field(5, Array("made".utf8))
                + Self.field(7, Self.node(type, inputs, "made", "")) + Self.field(9, Self.field(2, 17)) + Self.field(10, Array("local".utf8)))
    }

    private static func node(_ type: String, _ inputs: [String], _ output: String, _ domain: String) -> [UInt8] {
        inputs.flatMap { field(1, Array($0.utf8)) } + field(2, Array(output.utf8)) + field(4, Array(type.utf8)) + (domain.isEmpty ? [] : field(7, Array(domain.utf8)))
    }

    mutating func add(_ name: String, _ sizes: [Int], floats: [Float]) {
        add(name, sizes, Self.float, floats.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } })
    }

    mutating func add(_ name: String, _ sizes: [Int], integers: [Int64]) {
        add(name, sizes, Self.int64, integers.flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) } })
    }

    private mutating func add(_ name: String, _ sizes: [Int], _ kind: Int, _ raw: [UInt8]) {
        constants.append(sizes.flatMap { Self.field(1, $0) } + Self.field(2, kind) + Self.field(8, Array(name.utf8)) + Self.field(9, raw))
    }

    var bytes: [UInt8] {
        let graph = nodes.flatMap { Self.field(1, $0) } + Self.field(2, Array("sample".utf8)) + constants.flatMap { Self.field(5, $0) }
            + inputs.flatMap { Self.field(11, Self.bytes(of: $0)) } + outputs.flatMap { Self.field(12, Self.bytes(of: $0)) }
        let local = functions.isEmpty ? [] : Self.field(8, Self.field(1, Array("local".utf8)) + Self.field(2, 1)) + functions.flatMap { Self.field(25, $0) }
        return Self.field(1, 8) + Self.field(7, graph) + Self.field(8, Self.field(2, 17)) + local
    }

    private static func bytes(of port: Port) -> [UInt8] {
        let dimensions = port.sizes.flatMap { size in
            switch size {
            case .number(let number): field(1, field(1, number))
            case .name(let name): field(1, field(2, Array(name.utf8)))
            }
        }
        return field(1, Array(port.name.utf8)) + field(2, field(1, field(1, port.kind) + field(2, dimensions)))
    }

    private static func varint(_ number: UInt64) -> [UInt8] {
        var bytes: [UInt8] = [], rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func field(_ number: UInt64, _ value: Int) -> [UInt8] { varint(number << 3) + varint(UInt64(bitPattern: Int64(value))) }
    private static func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] { varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes }
}
