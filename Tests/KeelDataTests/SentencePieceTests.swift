import Foundation
import KeelData
import KeelDecoders
import Testing

private let modelNames = [
    "unigram", "unigram-bytes", "bpe", "bpe-bytes", "bpe-bare", "word", "word-bare", "char", "char-bytes",
]

private func goldenModel(_ name: String) throws -> (model: [UInt8], encoded: [[String: Any]]) {
    let models: [String: [String: Any]] = try Golden("sentencepiece").entry("models")
    let entry = try #require(models[name])
    let model = try #require((entry["model"] as? String).flatMap { Data(base64Encoded: $0) })
    return (Array(model), try #require(entry["encoded"] as? [[String: Any]]))
}

@Test(arguments: modelNames)
func sentencePiecesEqualTheGoldenOnes(name: String) throws {
    let (model, encoded) = try goldenModel(name)
    let tokenizer = try SentencePiece(model: model)
    let texts: [String] = try Golden("sentencepiece").entry("texts")
    for (text, expected) in zip(texts, encoded) {
        let tokens = tokenizer.encode(text)
        #expect(tokens.ids == (expected["ids"] as? [NSNumber])?.map(\.intValue), "\(text.debugDescription)")
        let decoded = try #require(expected["text"] as? String)
        #expect(Array(tokenizer.decode(tokens.ids).utf8) == Array(decoded.utf8), "\(text.debugDescription)")
    }
}

@Test func aSentencePieceKnowsWhereItCameFrom() throws {
    let tokenizer = try SentencePiece(model: goldenModel("bpe").model)
    let text = "  lazy<sep>dog\u{FB01} "
    let bytes = Array(text.utf8)
    let tokens = tokenizer.encode(text)
    let separator = try #require(tokenizer.id(of: "<sep>").flatMap(tokens.ids.firstIndex))
    #expect(tokens.sources[separator] == 6..<11)
    // What stands before it is the word alone, what stands after it ends before the last blank.
    #expect(
        tokens.sources[..<separator].compactMap(\.self).map { String(decoding: bytes[$0], as: UTF8.self) }.joined()
            == "lazy")
    #expect(tokens.sources.last??.upperBound == bytes.count - 1)
    #expect(
        zip(tokens.sources, tokens.sources.dropFirst()).allSatisfy {
            ($0?.upperBound ?? 0) <= ($1?.lowerBound ?? 0) || $0 == $1
        })
}

@Test(
    arguments: [
        ([], "it needs one unknown piece"),
        ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1], "byte 6: a field of 4294967295 bytes ends after 1"),
        ([0x0A, 5, 0x0A, 1, 0x61, 0x18], "byte 2: a field of 5 bytes ends after 4"),
        ([0x0A, 2, 0x0A, 0], "byte 4: a piece is empty, isn't UTF-8 or has no finite score"),
        ([0x0A, 5, 0x0A, 1, 0x61, 0x18, 9], "byte 7: no kind of piece is 9"),
        ([0x0F], "byte 1: there is no wire type 7"),
        ([0x08, 0x80], "byte 2: a number is cut off"),
        ([0x12, 2, 0x18, 5], "byte 4: models of kind 5 aren't read"),
        ([0x12, 3, 0xC0, 1, 1], "byte 5: blanks at the ends of words aren't read"),
        ([0x1A, 2, 0x28, 0], "byte 4: unescaped blanks aren't read"),
        ([0x1A, 7, 0x12, 5, 4, 0, 0, 0, 0], "byte 4: the map of characters is damaged"),
    ] as [([UInt8], String)])
func whatIsNoSentencePieceModelIsRefusedWithItsPlace(model: [UInt8], reason: String) {
    #expect(throws: TokenizerError.malformed(file: "SentencePiece model", line: nil, reason: reason)) {
        try SentencePiece(model: model)
    }
}
