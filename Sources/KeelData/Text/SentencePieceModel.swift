/// What a SentencePiece model's file says, as far as encoding and decoding need it.
///
/// - Source: sentencepiece_model.proto of the SentencePiece project.
struct SentencePieceModel: Sendable {
    enum Kind: Int {
        case unigram = 1, bpe, word, character
    }
    enum PieceKind: Int {
        case normal = 1, unknown, control, userDefined, unused, byte
    }
    struct Piece {
        var text: [UInt8] = []
        var score: Float = 0
        var kind = PieceKind.normal
    }

    var pieces: [Piece] = []
    var kind = Kind.unigram
    var hasByteFallback = false
    var addsBlank = true
    var removesExtraBlanks = true
    var characterMap = CharacterMap()

    init(_ bytes: [UInt8]) throws(TokenizerError) {
        do throws(ProtobufReader.Malformed) {
            var reader = ProtobufReader(bytes[...])
            while let (field, value) = try reader.next() {
                switch field {
                case 1: pieces.append(try SentencePieceModel.piece(value.bytes))
                case 2: try readTrainer(value.bytes)
                case 3: try readNormalizer(value.bytes)
                default: break
                }
            }
        } catch {
            throw SentencePieceModel.malformed("byte \(error.offset): \(error.reason)")
        }
        guard pieces.count(where: { $0.kind == .unknown }) == 1 else {
            throw SentencePieceModel.malformed("it needs one unknown piece")
        }
    }

    static func malformed(_ reason: String) -> TokenizerError {
        .malformed(file: "SentencePiece model", line: nil, reason: reason)
    }

    private static func piece(_ message: ArraySlice<UInt8>) throws(ProtobufReader.Malformed) -> Piece {
        var piece = Piece()
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: piece.text = Array(value.bytes)
            case 2: piece.score = value.float
            case 3:
                guard let kind = PieceKind(rawValue: value.int) else {
                    throw reader.malformed("no kind of piece is \(value.int)")
                }
                piece.kind = kind
            default: break
            }
        }
        guard !piece.text.isEmpty, piece.score.isFinite, String(validating: piece.text, as: UTF8.self) != nil else {
            throw reader.malformed("a piece is empty, isn't UTF-8 or has no finite score")
        }
        return piece
    }

    private mutating func readTrainer(_ message: ArraySlice<UInt8>) throws(ProtobufReader.Malformed) {
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            switch field {
            case 3:
                guard let kind = Kind(rawValue: value.int) else {
                    throw reader.malformed("models of kind \(value.int) aren't read")
                }
                self.kind = kind
            case 24 where value.bool: throw reader.malformed("blanks at the ends of words aren't read")
            case 35: hasByteFallback = value.bool
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ message: ArraySlice<UInt8>) throws(ProtobufReader.Malformed) {
        var reader = ProtobufReader(message)
        while let (field, value) = try reader.next() {
            switch field {
            case 2: characterMap = try CharacterMap(value.bytes)
            case 3: addsBlank = value.bool
            case 4: removesExtraBlanks = value.bool
            case 5 where !value.bool: throw reader.malformed("unescaped blanks aren't read")
            default: break
            }
        }
    }
}

/// A model's own normalisation: byte strings and what takes their place, in a double-array trie.
///
/// - Source: Yata, *Darts-clone*, 2008; normalizer.cc of the SentencePiece project.
struct CharacterMap: Sendable {
    private var units: [UInt32] = []
    private var replacements: [UInt8] = []

    init() {}

    init(_ blob: ArraySlice<UInt8>) throws(ProtobufReader.Malformed) {
        guard !blob.isEmpty else { return }
        func long(_ at: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(blob[blob.startIndex + at + $1]) << UInt32(8 * $1) }
        }
        let malformed = ProtobufReader.Malformed(offset: blob.startIndex, reason: "the map of characters is damaged")
        guard blob.count > 4 else { throw malformed }
        let size = Int(long(0))
        guard size.isMultiple(of: 4), size >= 4, size < blob.count - 4 else { throw malformed }
        units = (0..<size / 4).map { long(4 + 4 * $0) }
        replacements = Array(blob.dropFirst(4 + size))
        guard replacements.last == 0 else { throw malformed }
    }

    /// What takes the place of the longest mapped string at `start`, and where that string ends.
    func replacement(in text: [UInt8], from start: Int) -> (text: ArraySlice<UInt8>, end: Int)? {
        guard var unit = units.first else { return nil }
        func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 1 << 9) >> 6) }
        var node = offset(unit)
        var found: (value: Int, end: Int)?
        for at in start..<text.count {
            node ^= UInt32(text[at])
            guard node < units.count else { break }
            unit = units[Int(node)]
            guard unit & (1 << 31 | 0xFF) == UInt32(text[at]) else { break }
            node ^= offset(unit)
            guard unit >> 8 & 1 == 1 else { continue }
            guard node < units.count else { break }
            found = (Int(units[Int(node)] & 0x7FFF_FFFF), at + 1)
        }
        guard let found, found.value < replacements.count else { return nil }
        let rest = replacements[found.value...]
        return (rest[..<(rest.firstIndex(of: 0) ?? rest.endIndex)], found.end)
    }
}
