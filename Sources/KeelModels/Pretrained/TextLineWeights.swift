internal import Keel
internal import KeelProgram

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
                    return characters
                }),
            // The package carries no licence's text, but says here which it has.
            Member("rapidocr_onnxruntime-1.4.4.dist-info/METADATA", as: "METADATA"),
        ])
}

/// What an ONNX model notes under a name: its `metadata_props`, field 14 of a model, are a key (1) and a value (2) each. Nil where the model isn't sound.
private func onnxNote(_ name: String, in model: [UInt8]) -> [UInt8]? {
    try? model.withUnsafeBytes { bytes -> [UInt8]? in
        var reader = ProtobufReader(bytes)
        while let (field, type) = try reader.field() {
            guard field == 14 else {
                try reader.skip(type)
                continue
            }
            var note = try reader.message(type, "metadata_props"), key = "", value: Range<Int>?
            while let (part, type) = try note.field() {
                switch part {
                case 1: key = try note.string(type)
                case 2: value = try note.range(type)
                default: try note.skip(type)
                }
            }
            if key == name, let value { return Array(bytes[value]) }
        }
        return nil
    }
}
