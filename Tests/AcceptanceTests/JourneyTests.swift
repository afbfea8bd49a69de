import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

/// The main job, from upload to prediction, and the promises around it.
@Suite(.platform) struct JourneyTests {
    let admin = Platform.current.admin

    @Test func aTableGoesFromUploadToPredictions() async throws {
        let table = try Data(contentsOf: URL(filePath: repository + "/Examples/data/breast-cancer.csv"))
        let (project, dataset) = try await admin.makeDataset(.tabularClassification, Array(table), type: "text/csv")
        let experiment = try await admin.train(
            in: project, ["dataset": .string(dataset), "target": "diagnosis", "budget": ["seconds": 15]])
        #expect(try experiment["metrics"]?.number("accuracy") ?? 0 > 0.9)
        #expect(try experiment.number("progress") == 1)
        #expect(experiment["chosen"]?["why"]?.stringValue?.isEmpty == false)
        let considered = experiment["considered"]?.array ?? []
        #expect(considered.count >= 2 && considered.allSatisfy { $0["why"]?.stringValue?.isEmpty == false })

        let version = try await admin.get("/v1/model-versions/\(experiment.text("model_version"))")
        #expect(Set(version["classes"]?.array.compactMap(\.stringValue) ?? []) == ["benign", "malignant"])
        let files = Set(version["files"]?.array.compactMap { $0["name"]?.stringValue } ?? [])
        #expect(files.isSuperset(of: ["model.json", "report.json", "report.html"]), "\(files)")

        let deployment = try await admin.deploy(version.text("id"), in: project)
        let rows: JSON = [["mean_radius": 20.6, "worst_area": "1956"], ["mean_radius": 9.5, "worst_area": nil]]
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": rows])
        let predictions = answer["predictions"]?.array ?? []
        #expect(predictions.count == 2)
        for prediction in predictions {
            let scores = try prediction["scores"]?.array.map { try $0.number("score") } ?? []
            #expect(abs(scores.reduce(0, +) - 1) < 1e-4)
            #expect(try prediction.number("score") == scores.max())
        }
        // The other 28 columns were missing, and are named.
        #expect(answer["warnings"]?.array.isEmpty == false)

        let unknown = try await admin.refusal {
            try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": [["mean_radius": 1], ["radius of the moon": 1]]])
        }
        #expect(unknown.status == 422)
        #expect(unknown.errors.first?.pointer?.hasPrefix("/inputs/1") == true, "\(unknown)")
    }

