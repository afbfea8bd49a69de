internal import Foundation
internal import SlipwayDomain

/// SlipwayPostgres has a type of this name too, for columns.
typealias JSON = SlipwayDomain.JSON

/// A value on its way out. `raw` is text that is JSON already, such as a `jsonb` column.
enum Output: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case raw(String)
    case json(JSON)
    case array([Output])
    /// Members in the order in which they are written; a nil one is left out.
    case object([(String, Output?)])

    static func time(_ date: Date) -> Output { .string(rfc3339(date)) }
    static func text(_ value: some CustomStringConvertible) -> Output { .string(value.description) }

    static func encoded(_ value: some Encodable) throws -> Output {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return .raw(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    var text: String {
        var text = ""
        write(to: &text)
        return text
    }

    func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += Self.number(value)
        case .string(let value): Self.write(value, to: &text)
        case .raw(let value): text += value
        case .json(let value): Self.write(value, to: &text)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            var isFirst = true
            for case (let name, let value?) in members {
                if !isFirst { text += "," }
                isFirst = false
                Self.write(name, to: &text)
                text += ":"
                value.write(to: &text)
            }
            text += "}"
        }
    }

    /// JSON has no infinities and no NaN.
    private static func number(_ value: Double) -> String { value.isFinite ? "\(value)" : "null" }

    private static func write(_ value: JSON, to text: inout String) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += number(value)
        case .string(let value): write(value, to: &text)
        case .array(let values): Output.array(values.map(Output.json)).write(to: &text)
        case .object(let members):
            Output.object(members.sorted { $0.key < $1.key }.map { ($0.key, .json($0.value)) }).write(to: &text)
        }
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            // U+2028 and U+2029 end a line for readers of event streams and JavaScript.
            case _ where scalar.value < 0x20 || scalar.value == 0x7F || scalar.value == 0x2028 || scalar.value == 0x2029:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

/// RFC 3339 in UTC with milliseconds.
func rfc3339(_ date: Date) -> String {
    date.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
}
