/// A statement, or a fragment of one: SQL text with bound parameters.
///
/// Text comes from literals of the source code only, which the compiler checks; a value that is interpolated becomes a
/// parameter (`$1`, `$2`, ...), whose type the server infers from where it stands. Where it can't, write a cast: `\(id)::uuid`.
///
///     try query("SELECT name FROM project WHERE id = \(id) AND \(sql: filter)", decode: { try $0["name"] })
package struct SQL: Sendable, Hashable, ExpressibleByStringInterpolation {
    /// One more than there are parameters: parameter `i` stands behind text `i`.
    private var texts: [String]
    package private(set) var parameters: [Parameter]

    package init(stringLiteral value: StaticString) {
        texts = [value.description]
        parameters = []
    }

    package init(stringInterpolation interpolation: Interpolation) { self = interpolation.sql }

    private init() {
        texts = [""]
        parameters = []
    }

    package struct Interpolation: StringInterpolationProtocol {
        fileprivate var sql = SQL()

        package init(literalCapacity: Int, interpolationCount: Int) {
            sql.texts.reserveCapacity(interpolationCount + 1)
            sql.parameters.reserveCapacity(interpolationCount)
        }

        package mutating func appendLiteral(_ literal: StaticString) { sql.append(text: literal.description) }

        /// A bound parameter.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) { sql.append(value.postgresParameter) }

        /// A bound parameter; nil is NULL.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) { sql.append(value.postgresParameter) }

        /// A bound parameter of type `json` or `jsonb`; nil is SQL's NULL, not JSON's.
        package mutating func appendInterpolation<Value: Encodable>(json value: Value?) throws {
            sql.append(try value.map { try JSON($0).postgresParameter } ?? .null)
        }

        /// A bound parameter of type `json` or `jsonb`.
        package mutating func appendInterpolation(json value: some Encodable) throws {
            sql.append(try JSON(value).postgresParameter)
        }

        /// The quoted name of a table, column, role or the like.
        package mutating func appendInterpolation(identifier: String) { sql.append(text: SQL.quoted(identifier)) }

        /// Another fragment, with its parameters.
        package mutating func appendInterpolation(sql fragment: SQL) { sql.append(fragment) }
    }

    private mutating func append(text: String) { texts[texts.count - 1] += text }

    private mutating func append(_ parameter: Parameter) {
        parameters.append(parameter)
        texts.append("")
    }

    private mutating func append(_ fragment: SQL) {
        append(text: fragment.texts[0])
        for (parameter, text) in zip(fragment.parameters, fragment.texts.dropFirst()) {
            append(parameter)
            append(text: text)
        }
    }

    /// The text as the server gets it. It's the key of the prepared statement, so fragments should come in few variants.
    package var text: String {
        var result = texts[0]
        for (index, text) in texts.dropFirst().enumerated() { result += "$\(index + 1)\(text)" }
        return result
    }

    static func quoted(_ identifier: String) -> String {
        // A zero byte would end the text early; the server allows none in a name.
        "\"" + identifier.filter { $0 != "\0" }.replacing("\"", with: "\"\"") + "\""
    }
}

extension Sequence<SQL> {
    /// The fragments in order with `separator` between them: conditions with `" AND "`, columns with `", "`.
    package func joined(by separator: SQL) -> SQL {
        var result: SQL = ""
        for (index, fragment) in enumerated() {
            result = index == 0 ? fragment : "\(sql: result)\(sql: separator)\(sql: fragment)"
        }
        return result
    }
}

/// What is bound to a `$n`.
package enum Parameter: Sendable, Hashable {
    case null
    /// The value's text form, as PostgreSQL reads it for whichever type is inferred.
    case text(String)
    case bytes([UInt8])

    /// The text form; nil for NULL.
    var asText: String? {
        switch self {
        case .null: nil
        case .text(let text): text
        case .bytes(let bytes): "\\x" + hexadecimal(bytes)
        }
    }
}

func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
        var position = 0
        for byte in bytes {
            buffer[position] = digits[Int(byte >> 4)]
            buffer[position + 1] = digits[Int(byte & 15)]
            position += 2
        }
        return position
    }
}
