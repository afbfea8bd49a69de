/// SentencePiece: a text is normalised as the model's file says, its blanks become `▁`, and it is cut into the
/// likeliest pieces (unigram), characters are joined pair by pair (BPE), or each word or each character is one piece.
/// Words need no blanks between them, but for models of words.
///
/// - Source: Kudo and Richardson, *SentencePiece*, 2018; Kudo, *Subword regularization*, 2018 (unigram); word_model.cc
///   and char_model.cc of the SentencePiece project.
public struct SentencePiece: Tokenizer {
    private let model: SentencePieceModel
    /// Pieces that text may become.
    private let trie: PieceTrie
    /// Pieces that are neither normalised nor cut.
    private let userDefined: PieceTrie
    private let ids: [[UInt8]: Int]
    private let unknown: Int
    private let ofByte: [Int]
    private let least, most: Float

    private static let blank = Array("▁".utf8)

    /// - Parameter model: the bytes of a `.model` file.
    /// - Errors: `TokenizerError` for a damaged file, and options that aren't read: blanks at the ends of words or
    ///   unescaped, and BPE with unused pieces.
    public init(model bytes: [UInt8]) throws(TokenizerError) {
        let model = try SentencePieceModel(bytes)
        var (trie, userDefined, ids) = (PieceTrie(), PieceTrie(), [[UInt8]: Int]())
        var (unknown, ofByte) = (0, [Int?](repeating: nil, count: 256))
        for (id, piece) in model.pieces.enumerated() {
            guard ids.updateValue(id, forKey: piece.text) == nil else {
                throw SentencePieceModel.malformed("piece \(id) was there before")
            }
            switch piece.kind {
            case .normal: _ = trie.insert(piece.text, id)
            case .userDefined:
                _ = trie.insert(piece.text, id)
                _ = userDefined.insert(piece.text, id)
            case .unknown: unknown = id
            case .byte:
                let name = String(decoding: piece.text, as: UTF8.self)
                guard name.utf8.count == 6, name.hasPrefix("<0x"), name.hasSuffix(">"),
                    let byte = UInt8(name.dropFirst(3).dropLast(), radix: 16)
                else { throw SentencePieceModel.malformed("piece \(id), '\(name)', isn't a byte") }
                ofByte[Int(byte)] = id
            case .unused where model.kind == .bpe:
                throw SentencePieceModel.malformed("piece \(id) is unused, which isn't read in BPE")
            case .unused, .control: break
            }
        }
        let bytes = ofByte.compactMap(\.self)
        guard !model.hasByteFallback || bytes.count == 256 else {
            throw SentencePieceModel.malformed("one of the 256 bytes has no piece")
        }
        let scores = model.pieces.lazy.filter { $0.kind == .normal }.map(\.score)
        self.model = model
        self.trie = trie
        self.userDefined = userDefined
        self.ids = ids
        self.unknown = unknown
        self.ofByte = bytes
        (least, most) = (scores.min() ?? 0, scores.max() ?? 0)
    }

    public func id(of token: String) -> Int? { ids[Array(token.utf8)] }

    public func encode(_ text: String) -> TokenSequence {
        let normal = normalized(Array(text.utf8))
        let pieces =
            switch model.kind {
            case .unigram: likeliest(normal)
            case .bpe: joined(normal)
            case .word: words(normal.bytes).map { (piece($0), $0.count) }
            case .character: fixedOrCharacters(normal.bytes).map { (piece($0), $0.count) }
            }
        var result = TokenSequence()
        var start = 0
        var wasUnknown = false
        for (id, count) in pieces {
            let bytes = start..<start + count
            let source = normal.sources[start].lowerBound..<normal.sources[bytes.upperBound - 1].upperBound
            start += count
            if id == unknown, model.hasByteFallback {
                for byte in normal.bytes[bytes] { result.append(ofByte[Int(byte)], source) }
            } else if id == unknown, wasUnknown, let before = result.sources.last ?? nil {
                result.sources[result.sources.count - 1] = before.lowerBound..<source.upperBound  // a run is one token
            } else {
                result.append(id, source)
            }
            wasUnknown = id == unknown
        }
        return result
    }

    private struct Normal {
        var bytes: [UInt8] = []
        var sources: [Range<Int>] = []

        mutating func append(_ new: some Sequence<UInt8>, _ source: Range<Int>) {
            for byte in new {
                bytes.append(byte)
                sources.append(source)
            }
        }
    }

    private func normalized(_ text: [UInt8]) -> Normal {
        var result = Normal()
        var at = 0
        var isAfterBlank = model.removesExtraBlanks
        var needsBlank = model.addsBlank
        while at < text.count {
            let (new, end) = normalizedPrefix(of: text, from: at)
            defer { at = end }
            for character in characters(new) {
                let isBlank = character.elementsEqual([0x20])
                if isBlank, isAfterBlank { continue }
                if needsBlank {
                    result.append(SentencePiece.blank, at..<at)
                    needsBlank = false
                }
                result.append(isBlank ? SentencePiece.blank[...] : character, at..<end)
                isAfterBlank = isBlank && model.removesExtraBlanks
            }
        }
        if model.removesExtraBlanks {
            while result.bytes.suffix(3) == SentencePiece.blank[...] {
                result.bytes.removeLast(3)
                result.sources.removeLast(3)
            }
        }
        return result
    }

