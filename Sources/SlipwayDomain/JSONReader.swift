/// A body that isn't the JSON we accept.
package struct JSONSyntaxError: Error, Equatable {
    package enum Reason: Equatable, Sendable {
        case malformed(String)
        case duplicateMember(pointer: String)
        case tooDeep(limit: Int)
    }

    package let reason: Reason
    /// In bytes from the beginning.
    package let offset: Int

    package var problem: Problem {
        let place = "at byte \(offset)"
        switch reason {
        case .malformed(let what):
            return Problem(400, "json-malformed", title: "The request body isn't JSON", detail: "\(what), \(place)")
        case .duplicateMember(let pointer):
            return Problem(
                400, "json-duplicate-key", title: "A JSON object names a member twice", detail: "\(pointer) appears again \(place)",
                errors: [.init(pointer: pointer, code: "json-duplicate-key", detail: "appears again \(place)")])
        case .tooDeep(let limit):
            return Problem(
                400, "json-too-deep", title: "The JSON is nested too deeply", detail: "more than \(limit) levels, \(place)")
        }
    }
}

/// A strict RFC 8259 reader: one value, UTF-8, no duplicate members, bounded depth, every error with its offset.
///
/// Foundation's reader keeps the last of two equal members, and says neither where an error is nor how deep it went.
package struct JSONReader {
    private let bytes: [UInt8]
    private let depthLimit: Int
    private var index = 0
    private var path: [String] = []

    package static func read(_ bytes: [UInt8], depthLimit: Int = 64) throws(JSONSyntaxError) -> JSON {
        var reader = JSONReader(bytes: bytes, depthLimit: depthLimit)
        reader.skipSpace()
        let value = try reader.value()
        reader.skipSpace()
        guard reader.index == bytes.count else { throw reader.malformed("more after the value") }
        return value
    }

    private init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    private func malformed(_ what: String) -> JSONSyntaxError { JSONSyntaxError(reason: .malformed(what), offset: index) }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func value() throws(JSONSyntaxError) -> JSON {
        switch next {
        case nil: throw malformed("the text ends where a value should be")
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        let end = index + word.utf8CodeUnitCount
        guard end <= bytes.count, word.withUTF8Buffer({ bytes[index..<end].elementsEqual($0) }) else { throw malformed("not a value") }
        index = end
        return value
    }

    private mutating func enter(_ name: String) throws(JSONSyntaxError) {
        guard path.count < depthLimit else { throw JSONSyntaxError(reason: .tooDeep(limit: depthLimit), offset: index) }
        path.append(name)
    }

    private mutating func object() throws(JSONSyntaxError) -> JSON {
        index += 1
        var members: [String: JSON] = [:]
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw malformed("a member's name in quotes should be here") }
            let start = index
            let name = try string()
            try enter(name)
            guard members[name] == nil else {
                throw JSONSyntaxError(reason: .duplicateMember(pointer: JSONPointer.text(path)), offset: start)
            }
            skipSpace()
            guard take(":") else { throw malformed("a colon should be here") }
            skipSpace()
            members[name] = try value()
            path.removeLast()
            skipSpace()
            if take(",") { continue }
            guard take("}") else { throw malformed("a comma or the object's end should be here") }
            return .object(members)
        }
    }

    private mutating func array() throws(JSONSyntaxError) -> JSON {
        index += 1
        var elements: [JSON] = []
        skipSpace()
        if take("]") { return .array(elements) }
        while true {
            try enter(String(elements.count))
            skipSpace()
            elements.append(try value())
            path.removeLast()
            skipSpace()
            if take(",") { continue }
            guard take("]") else { throw malformed("a comma or the array's end should be here") }
            return .array(elements)
        }
    }

    private mutating func number() throws(JSONSyntaxError) -> JSON {
        let start = index
        _ = take("-")
        let isZero = take("0")
        if !isZero { guard digits() else { throw malformed("not a value") } }
        var isInteger = true
        if take(".") {
            isInteger = false
            guard digits() else { throw malformed("a digit should be here") }
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            guard digits() else { throw malformed("a digit should be here") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            index = start
            throw malformed("the number is out of range")
        }
        return .number(value)
    }

    private mutating func digits() -> Bool {
        let start = index
        while let byte = next, byte >= 0x30, byte <= 0x39 { index += 1 }
        return index > start
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        index += 1
        let start = index
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { index += 1 }
        var text = try utf8(start..<index)
        while true {
            guard let byte = next else { throw malformed("the text ends within a string") }
            if byte == UInt8(ascii: "\"") {
                index += 1
                return text
            }
            if byte == UInt8(ascii: "\\") {
                text.unicodeScalars.append(try escape())
                continue
            }
            guard byte >= 0x20 else { throw malformed("a control character in a string must be escaped") }
            let start = index
            while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { index += 1 }
            text += try utf8(start..<index)
        }
    }

    private func utf8(_ range: Range<Int>) throws(JSONSyntaxError) -> String {
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw JSONSyntaxError(reason: .malformed("the text is not UTF-8"), offset: range.lowerBound)
        }
        return text
    }

    private mutating func escape() throws(JSONSyntaxError) -> Unicode.Scalar {
        index += 1
        guard let byte = next else { throw malformed("the text ends within a string") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try codeUnit()
            guard UTF16.isSurrogate(first) else { return scalar(UInt32(first)) }
            guard UTF16.isLeadSurrogate(first), take("\\"), take("u") else { throw malformed("half of a surrogate pair") }
            let second = try codeUnit()
            guard UTF16.isTrailSurrogate(second) else { throw malformed("half of a surrogate pair") }
            return scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
        default:
            index -= 1
            throw malformed("not an escape")
        }
    }

    private func scalar(_ value: UInt32) -> Unicode.Scalar {
        guard let scalar = Unicode.Scalar(value) else { preconditionFailure("surrogates have been paired") }
        return scalar
    }

    private mutating func codeUnit() throws(JSONSyntaxError) -> UInt16 {
        guard index + 4 <= bytes.count else { throw malformed("the text ends within a string") }
        var unit: UInt16 = 0
        for byte in bytes[index..<index + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw malformed("not four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
        }
        index += 4
        return unit
    }
}

/// RFC 6901.
package enum JSONPointer {
    package static func text(_ path: some Sequence<String>) -> String { path.reduce("", appending) }

    package static func appending(_ pointer: String, _ name: String) -> String {
        "\(pointer)/\(name.replacing("~", with: "~0").replacing("/", with: "~1"))"
    }
}
