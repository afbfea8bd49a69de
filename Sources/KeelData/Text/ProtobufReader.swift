/// Reads the fields of a protocol buffer's message, every access checked.
///
/// - Source: Google, *Protocol Buffers Encoding* (proto2 and proto3).
struct ProtobufReader {
    enum Value {
        case varint(UInt64), fixed64(UInt64), bytes(ArraySlice<UInt8>), fixed32(UInt32)
    }
    struct Malformed: Error {
        /// A byte of the whole file.
        let offset: Int
        let reason: String
    }

    private var rest: ArraySlice<UInt8>

    /// - Parameter message: a slice of the whole file.
    init(_ message: ArraySlice<UInt8>) { rest = message }

    /// An error at the byte that is read next.
    func malformed(_ reason: String) -> Malformed { Malformed(offset: rest.startIndex, reason: reason) }

    /// The next field; nil at the end. Groups, long out of use, count as malformed.
    mutating func next() throws(Malformed) -> (field: Int, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let key = try varint()
        guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw malformed("a field has no such number as \(key >> 3)") }
        let value: Value
        switch key & 7 {
        case 0: value = .varint(try varint())
        case 1: value = .fixed64(try fixed(8))
        case 2:
            let count = try varint()
            guard count <= UInt64(rest.count) else {
                throw malformed("a field of \(count) bytes ends after \(rest.count)")
            }
            value = .bytes(rest.prefix(Int(count)))
            rest = rest.dropFirst(Int(count))
        case 5: value = .fixed32(UInt32(try fixed(4)))
        default: throw malformed("there is no wire type \(key & 7)")
        }
        return (Int(key >> 3), value)
    }

    private mutating func varint() throws(Malformed) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { throw malformed("a number is cut off") }
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
        }
        throw malformed("a number has more than 64 bits")
    }

    private mutating func fixed(_ count: Int) throws(Malformed) -> UInt64 {
        guard rest.count >= count else { throw malformed("a number is cut off") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension ProtobufReader.Value {
    var int: Int { if case .varint(let number) = self { Int(truncatingIfNeeded: number) } else { 0 } }
    var bool: Bool { int != 0 }
    var float: Float { if case .fixed32(let bits) = self { Float(bitPattern: bits) } else { 0 } }
    var bytes: ArraySlice<UInt8> { if case .bytes(let bytes) = self { bytes } else { [] } }
}
