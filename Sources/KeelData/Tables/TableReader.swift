internal import Foundation

/// Reads a table of separated values with a header, row by row, in constant memory.
///
/// Encoding and delimiter are found in the bytes unless the caller declares them. Every row has as many fields as the
/// header; the first row that doesn't ends the reading with an error that names it and others near it.
public struct TableReader: ~Copyable {
    /// The header: names without surrounding spaces; an empty one becomes `column_N`.
    public let columns: [String]
    public let encoding: TextEncoding
    public let delimiter: Character
    /// Rows read so far.
    public private(set) var rows = 0

    /// Bytes of the source that were used so far, up to a piece ahead of the row.
    public var bytesRead: Int { reader.decodedBytes }

    private var reader: DelimitedReader

    /// - Errors: `TableError`.
    public init(
        _ source: TableSource, encoding declared: TextEncoding? = nil, limits: TableLimits = TableLimits()
    ) throws(TableError) {
        let (encoding, mark) = try TextEncoding.detect(source, declared: declared)
        let delimiter = try DelimitedReader.detectDelimiter(source, encoding: encoding, mark: mark, limits: limits)
        var reader = try DelimitedReader(source, encoding: encoding, mark: mark, delimiter: delimiter, limits: limits)
        var header = TableRecord()
        guard try reader.next(into: &header) else { throw .empty(hasHeader: false) }
        columns = try Self.names(header)
        self.encoding = encoding
        self.delimiter = Character(UnicodeScalar(delimiter))
        self.reader = reader
    }

    /// Reads the next row; false after the last one. A table without rows is an error.
    public mutating func next(into record: inout TableRecord) throws(TableError) -> Bool {
        guard try reader.next(into: &record) else {
            if rows == 0 { throw .empty(hasHeader: true) }
            return false
        }
        guard record.count == columns.count else { throw ragged(from: record) }
        rows += 1
        return true
    }

    private static func names(_ header: TableRecord) throws(TableError) -> [String] {
        var seen: Set<String> = []
        var names: [String] = []
        for field in 0..<header.count {
            var name = header[field].trimmingCharacters(in: .whitespacesAndNewlines)
            if name.isEmpty { name = "column_\(field + 1)" }
            guard seen.insert(name).inserted else { throw .duplicateColumn(name) }
            names.append(name)
        }
        guard names.count > 1 else { throw .oneColumn(name: names[0]) }
        return names
    }

    /// The ragged lines among this and the next 1,000, ten at most.
    private mutating func ragged(from first: TableRecord) -> TableError {
        var lines = [TableError.RaggedLine(line: first.line, fields: first.count)]
        var record = TableRecord()
        for _ in 0..<1000 where lines.count < 10 {
            guard (try? reader.next(into: &record)) == true else { break }
            if record.count != columns.count { lines.append(.init(line: record.line, fields: record.count)) }
        }
        return .ragged(columns: columns.count, lines: lines)
    }
}
