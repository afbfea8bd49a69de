import Foundation
import Keel
import KeelData
import KeelDecoders
import Testing

/// A tokeniser's part of `golden_tokenizers.json`.
private struct GoldenTokenizer {
    let vocabulary, merges: [UInt8]
    let encoded: [[String: Any]]
    let normalized: [String]

    init(_ name: String) throws {
        let entry: [String: Any] = try Golden("tokenizers").entry(name)
        vocabulary = Array(try #require(entry["vocab"] as? String).utf8)
        merges = Array((entry["merges"] as? String ?? "").utf8)
        encoded = try #require(entry["encoded"] as? [[String: Any]])
        normalized = entry["normalized"] as? [String] ?? []
    }

    func expect(
        _ tokenizer: some Tokenizer, sourcesMayBe isAllowed: (Range<Int>, Range<Int>) -> Bool = { $0 == $1 }
    ) throws {
        let texts: [String] = try Golden("tokenizers").entry("texts")
        for (text, expected) in zip(texts, encoded) {
            let found = tokenizer.encode(text)
            #expect(found.ids == (expected["ids"] as? [NSNumber])?.map(\.intValue), "\(text.debugDescription)")
            let offsets = try #require(expected["offsets"] as? [[NSNumber]]).map { $0[0].intValue..<$0[1].intValue }
            #expect(found.sources.count == offsets.count)
            for (source, offset) in zip(found.sources, offsets) {
                let source = try #require(source)
                #expect(isAllowed(source, offset), "\(text.debugDescription): \(source), expected \(offset)")
            }
            let decoded = try #require(expected["text"] as? String)
            #expect(Array(tokenizer.decode(found.ids).utf8) == Array(decoded.utf8))
        }
    }
}

@Test(arguments: ["uncased", "cased"])
func wordPieceEqualsItsGoldenTokens(name: String) throws {
    let golden = try GoldenTokenizer(name)
    let steps = TextStep.bert(lowercased: name == "uncased")
    let texts: [String] = try Golden("tokenizers").entry("texts")
    for (text, expected) in zip(texts, golden.normalized) {
        #expect(Array(text.changed(by: steps).utf8) == Array(expected.utf8))
    }
    // The peer finds the source of a mark within its character; ours is the whole character.
    try golden.expect(WordPiece(vocabulary: golden.vocabulary, steps: steps)) {
        $0.lowerBound <= $1.lowerBound && $1.upperBound <= $0.upperBound
    }
}

@Test func byteLevelPairsEqualTheirGoldenTokens() throws {
    let golden = try GoldenTokenizer("bpe")
    let tokenizer = try ByteLevelBPE(vocabulary: golden.vocabulary, merges: golden.merges)
    try golden.expect(tokenizer)
    #expect(tokenizer.id(of: "<|endoftext|>") == 0 && !tokenizer.encode("<|endoftext|>").ids.contains(0))
    let texts: [String] = try Golden("tokenizers").entry("texts")
    for text in texts {
        #expect(Array(tokenizer.decode(tokenizer.encode(text).ids).utf8) == Array(text.utf8))
    }
    // A word of 40,000 bytes takes no long time, and its tokens follow each other without a gap.
    let sources = tokenizer.encode(String(repeating: "ab", count: 20_000)).sources.compactMap(\.self)
    #expect(sources.first?.lowerBound == 0 && sources.last?.upperBound == 40_000)
    #expect(zip(sources, sources.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
}

@Test func normalisationFormsEqualTheGoldenOnes() throws {
    let golden = try Golden("tokenizers")
    let (texts, forms): ([String], [String: [String]]) = (try golden.entry("texts"), try golden.entry("forms"))
    for step in [TextStep.nfc, .nfd, .nfkc, .nfkd] {
        for (text, expected) in zip(texts, try #require(forms[step.rawValue])) {
            #expect(
                Array(text.changed(by: [step]).unicodeScalars) == Array(expected.unicodeScalars),
                "\(step): \(text.debugDescription)")
        }
    }
}

@Test func aFrameCutsTheLongerText() throws {
    let vocabulary = Array("[UNK]\n[CLS]\n[SEP]\na\nb\n".utf8)
    let tokenizer = try WordPiece(vocabulary: vocabulary)
    let frame = TokenFrame(before: [1], between: [2], after: [2])
    let pair = frame.framed(tokenizer.encode("a a a a a"), tokenizer.encode("b b"), limit: 8)
    #expect(pair.ids == [1, 3, 3, 3, 2, 4, 4, 2] && pair.segments == [0, 0, 0, 0, 0, 1, 1, 1])
    #expect(pair.sources == [nil, 0..<1, 2..<3, 4..<5, nil, 0..<1, 2..<3, nil])
    #expect(
        frame.framed(tokenizer.encode("a a a"), tokenizer.encode("b b b"), limit: 8).ids == [1, 3, 3, 3, 2, 4, 4, 2])
    #expect(frame.framed(tokenizer.encode("a a a"), limit: 4).ids == [1, 3, 3, 2])
    #expect(tokenizer.encode("[CLS]").ids == [0, 0, 0])
}

@Test func brokenVocabulariesAreRefusedByName() {
    #expect(throws: TokenizerError.missingToken("[UNK]", file: "vocab.txt")) {
        try WordPiece(vocabulary: Array("a\nb".utf8))
    }
    #expect(throws: TokenizerError.malformed(file: "vocab.txt", line: 3, reason: "'a' is there twice")) {
        try WordPiece(vocabulary: Array("[UNK]\na\na\n".utf8))
    }
    #expect(throws: TokenizerError.malformed(file: "vocab.txt", line: 2, reason: "it isn't UTF-8")) {
        try WordPiece(vocabulary: Array("[UNK]\n".utf8) + [0xFF])
    }
    #expect(
        throws: TokenizerError.malformed(
            file: "vocab.json", line: nil, reason: "number 7 is there twice or isn't below 1")
    ) {
        try ByteLevelBPE(vocabulary: Array(#"{"a": 7}"#.utf8), merges: [])
    }
}

/// Float32 rounds each number by 6e-8 of itself, a row's length by a few of those.
@Test func hashedNGramsEqualTheGoldenCounts() throws {
    let golden: [String: Any] = try Golden("tokenizers").entry("ngrams")
    let texts = try #require(golden["texts"] as? [String])
    func expect(_ rows: [SparseRow], _ name: String, tolerance: Float) throws {
        for (row, expected) in zip(rows, try #require(golden[name] as? [[String: Any]])) {
            #expect(row.columns == (expected["columns"] as? [NSNumber])?.map(\.intValue), "\(name)")
            let values = try #require(expected["values"] as? [NSNumber]).map(\.floatValue)
            #expect(zip(row.values, values).allSatisfy { abs($0 - $1) <= tolerance }, "\(name)")
        }
    }
    try expect(texts.map { HashedNGrams(of: .characters, lengths: 2...3, columns: 64)($0) }, "characters", tolerance: 0)
    let words = texts.map { HashedNGrams(of: .words, lengths: 1...2, columns: 64, isSigned: false)($0) }
    try expect(words, "words", tolerance: 0)
    let weights = InverseDocumentFrequency(words, columns: 64)
    try expect(words.map { weights($0) }, "tfidf", tolerance: 1e-6)
    let dense = try Tensor(words, columns: 64)
    #expect(dense.shape == Shape([texts.count, 64]))
    #expect(try dense.elements().reduce(0, +) == words.flatMap(\.values).reduce(0, +))
}
