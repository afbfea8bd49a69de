/// What one protobuf message of a file says.
package protocol ProtobufMessage {
    init(_ reader: consuming ProtobufReader, _ file: MappedBytes) throws(ONNXError)
}

/// The fields of one protobuf message, read where they lie.
///
/// Every length is checked against what is left of the message around it. Groups, which nothing has written since protobuf 2, are refused.
///
/// - Source: https://protobuf.dev/programming-guides/encoding
package struct ProtobufReader {
    package enum WireType: Int { case varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 }

    /// How many messages a file may still hold, of all kinds: each takes more memory as a value than its two bytes at least in the file.
    package final class Budget {
        package var messages: Int
        package init(messages: Int) { self.messages = messages }
    }

    package let bytes: UnsafeRawBufferPointer
    package private(set) var position: Int
    package let end: Int
    /// Where in the model this message stands.
    package let place: String
    package let depth: Int
    package let budget: Budget

    /// How deep messages may lie in each other. A graph in a node's attribute takes three levels.
    package static let maximumDepth = 128

    package init(_ bytes: UnsafeRawBufferPointer, place: String = "", budget: Budget = Budget(messages: 1_000_000)) {
        self.init(bytes, 0, bytes.count, place, 0, budget)
    }

    private init(_ bytes: UnsafeRawBufferPointer, _ position: Int, _ end: Int, _ place: String, _ depth: Int, _ budget: Budget) {
        (self.bytes, self.position, self.end, self.place, self.depth, self.budget) = (bytes, position, end, place, depth, budget)
    }

    package func malformed(_ what: String) -> ONNXError { .malformed(place: place, byte: position, what) }

    /// The next field; nil at the message's end.
    package mutating func field() throws(ONNXError) -> (number: Int, type: WireType)? {
        guard position < end else { return nil }
        let key = try varint()
        guard key >> 3 >= 1, key >> 3 < 1 << 29 else { throw malformed("a field's number is \(key >> 3)") }
        guard let type = WireType(rawValue: Int(key & 7)) else { throw malformed("field \(key >> 3) has the wire type \(key & 7)") }
        return (Int(key >> 3), type)
    }

    package mutating func varint() throws(ONNXError) -> UInt64 {
        var value: UInt64 = 0, shift: UInt64 = 0
        while position < end {
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { throw malformed("a number of more than 64 bits") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw malformed("a number of more than 64 bits") }
        }
        throw malformed("the message ends within a number")
    }

    package mutating func int64(_ type: WireType) throws(ONNXError) -> Int64 {
        guard type == .varint else { throw malformed("a whole number is expected, there is \(type)") }
        return Int64(bitPattern: try varint())
    }

    package mutating func fixed<T: FixedWidthInteger>(_: T.Type) throws(ONNXError) -> T {
        guard end - position >= MemoryLayout<T>.size else { throw malformed("the message ends within a number") }
        defer { position += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    package mutating func float(_ type: WireType) throws(ONNXError) -> Float {
        guard type == .fixed32 else { throw malformed("a float is expected, there is \(type)") }
        return Float(bitPattern: try fixed(UInt32.self))
    }

    /// The range of a field of bytes.
    package mutating func range(_ type: WireType) throws(ONNXError) -> Range<Int> {
        guard type == .bytes else { throw malformed("bytes are expected, there is \(type)") }
        let length = try varint()
        guard length <= UInt64(end - position) else {
            throw malformed("a field of \(length) bytes in a message with \(end - position) left")
        }
        let start = position
        position += Int(length)
        return start..<position
    }

    package mutating func string(_ type: WireType) throws(ONNXError) -> String {
        let range = try range(type)
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw .malformed(place: place, byte: range.lowerBound, "text that isn't UTF-8")
        }
        return text
    }

    /// The reader of a message that is a field of this one.
    package mutating func message(_ type: WireType, _ name: @autoclosure () -> String) throws(ONNXError) -> ProtobufReader {
        let range = try range(type)
        let inner = place.isEmpty ? name() : place + "." + name()
        guard depth < Self.maximumDepth else { throw .tooDeep(place: inner, "messages lie more than \(Self.maximumDepth) deep in each other") }
        budget.messages -= 1
        guard budget.messages >= 0 else { throw .limit(place: inner, "the file holds more than a million messages") }
        return ProtobufReader(bytes, range.lowerBound, range.upperBound, inner, depth + 1, budget)
    }

    // One more of a repeated field; of numbers, more may come at once, packed.

    package mutating func append<M: ProtobufMessage>(to messages: inout [M], _ type: WireType, _ name: String, _ file: MappedBytes) throws(ONNXError) {
        messages.append(try M(try message(type, "\(name)[\(messages.count)]"), file))
    }

    package mutating func append(to texts: inout [String], _ type: WireType) throws(ONNXError) { texts.append(try string(type)) }

    package mutating func append(to texts: inout [[UInt8]], _ type: WireType) throws(ONNXError) { texts.append(Array(bytes[try range(type)])) }

    package mutating func append(to numbers: inout [Int64], _ type: WireType) throws(ONNXError) {
        guard type == .bytes else { return numbers.append(try int64(type)) }
        try packed { reader throws(ONNXError) in numbers.append(Int64(bitPattern: try reader.varint())) }
    }

    package mutating func append(to numbers: inout [Float], _ type: WireType) throws(ONNXError) {
        guard type == .bytes else { return numbers.append(try float(type)) }
        try packed { reader throws(ONNXError) in numbers.append(Float(bitPattern: try reader.fixed(UInt32.self))) }
    }

    package mutating func append(to numbers: inout [Double], _ type: WireType) throws(ONNXError) {
        guard type != .fixed64 else { return numbers.append(Double(bitPattern: try fixed(UInt64.self))) }
        try packed(type) { reader throws(ONNXError) in numbers.append(Double(bitPattern: try reader.fixed(UInt64.self))) }
    }

    private mutating func packed(
        _ type: WireType = .bytes, _ next: (inout ProtobufReader) throws(ONNXError) -> Void
    ) throws(ONNXError) {
        let range = try range(type)
        var inner = ProtobufReader(bytes, range.lowerBound, range.upperBound, place, depth, budget)
        while inner.position < inner.end { try next(&inner) }
    }

    package mutating func skip(_ type: WireType) throws(ONNXError) {
        switch type {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed(UInt64.self)
        case .bytes: _ = try range(type)
        case .fixed32: _ = try fixed(UInt32.self)
        }
    }
}
