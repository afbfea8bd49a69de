import Foundation
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwayTestSupport
import Testing

/// Experiments that go on from an imported model, as far as the api sees them.
@Suite struct FineTuningTests {
    private struct Site {
        let project: String, dataset: String, version: String
    }

    /// A project with pictures of two classes and an imported model, as a worker would have written both.
    private func furnish(_ server: RunningServer, fact: String?, status: ModelVersionStatus = .ready, task: LearningTask = .imageClassification) async throws -> Site {
        let project = try await server.newProject(UUID().uuidString), dataset = try await server.newDataset(in: project, task: task)
        let accepted = try await server.call(
            "POST", "/v1/projects/\(project)/models/import?name=net", body: [8, 8, 18, 4, 116, 101, 115, 116, 58, 0], type: "application/octet-stream")
        let version = try #require(try accepted.json["model_version"]?.stringValue), id = try #require(ModelVersionID(version))
        let datasetID = try #require(DatasetID(dataset)), home = server.home
        let columns = task.items == .rows
            ? [
                ColumnProfile(name: "a", type: .number, missing: 0, distinct: 40),
                ColumnProfile(name: "label", type: .category, missing: 0, distinct: 2, top: [.init(value: "x", count: 20), .init(value: "y", count: 20)]),
            ] : nil
        let profile = DatasetProfile(
            items: 40, unlabelled: 0, classes: [ClassCount(name: "x", count: 20), ClassCount(name: "y", count: 20)], columns: columns,
            target: columns == nil ? nil : "label")
        try await server.database.transaction(as: .app(organisation: home.uuid)) { transaction in
            try transaction.execute("""
                INSERT INTO dataset_version (dataset_id, number, organisation_id, status, mode, format, media_type, target, columns, items, unlabelled, rejected,
                    classes, profile)
                VALUES (\(datasetID), 1, \(home), 'ready', 'new', 'auto', 'application/zip', \(profile.target), \(json: columns), 40, 0, 0,
                    \(json: profile.classes), \(json: profile))
                """)
            try transaction.execute("UPDATE dataset SET latest_version = 1, next_version = 2 WHERE id = \(datasetID)")
            guard status == .ready else { return }
            let facts = fact.map { #"{"fine_tuning": \#($0)}"# } ?? "{}"
            try transaction.execute("""
                UPDATE model_version SET status = 'ready', upload = NULL, inputs = '{}', outputs = '[]',
                    lineage = jsonb_build_object('import', jsonb_build_object('upload', '', 'bytes', 10, 'facts', \(facts)::jsonb, 'binary', 'b'))
                WHERE id = \(id)
                """)
        }
        return Site(project: project, dataset: dataset, version: version)
    }

    private static let fit = #"{"operators": [], "picture": [3, 32, 32], "classes": 10, "weights": 6, "last_layer": true}"#

    private static let fitForRows = #"{"operators": [], "picture": [], "numbers": 1, "classes": 2, "weights": 4, "last_layer": true}"#

    @Test func anExperimentGoesOnFromAModelOfRows() async throws {
        try await withRunningServer { server in
            let site = try await furnish(server, fact: Self.fitForRows, task: .tabularClassification)
            func start(_ more: String) async throws -> RunningServer.Answer {
                try await server.call(
                    "POST", "/v1/projects/\(site.project)/experiments",
                    json: #"{"dataset": "\#(site.dataset)", "budget": {"trials": 1}, "base": {"model_version": "\#(site.version)"\#(more)}}"#)
            }
            for (more, pointer, code) in [
                (#", "columns": ["a", "b"]"#, "/base/columns", "train-base-columns"), (#", "columns": ["b"]"#, "/base/columns/0", "train-base-columns"),
                (#", "columns": []"#, "/base/columns", "too-few"),
                (#", "columns": ["label"]"#, "/base/columns/0", "train-base-columns"), (#", "scaling": "unit""#, "/base/scaling", "train-base-scaling"),
            ] {
                let answer = try await start(more), problem = try answer.problem
                #expect(answer.status == 422 && problem.errors.contains { $0.pointer == pointer && (code == "too-few" || $0.code == code) }, "\(answer.text)")
            }
            let started = try await start(#", "head": "keep", "scaling": "standard""#)
            #expect(started.status == 202, "\(started.text)")
            #expect(try started.json["base"] == ["model_version": .string(site.version), "head": "keep", "frozen": false, "scaling": "standard", "columns": ["a"]])
            #expect(started.text.contains(#""template":"fine-tuned-table-classifier""#))
        }
    }

    @Test func anExperimentGoesOnFromAnImportedModel() async throws {
        try await withRunningServer { server in
            let site = try await furnish(server, fact: Self.fit)
            let started = try await server.call(
                "POST", "/v1/projects/\(site.project)/experiments",
                json: #"{"dataset": "\#(site.dataset)", "budget": {"trials": 1}, "base": {"model_version": "\#(site.version)", "frozen": true}}"#)
            #expect(started.status == 202, "\(started.text)")
            let shown = try started.json
            #expect(shown["base"] == ["model_version": .string(site.version), "head": "new", "frozen": true, "scaling": "imagenet"])
            #expect(shown["considered"] == [["template": "fine-tuned-import", "fits": true, "why": "it goes on from the model that you brought"]])
            #expect(shown["trials"] != nil && started.text.contains(#""template":"fine-tuned-import""#))

            // What it goes on from stays while it may be trained.
            let id = try #require(shown["id"]?.stringValue), path = "/v1/model-versions/\(site.version)"
            let kept = try await server.call("DELETE", path)
            #expect(kept.status == 409, "\(kept.text)")
            #expect(kept.text.contains(id))
            #expect(try await server.call("POST", "/v1/experiments/\(id)/cancel").status == 202)
            #expect(try await server.call("DELETE", path).status == 204)
            #expect(try await server.call("GET", "/v1/experiments/\(id)").json["base"] == shown["base"])
        }
    }

    @Test func aBaseThatCanNotBeTrainedFurtherIsRefusedBeforeAnythingIsQueued() async throws {
        try await withRunningServer { server in
            let site = try await furnish(server, fact: Self.fit)
            let cut = try await furnish(
                server, fact: #"{"form": 2, "why": "no gradient goes through 'q' (QuantizeLinear)", "operators": ["'q' (QuantizeLinear)"], "picture": [], "classes": 0, "weights": 0, "last_layer": false}"#)
            // What it says held once.
            let older = try await furnish(
                server, fact: #"{"why": "its input 'row' is float32 [batch, 3]; pictures are float32", "operators": [], "picture": [], "classes": 0, "weights": 0, "last_layer": false}"#)
            let old = try await furnish(server, fact: nil), waiting = try await furnish(server, fact: nil, status: .importing)
            let table = try await furnish(server, fact: Self.fit, task: .tabularClassification), trained = try await server.furnish()
            func start(_ site: Site, _ base: String, template: String? = nil) async throws -> RunningServer.Answer {
                let more = template.map { #", "template": "\#($0)""# } ?? ""
                return try await server.call("POST", "/v1/projects/\(site.project)/experiments", json: #"{"dataset": "\#(site.dataset)", "base": \#(base)\#(more)}"#)
            }
            func named(_ version: String, _ more: String = "") -> String { #"{"model_version": "\#(version)"\#(more)}"# }
            let rows: [(site: Site, base: String, status: Int, pointer: String, code: String)] = [
                (site, named("nothing"), 422, "/base/model_version", "model-version-unknown"),
                (site, named(cut.version), 422, "/base/model_version", "model-version-unknown"),
                (cut, named(cut.version), 422, "/base/model_version", "train-base-unfit"),
                (old, named(old.version), 422, "/base/model_version", "model-version-older"),
                (older, named(older.version), 422, "/base/model_version", "model-version-older"),
                (waiting, named(waiting.version), 409, "", "version-importing"),
                (table, named(table.version), 422, "/base/model_version", "train-base-task"),
                (site, named(site.version, #", "head": "keep""#), 422, "/base/head", "train-base-classes"),
                (site, named(site.version, #", "head": "old""#), 422, "/base/head", "choice-unknown"),
                (site, named(site.version, #", "freeze": true"#), 422, "/base/freeze", "member-unknown"),
                (site, #""\#(site.version)""#, 422, "/base", "type-mismatch"),
                (site, "{}", 422, "/base/model_version", "member-missing"),
            ]
            for row in rows {
                let answer = try await start(row.site, row.base), problem = try answer.problem
                #expect(answer.status == row.status, "\(row.base): \(answer.text)")
                #expect(row.status == 409 ? problem.code == row.code : problem.errors.contains { $0.pointer == row.pointer && $0.code == row.code }, "\(answer.text)")
            }
            #expect(try await start(cut, named(cut.version)).text.contains("QuantizeLinear"))
            let other = try await start(Site(project: trained.project, dataset: trained.dataset, version: ""), named(trained.modelVersion.description))
            #expect(try other.problem.errors.first?.code == "model-version-trained", "\(other.text)")
            // Templates go with it or without it.
            #expect(try await start(site, named(site.version), template: "small-resnet").problem.errors.first?.pointer == "/template/network/type")
            let alone = try await server.call(
                "POST", "/v1/projects/\(site.project)/experiments", json: #"{"dataset": "\#(site.dataset)", "template": "fine-tuned-import"}"#)
            #expect(try alone.problem.errors.first?.pointer == "/template/network/type")
            #expect(try await server.count("experiment") == 1)
        }
    }
}
