internal import Keel

extension PretrainedModel {
    /// PP-OCRv4's small models for text in pictures, as ONNX models: one finds lines, one reads them, one tells which are upside down. Of what the reader
    /// gives, number 0 is the blank, those up to 6,623 are the lines of `characters.txt`, and the last is the space.
    public static let ppOCR = PretrainedModel(
        "pp-ocr-v4", network: nil, summary: "Text in pictures, Chinese and English: where lines are, and what they say. ONNX models.", licence: "Apache-2.0",
        package: Package(
            name: "rapidocr-onnxruntime", version: "1.4.4", file: "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
            sha256: "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf"),
        members: [
            Member("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", as: "detector.onnx"),
            Member("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", as: "reader.onnx"),
            Member("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", as: "direction.onnx"),
            Member(
                "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", as: "characters.txt",
                .text { (bytes, path) throws(TensorError) in
                    guard let characters = onnxNote("character", in: bytes) else {
                        throw TensorError(.malformedFile(path: path, "the model doesn't note its characters"))
                    }
                    return Array(characters)
                }),
            // The package carries no licence's text, but says here which it has.
            Member("rapidocr_onnxruntime-1.4.4.dist-info/METADATA", as: "METADATA"),
        ])
}

/// What an ONNX model notes under a name: its `metadata_props`, field 14 of a model, are a key (1) and a value (2) each.
private func onnxNote(_ name: String, in model: [UInt8]) -> ArraySlice<UInt8>? {
    var notes = ProtobufFields(model[...])
    while let (field, note) = notes.next() {
        guard field == 14 else { continue }
        var parts = ProtobufFields(note), key: ArraySlice<UInt8> = [], value: ArraySlice<UInt8> = []
        while let (part, bytes) = parts.next() {
            if part == 1 { key = bytes }
            if part == 2 { value = bytes }
        }
        if key.elementsEqual(name.utf8) { return value }
    }
    return nil
}

/// The fields of a protobuf message that are bytes; others are passed over. A message that isn't sound ends early.
private struct ProtobufFields {
    private var rest: ArraySlice<UInt8>

    init(_ message: ArraySlice<UInt8>) { rest = message }

    mutating func next() -> (field: Int, bytes: ArraySlice<UInt8>)? {
        while let tag = number() {
            switch tag & 7 {
            case 0: guard number() != nil else { return nil }
            case 1: guard skip(8) else { return nil }
            case 5: guard skip(4) else { return nil }
            case 2:
                guard let count = number(), count <= rest.count else { return nil }
                defer { rest = rest.dropFirst(count) }
                return (tag >> 3, rest.prefix(count))
            default: return nil
            }
        }
        return nil
    }

    private mutating func skip(_ count: Int) -> Bool {
        guard rest.count >= count else { return false }
        rest = rest.dropFirst(count)
        return true
    }

    private mutating func number() -> Int? {
        var value: UInt64 = 0
        for place in 0..<10 {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7f) << (7 * UInt64(place))
            if byte < 0x80 { return Int(exactly: value) }
        }
        return nil
    }
}
