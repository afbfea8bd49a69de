import Foundation
import Keel
import KeelData
import KeelProgram

/// Every decoder of Keel's.
package let keelDecoders: [ByteDecoder] = [
    ByteDecoder("png", seeds: { try pictures("png") }, decode: picture),
    ByteDecoder("jpeg", seeds: { try pictures("jpeg") }, decode: picture),
    ByteDecoder("picture-header", seeds: { try pictures("") }) { bytes in
        guard let header = try? PictureHeader(bytes) else { return }
        try require(header.width > 0 && header.height > 0 && (1...8).contains(header.orientation), "\(header)")
    },
    ByteDecoder("table", seeds: { tables }, decode: table),
    ByteDecoder("safetensors", seeds: { try [safetensorsFile()] }, decode: safetensors),
    ByteDecoder("onnx", seeds: onnxModels, decode: onnx),
    ByteDecoder("sound", seeds: soundFiles) { bytes in
        guard let waveform = try? Waveform(decoding: bytes, limits: WaveformLimits(samples: 1 << 16)) else { return }
        try require(waveform.count > 0 && waveform.channels.allSatisfy { $0.allSatisfy(\.isFinite) }, "\(waveform.count) samples")
    },
    ByteDecoder("sentencepiece", seeds: sentencePieceModels) { try tokenize($0, by: try? SentencePiece(model: $0)) },
    ByteDecoder("wordpiece", seeds: { [try vocabularies().words] }) { try tokenize($0, by: try? WordPiece(vocabulary: $0)) },
    ByteDecoder("bpe-vocabulary", seeds: { [try vocabularies().pairs] }) {
        try tokenize($0, by: try? ByteLevelBPE(vocabulary: $0, merges: vocabularies().merges))
    },
    ByteDecoder("bpe-merges", seeds: { [try vocabularies().merges] }) {
        try tokenize($0, by: try? ByteLevelBPE(vocabulary: vocabularies().pairs, merges: $0))
    },
]

// MARK: - Pictures and sounds

private func pictures(_ kind: String) throws -> [[UInt8]] {
    try goldenPictures.filter { $0.description.hasPrefix(kind) }.map { try Golden.bytes($0.file) }
}

@Sendable private func picture(_ bytes: [UInt8]) throws {
    for side in [nil, 2] {
        guard let picture = try? Picture(decoding: bytes, limits: PictureLimits(pixels: 1 << 20), minimumSide: side) else { continue }
        try require(picture.pixels.count == 3 * picture.width * picture.height, "\(picture.width) x \(picture.height)")
    }
}

@Sendable private func soundFiles() throws -> [[UInt8]] {
    let files: [String: [String: Any]] = try Golden("waveforms").entry("files")
    return try files.sorted { $0.key < $1.key }.map { try Golden.bytes($0.value["file"]) }
}

// MARK: - Tables

private let tables: [[UInt8]] = [
    Array("a;b;c\r\n1;\"x;\ny\";3\n\"é\";猫;🐦\n".utf8),
    Array("\u{FEFF}when,value,red\n2024-01-31T12:30:15.5+08:00,1e-3,yes\n31.01.2024,-.5,NA\n,inf,no\n".utf8),
    Array("n\ttext\r1\t\"a \"\"b\"\"\"\r2\t".utf8),
    [0xFF, 0xFE] + "特征一|标签\n1.5|猫\n".utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] },
    // In GB 18030: 标签,特征 / 猫,1.5 / 狗,-1
    [0xB1, 0xEA, 0xC7, 0xA9, 0x2C, 0xCC, 0xD8, 0xD5, 0xF7, 0x0A, 0xC3, 0xA8] + Array(",1.5\n".utf8) + [0xB9, 0xB7] + Array(",-1\n".utf8),
]

@Sendable private func table(_ bytes: [UInt8]) throws {
    for encoding in [nil, TextEncoding.gb18030, .utf16LittleEndian, .windows1252] {
        do {
            var reader = try TableReader(
                .bytes(bytes), encoding: encoding, limits: TableLimits(columns: 50, fieldBytes: 200, recordBytes: 500))
            var record = TableRecord()
            var summary = ColumnSummary(columns: reader.columns.count)
            while try reader.next(into: &record) {
                try require(record.count == reader.columns.count, "a row of \(record.count) fields")
                for field in 0..<record.count { _ = summary.add(record, field: field) }
            }
            try require(summary.missing <= summary.rows && summary.unreadable(as: summary.kind) <= summary.rows, "\(summary)")
        } catch is TableError {
            continue
        }
    }
}