    @Test func versionsGrowAndAreRelabelledAndLineageKnowsWhatWasSeen() async throws {
        let (project, dataset) = try await admin.makeDataset(
            .imageClassification, sampleArchive(classes: 2, picturesPerClass: 12), type: "application/zip")
        let second = try await admin.upload(
            sampleArchive(classes: 3, picturesPerClass: 13), type: "application/zip", to: dataset, query: "?base=1&mode=append")
        #expect(second["status"] == "ready", "\(second)")
        let items = try await admin.list("/v1/datasets/\(dataset)/versions/2/items")
        #expect(try second.integer("items") == items.count)

        // One label is taken away and one is changed: version 3.
        let kinds = try #require(items.first { $0["annotation"]?["label"] == "kind-0" })
        let other = try #require(items.last { $0["annotation"]?["label"] == "kind-1" })
        let accepted = try await admin.post(
            "/v1/datasets/\(dataset)/versions/2/annotations",
            [
                ["item": try #require(kinds["id"]), "annotation": nil],
                ["item": try #require(other["id"]), "annotation": ["label": "kind-2"]],
            ])
        let third = try await admin.importEnd(of: dataset, version: accepted.integer("version"))
        #expect(third["status"] == "ready" && third["unlabelled"] == 1, "\(third)")
        // The older version is as it was.
        #expect(try await admin.get("/v1/datasets/\(dataset)/versions/2")["unlabelled"] == 0)

        let experiment = try await admin.train(
            in: project, ["dataset": .string(dataset), "version": 3, "preset": "fast", "budget": ["trials": 1]])
        let version = try experiment.text("model_version")
        let lineage = try await admin.get("/v1/model-versions/\(version)/lineage")
        #expect(lineage["version"] == 3 && lineage["dataset"] == .string(dataset), "\(lineage)")
        for fact in ["template", "hyperparameters", "seed", "binary"] { #expect(lineage[fact] != nil, "\(fact)") }
        let seen = try await admin.list("/v1/model-versions/\(version)/lineage")
        var expected = try Dictionary(uniqueKeysWithValues: items.map { try ($0.text("id"), $0["annotation"]?["label"]) })
        expected[try kinds.text("id")] = nil
        expected[try other.text("id")] = "kind-2"
        let found = try Dictionary(seen.map { try ($0.text("id"), $0["label"]) }, uniquingKeysWith: { first, _ in first })
        #expect(seen.count == expected.count)
        #expect(found == expected)
    }

    @Test func aNewRevisionTakesOverWithoutAFailedRequest() async throws {
        let (project, dataset) = try await admin.makeDataset(.tabularClassification, sampleTable(rows: 100), type: "text/csv")
        let body: JSON = ["dataset": .string(dataset), "preset": "fast", "budget": ["trials": 1]]
        let first = try await admin.train(in: project, body).text("model_version")
        let second = try await admin.train(in: project, body).text("model_version")
        let deployment = try await admin.deploy(first, in: project)
        let answers = Tally<String>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask { [admin] in
                    while true {
                        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": [["length": 9]]])
                        let version = try answer.text("model_version")
                        answers.count(version)
                        if version == second { return }
                    }
                }
            }
            try await eventually(within: .seconds(10), "the first revision answers") { answers[first] > 20 }
            _ = try await admin.post("/v1/deployments/\(deployment)/revisions", ["model_version": .string(second)])
            try await group.waitForAll()
        }
        #expect(answers.seen == [first, second])
    }

    @Test func aRepeatedPostWithOneKeyCreatesOnce() async throws {
        let key = [(name: "Idempotency-Key", value: "\(UUID())")]
        let name = "once-\(UUID())"
        let first = try await admin.post("/v1/projects", ["name": .string(name)], headers: key)
        let again = try await admin.post("/v1/projects", ["name": .string(name)], headers: key)
        #expect(try first.text("id") == again.text("id"))
        let other = try await admin.refusal { try await admin.post("/v1/projects", ["name": "another"], headers: key) }
        #expect(other.status == 422)
    }

    @Test func aListIsReadPageByPage() async throws {
        let project = try await admin.makeProject()
        for number in 0..<7 { _ = try await admin.makeDataset(in: project, .tabularRegression, name: "\(number)") }
        var names: [String] = []
        var cursor = ""
        repeat {
            let page = try await admin.get("/v1/projects/\(project)/datasets?limit=3\(cursor)")
            #expect(page["items"]?.array.count ?? 0 <= 3)
            names += try page["items"]?.array.map { try $0.text("name") } ?? []
            cursor = page["next_cursor"]?.stringValue.map { "&cursor=\(PlatformClient.escaped($0))" } ?? ""
        } while !cursor.isEmpty
        #expect(names.sorted() == (0..<7).map(String.init))
    }

    @Test func anUploadOfTwoGigabytesTakesNoMemory() async throws {
        let platform = Platform.current
        let path = platform.folder + "/large.zip"
        // It begins like a zip, so that all of it is read.
        #expect(FileManager.default.createFile(atPath: path, contents: Data([0x50, 0x4b, 0x03, 0x04])))
        #expect(truncate(path, 2 << 30) == 0)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let dataset = try await admin.makeDataset(in: admin.makeProject(), .imageClassification)
        let api = try #require(platform.processes(.api).first)
        let before = try Platform.peakMemory(of: api)
        let accepted = try await admin.post("/v1/datasets/\(dataset)/versions", .file(path: path), type: "application/zip")
        let version = try await admin.importEnd(of: dataset, version: accepted.integer("version"))
        #expect(version["problem"]?["code"] == "archive-corrupt", "\(version)")
        let after = try Platform.peakMemory(of: api)
        #expect(after - before < 64 << 20, "\((after - before) >> 20) MiB more")
    }
}
