/// How large a table's parts may be.
public struct TableLimits: Sendable, Equatable {
    public var columns: Int
    public var fieldBytes: Int
    public var recordBytes: Int

    public init(columns: Int = 4096, fieldBytes: Int = 1 << 20, recordBytes: Int = 16 << 20) {
        self.columns = columns
        self.fieldBytes = fieldBytes
        self.recordBytes = recordBytes
    }
}

/// One record as it was read: its fields, unquoted, as UTF-8, end to end.
public struct TableRecord: Sendable {
    /// The line that the record begins on; the header's is 1.
    public internal(set) var line = 0
    var bytes: [UInt8] = []
    var ends: [Int] = []

    public init() {}

    public var count: Int { ends.count }

    public subscript(field: Int) -> String {
        String(decoding: bytes[range(field)], as: UTF8.self)
    }

    /// Calls `body` with the bytes of a field.
    func withField<Result>(_ field: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range(field)])) }
    }

    private func range(_ field: Int) -> Range<Int> { (field == 0 ? 0 : ends[field - 1])..<ends[field] }

    mutating func clear(line: Int) {
        self.line = line
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }
}

/// Reads separated values as RFC 4180 describes them, in constant memory.
///
/// - Fields are separated by one delimiter (found by `detectDelimiter` or given), records by LF, CRLF or CR. A field that
///   begins with a quote ends with one and may hold delimiters, line ends and doubled quotes; elsewhere a quote is text.
/// - Lines without any text are skipped. Spaces belong to the field.
/// - Text is checked strictly against its encoding; NUL is an error.
struct DelimitedReader: ~Copyable {
    let encoding: TextEncoding
    let delimiter: UInt8
    let limits: TableLimits

    private var pieces: TableSource.Pieces
    private var decoder: TextDecoder
    private var piece: [UInt8] = []
    private var text: [UInt8] = []
    private var position = 0
    private var line = 1
    /// Source bytes that became text so far; where a decoding error is.
    private(set) var decodedBytes = 0
    private var failure: TableError?
    private var lastWasReturn = false

    init(
        _ source: TableSource, encoding: TextEncoding, mark: Int, delimiter: UInt8, limits: TableLimits
    ) throws(TableError) {
        // Locals first: a value that can't be copied must not be half initialised when an error is thrown.
        let decoder = try TextDecoder(encoding)
        var pieces = try source.open()
        var piece: [UInt8] = []
        while piece.count < mark, try pieces.next(into: &piece) {}
        piece.removeFirst(min(mark, piece.count))
        self.encoding = encoding
        self.delimiter = delimiter
        self.limits = limits
        self.decoder = decoder
        self.pieces = pieces
        self.piece = piece
        decodedBytes = mark
        decodePiece()
    }

    private static let quote = UInt8(ascii: "\"")
    private static let lineFeed: UInt8 = 0x0A, carriageReturn: UInt8 = 0x0D

    /// Reads the next record; false at the end.
    mutating func next(into record: inout TableRecord) throws(TableError) -> Bool {
        repeat {
            record.clear(line: line)
            guard try readRecord(&record) else { return false }
        } while record.ends.count == 1 && record.ends[0] == 0
        return true
    }

    /// Appends one record's fields; false when the source ended before it began.
    private mutating func readRecord(_ record: inout TableRecord) throws(TableError) -> Bool {
        guard try fill() else { return false }
        while true {
            if try fill(), text[position] == Self.quote {
                position += 1
                try readQuoted(&record)
            } else {
                try readPlain(&record)
            }
            record.ends.append(record.bytes.count)
            guard record.ends.count <= limits.columns else { throw .tooManyColumns(limit: limits.columns) }
            guard try fill() else { return true }
            let end = text[position]
            position += 1
            if end == delimiter { continue }
            if end == Self.carriageReturn, try fill(), text[position] == Self.lineFeed { position += 1 }
            line += 1
            return true
        }
    }

    /// Up to the next delimiter or line end.
    private mutating func readPlain(_ record: inout TableRecord) throws(TableError) {
        let (start, delimiter) = (record.bytes.count, delimiter)
        while try fill() {
            let run = text[position...].firstIndex {
                $0 == delimiter || $0 == Self.lineFeed || $0 == Self.carriageReturn || $0 == 0
            }
            let end = run ?? text.count
            try append(position..<end, to: &record, fieldStart: start)
            position = end
            guard run != nil else { continue }
            if text[end] == 0 { throw .nul(line: line) }
            return
        }
    }