// MARK: - Tensors

private func withFile<R>(_ body: (String) throws -> R) throws -> R {
    let path = FileManager.default.temporaryDirectory.appending(path: "keel-\(UUID()).safetensors").path
    defer { unlink(path) }
    return try body(path)
}

private func safetensorsFile() throws -> [UInt8] {
    try withFile { path in
        let tensors: [(name: String, tensor: Tensor)] = [
            ("weight", try Tensor([Float(1), 2, 3, 4, 5, 6], [2, 3])), ("ö\"\\", try Tensor([Int64(7)])), ("empty", try Tensor.zeros([0, 3])),
            ("scalar", try Tensor(2.5)), ("flags", try Tensor([true, false])),
        ]
        try Safetensors.write(tensors, metadata: ["k": "v \u{1}"], to: path)
        return Array(try Data(contentsOf: URL(filePath: path)))
    }
}

@Sendable private func safetensors(_ bytes: [UInt8]) throws {
    try withFile { path in
        try Data(bytes).write(to: URL(filePath: path))
        do {
            let file = try Safetensors(reading: path)
            for entry in file.entries {
                let tensor = try file.tensor(named: entry.name)
                try require(tensor?.shape == entry.shape && tensor?.dtype == entry.dtype, entry.name)
            }
        } catch is TensorError {
            return
        }
    }
}

// MARK: - Models

/// Small ones, of inner graphs, windows, layers, trees and text.
@Sendable private func onnxModels() throws -> [[UInt8]] {
    let cases = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "KeelProgramTests/ONNX/Cases")
    return try [
        "test_if", "test_loop11", "test_scan9_sum", "test_basic_conv_without_padding", "test_convtranspose_1d", "test_lstm_defaults",
        "test_ai_onnx_ml_tree_ensemble_single_tree", "test_gather_elements_0",
    ].map { Array(try Data(contentsOf: cases.appending(path: "\($0)/model.onnx"))) }
}

/// Reads a model, and runs it on zeros where its inputs are small.
@Sendable private func onnx(_ bytes: [UInt8]) throws {
    var limits = ONNXLimits()
    (limits.bytes, limits.steps, limits.time, limits.work) = (16 << 20, 1000, .seconds(2), 1 << 24)
    do {
        let model = try ONNXModel(bytes, limits: limits)
        var values: [String: ONNXValue] = [:]
        for port in model.inputs {
            guard let kind = port.kind, kind != .string else { return }
            let shape = try Shape(checking: (port.sizes ?? []).map { $0.size ?? 1 })
            guard try shape.elementCount() <= 4096 else { return }
            values[port.name] = .tensor(try Tensor.zeros(shape, kind.carrier), kind)
        }
        let made = try model.run(values)
        try require(made.count == model.outputs.count, "\(made.count) values for \(model.outputs.count) outputs")
    } catch is ONNXError {
        return
    } catch is TensorError {
        return
    }
}

// MARK: - Text

@Sendable private func sentencePieceModels() throws -> [[UInt8]] {
    let models: [String: [String: Any]] = try Golden("sentencepiece").entry("models")
    return try models.sorted { $0.key < $1.key }.map { try Golden.bytes($0.value["model"]) }
}

private struct Vocabularies {
    let words, pairs, merges: [UInt8]

    init() throws {
        let golden = try Golden("tokenizers")
        func text(_ tokenizer: String, _ key: String) throws -> [UInt8] {
            Array((try golden.entry(tokenizer, as: [String: Any].self)[key] as? String ?? "").utf8)
        }
        words = try text("uncased", "vocab")
        pairs = try text("bpe", "vocab")
        merges = try text("bpe", "merges")
    }
}

private let readVocabularies = Result { try Vocabularies() }

@Sendable private func vocabularies() throws -> Vocabularies { try readVocabularies.get() }

/// Encodes and decodes a text of many scripts, and what the end of the bytes is as text.
private func tokenize(_ bytes: [UInt8], by tokenizer: (any Tokenizer)?) throws {
    guard let tokenizer else { return }
    for text in ["  Élève \u{FB01} 数据集<sep> don't 🙂 running", String(decoding: bytes.suffix(40), as: UTF8.self)] {
        let tokens = tokenizer.encode(text)
        try require(
            tokens.sources.allSatisfy { $0.map { 0 <= $0.lowerBound && $0.upperBound <= text.utf8.count } ?? false },
            "the sources of \(text.debugDescription)")
        _ = tokenizer.decode(tokens.ids + [-1, .max])
    }
}
