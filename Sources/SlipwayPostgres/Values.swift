package import Foundation

/// A value that can be bound to a statement. An enum over `String` (and anything else raw-representable by such a value)
/// needs the conformance only: `extension JobState: PostgresValue {}`.
package protocol PostgresEncodable {
    var postgresParameter: Parameter { get }
    /// How an array of such values is bound.
    static func postgresParameter(ofArray values: [Self]) -> Parameter
}

/// A value that can be read from a column's text form.
package protocol PostgresDecodable {
    /// Nil when the text isn't such a value.
    init?(postgresText text: PostgresText)
    /// The value of a NULL; nil when NULL isn't one.
    static var postgresNull: Self? { get }
    static func postgresArray(from text: PostgresText) -> [Self]?
}

package typealias PostgresValue = PostgresEncodable & PostgresDecodable

/// The bytes of a column's value. Valid within the decoding call only.
package struct PostgresText {
    package let bytes: UnsafeBufferPointer<UInt8>

    package var string: String { String(decoding: bytes, as: UTF8.self) }
}

extension PostgresEncodable {
    package static func postgresParameter(ofArray values: [Self]) -> Parameter {
        var literal = "{"
        for (index, value) in values.enumerated() {
            if index > 0 { literal += "," }
            appendArrayElement(value.postgresParameter, to: &literal)
        }
        return .text(literal + "}")
    }
}

private func appendArrayElement(_ parameter: Parameter, to literal: inout String) {
    guard let text = parameter.asText else {
        literal += "NULL"
        return
    }
    literal += "\""
    for scalar in text.unicodeScalars {
        if scalar == "\"" || scalar == "\\" { literal += "\\" }
        literal.unicodeScalars.append(scalar)
    }
    literal += "\""
}

extension PostgresDecodable {
    package static var postgresNull: Self? { nil }

    package static func postgresArray(from text: PostgresText) -> [Self]? {
        guard let elements = arrayElements(text.bytes) else { return nil }
        var values: [Self] = []
        values.reserveCapacity(elements.count)
        for element in elements {
            guard
                let value = element.map({ $0.withUnsafeBufferPointer { Self(postgresText: PostgresText(bytes: $0)) } })
                    ?? Self.postgresNull
            else { return nil }
            values.append(value)
        }
        return values
    }
}

/// The elements of a one-dimensional array literal (`{1,NULL,"a \"b\""}`), unquoted; nil for NULL.
private func arrayElements(_ bytes: UnsafeBufferPointer<UInt8>) -> [[UInt8]?]? {
    guard bytes.first == UInt8(ascii: "{"), bytes.last == UInt8(ascii: "}"), bytes.count >= 2 else { return nil }
    var elements: [[UInt8]?] = []
    var index = 1
    let end = bytes.count - 1
    while index < end {
        var element: [UInt8] = []
        let isQuoted = bytes[index] == UInt8(ascii: "\"")
        if isQuoted {
            index += 1
            while index < end, bytes[index] != UInt8(ascii: "\"") {
                if bytes[index] == UInt8(ascii: "\\") { index += 1 }
                guard index < end else { return nil }
                element.append(bytes[index])
                index += 1
            }
            index += 1
        } else {
            while index < end, bytes[index] != UInt8(ascii: ",") {
                guard bytes[index] != UInt8(ascii: "{") else { return nil }
                element.append(bytes[index])
                index += 1
            }
        }
        elements.append(!isQuoted && element.elementsEqual("NULL".utf8) ? nil : element)
        if index < end {
            guard bytes[index] == UInt8(ascii: ",") else { return nil }
            index += 1
        }
    }
    return elements
}

// MARK: Raw-representable values

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    package var postgresParameter: Parameter { rawValue.postgresParameter }
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    package init?(postgresText text: PostgresText) {
        guard let raw = RawValue(postgresText: text) else { return nil }
        self.init(rawValue: raw)
    }
}

// MARK: Scalars

extension PostgresEncodable where Self: FixedWidthInteger {
    package var postgresParameter: Parameter { .text(String(self)) }
}

