import Foundation
import SlipwayDomain
import SlipwayStore
import SlipwayTestSupport
import Testing

@Suite struct ModelImportTests {
    /// Nothing here looks into it.
    private static let model: [UInt8] = [8, 8, 18, 4, 116, 101, 115, 116, 58, 0]

    @Test func anUploadBecomesAModelVersionAndAJob() async throws {
        try await withRunningServer { server in
            let project = try await server.newProject(), path = "/v1/projects/\(project)/models/import"
            let answer = try await server.call(
                "POST", path + "?name=net", body: Self.model, type: "application/octet-stream", headers: [("Idempotency-Key", "once")])
            #expect(answer.status == 202, "\(answer.text)")
            let version = try #require(try answer.json["model_version"]?.stringValue), model = try #require(try answer.json["model"]?.stringValue)
            #expect(answer[header: "Location"] == "/v1/model-versions/\(version)")
            #expect(try await server.call("GET", "/v1/jobs/\(answer.json["job"]?.stringValue ?? "")").json["kind"] == "import-model")
            let shown = try await server.call("GET", "/v1/model-versions/\(version)").json
            #expect(shown["status"] == "importing" && shown["task"] == .null && shown["inputs"] == .null && shown["files"] == [])
            let line = try await server.call("GET", "/v1/models/\(model)").json
            #expect(line["name"] == "net" && line["versions"] == [] && line["latest_version"] == .null)

            // It doesn't serve before it is ready, and the same request makes no second one.
            let deployed = try await server.call("POST", "/v1/projects/\(project)/deployments", json: #"{"name": "d", "model_version": "\#(version)"}"#)
            #expect(deployed.status == 422)
            #expect(try deployed.problem.errors.first?.code == "model-version-not-ready")
            let again = try await server.call(
                "POST", path + "?name=net", body: Self.model, type: "application/octet-stream", headers: [("Idempotency-Key", "once")])
            #expect(try again.json == answer.json)
            #expect(try await server.count("model_version") == 1)
            #expect(try server.storedFiles.count == 1)

            // The next upload is the line's next version.
            let next = try await server.call("POST", path + "?name=net", body: Self.model + [0], type: "application/zip")
            #expect(try next.json["version"]?.intValue == 2)
            #expect(try next.json["model"] == answer.json["model"])
            #expect(try await server.call("DELETE", "/v1/models/\(model)").status == 204)
        }
    }

    @Test func whatIsNoModelIsRefusedAndLeavesNothing() async throws {
        try await withRunningServer({ $0.limits.uploadBytes = 1000 }) { server in
            let project = try await server.newProject(), path = "/v1/projects/\(project)/models/import"
            let cases: [(type: String, query: String, body: [UInt8], status: Int, code: String)] = [
                ("application/octet-stream", "", [], 422, "model-empty"),
                ("application/octet-stream", "", [0x80, 4, 0x95, 1, 2, 3, 4, 5, 6], 415, "model-format-unsafe"),
                ("application/octet-stream", "", [0x89, 0x50, 0x4E, 0x47, 1, 2, 3, 4, 5], 415, "media-type-mismatch"),
                ("image/png", "", Self.model, 415, "media-type-unsupported"),
                ("application/zip", "", [UInt8](repeating: 8, count: 2000), 413, "body-too-large"),
                ("application/zip", "?nmae=x", Self.model, 422, "parameter-invalid"),
                ("application/octet-stream", "?network=resnet-19", Self.model, 422, "parameter-invalid"),
                ("application/octet-stream", "?network=nlinear-96&classes=3", Self.model, 422, "parameter-invalid"),
                ("application/octet-stream", "?classes=3", Self.model, 422, "parameter-invalid"),
                ("application/octet-stream", "?network=resnet-18", [0x50, 0x4B, 3, 4, 1, 2, 3, 4, 5], 415, "model-format-unsafe"),
            ]
            for row in cases {
                let answer = try await server.call("POST", path + row.query, body: row.body, type: row.type)
                #expect(answer.status == row.status, "\(row): \(answer.text)")
                #expect(try answer.problem.code == row.code, "\(row): \(answer.text)")
            }
            #expect(try await server.count("model") == 0)
            #expect(try await server.count("job") == 0)
        }
    }

    /// The length of a header may look like the beginning of anything, a pickle's here.
    @Test func weightsAreTakenWithTheirNetworksName() async throws {
        try await withRunningServer { server in
            let project = try await server.newProject(), path = "/v1/projects/\(project)/models/import?network=resnet-18&classes=5"
            let body: [UInt8] = [0x80, 2, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D]
            #expect(try await server.call("POST", path, body: body, type: "application/octet-stream").status == 202)
            #expect(try await server.call("POST", path, body: body, type: "image/png").status == 415)
        }
    }

    @Test func aModelThatWasTrainedHereKeepsItsNameToItself() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let answer = try await server.call(
                "POST", "/v1/projects/\(made.project)/models/import?name=m", body: Self.model, type: "application/octet-stream")
            #expect(answer.status == 409)
            #expect(try answer.problem.code == "name-taken")
            #expect(try await server.count("model_version") == 1)
        }
    }
}
