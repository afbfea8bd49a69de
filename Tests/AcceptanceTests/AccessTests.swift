import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

/// Who may see what.
@Suite(.platform) struct AccessTests {
    let admin = Platform.current.admin

    @Test(arguments: ["", "nonsense", "slip_0000_0000"])
    func aWrongKeyIsNobody(key: String) async throws {
        let stranger = admin.with(key: key)
        let answer = try await stranger.send("GET", "/v1/projects")
        #expect(answer.status == 401)
        #expect(answer[header: "WWW-Authenticate"]?.hasPrefix("Bearer") == true)
        #expect(answer[header: "Content-Type"] == "application/problem+json")
    }

    @Test func healthNeedsNoKey() async throws {
        for path in ["/healthz", "/readyz"] {
            #expect(try await admin.with(key: nil).send("GET", path).status == 200)
        }
        #expect(try await admin.with(key: nil).send("GET", "/v1/projects").status == 401)
    }

    @Test func anotherOrganisationsThingsDoNotExist() async throws {
        let other = try await makeOrganisation()
        let (project, dataset) = try await admin.makeDataset(.tabularClassification, sampleTable(rows: 80), type: "text/csv")
        let experiment = try await admin.train(in: project, ["dataset": .string(dataset), "budget": ["trials": 1], "preset": "fast"])
        let experimentID = try experiment.text("id")
        let modelVersion = try experiment.text("model_version")
        let model = try await admin.get("/v1/model-versions/\(modelVersion)").text("model")
        let deployment = try await admin.deploy(modelVersion, in: project)
        let item = try #require(try await admin.get("/v1/datasets/\(dataset)/versions/1/items")["items"]?[0]).text("id")

        let readable = [
            "/v1/projects/\(project)", "/v1/projects/\(project)/datasets", "/v1/projects/\(project)/experiments",
            "/v1/projects/\(project)/models", "/v1/projects/\(project)/deployments", "/v1/datasets/\(dataset)",
            "/v1/datasets/\(dataset)/versions/1", "/v1/datasets/\(dataset)/versions/1/items",
            "/v1/datasets/\(dataset)/versions/1/rejected", "/v1/experiments/\(experimentID)",
            "/v1/models/\(model)", "/v1/model-versions/\(modelVersion)", "/v1/model-versions/\(modelVersion)/lineage",
            "/v1/model-versions/\(modelVersion)/files/report.json", "/v1/deployments/\(deployment)",
        ]
        for path in readable {
            #expect(try await admin.send("GET", path).status == 200, "\(path)")
            #expect(try await other.send("GET", path).status == 404, "\(path)")
        }
        #expect(try await other.send("GET", "/v1/datasets/\(dataset)/versions/1/items/\(item)/content").status == 404)
        #expect(try await other.send("GET", "/v1/experiments/\(experimentID)/events").status == 404)

        let bodies: [(path: String, body: JSON?)] = [
            ("/v1/projects/\(project)/datasets", ["name": "mine", "task": "tabular-classification"]),
            ("/v1/projects/\(project)/experiments", ["dataset": .string(dataset)]),
            ("/v1/projects/\(project)/deployments", ["name": "mine", "model_version": .string(modelVersion)]),
            ("/v1/deployments/\(deployment)/revisions", ["model_version": .string(modelVersion)]),
            ("/v1/deployments/\(deployment)/predict", ["inputs": [["length": 1]]]),
            ("/v1/experiments/\(experimentID)/cancel", nil),
            ("/v1/deployments/\(deployment)/stop", nil),
        ]
        for (path, body) in bodies {
            let problem = try await other.refusal { try await other.post(path, body) }
            #expect(problem.status == 404, "\(path): \(problem)")
        }
        let upload = try await other.send(
            "POST", "/v1/datasets/\(dataset)/versions", headers: [("Content-Type", "text/csv")], body: .bytes(sampleTable(rows: 20)))
        #expect(upload.status == 404)
        for path in ["/v1/projects/\(project)", "/v1/datasets/\(dataset)", "/v1/deployments/\(deployment)"] {
            #expect(try await other.send("DELETE", path).status == 404, "\(path)")
        }
        // Its own project can't be filled with the other's things either.
        let own = try await other.makeProject()
        let problem = try await other.refusal {
            try await other.post("/v1/projects/\(own)/experiments", ["dataset": .string(dataset)])
        }
        #expect([404, 422].contains(problem.status), "\(problem)")
        #expect(try await other.list("/v1/projects").count == 1)
    }

    @Test func aRevokedKeyStopsWorkingWithinFiveSeconds() async throws {
        let key = try await admin.post("/v1/api-keys", ["name": "short-lived", "scopes": ["read"]])
        let client = try admin.with(key: key.text("key"))
        #expect(try await client.send("GET", "/v1/projects").status == 200)
        try await admin.delete("/v1/api-keys/\(key.text("id"))")
        try await eventually(within: .seconds(5), "the key is refused") {
            try await client.send("GET", "/v1/projects").status == 401
        }
    }

    @Test func aKeyDoesOnlyWhatItsScopesSay() async throws {
        let key = try await admin.post("/v1/api-keys", ["name": "reader", "scopes": ["read"]])
        let reader = try admin.with(key: key.text("key"))
        let problem = try await reader.refusal { try await reader.post("/v1/projects", ["name": "forbidden"]) }
        #expect(problem.status == 403)
    }

    /// A client of a second organisation, with all rights in it.
    private func makeOrganisation() async throws -> PlatformClient {
        let organisation = try await admin.post("/v1/organisations", ["name": .string("other-\(UUID())")])
        let key = try await admin.post(
            "/v1/api-keys",
            [
                "name": "all rights", "scopes": ["admin", "read", "write", "predict"],
                "organisation": .string(organisation.text("id")),
            ])
        return try admin.with(key: key.text("key"))
    }
}
