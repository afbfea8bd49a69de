public import Keel
internal import Foundation
internal import KeelData
internal import KeelNN
internal import KeelProgram

/// What MiniLM makes of English sentences: vectors of length 1, near where the meaning is alike.
///
/// It may be used by several threads at once.
///
/// ```swift
/// let encoder = try SentenceEncoder(from: ModelStore(folder: folder))
/// let vectors = try encoder.vectors(of: ["Shares dropped.", "The market fell."])  // [sentences, 384]
/// ```
public struct SentenceEncoder: Sendable {
    /// How many numbers a sentence gives.
    public static let width = 384
    /// What is beyond so many tokens of a text isn't read.
    public static let longest = 256
    private let program: Program
    private let tokenizer: WordPiece
    private let first, last: Int
    private let batch = 32

    /// - Throws: `TensorError.file` where the store has no weights; what loading them throws.
    public init(from store: ModelStore) throws {
        let network = try BERT.miniLM(in: store), file = store.path(of: "vocab.txt", in: .miniLM)
        guard let vocabulary = FileManager.default.contents(atPath: file) else { throw TensorError(.file(path: file, "it can't be read")) }
        tokenizer = try WordPiece(vocabulary: [UInt8](vocabulary))
        guard let first = tokenizer.id(of: "[CLS]"), let last = tokenizer.id(of: "[SEP]") else {
            throw TensorError(.malformedFile(path: file, "it has no [CLS] or no [SEP]"))
        }
        (self.first, self.last) = (first, last)
        let spec = TensorSpec(Shape(.symbol("batch"), .symbol("time")), .int64)
        program = try Program.trace(
            { inputs throws(TensorError) in
                try BERT.sentence(network(inputs[0], mask: inputs[1], in: .prediction), mask: inputs[1])
            }, inputs: ["tokens": spec, "mask": spec])
    }

    /// The numbers of a text's tokens, between those that begin and end it.
    public func tokens(of text: String) -> [Int] { [first] + tokenizer.encode(text).ids.prefix(Self.longest - 2) + [last] }

    /// - Shapes: → `[texts, 384]`.
    public func vectors(of texts: [String]) throws(TensorError) -> Tensor {
        guard !texts.isEmpty else { return try .zeros([0, Self.width]) }
        var parts: [Tensor] = []
        for start in stride(from: 0, to: texts.count, by: batch) {
            let few = texts[start..<min(start + batch, texts.count)].map(tokens), time = few.map(\.count).max() ?? 0
            let padded = few.flatMap { $0.map(Int64.init) + [Int64](repeating: 0, count: time - $0.count) }
            let mask = few.flatMap { [Int64](repeating: 1, count: $0.count) + [Int64](repeating: 0, count: time - $0.count) }
            parts.append(try program(Tensor(padded, [few.count, time]), Tensor(mask, [few.count, time])))
        }
        return try Tensor.concatenated(parts)
    }
}
