import Foundation
import SlipwayBlobs
import SlipwayClient
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwayTestSupport
import Testing

/// A data set version, an experiment, a model and a deployment as workers and the serve process would have written them.
struct Furnished: Sendable {
    let project: String
    let dataset: String
    let experiment: ExperimentID
    let modelVersion: ModelVersionID
}

extension RunningServer {
    func furnish() async throws -> Furnished {
        let project = try await newProject(), dataset = try await newDataset(in: project)
        let datasetID = try #require(DatasetID(dataset)), projectID = try #require(ProjectID(project))
        let home = home
        let report = try await blobs.stage(Array("<h1>Report</h1>".utf8))
        let items = try await blobs.stage(Array((0..<5).map { #"{"id":\#($0),"label":"x","split":"train"}"# + "\n" }.joined().utf8))
        let blobs = blobs
        return try await database.transaction(as: .app(organisation: home.uuid)) { transaction in
            let profile = DatasetProfile(
                items: 40, unlabelled: 1, classes: [ClassCount(name: "x", count: 19), ClassCount(name: "y", count: 20)],
                columns: [
                    ColumnProfile(name: "a", type: .number, missing: 0, distinct: 40, minimum: 0, maximum: 39, mean: 19.5),
                    ColumnProfile(
                        name: "label", type: .category, missing: 1, distinct: 2,
                        top: [.init(value: "y", count: 20), .init(value: "x", count: 19)]),
                ], target: "label")
            try transaction.execute("""
                INSERT INTO dataset_version (dataset_id, number, organisation_id, status, mode, format, media_type, target, columns, items,
                    unlabelled, rejected, classes, profile)
                VALUES (\(datasetID), 1, \(home), 'ready', 'new', 'csv', 'text/csv', 'label', \(json: profile.columns), 40, 1, 1,
                    \(json: profile.classes), \(json: profile))
                """)
            try transaction.execute("UPDATE dataset SET latest_version = 1, next_version = 2 WHERE id = \(datasetID)")
            for index in 0..<40 {
                let label = index == 0 ? nil : index % 2 == 0 ? "x" : "y"
                let row = [String(index), label]
                let id = try transaction.queryOne("""
                    INSERT INTO item (organisation_id, dataset_id, name, born, split_hash, row)
                    VALUES (\(home), \(datasetID), \("row \(index)"), 1, \((index * 7919) % 41), \(json: row)) RETURNING id
                    """) { try $0["id"] as Int64 }
                if let label {
                    try transaction.execute("""
                        INSERT INTO annotation (organisation_id, dataset_id, item_id, born, value)
                        VALUES (\(home), \(datasetID), \(id), 1, jsonb_build_object('label', \(label)::text))
                        """)
                }
            }
            try transaction.execute("""
                INSERT INTO rejected_item (organisation_id, dataset_id, version, name, code, reason, line)
                VALUES (\(home), \(datasetID), 1, 'row 41', 'table-ragged', 'three fields', 42)
                """)
            let experiment = try transaction.queryOne("""
                INSERT INTO experiment (organisation_id, project_id, name, dataset_id, version, task, objective, preset, seed, budget_trials,
                    status, finished_at)
                VALUES (\(home), \(projectID), 'e', \(datasetID), 1, 'tabular-classification', 'accuracy', 'fast', 0, 1, 'succeeded', now())
                RETURNING id
                """) { try $0["id"] as ExperimentID }
            let model = try transaction.queryOne("""
                INSERT INTO model (organisation_id, project_id, name, task) VALUES (\(home), \(projectID), 'm', 'tabular-classification') RETURNING id
                """) { try $0["id"] as ModelID }
            let version = try transaction.queryOne("""
                INSERT INTO model_version (organisation_id, model_id, number, experiment_id, task, classes, inputs, metrics, lineage)
                VALUES (\(home), \(model), 1, \(experiment), 'tabular-classification', '["x", "y"]', '{}', '{"accuracy": 0.9}', '{"seed": 0}')
                RETURNING id
                """) { try $0["id"] as ModelVersionID }
            try transaction.publish([(report.digest, report.bytes), (items.digest, items.bytes)]) { try blobs.place([report, items]) }
            for (name, blob) in [("report.html", report), ("items.jsonl", items)] {
                try transaction.execute("""
                    INSERT INTO model_file (model_version_id, name, organisation_id, blob, bytes)
                    VALUES (\(version), \(name), \(home), \(blob.digest), \(blob.bytes))
                    """)
            }
            return Furnished(project: project, dataset: dataset, experiment: experiment, modelVersion: version)
        }
    }
}

@Suite struct FlowTests {
    @Test func itemsAreListedByLabelAndSide() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let path = "/v1/datasets/\(made.dataset)/versions/1/items"
            func items(_ query: String) async throws -> [JSON] {
                let answer = try await server.call("GET", path + "?limit=200" + query)
                guard case .array(let items)? = try answer.json["items"] else { Issue.record("\(answer.text)"); return [] }
                return items
            }
            let all = try await items("")
            #expect(all.count == 40)
            #expect(all[0]["annotation"] == .null)
            #expect(all[0]["split"] == .null)
            #expect(all[1]["row"]?["a"]?.stringValue == "1")
            #expect(try await items("&label=x").count == 19)
            // The sides are those that training sees.
            for label in ["x", "y"] {
                let shown = all.filter { $0["annotation"]?["label"]?.stringValue == label }
                let hashes = shown.map { Int64(($0["row"]?["a"]?.stringValue).flatMap { Int($0) } ?? 0) * 7919 % 41 }
                #expect(shown.map { $0["split"]?.stringValue } == Split.sides(ofClassWith: hashes).map(\.rawValue))
            }
            let test = try await items("&split=test")
            #expect(test.count == 8)
            let id = try #require(all[1]["id"]?.stringValue)
            let content = try await server.call("GET", "\(path)/\(id)/content")
            #expect(try content.json["label"]?.stringValue == "y")
            let rejected = try await server.call("GET", "/v1/datasets/\(made.dataset)/versions/1/rejected").json
            #expect(rejected["items"] == [["name": "row 41", "code": "table-ragged", "reason": "three fields", "line": 42]])
        }
    }

    @Test func relabellingMakesTheNextVersion() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let path = "/v1/datasets/\(made.dataset)/versions/1/annotations"
            let answer = try await server.call("POST", path, json: #"[{"item": "1", "annotation": {"label": "y"}}, {"item": "2", "annotation": null}]"#)
            #expect(answer.status == 202, "\(answer.text)")
            #expect(try answer.json["version"]?.intValue == 2)
            #expect(try await server.call("POST", path, json: "[]").status == 422)
            let faults: [(json: String, pointer: String, code: String)] = [
                (#"[{"item": "1", "annotation": null}, {"item": "1", "annotation": {"label": "y"}}]"#, "/1/item", "item-repeated"),
                (#"[{"item": "1", "annotation": {"label": ""}}]"#, "/0/annotation/label", "label-empty"),
                (#"[{"item": "1", "annotation": {"label": " y"}}]"#, "/0/annotation/label", "label-invalid"),
                (#"[{"item": "1", "annotation": {"label": "y\u0007"}}]"#, "/0/annotation/label", "label-invalid"),
            ]
            for (json, pointer, code) in faults {
                let answer = try await server.call("POST", path, json: json)
                #expect(answer.status == 422, "\(json): \(answer.text)")
                #expect(try answer.problem.errors.first?.pointer == pointer, "\(json): \(answer.text)")
                #expect(try answer.problem.errors.first?.code == code, "\(json): \(answer.text)")
            }
            let numbers = try await server.newDataset(in: made.project, task: .tabularRegression, name: "numbers")
            let word = try await server.call(
                "POST", "/v1/datasets/\(numbers)/versions/1/annotations", json: #"[{"item": "1", "annotation": {"label": "much"}}]"#)
            #expect(try word.problem.errors.first?.code == "label-not-numeric", "\(word.text)")
            let wrong = try await server.call("POST", path, json: #"[{"item": "1", "annotation": {"lable": "y"}}]"#)
            #expect(try wrong.problem.errors.map(\.pointer) == ["/0/annotation/lable", "/0/annotation/label"])
        }
    }

    @Test func anExperimentStartsOrSaysWhyNot() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let path = "/v1/projects/\(made.project)/experiments"
            let empty = try await server.newDataset(in: made.project, name: "empty")
            let cases: [(members: String, status: Int, code: String, pointer: String?)] = [
                (#", "budget": {"trials": 0}"#, 422, "out-of-range", "/budget/trials"),
                (#", "budget": {"seconds": 3}"#, 422, "out-of-range", "/budget/seconds"),
                (#", "preset": "quick""#, 422, "choice-unknown", "/preset"), (#", "version": 7"#, 422, "version-unknown", "/version"),
                (#", "target": "nope""#, 422, "train-no-label-column", "/target"), (#", "objective": "rmse""#, 422, "unknown-value", "/objective"),
                (#", "template": "boosted-tree""#, 422, "template-invalid", nil), (#", "bugdet": {}"#, 422, "member-unknown", "/bugdet"),
            ]
            for row in cases {
                let answer = try await server.call("POST", path, json: #"{"dataset": "\#(made.dataset)"\#(row.members)}"#)
                #expect(answer.status == row.status, "\(row): \(answer.text)")
                if answer.status == row.status, let pointer = row.pointer {
                    #expect(try answer.problem.errors.first?.code == row.code, "\(row): \(answer.text)")
                    #expect(try answer.problem.errors.first?.pointer == pointer, "\(row): \(answer.text)")
                }
            }
            #expect(try await server.call("POST", path, json: #"{"dataset": "\#(empty)"}"#).problem.errors.first?.code == "dataset-not-ready")

            let started = try await server.call("POST", path, json: #"{"dataset": "\#(made.dataset)", "budget": {"trials": 2}, "preset": "fast"}"#)
            #expect(started.status == 202, "\(started.text)")
            let id = try #require(try started.json["id"]?.stringValue)
            #expect(try started.json["chosen"]?["why"] != nil)
            guard case .array(let trials)? = try started.json["trials"] else { return #expect(Bool(false), "\(started.text)") }
            #expect(!trials.isEmpty)
            #expect(try await server.count("job") > 0)
            #expect(try await server.call("DELETE", "/v1/experiments/\(id)").problem.code == "in-use")
            let cancelled = try await server.call("POST", "/v1/experiments/\(id)/cancel")
            #expect(cancelled.status == 202)
            #expect(try cancelled.json["status"]?.stringValue == "cancelled")
            #expect(try await server.call("POST", "/v1/experiments/\(id)/cancel").problem.code == "already-finished")
            #expect(try await server.call("DELETE", "/v1/experiments/\(id)").status == 204)
        }
    }

    @Test func eventsAreFollowedToTheEndAndResumed() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let started = try await server.call(
                "POST", "/v1/projects/\(made.project)/experiments", json: #"{"dataset": "\#(made.dataset)", "budget": {"trials": 1}, "preset": "fast"}"#)
            let text = try #require(try started.json["id"]?.stringValue), id = try #require(ExperimentID(text))
            let role = Role.app(organisation: server.home.uuid)
            func follow(after last: String?, status: Int = 200) async throws -> [ServerSentEvent] {
                var headers = [("Authorization", "Bearer \(server.key)")]
                if let last { headers.append(("Last-Event-ID", last)) }
                let stream = try await server.client.stream(.init("GET", "/v1/experiments/\(text)/events", headers: headers, timeout: nil))
                #expect(stream.head.status == status)
                var parser = ServerSentEventParser(), events: [ServerSentEvent] = []
                for try await chunk in stream.chunks { events += parser.take(chunk) }
                return events
            }
            async let live = follow(after: nil)
            for step in 1...700 {
                try await server.database.transaction(as: role) { try $0.record([.progress(Double(step) / 700, message: nil)], in: id) }
            }
            let cancelled = try await server.call("POST", "/v1/experiments/\(text)/cancel")
            #expect(cancelled.status == 202, "\(cancelled.text)")
            let events = try await live
            #expect(events.map(\.id) == (1...events.count).map(String.init))
            try #require(events.count > 700, "\(events)")
            #expect(events.last?.event == "status")
            #expect(events.last?.data.contains("cancelled") == true)
            // From anywhere, and after the end.
            let resumed = try await follow(after: "600")
            #expect(resumed == Array(events[600...]))
            // Nothing is left: an `EventSource` doesn't connect again after this answer.
            #expect(try await follow(after: events.last?.id, status: 204).isEmpty)
            #expect(try await server.call("GET", "/v1/experiments/\(text)/events", headers: [("Last-Event-ID", "x")]).status == 400)
        }
    }

    @Test func modelsShowFilesAndLineage() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let path = "/v1/model-versions/\(made.modelVersion)"
            let version = try await server.call("GET", path).json
            #expect(version["classes"] == ["x", "y"])
            guard case .array(let files)? = version["files"] else { return #expect(Bool(false)) }
            #expect(files.map { $0["name"]?.stringValue } == ["items.jsonl", "report.html"])
            let report = try await server.call("GET", path + "/files/report.html")
            #expect(report.text == "<h1>Report</h1>")
            #expect(report[header: "Content-Security-Policy"]?.contains("default-src 'none'") == true)
            #expect(report[header: "X-Content-Type-Options"] == "nosniff")
            let head = try await server.call("HEAD", path + "/files/report.html")
            #expect(head[header: "Content-Length"] == "15")
            #expect(try await server.call("GET", path + "/files/model.onnx").status == 404)

            var ids: [Int] = []
            var cursor: String?
            repeat {
                let page = try await server.call("GET", path + "/lineage?limit=2" + (cursor.map { "&cursor=\($0)" } ?? "")).json
                #expect(page["seed"]?.intValue == 0)
                guard case .array(let items)? = page["items"] else { return #expect(Bool(false)) }
                ids += items.compactMap { $0["id"]?.intValue }
                cursor = page["next_cursor"]?.stringValue
            } while cursor != nil
            #expect(ids == [0, 1, 2, 3, 4])
            // Whoever makes a cursor that passes the check gets nothing but a refusal.
            func forged(_ path: String, _ position: String) -> String {
                let bytes = Array("slipway-cursor-1\u{1F}\(server.home)\u{1F}\(path)\u{1F}".utf8)
                let check = SHA256.digest(of: bytes + Array(position.utf8)).bytes.prefix(8)
                return (Data(check) + Data(position.utf8)).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            }
            for position in ["-1", "999999", "9223372036854775807"] {
                #expect(try await server.call("GET", path + "/lineage?cursor=\(forged(path + "/lineage", position))").status == 400)
            }
            for position in ["\(Int.max) \(UUID())", "\(Int.min) \(UUID())"] {
                #expect(try await server.call("GET", "/v1/projects?cursor=\(forged("/v1/projects", position))").status == 400)
            }
            let versions = "/v1/datasets/\(made.dataset)/versions"
            #expect(try await server.call("GET", versions + "?cursor=\(forged(versions, "\(Int.max)"))").json["items"] == [])
        }
    }

    @Test func whatIsInUseIsNotDeletedAndSaysBywhat() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let deployed = try await server.call(
                "POST", "/v1/projects/\(made.project)/deployments", json: #"{"name": "d", "model_version": "\#(made.modelVersion)"}"#)
            #expect(deployed.status == 202, "\(deployed.text)")
            let deployment = try #require(try deployed.json["id"]?.stringValue)
            let twice = try await server.call(
                "POST", "/v1/projects/\(made.project)/deployments", json: #"{"name": "d", "model_version": "\#(made.modelVersion)"}"#)
            #expect(try twice.problem.code == "name-taken")
            let version = try await server.call("GET", "/v1/model-versions/\(made.modelVersion)").json
            let model = try #require(version["model"]?.stringValue)
            func refused(_ path: String, by user: String) async throws {
                let answer = try await server.call("DELETE", path)
                #expect(answer.status == 409, "\(path)")
                #expect(try answer.problem.errors.contains { $0.detail.contains(user) }, "\(answer.text)")
            }
            try await refused("/v1/projects/\(made.project)", by: made.dataset)
            try await refused("/v1/datasets/\(made.dataset)", by: made.experiment.description)
            try await refused("/v1/datasets/\(made.dataset)/versions/1", by: made.experiment.description)
            try await refused("/v1/experiments/\(made.experiment)", by: model)
            try await refused("/v1/models/\(model)", by: deployment)
            for path in ["deployments/\(deployment)", "models/\(model)", "experiments/\(made.experiment)", "datasets/\(made.dataset)/versions/1", "datasets/\(made.dataset)", "projects/\(made.project)"] {
                let answer = try await server.call("DELETE", "/v1/\(path)")
                #expect(answer.status == 204, "\(path): \(answer.text)")
            }
            #expect(try await server.count("item") == 0)
            #expect(try await server.count("project") == 0)
        }
    }

    @Test func deploymentsAreRevisedAndStopped() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let id = try #require(try await server.call(
                "POST", "/v1/projects/\(made.project)/deployments", json: #"{"name": "d", "model_version": "\#(made.modelVersion)"}"#).json["id"]?.stringValue)
            let path = "/v1/deployments/\(id)"
            let revised = try await server.call("POST", path + "/revisions", json: #"{"model_version": "\#(made.modelVersion)"}"#)
            #expect(revised.status == 202)
            guard case .array(let revisions)? = try revised.json["revisions"] else { return #expect(Bool(false)) }
            #expect(revisions.compactMap { $0["revision"]?.intValue } == [2, 1])
            let unknown = try await server.call("POST", path + "/revisions", json: #"{"model_version": "\#(UUID())"}"#)
            #expect(try unknown.problem.errors.first?.pointer == "/model_version")
            #expect(try await server.call("POST", path + "/stop").json["status"]?.stringValue == "stopped")
            #expect(try await server.call("POST", path + "/predict", json: "{}").problem.code == "deployment-stopped")
            #expect(try await server.call("POST", path + "/revisions", json: #"{"model_version": "\#(made.modelVersion)"}"#).json["status"]?.stringValue == "deploying")
        }
    }

    @Test func theDocumentDescribesWhatAnswers() async throws {
        try await withRunningServer { server in
            let document = try await server.call("GET", "/openapi.json").json
            #expect(document["openapi"]?.stringValue == "3.1.0")
            guard case .object(let schemas)? = document["components"]?["schemas"], case .object(let paths)? = document["paths"]
            else { return #expect(Bool(false)) }
            // Each reference leads somewhere, and each id names one operation.
            var references: Set<String> = [], operations: [String] = []
            func walk(_ value: JSON) {
                switch value {
                case .object(let members):
                    if let reference = members["$ref"]?.stringValue { references.insert(reference) }
                    if let id = members["operationId"]?.stringValue { operations.append(id) }
                    members.values.forEach(walk)
                case .array(let values): values.forEach(walk)
                default: break
                }
            }
            walk(document)
            #expect(references.allSatisfy { schemas[$0.replacing("#/components/schemas/", with: "")] != nil })
            #expect(Set(operations).count == operations.count)
            #expect(operations.count > 40)
            for path in ["/v1/projects", "/v1/datasets/{dataset}/versions", "/v1/deployments/{deployment}/predict", "/v1/experiments/{experiment}/events", "/readyz"] {
                #expect(paths[path] != nil)
            }
            func members(of schema: JSON?) -> Set<String> {
                guard case .object(let members)? = schema?["properties"] else { return [] }
                return Set(members.keys)
            }
            let lineage = paths["/v1/model-versions/{version}/lineage"]?["get"]?["responses"]?["200"]?["content"]?["application/json"]?["schema"]
            #expect(members(of: lineage).isSuperset(of: [
                "dataset", "dataset_name", "version", "task", "objective", "target", "experiment", "template", "hyperparameters", "seed", "trials",
                "split", "threads", "binary", "items", "next_cursor",
            ]))
            // A described record has what its description requires.
            let made = try await server.furnish()
            for (name, path) in [
                ("Project", "/v1/projects/\(made.project)"), ("Dataset", "/v1/datasets/\(made.dataset)"),
                ("DatasetVersion", "/v1/datasets/\(made.dataset)/versions/1"), ("Experiment", "/v1/experiments/\(made.experiment)"),
                ("ModelVersion", "/v1/model-versions/\(made.modelVersion)"),
            ] {
                guard case .array(let required)? = schemas[name]?["required"], case .object(let members) = try await server.call("GET", path).json
                else { Issue.record("\(name)"); continue }
                for member in required { #expect(members[member.stringValue ?? ""] != nil, "\(name): \(member)") }
            }
            #expect(try await server.call("GET", "/v1/tasks").text.contains("tabular-regression"))
            guard case .array(let templates)? = try await server.call("GET", "/v1/templates").json["items"] else { return #expect(Bool(false)) }
            let id = try #require(templates.first?["id"]?.stringValue)
            #expect(try await server.call("GET", "/v1/templates/\(id)").status == 200)
            let metrics = try await server.call("GET", "/metrics").text
            #expect(metrics.contains("slipway_http_request_duration_seconds_bucket{route=\"/v1/projects\",method=\"POST\",code=\"201\",le=\"+Inf\"} 1"))
            #expect(metrics.contains("process_resident_memory_bytes"))
        }
    }

    @Test(.timeLimit(.minutes(10))) func anEventStreamEndsWithItsKey() async throws {
        try await withRunningServer({
            $0.limits.heartbeat = .milliseconds(20)
            $0.limits.organisationEventStreams = 1
        }) { server in
            let made = try await server.furnish()
            let started = try await server.call(
                "POST", "/v1/projects/\(made.project)/experiments", json: #"{"dataset": "\#(made.dataset)", "budget": {"trials": 1}}"#)
            let path = "/v1/experiments/\(try #require(try started.json["id"]?.stringValue))/events"
            let key = try await server.call("POST", "/v1/api-keys", json: #"{"name": "k", "scopes": ["read"]}"#).json
            let secret = try #require(key["key"]?.stringValue)
            let stream = try await server.client.stream(.init("GET", path, headers: [("Authorization", "Bearer \(secret)")], timeout: nil))
            #expect(stream.head.status == 200)
            // An organisation has its share of the streams.
            let another = try await server.call("GET", path)
            #expect(another.status == 503)
            #expect(try another.problem.code == "too-many-streams")
            #expect(try await server.call("DELETE", "/v1/api-keys/\(try #require(key["id"]?.stringValue))").status == 204)
            for try await _ in stream.chunks {}
        }
    }

    @Test func aDamagedFileIsNotHandedOut() async throws {
        try await withRunningServer { server in
            let made = try await server.furnish()
            let path = "/v1/model-versions/\(made.modelVersion)/files/report.html"
            #expect(try await server.call("GET", path).status == 200)
            let file = server.blobs.path(of: SHA256.digest(of: "<h1>Report</h1>".utf8))
            chmod(file, 0o640)
            try Data("<h1>Resort</h1>".utf8).write(to: URL(fileURLWithPath: file))
            let damaged = try await server.call("GET", path)
            #expect(damaged.status == 500)
            #expect(try damaged.problem.code == "artifact-corrupt")
            unlink(file)
            #expect(try await server.call("GET", path).problem.code == "artifact-corrupt")
        }
    }
}
