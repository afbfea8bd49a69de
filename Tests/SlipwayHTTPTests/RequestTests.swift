import Foundation
import SlipwayDomain
import SlipwayTestSupport
import Testing

@Suite struct RequestTests {
    static let cases: [(body: String, status: Int, code: String, pointer: String?)] = [
        (#"{"name":"#, 400, "json-malformed", nil),
        (#"{"name": "a"} x"#, 400, "json-malformed", nil),
        (#"{"name": "\ud800"}"#, 400, "json-malformed", nil),
        (#"{"name": "a", "name": "b"}"#, 400, "json-duplicate-key", "/name"),
        (String(repeating: "[", count: 100), 400, "json-too-deep", nil),
        ("", 400, "body-missing", nil),
        (#"[]"#, 422, "type-mismatch", ""),
        (#"{}"#, 422, "member-missing", "/name"),
        (#"{"name": "a", "nmae": 1}"#, 422, "member-unknown", "/nmae"),
        (#"{"name": 1}"#, 422, "type-mismatch", "/name"),
        (#"{"name": null}"#, 422, "type-mismatch", "/name"),
        (#"{"name": ""}"#, 422, "text-empty", "/name"),
        (#"{"name": "   "}"#, 422, "text-empty", "/name"),
        (#"{"name": "\u200b\u200d\ufeff"}"#, 422, "text-empty", "/name"),
        (#"{"name": "a\u0000b"}"#, 422, "text-control-character", "/name"),
        (#"{"name": "a\u001b[31m"}"#, 422, "text-control-character", "/name"),
        (#"{"name": "a\nb"}"#, 422, "text-control-character", "/name"),
        (#"{"name": "\#(String(repeating: "x", count: 10_000))"}"#, 422, "text-too-long", "/name"),
        (#"{"name": "a", "description": "a\u0000"}"#, 422, "text-nul", "/description"),
    ]

    @Test func jsonIsReadStrictlyAndTheFaultIsNamed() async throws {
        try await withRunningServer { server in
            for row in Self.cases {
                let answer = try await server.call("POST", "/v1/projects", body: Array(row.body.utf8), type: "application/json")
                let problem = try answer.problem
                let label = "\(row.body.prefix(60)) → \(answer.text)"
                #expect(answer.status == row.status, "\(label)")
                #expect(answer[header: "Content-Type"] == "application/problem+json")
                #expect((problem.errors.first?.code ?? problem.code) == row.code, "\(label)")
                if let pointer = row.pointer { #expect(problem.errors.first?.pointer == pointer, "\(label)") }
                #expect(problem.requestID == answer[header: "X-Request-ID"])
            }
            #expect(try await server.count("project") == 0)
            let typo = try await server.call("POST", "/v1/projects", json: #"{"name": "a", "nmae": 1}"#).problem
            #expect(typo.detail.contains("did you mean \"name\"?"))
            let offset = try await server.call("POST", "/v1/projects", json: #"{"name":"#).problem
            #expect(offset.detail.contains("byte 8"))
            // Text that is merely unusual stays as it is.
            let name = "图片 <img src=x onerror=alert(1)> '; DROP TABLE job--"
            let made = try await server.call("POST", "/v1/projects", json: "{\"name\": \"\(name)\"}")
            #expect(try made.json["name"]?.stringValue == name)
        }
    }

    @Test func pathsMethodsTypesAndParametersAreChecked() async throws {
        try await withRunningServer { server in
            #expect(try await server.call("GET", "/v1/nothing").problem.code == "not-found")
            #expect(try await server.call("FOO", "/v1/nothing").status == 404)
            #expect(try await server.call("FOO", "/v1/models/1?a=b")[header: "Allow"] == "DELETE, GET, HEAD")
            for method in ["PUT", "PATCH", "TRACE", "FOO"] {
                let answer = try await server.call(method, "/v1/projects")
                #expect(answer.status == 405)
                #expect(answer[header: "Allow"] == "GET, HEAD, POST")
            }
            #expect(try await server.call("POST", "/v1/projects", body: [0x3C], type: "text/xml").status == 415)
            #expect(try await server.call("POST", "/v1/projects").problem.code == "body-missing")
            for (charset, status) in [("utf-8", 201), ("\"UTF-8\"", 409), ("gbk", 415), ("utf-16", 415)] {
                let answer = try await server.call(
                    "POST", "/v1/projects", body: Array(#"{"name": "charset"}"#.utf8), type: "application/json; charset=\(charset)")
                #expect(answer.status == status, "\(charset): \(answer.text)")
            }
            let zipped = try await server.call("POST", "/v1/projects", json: #"{"name": "a"}"#, headers: [("Content-Encoding", "gzip")])
            #expect(zipped.status == 415)
            for (query, status) in [
                ("limit=-1", 400), ("limit=0", 400), ("limit=1000000000", 400), ("limit=99999999999999999999", 400),
                ("limit=abc", 400),
                ("limit=1&limit=2", 400), ("cursor=garbage", 400), ("cursor=", 400), ("sort=name;drop%20table%20jobs--", 422),
                ("%zz=1", 400),
                ("filter='%20OR%201=1", 422),
            ] {
                #expect(try await server.call("GET", "/v1/projects?\(query)").status == status, "\(query)")
            }
            let id = UUID().uuidString.lowercased()
            for name in [
                "..%2f..%2fetc%2fpasswd", "..%252f", "%2e%2e/", "..%5C", "/etc/passwd", "file:%2F%2F%2Fetc%2Fpasswd", "%00",
                "a/../../b",
            ] {
                let answer = try await server.call("GET", "/v1/model-versions/\(id)/files/\(name)")
                #expect(answer.status == 404, "\(name)")
            }
            let big = try await server.call(
                "POST", "/v1/projects", json: #"{"name": "a", "description": "\#(String(repeating: "x", count: 1 << 20))"}"#)
            #expect(big.status == 413)
        }
    }

    @Test func headIsLikeGetAndTagsSaveBytes() async throws {
        try await withRunningServer { server in
            let project = try await server.newProject()
            let path = "/v1/projects/\(project)"
            let full = try await server.call("GET", path), head = try await server.call("HEAD", path)
            #expect(head.status == 200)
            #expect(head.bytes.isEmpty)
            #expect(head[header: "Content-Length"] == String(full.bytes.count))
            let tag = try #require(full[header: "ETag"])
            let unchanged = try await server.call("GET", path, headers: [("If-None-Match", tag)])
            #expect(unchanged.status == 304)
            #expect(unchanged.bytes.isEmpty)
            #expect(try await server.call("GET", path, headers: [("If-None-Match", "\"other\"")]).status == 200)
        }
    }

    @Test func requestIDsAreEchoedUnlessTheyAreUnsafe() async throws {
        try await withRunningServer { server in
            #expect(
                try await server.call("GET", "/healthz", headers: [("X-Request-ID", "abc-1.2:3")])[header: "X-Request-ID"]
                    == "abc-1.2:3")
            let own = try await server.call("GET", "/healthz", headers: [("X-Request-ID", "a b; c")])
            #expect(own[header: "X-Request-ID"]?.hasPrefix("req-") == true)
        }
    }

    @Test func otherHostsAreRefusedOnLoopback() async throws {
        try await withRunningServer { server in
            for (host, status) in [
                ("evil.example", "421"), ("localhost", "200"), ("127.0.0.1:\(server.port)", "200"), ("[::1]:80", "200"),
                ("localhost.evil.example", "421"),
            ] {
                let answer = try await exchange(server, "GET /healthz HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(host): \(answer)")
            }
        }
    }

    @Test func aWalkThroughPagesSeesEachOnce() async throws {
        try await withRunningServer { server in
            var made: [String] = []
            for index in 0..<7 { made.append(try await server.newProject("p\(index)")) }
            var seen: [String] = []
            var cursor: String?
            var pages = 0
            repeat {
                let page = try await server.call("GET", "/v1/projects?limit=3" + (cursor.map { "&cursor=\($0)" } ?? "")).json
                guard case .array(let items)? = page["items"] else { return #expect(Bool(false)) }
                seen += items.compactMap { $0["id"]?.stringValue }
                if pages == 0 { made.append(try await server.newProject("while walking")) }
                cursor = page["next_cursor"]?.stringValue
                pages += 1
            } while cursor != nil
            #expect(seen == made)
            #expect(pages == 3)
            let first = try #require(try await server.call("GET", "/v1/projects?limit=1").json["next_cursor"]?.stringValue)
            let (stranger, _) = try await server.newTenant("strangers")
            #expect(try await server.call("GET", "/v1/projects?cursor=\(first)", key: stranger).status == 400)
            #expect(try await server.call("GET", "/v1/projects/\(made[0])/datasets?cursor=\(first)").status == 400)
        }
    }

    @Test func bodiesHaveABudgetForAll() async throws {
        try await withRunningServer({ $0.limits.allJSONBytes = 10_000 }) { server in
            let long = try await server.call(
                "POST", "/v1/projects", json: #"{"name": "a", "description": "\#(String(repeating: "a", count: 20_000))"}"#)
            #expect(long.status == 503)
            #expect(try long.problem.code == "too-many-bodies")
            #expect(long[header: "Retry-After"] == "1")
            // What was taken is given back.
            for number in 0..<5 {
                let short = try await server.call(
                    "POST", "/v1/projects",
                    json: #"{"name": "\#(number)", "description": "\#(String(repeating: "a", count: 5000))"}"#)
                #expect(short.status == 201)
            }
        }
    }

    /// A large body is read on a thread of its own, and what is wrong with it is told in twenty places at most.
    @Test func aLargeBodyIsJudgedLikeAnyOther() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let unknown = (0..<50_000).map { #""x\#($0)": 0"# }.joined(separator: ", ")
            let answer = try await server.call(
                "POST", "/v1/datasets/\(made.dataset)/versions/1/annotations", json: #"[{"item": "1", "annotation": null, \#(unknown)}]"#)
            #expect(answer.status == 422)
            #expect(try answer.problem.errors.count == 20)
            #expect(try answer.problem.errors.allSatisfy { $0.code == "member-unknown" })
            let broken = try await server.call(
                "POST", "/v1/datasets/\(made.dataset)/versions/1/annotations", json: #"[{\#(unknown), }]"#)
            #expect(broken.status == 400)
        }
    }
}
