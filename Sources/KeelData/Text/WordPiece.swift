/// WordPiece, BERT's tokeniser: a text is cut at blanks and punctuation, and each word greedily into the longest pieces
/// there are; `##` begins those that go on a word. A word that can't be cut is one unknown token.
///
/// - Source: Devlin, Chang, Lee and Toutanova, *BERT*, 2019, and the tokenisation published with it.
public struct WordPiece: Tokenizer {
    private let pieces: [String]
    private let trie: PieceTrie
    private let continuation: UInt32?
    private let unknown: Int
    private let steps: [TextStep]
    /// A longer word is unknown, which bounds the work.
    private let longestWord = 100

    /// - Parameters:
    ///   - vocabulary: the bytes of a `vocab.txt`: a piece a line, in UTF-8; its number is that of the line, from 0.
    ///   - steps: what is done to a text first; `TextStep.bert(lowercased: true)` for an uncased model.
    /// - Errors: `TokenizerError` for text that isn't UTF-8, a line that is there twice, or no `unknown` among them.
    public init(
        vocabulary: [UInt8], unknown: String = "[UNK]", steps: [TextStep] = TextStep.bert(lowercased: true)
    ) throws(TokenizerError) {
        let file = "vocab.txt"
        var lines = vocabulary.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        var (trie, pieces) = (PieceTrie(), [String]())
        for (index, line) in lines.enumerated() {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            guard let piece = String(validating: line, as: UTF8.self) else {
                throw .malformed(file: file, line: index + 1, reason: "it isn't UTF-8")
            }
            guard trie.insert(line, index) else {
                throw .malformed(file: file, line: index + 1, reason: "'\(piece)' is there twice")
            }
            pieces.append(piece)
        }
        guard let id = trie.id(of: unknown.utf8) else { throw .missingToken(unknown, file: file) }
        self.pieces = pieces
        self.trie = trie
        self.unknown = id
        self.steps = steps
        continuation = trie.node(of: "##".utf8)
    }

    public func id(of token: String) -> Int? { trie.id(of: token.utf8) }

    public func encode(_ text: String) -> TokenSequence {
        let text = TracedText(text).changed(by: steps)
        var result = TokenSequence()
        var start = 0
        while start < text.scalars.count {
            let first = text.scalars[start]
            var end = start + 1
            if !first.isBlank {
                if !first.isPunctuation {
                    while end < text.scalars.count, !text.scalars[end].isBlank, !text.scalars[end].isPunctuation {
                        end += 1
                    }
                }
                encode(start..<end, of: text, into: &result)
            }
            start = end
        }
        return result
    }

    private func encode(_ word: Range<Int>, of text: TracedText, into result: inout TokenSequence) {
        guard word.count <= longestWord else { return result.append(unknown, text.source(of: word)) }
        var bytes: [UInt8] = []
        var scalars: [Int] = []  // each byte's
        for index in word {
            for byte in text.scalars[index].utf8 {
                bytes.append(byte)
                scalars.append(index)
            }
        }
        var found: [(id: Int, source: Range<Int>)] = []
        var at = 0
        while at < bytes.count {
            let node = at == 0 ? PieceTrie.root : continuation
            guard let node, let (id, end) = trie.longest(in: bytes, from: at, node: node) else {
                return result.append(unknown, text.source(of: word))
            }
            found.append((id, text.source(of: scalars[at]..<scalars[end - 1] + 1)))
            at = end
        }
        for (id, source) in found { result.append(id, source) }
    }

    /// Pieces with blanks between them, but before those that go on a word.
    public func decode(_ ids: [Int]) -> String {
        var text = ""
        for id in ids where pieces.indices.contains(id) {
            let piece = pieces[id]
            if piece.unicodeScalars.starts(with: "##".unicodeScalars), !text.isEmpty {
                text.unicodeScalars.append(contentsOf: piece.unicodeScalars.dropFirst(2))
            } else {
                text += (text.isEmpty ? "" : " ") + piece
            }
        }
        return text
    }
}