    /// From behind an opening quote to behind the closing one.
    private mutating func readQuoted(_ record: inout TableRecord) throws(TableError) {
        let (start, opening) = (record.bytes.count, line)
        while try fill() {
            let run = text[position...].firstIndex { $0 == Self.quote || $0 == 0 }
            let end = run ?? text.count
            for byte in text[position..<end] {
                if byte == Self.carriageReturn || (byte == Self.lineFeed && !lastWasReturn) { line += 1 }
                lastWasReturn = byte == Self.carriageReturn
            }
            try append(position..<end, to: &record, fieldStart: start)
            position = end
            guard run != nil else { continue }
            if text[end] == 0 { throw .nul(line: line) }
            lastWasReturn = false
            position += 1
            guard try fill() else { return }
            switch text[position] {
            case Self.quote:
                try append(position..<position + 1, to: &record, fieldStart: start)
                position += 1
            case delimiter, Self.lineFeed, Self.carriageReturn: return
            default: throw .textAfterQuote(line: line, column: record.ends.count + 1)
            }
        }
        throw .unclosedQuote(line: opening)
    }

    private func append(_ part: Range<Int>, to record: inout TableRecord, fieldStart: Int) throws(TableError) {
        guard record.bytes.count - fieldStart + part.count <= limits.fieldBytes else {
            throw .fieldTooLong(line: record.line, column: record.ends.count + 1, limit: limits.fieldBytes)
        }
        guard record.bytes.count + part.count <= limits.recordBytes else {
            throw .recordTooLong(line: record.line, limit: limits.recordBytes)
        }
        record.bytes.append(contentsOf: text[part])
    }

    /// Makes sure that there is text at `position`; false at the end of the source. A decoding error is thrown when
    /// the text before it is used up, so that its line is known.
    private mutating func fill() throws(TableError) -> Bool {
        while position == text.count {
            if let failure { throw failure }
            let kept = piece.count
            let more = try pieces.next(into: &piece)
            if !more {
                guard kept == 0 else { throw invalid(at: decodedBytes) }
                return false
            }
            decodePiece()
        }
        return true
    }

    /// Replaces the text by what the piece says, and keeps of the piece what is left over.
    private mutating func decodePiece() {
        text.removeAll(keepingCapacity: true)
        position = 0
        switch decoder.decode(piece, into: &text) {
        case .whole:
            decodedBytes += piece.count
            piece.removeAll(keepingCapacity: true)
        case .leftOver(let count):
            decodedBytes += piece.count - count
            piece.removeFirst(piece.count - count)
        case .invalid(let offset):
            // Lines so far, those of this text included.
            failure = invalid(at: decodedBytes + offset)
        }
    }

    private func invalid(at offset: Int) -> TableError {
        .encoding(
            encoding, line: line + newlines(in: text), offset: offset,
            hint: "The whole file must be in one encoding; save it as UTF-8, or name the right one.")
    }
}

extension DelimitedReader {
    /// The delimiter of a table: the one of comma, semicolon, tab and bar that splits the header and most of the first
    /// records into the same number of fields, at least two; the comma when none does.
    static func detectDelimiter(
        _ source: TableSource, encoding: TextEncoding, mark: Int, limits: TableLimits
    ) throws(TableError) -> UInt8 {
        var best: (delimiter: UInt8, agreeing: Int, columns: Int)?
        for delimiter in [",", ";", "\t", "|"].map({ UInt8(ascii: $0) }) {
            var reader = try DelimitedReader(source, encoding: encoding, mark: mark, delimiter: delimiter, limits: limits)
            var record = TableRecord()
            var counts: [Int] = []
            // A wrong guess can run into errors that the right one doesn't have.
            while counts.count < 100, (try? reader.next(into: &record)) == true { counts.append(record.count) }
            guard let columns = counts.first, columns >= 2 else { continue }
            let agreeing = 100 * counts.count { $0 == columns } / counts.count
            if best.map({ (agreeing, columns) > ($0.agreeing, $0.columns) }) ?? true {
                best = (delimiter, agreeing, columns)
            }
        }
        return best?.delimiter ?? UInt8(ascii: ",")
    }
}
