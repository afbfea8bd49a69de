internal import Foundation

/// The bytes of a table: a file, or memory. It can be read more than once.
public enum TableSource: Sendable {
    case file(path: String)
    case bytes([UInt8])

    /// Reads the bytes in pieces of at most `pieceBytes`, from the beginning.
    func open(pieceBytes: Int = 1 << 18) throws(TableError) -> Pieces {
        switch self {
        case .bytes(let bytes): return Pieces(bytes: bytes, pieceBytes: pieceBytes)
        case .file(let path):
            let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw .unreadable(reason: String(cString: strerror(errno))) }
            return Pieces(descriptor: descriptor, pieceBytes: pieceBytes)
        }
    }

    struct Pieces: ~Copyable {
        private let descriptor: Int32
        private let bytes: [UInt8]
        private let pieceBytes: Int
        private var position = 0

        fileprivate init(bytes: [UInt8], pieceBytes: Int) {
            (descriptor, self.bytes, self.pieceBytes) = (-1, bytes, pieceBytes)
        }

        fileprivate init(descriptor: Int32, pieceBytes: Int) {
            (self.descriptor, bytes, self.pieceBytes) = (descriptor, [], pieceBytes)
        }

        deinit {
            if descriptor >= 0 { close(descriptor) }
        }

        /// Appends the next bytes to `piece`; false at the end.
        mutating func next(into piece: inout [UInt8]) throws(TableError) -> Bool {
            if descriptor < 0 {
                let end = min(position + pieceBytes, bytes.count)
                defer { position = end }
                piece.append(contentsOf: bytes[position..<end])
                return end > position
            }
            var failure: Int32 = 0
            let room = [UInt8](unsafeUninitializedCapacity: pieceBytes) { buffer, count in
                var got = read(descriptor, buffer.baseAddress, buffer.count)
                while got < 0 && errno == EINTR { got = read(descriptor, buffer.baseAddress, buffer.count) }
                failure = got < 0 ? errno : 0
                count = max(0, got)
            }
            if failure != 0 { throw .unreadable(reason: String(cString: strerror(failure))) }
            piece.append(contentsOf: room)
            return !room.isEmpty
        }
    }
}

extension TextEncoding {
    /// Bytes at the start of a file that name its encoding and aren't text.
    private static let marks: [(bytes: [UInt8], encoding: TextEncoding)] = [
        ([0xEF, 0xBB, 0xBF], .utf8), ([0xFF, 0xFE], .utf16LittleEndian), ([0xFE, 0xFF], .utf16BigEndian),
    ]

    private var isUTF16: Bool { self == .utf16LittleEndian || self == .utf16BigEndian }

    /// The encoding of a table, and how many bytes at its start are a byte order mark.
    ///
    /// What the caller declares wins; then a byte order mark; then UTF-8 when the whole file is; then GB18030 when the
    /// file can't reasonably be anything else. A single stray line in another encoding is an error, never guessed.
    /// - Errors: `TableError.encoding` at the first byte that isn't UTF-8.
    static func detect(_ source: TableSource, declared: TextEncoding?) throws(TableError) -> (TextEncoding, mark: Int) {
        var pieces = try source.open()
        var piece: [UInt8] = []
        var more = try pieces.next(into: &piece)
        if let mark = marks.first(where: { piece.starts(with: $0.bytes) }) {
            if let declared, declared != mark.encoding, ![declared, mark.encoding].allSatisfy(\.isUTF16) {
                throw .encoding(
                    declared, line: 1, offset: 0, hint: "The file begins with the byte order mark of \(mark.encoding.name).")
            }
            return (mark.encoding, mark.bytes.count)
        }
        if let declared { return (declared, 0) }

        var decoder = try TextDecoder(.utf8)
        var text: [UInt8] = []
        var line = 1
        var offset = 0
        while more {
            text.removeAll(keepingCapacity: true)
            let outcome = decoder.decode(piece, into: &text)
            line += newlines(in: text)
            offset += text.count
            guard case .leftOver(let count) = outcome else {
                if case .invalid = outcome {
                    if try isGB18030(source) { return (.gb18030, 0) }
                    throw invalid(line: line, offset: offset)
                }
                piece.removeAll(keepingCapacity: true)
                more = try pieces.next(into: &piece)
                continue
            }
            piece = Array(piece.suffix(count))
            more = try pieces.next(into: &piece)
            if !more { throw invalid(line: line, offset: offset) }
        }
        return (.utf8, 0)
    }

    private static func invalid(line: Int, offset: Int) -> TableError {
        .encoding(
            .utf8, line: line, offset: offset,
            hint: "Save the file as UTF-8, or name its encoding (such as encoding=gbk) if all of it is in another one.")
    }

    /// Whether a file that isn't UTF-8 is surely GB18030: every byte fits, nearly all its characters are common Chinese,
    /// no line reads as Chinese in UTF-8, and not just a line or two are Chinese (those could as well be damage).
    private static func isGB18030(_ source: TableSource) throws(TableError) -> Bool {
        var pieces = try source.open()
        var piece: [UInt8] = []
        var statistics = ChineseStatistics()
        while try pieces.next(into: &piece) {
            var start = 0
            while let end = piece[start...].firstIndex(of: 0x0A) {
                guard statistics.add(Array(piece[start..<end])) else { return false }
                start = end + 1
            }
            piece.removeFirst(start)
            if piece.count > 1 << 20 { return false }
        }
        return statistics.add(piece) && statistics.isConvincing
    }

    private struct ChineseStatistics {
        var lines = 0, chineseLines = 0, characters = 0, commonCharacters = 0
        var headerIsChinese = false

        /// False when the line can't be part of a GB18030 file.
        mutating func add(_ line: [UInt8]) -> Bool {
            lines += 1
            guard line.contains(where: { $0 >= 0x80 }) else { return true }
            if validUTF8Prefix(line).outcome == .whole {
                // Two-byte sequences can be either; three bytes and more are UTF-8's Chinese.
                return !line.contains { $0 >= 0xE0 } || !line.contains { (0x80...0xA0).contains($0) }
            }
            chineseLines += 1
            if lines == 1 { headerIsChinese = true }
            var i = 0
            while i < line.count {
                let lead = line[i]
                if lead < 0x80 {
                    i += 1
                    continue
                }
                guard (0x81...0xFE).contains(lead), i + 1 < line.count else { return false }
                let trail = line[i + 1]
                characters += 1
                if (0x30...0x39).contains(trail) {
                    guard i + 3 < line.count, (0x81...0xFE).contains(line[i + 2]), (0x30...0x39).contains(line[i + 3])
                    else { return false }
                    i += 4
                    continue
                }
                guard (0x40...0x7E).contains(trail) || (0x80...0xFE).contains(trail) else { return false }
                // GB 2312's first level (the 3,755 most used characters), its punctuation and full-width forms.
                if trail >= 0xA1, (0xB0...0xD7).contains(lead) || (0xA1...0xA3).contains(lead) { commonCharacters += 1 }
                i += 2
            }
            return true
        }

        var isConvincing: Bool {
            (headerIsChinese || chineseLines >= max(3, lines / 20)) && 10 * commonCharacters >= 9 * characters
        }
    }
}

/// How many lines end in `text`, however they do.
func newlines(in text: [UInt8]) -> Int {
    var count = 0
    var last: UInt8 = 0
    for byte in text {
        if byte == 0x0A, last != 0x0D { count += 1 }
        if byte == 0x0D { count += 1 }
        last = byte
    }
    return count
}
