import Foundation
import SlipwayDomain
import Testing

@Suite struct ONNXCommandTests {
    private let cases = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "KeelProgramTests/ONNX/Cases").path

    @Test func checkSaysWhatAModelTakesAndThatItCanBeComputed() async throws {
        let outcome = try await run(["onnx", "check", cases + "/test_gemm_default_scalar_bias/model.onnx", "--json"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try outcome.json["inputs"]?.array.map { $0["name"]?.stringValue } == ["a", "b", "c"])
        #expect(try outcome.json["unsupported"]?.array.isEmpty == true)
    }

    @Test func checkNamesWhatIsWrongWithAFile() async throws {
        let wrong = try await run(["onnx", "check", cases + "/test_gemm_default_scalar_bias/test_data_set_0/input_0.pb"])
        #expect(wrong.code == 1 && !wrong.errors.isEmpty)
        let missing = try await run(["onnx", "check", "/nonexistent.onnx", "--json"])
        #expect(missing.code == 1)
        #expect(try missing.problem["detail"]?.stringValue == "/nonexistent.onnx: No such file or directory")
    }

    @Test func verifyCountsInOneLine() async throws {
        let outcome = try await run(["onnx", "verify", cases + "/test_gemm_default_scalar_bias", cases + "/test_scan9_sum"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let line = try JSONReader.read(Array((outcome.output.split(separator: "\n").last ?? "").utf8))
        #expect(line["passed"] == .integer(2) && line["failed"] == .integer(0) && line["unsupported"] == .integer(0) && line["excluded"] == .integer(0))
    }
}
