public import Keel
public import KeelData
internal import Foundation
internal import KeelProgram

/// Reads a line of text in a picture, Chinese or English, with PP-OCR's reader.
///
/// ```swift
/// let reader = try TextLineReader(from: ModelStore(folder: folder))
/// let text = try reader.read(picture)
/// ```
public struct TextLineReader: Sendable {
    private let model: ONNXModel
    private let input: String
    /// What each number stands for; the first is the blank.
    private let characters: [String]
    private static let height = 48

    /// - Throws: `TensorError.file` where the store has no characters; what reading the model throws.
    public init(from store: ModelStore) throws {
        let file = store.path(of: "characters.txt", in: .ppOCR)
        guard let bytes = FileManager.default.contents(atPath: file) else { throw TensorError(.file(path: file, "it can't be read")) }
        characters = [""] + String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init) + [" "]
        model = try ONNXModel(reading: store.path(of: "reader.onnx", in: .ppOCR))
        guard let port = model.inputs.first, model.inputs.count == 1 else {
            throw TensorError(.malformedFile(path: "reader.onnx", "it doesn't take one picture"))
        }
        input = port.name
    }

    /// For each step along the line the likeliest character's number.
    public func steps(_ line: Picture) throws -> [Int] {
        let width = max(Int((Double(line.width) * Double(Self.height) / Double(line.height)).rounded()), 1)
        let picture = line.resized(width: width, height: Self.height)
        let planes = try Tensor([picture], scaling: .symmetric).flipped([1])  // blue, green, red
        guard case .tensor(let scores, _)? = try model.run([input: ONNXValue(planes)]).first, scores.rank == 3,
            try scores.shape.size(2) == characters.count
        else { throw TensorError(.malformedFile(path: "reader.onnx", "it doesn't score \(characters.count) characters at each step")) }
        return try scores.topK(1).indices.elements(Int64.self).map(Int.init)
    }

    /// The line's text: runs of one character are one, and what is between two blanks stands for itself.
    public func read(_ line: Picture) throws -> String {
        var text = "", last = 0
        for step in try steps(line) {
            if step != last { text += characters[step] }
            last = step
        }
        return text
    }
}
