internal import SlipwayDomain

/// A query parameter that a route takes.
struct QueryParameter: Sendable {
    let name: String
    let schema: Schema
    let note: String

    static let limit = QueryParameter(name: "limit", schema: .integer(1...200), note: "how many to list at most; 50 by default")
    static let cursor = QueryParameter(name: "cursor", schema: .string, note: "`next_cursor` of the page before")
    static let page = [limit, cursor]
}

/// The parameters of a request, each once, decoded once, known to the route and of the right form.
struct Query: Sendable {
    private let values: [String: JSON]

    init(_ text: Substring?, of parameters: [QueryParameter]) throws {
        var values: [String: JSON] = [:]
        for pair in (text ?? "").split(separator: "&", omittingEmptySubsequences: true) {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(halves[0], plusIsSpace: true),
                let value = percentDecoded(halves.count > 1 ? halves[1] : "", plusIsSpace: true)
            else {
                throw Problem(
                    400, "query-malformed", title: "The query isn't valid", detail: "a percent-encoding in the query is broken")
            }
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                let known = parameters.map(\.name)
                throw Problem.invalidParameter(
                    String(name.prefix(100)), "parameter-unknown",
                    "this route has no such parameter\(Schema.suggestion(for: name, among: known))")
            }
            guard values[name] == nil else {
                throw Problem.invalidParameter(name, "parameter-repeated", "must be given once", status: 400)
            }
            values[name] = try Self.parse(value, parameter)
        }
        self.values = values
    }

    private static func parse(_ text: String, _ parameter: QueryParameter) throws -> JSON {
        let value: JSON
        if case .integer(let range) = parameter.schema {
            guard let number = Int(text) else {
                throw Problem.invalidParameter(
                    parameter.name, "type-mismatch", "must be a whole number, \(Schema.words(range))", status: 400)
            }
            value = .integer(number)
        } else {
            value = .string(text)
        }
        if let fault = parameter.schema.errors(in: value).first {
            // Paging is machinery: a wrong limit is a malformed request, not an invalid wish.
            throw Problem.invalidParameter(parameter.name, fault.code, fault.detail, status: parameter.name == "limit" ? 400 : 422)
        }
        return value
    }

    subscript(text name: String) -> String? { values[name]?.stringValue }
    subscript(integer name: String) -> Int? { values[name]?.intValue }
}

/// One decoding, as strict as RFC 3986; nil for broken escapes and for bytes that aren't UTF-8 or are zero.
func percentDecoded(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else { return nil }
            bytes.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
        default: bytes.append(byte)
        }
    }
    guard !bytes.contains(0) else { return nil }
    return String(validating: bytes, as: UTF8.self)
}

private func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}
