internal import Foundation

/// Byte-pair encoding of bytes, GPT-2's tokeniser: every text can be encoded, and decoding gives it back exactly.
///
/// - Source: Radford and others, *Language models are unsupervised multitask learners*, 2019, and the encoder published
///   with it.
public struct ByteLevelBPE: Tokenizer {
    private let tokens: [String: Int]
    /// Each token's bytes.
    private let pieces: [[UInt8]]
    private let ofByte: [Int]
    private let merges: [Pair: (rank: Int, id: Int)]

    private struct Pair: Hashable {
        let left, right: Int
    }

    /// - Parameters:
    ///   - vocabulary: the bytes of a `vocab.json`: an object of tokens and their numbers, which are `0..<count`.
    ///   - merges: the bytes of a `merges.txt`: two tokens a line, the most urgent first; a first line that begins with
    ///     `#version` is skipped.
    /// - Errors: `TokenizerError`, also when a byte or a merged token isn't in the vocabulary.
    public init(vocabulary: [UInt8], merges: [UInt8]) throws(TokenizerError) {
        let (json, text) = ("vocab.json", "merges.txt")
        guard let tokens = try? JSONDecoder().decode([String: Int].self, from: Data(vocabulary)) else {
            throw .malformed(file: json, line: nil, reason: "it isn't an object of tokens and their numbers")
        }
        let bytes = ByteLevelBPE.byteOfScalar
        var pieces = [[UInt8]?](repeating: nil, count: tokens.count)
        var ofByte = [Int?](repeating: nil, count: 256)
        for (token, id) in tokens {
            guard pieces.indices.contains(id), pieces[id] == nil else {
                throw .malformed(
                    file: json, line: nil, reason: "number \(id) is there twice or isn't below \(tokens.count)")
            }
            let piece = token.unicodeScalars.compactMap { bytes[$0] }
            let isBytes = piece.count == token.unicodeScalars.count
            pieces[id] = isBytes ? piece : Array(token.utf8)
            if isBytes, piece.count == 1 { ofByte[Int(piece[0])] = id }
        }
        for (byte, id) in ofByte.enumerated() where id == nil {
            throw .malformed(file: json, line: nil, reason: "byte \(byte) has no token")
        }
        guard
            let lines = String(validating: merges, as: UTF8.self)?.split(
                separator: "\n", omittingEmptySubsequences: false)
        else { throw .malformed(file: text, line: nil, reason: "it isn't UTF-8") }
        var found: [Pair: (rank: Int, id: Int)] = [:]
        for (index, line) in lines.enumerated() where !line.isEmpty && !(index == 0 && line.hasPrefix("#version")) {
            let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, let left = tokens[parts[0]], let right = tokens[parts[1]],
                let id = tokens[parts[0] + parts[1]]
            else { throw .malformed(file: text, line: index + 1, reason: "it isn't two tokens that make a third one") }
            guard found.updateValue((index, id), forKey: Pair(left: left, right: right)) == nil else {
                throw .malformed(file: text, line: index + 1, reason: "this pair is there twice")
            }
        }
        self.tokens = tokens
        self.pieces = pieces.compactMap(\.self)
        self.ofByte = ofByte.compactMap(\.self)
        self.merges = found
    }

    public func id(of token: String) -> Int? { tokens[token] }

    public func encode(_ text: String) -> TokenSequence {
        let text = TracedText(text)
        var result = TokenSequence()
        for word in ByteLevelBPE.words(of: text.scalars) {
            var scalars: [Int] = []  // each byte's
            var symbols: [Int] = []
            for index in word {
                for byte in text.scalars[index].utf8 {
                    symbols.append(ofByte[Int(byte)])
                    scalars.append(index)
                }
            }
            var at = 0
            for (id, length) in mergedPairs(symbols, rank: { merges[Pair(left: $0, right: $1)] }) {
                result.append(id, text.source(of: scalars[at]..<scalars[at + length - 1] + 1))
                at += length
            }
        }
        return result
    }

    /// The bytes of the tokens as text; where they aren't UTF-8, U+FFFD.
    public func decode(_ ids: [Int]) -> String {
        String(decoding: ids.filter(pieces.indices.contains).flatMap { pieces[$0] }, as: UTF8.self)
    }

    /// GPT-2's way of writing bytes as visible characters.
    private static let byteOfScalar: [Unicode.Scalar: UInt8] = {
        var table: [Unicode.Scalar: UInt8] = [:]
        var spare: UInt32 = 256
        for byte in UInt8.min...UInt8.max {
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: table[Unicode.Scalar(byte)] = byte
            default:
                if let scalar = Unicode.Scalar(spare) { table[scalar] = byte }
                spare += 1
            }
        }
        return table
    }()

    /// GPT-2's words: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
    static func words(of scalars: [Unicode.Scalar]) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var start = 0
        while start < scalars.count {
            let end = wordEnd(in: scalars, from: start)
            words.append(start..<end)
            start = end
        }
        return words
    }

    private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map { Array($0.unicodeScalars) }

    private static func wordEnd(in scalars: [Unicode.Scalar], from start: Int) -> Int {
        if let short = contractions.first(where: { scalars[start...].starts(with: $0) }) { return start + short.count }
        func run(from first: Int, _ belongs: (Unicode.Scalar) -> Bool) -> Int {
            var end = first
            while end < scalars.count, belongs(scalars[end]) { end += 1 }
            return end
        }
        let first = scalars[start] == " " ? start + 1 : start
        for kind in [\Unicode.Scalar.isLetter, \.isNumber, \.isSymbol] {
            let end = run(from: first) { $0[keyPath: kind] }
            if end > first { return end }
        }
        // White space: all but the last before a word, which may be that word's.
        let end = run(from: start, \.isBlank)
        return end == scalars.count || end == start + 1 ? end : end - 1
    }
}

extension Unicode.Scalar {
    fileprivate var isSymbol: Bool { !isBlank && !isLetter && !isNumber }
}
