import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

@Suite struct AccessTests {
    @Test func noWrongExpiredAndRevokedKeysAreAnsweredAlike() async throws {
        try await withRunningServer({ $0.limits.keyMemory = .zero }) { server in
            let made = try await server.call(
                "POST", "/v1/api-keys", json: #"{"name": "short", "scopes": ["read"], "expires_in_seconds": 3600}"#)
            #expect(made.status == 201)
            let id = try #require(try made.json["id"]?.stringValue), key = try #require(try made.json["key"]?.stringValue)
            #expect(try await server.call("GET", "/v1/projects", key: key).status == 200)
            #expect(try await server.call("GET", "/v1/api-keys/\(id)").json["key"] == nil)
            #expect(try await server.call("DELETE", "/v1/api-keys/\(id)").status == 204)

            let wrong = "slip_0123456789abcdef_" + String(repeating: "0", count: 64)
            let rightIDWrongSecret = server.key.prefix(22) + String(repeating: "0", count: 64)
            var bodies: Set<String> = []
            for given in [nil, wrong, String(rightIDWrongSecret), key, "sk_live_000"] as [String?] {
                let answer = try await server.call("GET", "/v1/projects", key: .some(given), headers: [("X-Request-ID", "same")])
                #expect(answer.status == 401)
                #expect(answer[header: "WWW-Authenticate"] == "Bearer realm=\"slipway\"")
                bodies.insert(answer.text)
            }
            #expect(bodies.count == 1)
            #expect(try await server.call("GET", "/v1/projects?api_key=\(server.key)", key: .some(nil)).status == 401)
            let two = try await server.call("GET", "/v1/projects", headers: [("Authorization", "Bearer x")])
            #expect(two.status == 400)
        }
    }

    @Test func revocationIsFeltWithinTheKeysMemory() async throws {
        try await withRunningServer { server in
            let made = try await server.call("POST", "/v1/api-keys", json: #"{"name": "k", "scopes": ["read"]}"#).json
            let key = try #require(made["key"]?.stringValue), id = try #require(made["id"]?.stringValue)
            #expect(try await server.call("GET", "/v1/projects", key: key).status == 200)
            // The process that revokes forgets at once.
            _ = try await server.call("DELETE", "/v1/api-keys/\(id)")
            #expect(try await server.call("GET", "/v1/projects", key: key).status == 401)
        }
    }

    @Test func aMissingScopeIsNamed() async throws {
        try await withRunningServer { server in
            let (reader, _) = try await server.newTenant("readers", scopes: [.read])
            let refused = try await server.call("POST", "/v1/projects", key: reader, json: #"{"name": "a"}"#)
            #expect(refused.status == 403)
            #expect(try refused.problem.code == "scope-missing")
            #expect(try refused.problem.detail.contains("\"write\""))
            #expect(try await server.call("GET", "/v1/projects", key: reader).status == 200)
            #expect(try await server.call("GET", "/v1/organisations", key: reader).status == 403)
            let (administrator, _) = try await server.newTenant("administrators", scopes: [.admin])
            let climbing = try await server.call(
                "POST", "/v1/api-keys", key: administrator, json: #"{"name": "k", "scopes": ["platform"]}"#)
            #expect(climbing.status == 403)
            let other = try await server.call(
                "POST", "/v1/api-keys", key: administrator, json: #"{"name": "k", "scopes": ["read"], "organisation": "\#(server.home)"}"#)
            #expect(other.status == 403)
        }
    }

    @Test func aNewTenantGetsInByAPlatformKey() async throws {
        try await withRunningServer { server in
            let made = try await server.call("POST", "/v1/organisations", json: #"{"name": "Nordlicht"}"#)
            #expect(made.status == 201)
            let id = try #require(try made.json["id"]?.stringValue)
            #expect(try await server.call("POST", "/v1/organisations", json: #"{"name": "Nordlicht"}"#).problem.code == "name-taken")
            let key = try await server.call(
                "POST", "/v1/api-keys", json: #"{"name": "first", "scopes": ["admin", "read", "write"], "organisation": "\#(id)"}"#).json
            #expect(key["organisation"]?.stringValue == id)
            let text = try #require(key["key"]?.stringValue)
            _ = try await server.newProject("hers", key: text)
            #expect(try await server.call("GET", "/v1/projects").json["items"] == [])
            #expect(try await server.call("GET", "/v1/organisations").text.contains("Nordlicht"))
        }
    }

    /// Every route of the table that has an id: a foreign id and an unknown one get the same bytes.
    @Test func foreignIDsAreAnsweredLikeUnknownOnes() async throws {
        try await withRunningServer { server in
            let project = try await server.newProject(), dataset = try await server.newDataset(in: project)
            let unknown = UUID().uuidString.lowercased()
            let (stranger, _) = try await server.newTenant("strangers", scopes: Scope.allCases)
            let document = try await server.call("GET", "/openapi.json").json
            guard case .object(let paths)? = document["paths"] else { return #expect(Bool(false), "no paths") }
            var asked = 0
            for (path, operations) in paths {
                guard path.contains("{"), !path.contains("{template}"), case .object(let methods) = operations else { continue }
                for method in methods.keys {
                    func filled(_ id: String) -> String {
                        var text = path
                        let real = path.contains("{project}") ? project : dataset
                        let named = id == "mine" ? real : unknown
                        for name in ["project", "dataset", "experiment", "model", "deployment", "key"] {
                            text = text.replacing("{\(name)}", with: named)
                        }
                        let isModelVersion = path.contains("model-versions")
                        return text.replacing("{version}", with: isModelVersion ? named : "1").replacing("{item}", with: "1")
                            .replacing("{job}", with: "1").replacing("{name}", with: "report.json")
                    }
                    func ask(_ id: String) async throws -> RunningServer.Answer {
                        let needsBody = method == "post"
                        let upload = path.hasSuffix("/versions"), model = path.hasSuffix("/import")
                        let json = Self.body(of: path)
                        return try await server.call(
                            method.uppercased(), filled(id), key: stranger,
                            body: needsBody ? Array((upload ? "a,b\n1,2\n" : json).utf8) : nil,
                            type: needsBody ? (upload ? "text/csv" : model ? "application/octet-stream" : "application/json") : nil,
                            headers: [("X-Request-ID", "same")])
                    }
                    let foreign = try await ask("mine"), nothing = try await ask("unknown")
                    #expect(foreign.status == 404, "\(method) \(path): \(foreign.text)")
                    #expect(foreign.bytes == nothing.bytes, "\(method) \(path)")
                    asked += 1
                }
            }
            #expect(asked > 25)
            #expect(try await server.call("GET", "/v1/datasets/\(dataset)").status == 200)
        }
    }

    private static func body(of path: String) -> String {
        if path.hasSuffix("/datasets") { return #"{"name": "x", "task": "tabular-regression"}"# }
        if path.hasSuffix("/experiments") { return #"{"dataset": "\#(UUID())"}"# }
        if path.hasSuffix("/deployments") { return #"{"name": "x", "model_version": "\#(UUID())"}"# }
        if path.hasSuffix("/revisions") { return #"{"model_version": "\#(UUID())"}"# }
        if path.hasSuffix("/annotations") { return #"[{"item": "1", "annotation": null}]"# }
        return "{}"
    }

    @Test func aForeignIDInABodyIsUnknown() async throws {
        try await withRunningServer { server in
            let dataset = try await server.newDataset(in: try await server.newProject())
            let (stranger, _) = try await server.newTenant("strangers")
            let project = try await server.newProject("theirs", key: stranger)
            let answer = try await server.call(
                "POST", "/v1/projects/\(project)/experiments", key: stranger, json: #"{"dataset": "\#(dataset)"}"#)
            #expect(answer.status == 422)
            #expect(try answer.problem.errors.first?.pointer == "/dataset")
            #expect(try await server.count("job") == 0)
        }
    }

    /// Every route of the document asks for a key, but those that say they don't.
    @Test func everyRouteAsksForAKey() async throws {
        try await withRunningServer { server in
            let document = try await server.call("GET", "/openapi.json").json
            guard case .object(let paths)? = document["paths"] else { return #expect(Bool(false), "no paths") }
            for (path, operations) in paths {
                guard case .object(let methods) = operations else { continue }
                for method in methods.keys {
                    let id = UUID().uuidString
                    let filled = path.replacing(/\{[a-z]+\}/, with: id)
                    let answer = try await server.call(method.uppercased(), filled, key: .some(nil))
                    if path == "/healthz" {
                        #expect(answer.status == 200)
                    } else if path == "/readyz" {
                        #expect(answer.status == 503)
                        #expect(answer.text.contains("serve"))
                    } else {
                        #expect(answer.status == 401, "\(method) \(path)")
                    }
                }
            }
        }
    }

    @Test func metricsAskForThePlatformsKeyOrTheCollectors() async throws {
        try await withRunningServer({ $0.metricsKey = "prometheus" }) { server in
            let (tenant, _) = try await server.newTenant("tenants")
            let answers = [(nil, 401), ("wrong", 401), (tenant, 403), (server.key, 200), ("prometheus", 200)] as [(String?, Int)]
            for (key, status) in answers { #expect(try await server.call("GET", "/metrics", key: .some(key)).status == status) }
        }
        // On loopback too: a reverse proxy's requests come from there.
        try await withRunningServer { server in
            for key in [nil, "prometheus"] as [String?] {
                let answer = try await server.call("GET", "/metrics", key: .some(key))
                #expect(answer.status == 401)
            }
        }
    }

    @Test func aReverseProxysNameIsListed() async throws {
        @Sendable func status(_ server: RunningServer, _ host: String) async throws -> String {
            let answer = try await exchange(server, "GET /healthz HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
            return String(answer.dropFirst("HTTP/1.1 ".count).prefix(3))
        }
        try await withRunningServer({ $0.hosts = ["ml.example.org"] }) { server in
            for host in ["ml.example.org", "ML.example.org:8443", "localhost", "127.0.0.1:8080", "[::1]:8080"] {
                let known = try await status(server, host)
                #expect(known == "200", "\(host)")
            }
            let unknown = try await status(server, "example.org")
            #expect(unknown == "421")
        }
        try await withRunningServer { server in
            let unknown = try await status(server, "ml.example.org")
            #expect(unknown == "421")
        }
    }

    @Test func aKeyThatIsSentTooOftenWaitsAndOthersDont() async throws {
        try await withRunningServer({ $0.limits.keyRate = 1 }) { server in
            let (other, _) = try await server.newTenant("others")
            var refused: RunningServer.Answer?
            for _ in 0..<100 where refused == nil {
                let answer = try await server.call("GET", "/v1/projects")
                if answer.status != 200 { refused = answer }
            }
            let answer = try #require(refused)
            #expect(answer.status == 429)
            #expect(try answer.problem.code == "too-many-requests")
            #expect(answer[header: "Retry-After"] == "1")
            #expect(try await server.call("GET", "/v1/projects", key: other).status == 200)
            #expect(try await server.call("GET", "/healthz").status == 200)
        }
    }

    @Test func anAddressThatTriesManyKeysWaitsAndValidKeysDont() async throws {
        try await withRunningServer({
            $0.limits.addressRate = 1
            $0.limits.keyMemory = .zero
        }) { server in
            #expect(try await server.call("GET", "/v1/projects").status == 200)
            var statuses: [Int] = []
            for number in 0..<100 where statuses.last != 429 {
                let key = "slip_" + String(format: "%016x", number) + "_" + String(repeating: "0", count: 64)
                statuses.append(try await server.call("GET", "/v1/projects", key: key).status)
            }
            #expect(Set(statuses.dropLast()) == [401])
            #expect(statuses.last == 429)
            #expect(try await server.call("GET", "/v1/projects").status == 200)
        }
    }

    @Test func aLesserKeyDoesntRevokeThePlatforms() async throws {
        try await withRunningServer { server in
            let made = try await server.call("POST", "/v1/api-keys", json: #"{"name": "lesser", "scopes": ["admin"]}"#).json
            let lesser = try #require(made["key"]?.stringValue)
            guard case .array(let keys)? = try await server.call("GET", "/v1/api-keys").json["items"] else {
                Issue.record("no keys"); return
            }
            func isPlatforms(_ key: JSON) -> Bool {
                guard case .array(let scopes)? = key["scopes"] else { return false }
                return scopes.contains("platform")
            }
            let platform = try #require(keys.first(where: isPlatforms)?["id"]?.stringValue)
            let refused = try await server.call("DELETE", "/v1/api-keys/\(platform)", key: lesser)
            #expect(refused.status == 403)
            #expect(try await server.call("GET", "/v1/organisations").status == 200)
            #expect(try await server.call("DELETE", "/v1/api-keys/\(platform)").status == 204)
        }
    }
}