extension PostgresDecodable where Self: FixedWidthInteger {
    package init?(postgresText text: PostgresText) {
        var bytes = text.bytes[...]
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative { bytes = bytes.dropFirst() }
        guard !bytes.isEmpty else { return nil }
        var value: Self = 0
        for byte in bytes {
            guard byte >= 48, byte <= 57 else { return nil }
            let digit = Self(truncatingIfNeeded: byte - 48)
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, carry) = isNegative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            value = next
        }
        self = value
    }
}

extension Int: PostgresEncodable, PostgresDecodable {}
extension Int16: PostgresEncodable, PostgresDecodable {}
extension Int32: PostgresEncodable, PostgresDecodable {}
extension Int64: PostgresEncodable, PostgresDecodable {}

/// A byte alone is a number; an array of bytes is a `bytea`.
extension UInt8: PostgresEncodable, PostgresDecodable {
    package static func postgresParameter(ofArray values: [UInt8]) -> Parameter { .bytes(values) }

    package static func postgresArray(from text: PostgresText) -> [UInt8]? {
        let bytes = text.bytes
        guard bytes.count % 2 == 0, bytes.count >= 2, bytes[0] == UInt8(ascii: "\\"), bytes[1] == UInt8(ascii: "x") else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count / 2 - 1)
        for index in stride(from: 2, to: bytes.count, by: 2) {
            guard let high = hexDigitValue(bytes[index]), let low = hexDigitValue(bytes[index + 1]) else { return nil }
            result.append(high << 4 | low)
        }
        return result
    }
}

private func hexDigitValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 97...102: byte - 87
    case 65...70: byte - 55
    default: nil
    }
}

extension Data: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { .bytes(Array(self)) }

    package init?(postgresText text: PostgresText) {
        guard let bytes = UInt8.postgresArray(from: text) else { return nil }
        self.init(bytes)
    }
}

extension Bool: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { .text(self ? "t" : "f") }

    package init?(postgresText text: PostgresText) {
        guard text.bytes.count == 1 else { return nil }
        switch text.bytes[0] {
        case UInt8(ascii: "t"): self = true
        case UInt8(ascii: "f"): self = false
        default: return nil
        }
    }
}

extension Double: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter {
        .text(isNaN ? "NaN" : isInfinite ? (self < 0 ? "-Infinity" : "Infinity") : description)
    }

    package init?(postgresText text: PostgresText) { self.init(text.string) }
}

extension Float: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter {
        .text(isNaN ? "NaN" : isInfinite ? (self < 0 ? "-Infinity" : "Infinity") : description)
    }

    package init?(postgresText text: PostgresText) { self.init(text.string) }
}

/// A zero byte, which PostgreSQL can't store in a text, is refused by the server as invalid UTF-8 (`SQLState.invalidText`).
extension String: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { .text(self) }
    package init?(postgresText text: PostgresText) { self = text.string }
}

extension UUID: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { .text(uuidString) }
    package init?(postgresText text: PostgresText) { self.init(uuidString: text.string) }
}

// MARK: Optionals and arrays

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    package var postgresParameter: Parameter { self?.postgresParameter ?? .null }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package init?(postgresText text: PostgresText) {
        guard let value = Wrapped(postgresText: text) else { return nil }
        self = .some(value)
    }

    package static var postgresNull: Self? { .some(.none) }
}

extension Array: PostgresEncodable where Element: PostgresEncodable {
    package var postgresParameter: Parameter { Element.postgresParameter(ofArray: self) }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    package init?(postgresText text: PostgresText) {
        guard let values = Element.postgresArray(from: text) else { return nil }
        self = values
    }
}

// MARK: Dates

/// `timestamptz`, in microseconds.
extension Date: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { .text(Timestamp.text(of: self)) }

    package init?(postgresText text: PostgresText) {
        guard let date = Timestamp.date(from: text.bytes) else { return nil }
        self = date
    }
}

