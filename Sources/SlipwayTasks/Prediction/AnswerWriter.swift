internal import Keel
internal import KeelProgram
internal import SlipwayDomain

/// An output as JSON, whole or row by row.
struct AnswerWriter {
    private enum Content {
        case elements([String], [Int])
        case parts([String])
    }
    private let content: Content

    init(_ value: ONNXValue) throws {
        switch value {
        case .tensor(let tensor, let kind):
            let sizes = tensor.shape.sizes ?? [], texts: [String]
            switch tensor.dtype {
            case .float32: texts = try tensor.elements(Float.self).map(\.jsonNumber)
            case .float64: texts = try tensor.elements(Double.self).map(\.jsonNumber)
            case .bool: texts = try tensor.elements(Bool.self).map { $0 ? "true" : "false" }
            default:
                let numbers = try tensor.cast(to: .int64).elements(Int64.self)
                texts = kind == .uint64 ? numbers.map { "\(UInt64(bitPattern: $0))" } : numbers.map { "\($0)" }
            }
            content = .elements(texts, sizes)
        case .strings(let texts, let shape): content = .elements(texts.map(\.jsonQuoted), shape.sizes ?? [])
        case .sequence(let parts): content = .parts(try parts.map { try AnswerWriter($0).whole })
        case .maps(let rows):
            content = .parts(rows.map { row in "{\(row.map { "\($0.key.jsonQuoted):\($0.value.jsonNumber)" }.joined(separator: ","))}" })
        case .none, .sizes: content = .parts(["null"])
        }
    }

    var whole: String {
        switch content {
        case .elements(let texts, let sizes): Self.nested(texts[...], sizes[...])
        case .parts(let parts): "[\(parts.joined(separator: ","))]"
        }
    }

    /// One along the first axis.
    func row(_ row: Int) -> String {
        switch content {
        case .elements(let texts, let sizes):
            let width = texts.count / (sizes.first ?? 1)
            return Self.nested(texts[(row * width)..<((row + 1) * width)], sizes.dropFirst())
        case .parts(let parts): return parts[row]
        }
    }

    private static func nested(_ texts: ArraySlice<String>, _ sizes: ArraySlice<Int>) -> String {
        guard let count = sizes.first else { return texts.first ?? "null" }
        if sizes.count == 1 { return "[\(texts.joined(separator: ","))]" }
        let width = count > 0 ? texts.count / count : 0
        let rows = (0..<count).map { nested(texts[(texts.startIndex + $0 * width)..<(texts.startIndex + ($0 + 1) * width)], sizes.dropFirst()) }
        return "[\(rows.joined(separator: ","))]"
    }
}
