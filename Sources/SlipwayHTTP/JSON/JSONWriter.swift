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

    static func encoded(_ value: some Encodable) throws -> Output { .raw(try JSONEncoder.ordered().text(of: value)) }

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
        case .number(let value): text += value.jsonNumber
        case .string(let value): text += value.jsonQuoted
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
                text += name.jsonQuoted + ":"
                value.write(to: &text)
            }
            text += "}"
        }
    }

    private static func write(_ value: JSON, to text: inout String) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += value.jsonNumber
        case .string(let value): text += value.jsonQuoted
        case .array(let values): Output.array(values.map(Output.json)).write(to: &text)
        case .object(let members):
            Output.object(members.sorted { $0.key < $1.key }.map { ($0.key, .json($0.value)) }).write(to: &text)
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
func rfc3339(_ date: Date) -> String {
    date.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
}