    private func normalizedPrefix(of text: [UInt8], from at: Int) -> (ArraySlice<UInt8>, end: Int) {
        if let (_, end) = userDefined.longest(in: text, from: at) { return (text[at..<end], end) }
        if let (new, end) = model.characterMap.replacement(in: text, from: at) { return (new, end) }
        let end = min(text.count, at + width(text[at]))
        return (text[at..<end], end)
    }

    /// Bytes of the character that begins with `first`.
    private func width(_ first: UInt8) -> Int { first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4 }

    private func characters(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var result: [ArraySlice<UInt8>] = []
        var at = bytes.startIndex
        while at < bytes.endIndex {
            let end = min(bytes.endIndex, at + width(bytes[at]))
            result.append(bytes[at..<end])
            at = end
        }
        return result
    }

    /// Viterbi's best path over the pieces; a character that no piece covers costs 10 more than the unlikeliest piece.
    private func likeliest(_ text: Normal) -> [(id: Int, count: Int)] {
        let bytes = text.bytes
        var best = [(score: Float, id: Int, start: Int)](repeating: (0, unknown, -1), count: bytes.count + 1)
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + width(bytes[start]))
            func offer(_ id: Int, _ stop: Int, _ score: Float) {
                let total = score + best[start].score
                if best[stop].start < 0 || total > best[stop].score { best[stop] = (total, id, start) }
            }
            var hasCharacter = false
            var (node, at) = (PieceTrie.root, start)
            while at < bytes.count, let next = trie.child(node, bytes[at]) {
                (node, at) = (next, at + 1)
                guard let id = trie.piece(node) else { continue }
                let piece = model.pieces[id]
                offer(id, at, piece.kind == .userDefined ? Float(at - start) * most - 0.1 : piece.score)
                if at == end { hasCharacter = true }
            }
            if !hasCharacter { offer(unknown, end, least - 10) }
            start = end
        }
        var path: [(id: Int, count: Int)] = []
        var end = bytes.count
        while end > 0 {
            path.append((best[end].id, end - best[end].start))
            end = best[end].start
        }
        return path.reversed()
    }

    /// Each part that begins with a blank, up to the next one.
    private func words(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var result: [ArraySlice<UInt8>] = []
        for character in characters(bytes[...]) {
            if result.isEmpty || character == SentencePiece.blank[...] {
                result.append(character)
            } else {
                result[result.count - 1] = bytes[result[result.count - 1].startIndex..<character.endIndex]
            }
        }
        return result
    }

    /// Characters, but pieces that aren't cut whole.
    private func fixedOrCharacters(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var result: [ArraySlice<UInt8>] = []
        var at = 0
        while at < bytes.count {
            let end = userDefined.longest(in: bytes, from: at)?.end ?? min(bytes.count, at + width(bytes[at]))
            result.append(bytes[at..<end])
            at = end
        }
        return result
    }

    /// The piece that a part of a text is as a whole.
    private func piece(_ text: ArraySlice<UInt8>) -> Int {
        guard let id = ids[Array(text)] else { return unknown }
        switch model.pieces[id].kind {
        case .normal, .userDefined, .unused: return id
        case .unknown, .control, .byte: return unknown
        }
    }

    /// Joins characters; symbols that aren't pieces have numbers from the pieces' count up.
    private func joined(_ text: Normal) -> [(id: Int, count: Int)] {
        let texts = fixedOrCharacters(text.bytes).map { Array($0) }
        let count = model.pieces.count
        // A fixed symbol, too, has a number of its own, so that nothing joins it.
        let symbols = texts.enumerated().map { place, text in
            (userDefined.id(of: text) == nil ? trie.id(of: text) : nil) ?? count + place
        }
        func bytes(_ symbol: Int) -> [UInt8] { symbol < count ? model.pieces[symbol].text : texts[symbol - count] }
        let fixed = Set(symbols.indices.filter { userDefined.id(of: texts[$0]) != nil }.map { symbols[$0] })
        let merged = mergedPairs(symbols) { (left, right) -> (rank: Float, id: Int)? in
            guard !fixed.contains(left), !fixed.contains(right), let id = trie.id(of: bytes(left) + bytes(right)) else {
                return nil
            }
            return (-model.pieces[id].score, id)
        }
        var first = 0
        return merged.map { symbol, length in
            defer { first += length }
            let size = texts[first..<first + length].reduce(0) { $0 + $1.count }
            let id = symbol < count ? symbol : userDefined.id(of: texts[first]) ?? unknown
            return (id, size)
        }
    }

    /// The pieces' text, `▁` as blanks, without the one that encoding put first; an unknown piece is ` ⁇ `.
    public func decode(_ ids: [Int]) -> String {
        var bytes: [UInt8] = []
        var isFirst = true
        for id in ids where model.pieces.indices.contains(id) {
            let piece = model.pieces[id]
            switch piece.kind {
            case .control: continue
            case .unknown: bytes += " ⁇ ".utf8
            case .byte: bytes.append(UInt8(ofByte.firstIndex(of: id) ?? 0))
            case .normal, .userDefined, .unused:
                var text = piece.text[...]
                if isFirst, model.addsBlank, text.starts(with: SentencePiece.blank) { text = text.dropFirst(3) }
                for character in characters(text) {
                    bytes += character.elementsEqual(SentencePiece.blank) ? [0x20] : Array(character)
                }
            }
            isFirst = false
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
