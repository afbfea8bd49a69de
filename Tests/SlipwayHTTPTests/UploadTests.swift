import Foundation
import SlipwayBlobs
import SlipwayClient
import SlipwayDomain
import SlipwayTestSupport
import Testing

@Suite struct UploadTests {
    private static let table = Array("a,b,label\n1,2,x\n3,4,y\n".utf8)

    @Test func anUploadBecomesAVersionAndAJob() async throws {
        try await withRunningServer { server in
            let dataset = try await server.newDataset(in: try await server.newProject())
            let path = "/v1/datasets/\(dataset)/versions"
            let answer = try await server.call(
                "POST", path + "?target=label&encoding=gbk", body: Self.table, type: "text/csv", headers: [("X-Request-ID", "upload-1")])
            #expect(answer.status == 202, "\(answer.text)")
            #expect(try answer.json["version"]?.intValue == 1)
            #expect(answer[header: "Location"] == path + "/1")
            let version = try await server.call("GET", path + "/1").json
            #expect(version["status"]?.stringValue == "importing")
            #expect(version["target"]?.stringValue == "label")
            #expect(version["media_type"]?.stringValue == "text/csv; charset=gbk")
            #expect(try await server.call("GET", path).json["items"] == [])
            #expect(try await server.call("GET", "/v1/datasets/\(dataset)").json["latest_version"] == .null)
            let job = try await server.call("GET", "/v1/jobs/\(answer.json["job"]?.stringValue ?? "")").json
            #expect(job["kind"]?.stringValue == "import-version")
            #expect(job["request_id"]?.stringValue == "upload-1")
            #expect(try server.storedFiles.count == 1)
            #expect(try await server.count("audit_entry") == 3)
            // It can't be removed while it's being imported.
            let refused = try await server.call("DELETE", "/v1/datasets/\(dataset)")
            #expect(refused.status == 409)
            #expect(try refused.problem.code == "in-use")
        }
    }

    @Test func whatIsNoUploadIsRefusedAndLeavesNothing() async throws {
        try await withRunningServer({ $0.limits.uploadBytes = 100_000 }) { server in
            let project = try await server.newProject()
            let tables = try await server.newDataset(in: project),
                pictures = try await server.newDataset(in: project, task: .imageClassification, name: "e")
            let zip: [UInt8] = [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 100)
            let big = [UInt8](repeating: UInt8(ascii: "a"), count: 200_000)
            let cases: [(dataset: String, query: String, type: String?, body: [UInt8]?, status: Int, code: String)] = [
                (tables, "", "text/csv", [], 422, "table-empty"),
                (pictures, "", "application/zip", [], 422, "archive-empty"),
                (tables, "", "application/x-tar", Self.table, 415, "media-type-unsupported"),
                (tables, "", "text/csv", zip, 415, "media-type-mismatch"),
                (pictures, "", "application/zip", Self.table, 415, "media-type-mismatch"),
                (tables, "", "text/csv", big, 413, "body-too-large"),
                (tables, "?format=parquet", "text/csv", Self.table, 422, "parameter-invalid"),
                (tables, "?base=9999999999", "text/csv", Self.table, 422, "parameter-invalid"),
                (tables, "?base=9", "text/csv", Self.table, 422, "base-unknown"),
                (tables, "?mode=append", "text/csv", Self.table, 422, "base-unknown"),
                (tables, "", "text/csv; charset=klingon", Self.table, 415, "charset-unsupported"),
                (tables, "?encoding=klingon", "text/csv", Self.table, 422, "import-parameter"),
                (tables, "?colour=red", "text/csv", Self.table, 422, "parameter-invalid"),
            ]
            for row in cases {
                let answer = try await server.call(
                    "POST", "/v1/datasets/\(row.dataset)/versions\(row.query)", body: row.body, type: row.type)
                #expect(answer.status == row.status, "\(row): \(answer.text)")
                #expect(try answer.problem.code == row.code, "\(row): \(answer.text)")
            }
            // Without a length, the bytes are counted as they come.
            let piece = "2710\r\n" + String(repeating: "a", count: 10_000) + "\r\n"
            let chunked = "POST /v1/datasets/\(tables)/versions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
            let answer = try await exchange(server, chunked + String(repeating: piece, count: 30))
            #expect(answer.hasPrefix("HTTP/1.1 413"), "\(answer)")
            try await expectNothingStored(server)
            #expect(try await server.count("dataset_version") == 0)
            #expect(try await server.count("job") == 0)
        }
    }

