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
        #expect(try json.json["memory"]?["peak"] == .integer(128))
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
}
