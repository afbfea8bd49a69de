/// Why a table can't be read. Lines count from 1 (the header's), offsets from 0.
public enum TableError: Error, Equatable, CustomStringConvertible {
    case unreadable(reason: String)
    case empty(hasHeader: Bool)
    /// Bytes that aren't text of the encoding.
    case encoding(TextEncoding, line: Int, offset: Int, hint: String)
    case unknownEncoding(String)
    case nul(line: Int)
    case unclosedQuote(line: Int)
    case textAfterQuote(line: Int, column: Int)
    case fieldTooLong(line: Int, column: Int, limit: Int)
    case recordTooLong(line: Int, limit: Int)
    case tooManyColumns(limit: Int)
    case duplicateColumn(String)
    case oneColumn(name: String)
    /// Lines whose number of fields isn't the header's: the first ones, and how many fields they have.
    case ragged(columns: Int, lines: [RaggedLine])

    public struct RaggedLine: Equatable, Sendable {
        public let line, fields: Int
    }

    public var code: String {
        switch self {
        case .empty: "table-empty"
        case .encoding, .unknownEncoding: "table-encoding"
        case .unreadable, .nul, .unclosedQuote, .textAfterQuote: "table-corrupt"
        case .fieldTooLong, .recordTooLong: "table-field-too-long"
        case .tooManyColumns: "table-too-many-columns"
        case .duplicateColumn: "table-duplicate-column"
        case .oneColumn: "table-one-column"
        case .ragged: "table-ragged"
        }
    }

    /// The first line at fault, where one is.
    public var line: Int? {
        switch self {
        case .encoding(_, let line, _, _), .nul(let line), .unclosedQuote(let line), .textAfterQuote(let line, _),
            .fieldTooLong(let line, _, _), .recordTooLong(let line, _):
            line
        case .ragged(_, let lines): lines.first?.line
        default: nil
        }
    }

    public var description: String {
        switch self {
        case .unreadable(let reason): "The table can't be read: \(reason)."
        case .empty(let hasHeader): hasHeader ? "The table has a header and no rows." : "The table is empty."
        case .encoding(let encoding, let line, let offset, let hint):
            "Line \(line), byte offset \(offset): the bytes there aren't \(encoding.name) text. \(hint)"
        case .unknownEncoding(let name):
            "The encoding '\(name)' isn't known; \(TextEncoding.allCases.map(\.rawValue).joined(separator: ", ")) are."
        case .nul(let line): "Line \(line) holds a NUL byte, which text can't."
        case .unclosedQuote(let line): "A quote is opened on line \(line) and never closed."
        case .textAfterQuote(let line, let column):
            "Line \(line), field \(column): text stands after the closing quote; a quote inside quotes is written twice."
        case .fieldTooLong(let line, let column, let limit):
            "Line \(line), field \(column) is longer than \(limit) bytes (a quote that isn't closed can be the cause)."
        case .recordTooLong(let line, let limit): "The row on line \(line) is longer than \(limit) bytes."
        case .tooManyColumns(let limit): "The table has more than \(limit) columns."
        case .duplicateColumn(let name): "Two columns are called '\(name)'."
        case .oneColumn(let name):
            "The table has one column only, '\(name)'; fields are separated by a comma, semicolon, tab or bar."
        case .ragged(let columns, let lines):
            "The header has \(columns) fields, but "
                + lines.map { "line \($0.line) has \($0.fields)" }.joined(separator: ", ") + "."
        }
    }
}