    /// Staged files go with their writers, moments after the answer.
    private func expectNothingStored(_ server: RunningServer) async throws {
        for _ in 0..<6000 where try !server.storedFiles.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try server.storedFiles.isEmpty)
    }

    @Test func aClientThatGoesAwayLeavesNothing() async throws {
        try await withRunningServer { server in
            let dataset = try await server.newDataset(in: try await server.newProject())
            let head = "POST /v1/datasets/\(dataset)/versions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: text/csv\r\nContent-Length: 5000000\r\n\r\n"
            let port = server.port
            try await onThread {
                let connection = try RawConnection(port: port)
                connection.write(head + String(repeating: "a,b\n", count: 500_000))
            }
            try await expectNothingStored(server)
            #expect(try await server.count("dataset_version") == 0)
        }
    }

    @Test func theSameKeyCreatesOnce() async throws {
        try await withRunningServer { server in
            let answers = try await withThrowingTaskGroup(of: RunningServer.Answer.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await server.call(
                            "POST", "/v1/projects", json: #"{"name": "once"}"#, headers: [("Idempotency-Key", "k1")])
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let created = answers.filter { $0.status == 201 }
            #expect(!created.isEmpty)
            #expect(Set(created.map(\.text)).count == 1)
            for answer in answers where answer.status != 201 {
                #expect(answer.status == 409)
                #expect(try answer.problem.code == "idempotency-in-flight")
            }
            #expect(try await server.count("project") == 1)
            let again = try await server.call("POST", "/v1/projects", json: #"{"name": "once"}"#, headers: [("Idempotency-Key", "k1")])
            #expect(again.status == 201)
            #expect(again[header: "Idempotency-Replayed"] == "true")
            let other = try await server.call("POST", "/v1/projects", json: #"{"name": "other"}"#, headers: [("Idempotency-Key", "k1")])
            #expect(other.status == 422)
            #expect(try other.problem.code == "idempotency-key-reused")
            // Another organisation's key of the same text is another key.
            let (stranger, _) = try await server.newTenant("strangers")
            let theirs = try await server.call(
                "POST", "/v1/projects", key: stranger, json: #"{"name": "other"}"#, headers: [("Idempotency-Key", "k1")])
            #expect(theirs.status == 201)
            #expect(
                try await server.call("POST", "/v1/projects", json: #"{"name": "x"}"#, headers: [("Idempotency-Key", "a b")]).status
                    == 400)
        }
    }

    @Test func anUploadIsComparedByItsBytes() async throws {
        try await withRunningServer { server in
            let dataset = try await server.newDataset(in: try await server.newProject())
            let path = "/v1/datasets/\(dataset)/versions"
            let first = try await server.call("POST", path, body: Self.table, type: "text/csv", headers: [("Idempotency-Key", "u")])
            let second = try await server.call("POST", path, body: Self.table, type: "text/csv", headers: [("Idempotency-Key", "u")])
            #expect(first.status == 202)
            #expect(second.text == first.text)
            let other = try await server.call("POST", path, body: Self.table + [10], type: "text/csv", headers: [("Idempotency-Key", "u")])
            #expect(try other.problem.code == "idempotency-key-reused")
            let moved = try await server.call(
                "POST", path + "?target=a", body: Self.table, type: "text/csv", headers: [("Idempotency-Key", "u")])
            #expect(try moved.problem.code == "idempotency-key-reused")
            #expect(try await server.count("dataset_version") == 1)
            #expect(try await server.count("job") == 1)
        }
    }

    @Test func aKeysSecretIsNotKeptForARepetition() async throws {
        try await withRunningServer { server in
            let body = #"{"name": "k", "scopes": ["read"]}"#
            let first = try await server.call("POST", "/v1/api-keys", json: body, headers: [("Idempotency-Key", "s")]).json
            let second = try await server.call("POST", "/v1/api-keys", json: body, headers: [("Idempotency-Key", "s")]).json
            #expect(first["key"] != nil)
            #expect(second["key"] == nil)
            #expect(second["id"] == first["id"])
        }
    }

    /// None of the bodies is ever sent.
    @Test func whatAnUploadSaysIsJudgedBeforeItsBytesAreRead() async throws {
        try await withRunningServer { server in
            let project = try await server.newProject()
            let table = try await server.newDataset(in: project, name: "table")
            let pictures = try await server.newDataset(in: project, task: .imageClassification, name: "pictures")
            let cases = [
                (pictures, "format=csv", "format"), (pictures, "target=label", "target"), (pictures, "encoding=gbk", "encoding"),
                (table, "format=image-folder", "format"), (table, "encoding=klingon", "encoding"), (table, "base=7", "base"),
                (table, "mode=append", "base"), (table, "mode=replace&base=1", "base"),
            ]
            for (dataset, query, parameter) in cases {
                let answer = try await exchange(
                    server,
                    "POST /v1/datasets/\(dataset)/versions?\(query) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(server.key)\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 422"), "\(query): \(answer)")
                #expect(answer.contains("\"parameter\":\"\(parameter)\""), "\(query): \(answer)")
            }
            #expect(try await server.count("job") == 0)
        }
    }

    @Test func aVersionThatIsntReadyIsNotLabelledAnew() async throws {
        try await withRunningServer { server in
            let dataset = try await server.newDataset(in: try await server.newProject())
            let path = "/v1/datasets/\(dataset)/versions"
            #expect(try await server.call("POST", path, body: Self.table, type: "text/csv").status == 202)
            let answer = try await server.call("POST", path + "/1/annotations", json: #"[{"item": "1", "annotation": null}]"#)
            #expect(answer.status == 422)
            #expect(try answer.problem.code == "dataset-not-ready")
            #expect(try await server.call("POST", path + "/2/annotations", json: #"[{"item": "1", "annotation": null}]"#).status == 404)
        }
    }
}
