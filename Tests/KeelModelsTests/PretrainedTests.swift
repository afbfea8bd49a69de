import Foundation
import Keel
import KeelData
import KeelModels
import Testing

/// Where pretrained models lie, and what their own frameworks gave for some inputs: `make models-check` has both.
private let environment = ProcessInfo.processInfo.environment
private let store = ModelStore(environment: environment)
private let references = environment["SLIPWAY_MODEL_REFERENCES"].map { URL(filePath: $0) }

private func isThere(_ model: PretrainedModel, _ file: String = PretrainedModel.weights) -> Bool {
    references != nil && FileManager.default.fileExists(atPath: store.path(of: file, in: model))
}

/// The float32 numbers of a `.npy` file.
private func numbers(_ name: String) throws -> [Float] {
    let bytes = try Data(contentsOf: try #require(references).appending(path: name))
    let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
    #expect(String(decoding: bytes[10..<start], as: UTF8.self).contains("'<f4'"))
    return bytes[start...].withUnsafeBytes { bytes in (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) } }
}

/// Whether numbers agree to 1e-4 of their range: what float32 sums in another order leave.
private func agree(_ found: [Float], _ expected: [Float]) -> Bool {
    guard found.count == expected.count, let most = expected.max(), let least = expected.min() else { return false }
    return zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-4 * (most - least) }
}

@Test(.enabled(if: isThere(.efficientNetLite0), "no pretrained weights or no references here"), arguments: ["chelsea", "flower"])
func efficientNetLite0GivesWhatItsOwnFrameworkGives(_ name: String) throws {
    let file = try #require(references).appending(path: "efficientnet-lite0/\(name).png")
    let picture = try Picture(decoding: [UInt8](Data(contentsOf: file)))
    let network = try EfficientNetLite.pretrained(in: store), images = try Tensor([picture], scaling: EfficientNetLite.scaling)
    #expect(agree(try network(images, in: .prediction).elements(), try numbers("efficientnet-lite0/\(name).logits.npy")))
    let features = try numbers("efficientnet-lite0/\(name).features.npy")
    #expect(agree(try network.trunk(images, in: .prediction).elements(), features))
    // The encoder is a program, whose convolutions have their normalisations folded in.
    #expect(agree(try PictureEncoder(from: store).features(of: [picture]).elements(), features))
}

/// What the reference says of the sentence encoder.
private struct SentenceReference: Decodable {
    let sentences: [String]
    let token_ids: [[Int]]
}

@Test(.enabled(if: isThere(.miniLM), "no pretrained weights or no references here"))
func miniLMGivesWhatItsOwnFrameworkGives() throws {
    let reference = try JSONDecoder().decode(
        SentenceReference.self, from: Data(contentsOf: try #require(references).appending(path: "all-minilm-l6-v2/reference.json")))
    let encoder = try SentenceEncoder(from: store), vectors = try numbers("all-minilm-l6-v2/embeddings.npy")
    #expect(reference.sentences.map(encoder.tokens) == reference.token_ids)
    // All at once, padded to the longest one, and each alone.
    #expect(agree(try encoder.vectors(of: reference.sentences).elements(), vectors))
    for (place, sentence) in reference.sentences.enumerated() {
        #expect(agree(try encoder.vectors(of: [sentence]).elements(), Array(vectors[place * 384..<(place + 1) * 384])), "\(sentence)")
    }
    #expect(try encoder.vectors(of: []).shape == [0, 384])
    #expect(encoder.tokens(of: String(repeating: "word ", count: 1000)).count == SentenceEncoder.longest)
}

/// What the reference says of the reader of lines.
private struct LineReference: Decodable {
    struct Line: Decodable {
        let file, read: String
        let argmax: [Int]
    }
    let lines: [Line]
}

@Test(.enabled(if: isThere(.ppOCR, "reader.onnx"), "no pretrained weights or no references here"))
func theLineReaderReadsWhatItsOwnFrameworkReads() throws {
    let folder = try #require(references).appending(path: "ppocr-v4")
    let reference = try JSONDecoder().decode(LineReference.self, from: Data(contentsOf: folder.appending(path: "reference.json")))
    let reader = try TextLineReader(from: store)
    for line in reference.lines {
        let picture = try Picture(decoding: [UInt8](Data(contentsOf: folder.appending(path: line.file))))
        #expect(try reader.steps(picture) == line.argmax)
        #expect(try reader.read(picture) == line.read)
    }
}

@Test func anEncodersNormalisationsAreFoldedIntoItsConvolutions() throws {
    var generator = Philox(seed: 5)
    let path = FileManager.default.temporaryDirectory.appending(path: "keel-encoder-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let trunk = try EfficientNetLite.Trunk(using: &generator)
    try trunk.save(to: path)
    let encoder = try PictureEncoder(loading: Safetensors(reading: path), under: "")
    let side = PictureEncoder.side, picture = Picture(width: side, height: side, pixels: (0..<3 * side * side).map { UInt8(truncatingIfNeeded: $0 * 31) })
    let (features, profile) = try profile { try encoder.features(of: [picture]) }
    let names = Set(profile.events.map(\.name))
    #expect(names.contains("RectifiedConv2D") && !names.contains("ChannelAffine"))
    // Weights with a normalisation in them are rounded once more in each of some fifty layers.
    #expect(agree(try features.elements(), try trunk(Tensor([picture], scaling: EfficientNetLite.scaling), in: .prediction).elements()))
}

/// Messages by hand: a note (field 14) is a key (1) and a value (2).
@Test func theReadersCharactersAreThoseThatItsModelNotes() throws {
    func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }
    func note(_ key: String, _ value: String) -> [UInt8] { field(14, field(1, Array(key.utf8)) + field(2, Array(value.utf8))) }
    let member = try #require(PretrainedModel.ppOCR.members.first { $0.name == "characters.txt" })
    guard case .text(let text) = member.content else { throw TensorError(.custom("no text")) }
    let sound = [8, 7] + note("shape", "48") + field(7, [1, 2, 3]) + note("character", "a\nb")
    #expect(try text(sound, "model") == Array("a\nb".utf8))
    for bad in [note("shape", "48"), Array(sound.dropLast()), [255] + sound, []] { #expect(throws: TensorError.self) { try text(bad, "model") } }
}
