import Foundation
import SlipwayDomain
import Testing

@Suite struct ProgramCommandTests {
    private let cases = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "KeelProgramTests/ONNX/Cases").path

    @Test func showPrintsGraphPlanAndMemory() async throws {
        let outcome = try await run(["program", "show", cases + "/test_gelu_default_1/model.onnx"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        for text in ["inputs", "Gelu %0 : float32[3]", "step", "at most, beside the inputs"] { #expect(outcome.output.contains(text), "\(outcome.output)") }
        let json = try await run(["program", "show", cases + "/test_gelu_default_1/model.onnx", "--json"])
        #expect(try json.json["steps"]?.array.map { $0["primitive"]?.stringValue } == ["Gelu"])
        #expect(try json.json["memory"]?["peak"] == .integer(192))
    }

    @Test func showSaysWhatIsWrong() async throws {
        let unknown = try await run(["program", "show", cases + "/test_gelu_default_1/model.onnx", "--size", "batch=2"])
        #expect(unknown.code == 1 && unknown.errors.contains("doesn't leave open"))
        let pass = try await run(["program", "show", cases + "/test_gelu_default_1/model.onnx", "--without", "nothing"])
        #expect(pass.code == 2 && pass.errors.contains("elementwise-fusion"))
        let missing = try await run(["program", "show", "/nonexistent.onnx"])
        #expect(missing.code == 1)
        let interpreted = try await run(["program", "show", cases + "/test_loop11/model.onnx"])
        #expect(interpreted.code == 1 && interpreted.errors.contains("interpreted"))
    }

    /// A safetensors file of eight pictures, `[8, 3, 32, 32]`, and their classes.
    private func samples() -> Data {
        let count = 8 * 3 * 32 * 32
        let header = #"{"input":{"dtype":"F32","shape":[8,3,32,32],"data_offsets":[0,\#(count * 4)]},"classes":{"dtype":"I64","shape":[8],"data_offsets":[\#(count * 4),\#(count * 4 + 64)]}}"#
        var file = Data(withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8))
        for place in 0..<count { withUnsafeBytes(of: (Float(place * 37 % 101) / 50 - 1).bitPattern.littleEndian) { file.append(contentsOf: $0) } }
        for sample in 0..<8 { withUnsafeBytes(of: Int64(sample % 2).littleEndian) { file.append(contentsOf: $0) } }
        return file
    }

    @Test func quantiseWritesAFolderAndSaysWhatItDid() async throws {
        let model = URL(filePath: cases).deletingLastPathComponent().appending(path: "Networks/resnet/model.onnx").path
        try await withTemporaryFolder { folder in
            try samples().write(to: URL(filePath: folder + "/samples.safetensors"))
            let made = try await run(["program", "quantise", model, "--to", folder + "/small", "--samples", folder + "/samples.safetensors", "--labels", "classes"])
            #expect(made.code == 0, "\(made.errors)")
            for text in ["static, minmax", "int8", "run, ms", "score"] { #expect(made.output.contains(text), "\(made.output)") }
            let shown = try await run(["program", "show", folder + "/small"])
            #expect(shown.code == 0 && shown.output.contains("QuantisedConv2D"), "\(shown.errors)")
            // A folder is a model, too.
            let again = try await run(["program", "quantise", folder + "/small", "--to", folder + "/smaller", "--kind", "weights", "--json"])
            #expect(again.code == 0, "\(again.errors)")
            #expect(try again.json["kind"]?.stringValue == "weights")
            let wrong = try await run(["program", "quantise", model, "--to", folder + "/other", "--samples", folder + "/samples.safetensors", "--labels", "input"])
            #expect(wrong.code == 1 && wrong.errors.contains("classes are 8 whole numbers"), "\(wrong.errors)")
        }
    }

    @Test func quantiseSaysWhatItNeeds() async throws {
        let model = cases + "/test_gelu_default_1/model.onnx"
        let none = try await run(["program", "quantise", model, "--to", "/nonexistent/small"])
        #expect(none.code == 2 && none.errors.contains("static quantisation needs --samples"), "\(none.errors)")
        let kind = try await run(["program", "quantise", model, "--to", "/nonexistent/small", "--kind", "all"])
        #expect(kind.code == 2 && kind.errors.contains("dynamic"), "\(kind.errors)")
        let labels = try await run(["program", "quantise", model, "--to", "/nonexistent/small", "--kind", "weights", "--labels", "classes"])
        #expect(labels.code == 2 && labels.errors.contains("--samples"), "\(labels.errors)")
    }
}
