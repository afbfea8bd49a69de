import Foundation
import SlipwayDomain
import Testing

@Suite struct ModelImportCommandTests {
    private static let project = "5b544842-ecc2-47a1-8036-590d38dc775d"

    /// The job is over, and nobody will ever say of the version that it is ready.
    @Test(.timeLimit(.minutes(2))) func anImportWhoseJobHasFailedIsNotWaitedFor() async throws {
        let platform = FakePlatform { call, _ in
            switch call.line {
            case "POST /v1/projects/\(Self.project)/models/import": .json(#"{"model": "m", "model_version": "v", "version": 1, "job": "7"}"#, .accepted)
            case "GET /v1/model-versions/v": .json(#"{"id": "v", "status": "importing"}"#)
            case "GET /v1/jobs/7":
                .json(
                    #"{"id": "7", "status": "failed", "problem": {"type": "x", "title": "Lost", "status": 500, "code": "worker-lost", "detail": "it is gone", "errors": []}}"#)
            default: .json(#"{"id": "\#(Self.project)", "name": "p"}"#)
            }
        }
        try await withTemporaryFolder { folder in
            let file = folder + "/net.onnx"
            try Data([8, 8]).write(to: URL(filePath: file))
            try await platform.serve { url in
                let outcome = try await run(["model", "import", Self.project, file, "--json", "--url", url, "--key", "k"])
                #expect(outcome.code == 1, "\(outcome.errors)")
                #expect(try outcome.problem["code"] == "worker-lost")
            }
        }
    }
}
