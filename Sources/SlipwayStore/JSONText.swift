internal import Foundation

/// JSON as it is written into the database, many values with one encoder.
struct JSONText {
    private let encoder: JSONEncoder

    init() {
        encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    func text(of value: some Encodable) throws -> String { String(decoding: try encoder.encode(value), as: UTF8.self) }
}