/// RFC 3339 in UTC with microseconds, which PostgreSQL reads; and what it writes (`DateStyle` ISO).
enum Timestamp {
    static func text(of date: Date) -> String {
        let microseconds = Int((date.timeIntervalSince1970 * 1e6).rounded())
        let (days, inDay) = microseconds.flooredQuotientAndRemainder(by: 86_400_000_000)
        let (year, month, day) = civil(daysSinceEpoch: days)
        let seconds = inDay / 1_000_000
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        func padded(_ value: Int, to width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(year, to: 4))-\(two(month))-\(two(day))T\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
            + ".\(padded(inDay % 1_000_000, to: 6))Z"
    }

    /// `2026-11-23 09:10:12.123456+00`, also with `T`, `Z` and other offsets; nil for infinities and years before Christ.
    static func date(from bytes: UnsafeBufferPointer<UInt8>) -> Date? {
        var reader = Reader(bytes: bytes)
        guard let year = reader.number(), reader.skip("-"), let month = reader.number(), reader.skip("-"), let day = reader.number(),
            reader.skip(" ") || reader.skip("T"), let hour = reader.number(), reader.skip(":"), let minute = reader.number(),
            reader.skip(":"), let second = reader.number()
        else { return nil }
        var fraction = 0
        if reader.skip(".") {
            guard let digits = reader.fraction() else { return nil }
            fraction = digits
        }
        var offset = 0
        if !reader.skip("Z") {
            let sign: Int
            if reader.skip("+") { sign = 1 } else if reader.skip("-") { sign = -1 } else { return nil }
            var parts: [Int] = []
            repeat {
                guard parts.count < 3, let part = reader.number() else { return nil }
                parts.append(part)
            } while reader.skip(":")
            offset = sign * zip(parts, [3600, 60, 1]).reduce(0) { $0 + $1.0 * $1.1 }
        }
        guard reader.isAtEnd, (1...12).contains(month), (1...31).contains(day) else { return nil }
        let seconds = daysSinceEpoch(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second - offset
        return Date(timeIntervalSince1970: Double(seconds * 1_000_000 + fraction) / 1e6)
    }

    private struct Reader {
        let bytes: UnsafeBufferPointer<UInt8>
        var index = 0

        var isAtEnd: Bool { index == bytes.count }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        mutating func number() -> Int? {
            let start = index
            var value = 0
            while index < bytes.count, index - start < 6, bytes[index] >= 48, bytes[index] <= 57 {
                value = value * 10 + Int(bytes[index] - 48)
                index += 1
            }
            return index > start ? value : nil
        }

        /// Microseconds of up to six digits.
        mutating func fraction() -> Int? {
            let start = index
            guard var value = number() else { return nil }
            for _ in (index - start)..<6 { value *= 10 }
            return value
        }
    }

    /// Howard Hinnant, *chrono-Compatible Low-Level Date Algorithms*: days since 1970-01-01 of the proleptic Gregorian calendar.
    private static func daysSinceEpoch(year: Int, month: Int, day: Int) -> Int {
        let y = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = y.flooredQuotientAndRemainder(by: 400)
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(daysSinceEpoch days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = (days + 719_468).flooredQuotientAndRemainder(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Int {
    fileprivate func flooredQuotientAndRemainder(by divisor: Int) -> (Int, Int) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

// MARK: JSON

/// The text of a `json` or `jsonb` value: bound as it is, or decoded. Dates in it are RFC 3339 texts in UTC.
package struct JSON: Sendable, Hashable {
    package let text: String

    /// Text that is known to be JSON; the server checks.
    package init(text: String) { self.text = text }

    package init(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(Timestamp.text(of: date))
        }
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        text = String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    package func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            var text = try container.decode(String.self)
            guard let date = text.withUTF8({ Timestamp.date(from: $0) }) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 time: \(text)")
            }
            return date
        }
        return try decoder.decode(type, from: Data(text.utf8))
    }
}

extension JSON: PostgresEncodable, PostgresDecodable {
    package var postgresParameter: Parameter { .text(text) }
    package init?(postgresText text: PostgresText) { self.text = text.string }
}
