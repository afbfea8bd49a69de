import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

/// Any process may be killed at any time.
@Suite(.platform, .serialized) struct CrashTests {
    private let platform = Platform.current
    private var admin: PlatformClient { platform.admin }

    /// Long enough to be killed in the middle: a network, for as many epochs as its template has.
    private func recipe(for dataset: String) -> JSON {
        ["dataset": .string(dataset), "template": "small-resnet", "seed": 7, "budget": ["trials": 1]]
    }

    private func makeDigits() async throws -> (project: String, dataset: String) {
        let archive = try Data(contentsOf: URL(filePath: repository + "/Examples/data/digits.zip"))
        return try await admin.makeDataset(.imageClassification, Array(archive), type: "application/zip")
    }

    private func weights(of experiment: JSON) async throws -> [String: JSON] {
        let version = try await admin.get("/v1/model-versions/\(experiment.text("model_version"))")
        let files = version["files"]?.array ?? []
        return Dictionary(uniqueKeysWithValues: try files.map { (try $0.text("name"), $0["sha256"] ?? .null) })
    }

    @Test func aKilledWorkersTrainingIsFinishedOnceFromItsCheckpoint() async throws {
        let (project, dataset) = try await makeDigits()
        let undisturbed = try await admin.train(in: project, recipe(for: dataset))

        let id = try await admin.startExperiment(in: project, recipe(for: dataset))
        var stepAtKill = 0.0
        // The third reported step lies behind the first checkpoint.
        for try await event in try await admin.events("/v1/experiments/\(id)/events") where event.event == "metric" {
            stepAtKill = try JSON(parsing: event.data).number("step")
            if stepAtKill >= 3 { break }
        }
        let workers = platform.processes(.worker)
        let trainers = platform.processes(.trainer)
        #expect(!workers.isEmpty && !trainers.isEmpty)
        for worker in workers { kill(worker, SIGKILL) }
        try await eventually(within: .seconds(5), "the worker's trainer is gone too") {
            !trainers.contains { kill($0, 0) == 0 }
        }

        let experiment = try await admin.experimentEnd(id)
        #expect(experiment["status"] == "succeeded", "\(experiment)")
        // Once: one trial, and one model version beside the undisturbed one's.
        #expect(experiment["trials"]?.array.count == 1)
        let models = try await admin.list("/v1/projects/\(project)/models")
        #expect(models.flatMap { $0["versions"]?.array ?? [] }.count == 2)
        // From the checkpoint: its first step was trained once.
        var steps: [String: [Double]] = [:]
        for try await event in try await admin.events("/v1/experiments/\(id)/events") where event.event == "metric" {
            let metric = try JSON(parsing: event.data)
            steps[try metric.text("name"), default: []].append(try metric.number("step"))
        }
        for (name, steps) in steps { #expect(steps.filter { $0 == steps[0] }.count == 1, "\(name): \(steps)") }
        // What was learned is what would have been learned anyhow.
        let weights = try await weights(of: experiment)["model.safetensors"]
        #expect(weights != nil)
        #expect(try await self.weights(of: undisturbed)["model.safetensors"] == weights)
    }

    @Test func aKilledServeIsBackWithinTwoSecondsAndTheAPIAnswersAllAlong() async throws {
        let (project, dataset) = try await admin.makeDataset(.tabularClassification, sampleTable(rows: 100), type: "text/csv")
        let experiment = try await admin.train(in: project, ["dataset": .string(dataset), "budget": ["trials": 1], "preset": "fast"])
        let deployment = try await admin.deploy(experiment.text("model_version"), in: project)
        let row: JSON = ["inputs": [["length": 9.5, "width": 2, "colour": "red"]]]
        let question = HTTPClient.Request.Body.bytes([UInt8](try JSONEncoder().encode(row)))
        let predicted = Tally<Int>()
        let listed = Tally<Int>()

        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask { [admin] in
                    while !predicted.isClosed {
                        let answer = try await admin.send(
                            "POST", "/v1/deployments/\(deployment)/predict",
                            headers: [("Content-Type", "application/json")], body: question)
                        predicted.count(answer.status)
                    }
                }
            }
            group.addTask { [admin] in
                while !listed.isClosed { listed.count(try await admin.send("GET", "/v1/projects").status) }
            }
            try await eventually(within: .seconds(10), "the load is on") { predicted[200] > 50 }
            let before = platform.processes(.serve)
            #expect(before.count == 1)
            for pid in before { kill(pid, SIGKILL) }
            let killed = ContinuousClock.now
            try await eventually(within: .seconds(10), "serve is back", every: .milliseconds(5)) {
                guard Set(platform.processes(.serve)).isDisjoint(with: before) else { return false }
                return try await admin.send(
                    "POST", "/v1/deployments/\(deployment)/predict", headers: [("Content-Type", "application/json")],
                    body: question
                ).status == 200
            }
            let gone = ContinuousClock.now - killed
            #expect(gone < .seconds(2), "serve was away for \(gone)")
            predicted.close()
            listed.close()
            try await group.waitForAll()
        }
        #expect(listed.seen == [200])
        #expect(predicted.seen.isSubset(of: [200, 503]), "\(predicted.seen)")
    }

    @Test func aKilledPlatformGoesOnWithItsExperiment() async throws {
        let (project, dataset) = try await makeDigits()
        let id = try await admin.startExperiment(in: project, recipe(for: dataset))
        for try await event in try await admin.events("/v1/experiments/\(id)/events") where event.event == "metric" { break }
        await platform.kill()
        try await platform.start()
        let experiment = try await admin.experimentEnd(id)
        #expect(experiment["status"] == "succeeded", "\(experiment)")
        let deployment = try await admin.deploy(experiment.text("model_version"), in: project)

        // A deployment survives a restart, too.
        #expect(try await platform.stop().ending.isSuccess)
        try await platform.start()
        let picture = samplePicture(kind: 0, width: 8, height: 8, seed: 1).png(.grey)
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", .bytes(picture), type: "image/png")
        #expect(answer["predictions"]?[0]?["label"]?.stringValue != nil, "\(answer)")
    }

    @Test func aCancelledExperimentEndsWithinSecondsAndLeavesNothing() async throws {
        let (project, dataset) = try await makeDigits()
        let id = try await admin.startExperiment(
            in: project, ["dataset": .string(dataset), "template": "small-resnet", "budget": ["seconds": 120]])
        for try await event in try await admin.events("/v1/experiments/\(id)/events") where event.event == "metric" { break }
        _ = try await admin.post("/v1/experiments/\(id)/cancel")
        let experiment = try await admin.experimentEnd(id, within: .seconds(10))
        #expect(experiment["status"] == "cancelled")
        try await eventually(within: .seconds(10), "no trainer is left") { platform.processes(.trainer).isEmpty }
        #expect(try await admin.list("/v1/projects/\(project)/models") == [])
        let again = try await admin.refusal { try await admin.post("/v1/experiments/\(id)/cancel") }
        #expect(again.status == 409)
    }
}

/// The checkout that the tests were built from.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

extension JSON {
    init(parsing text: String) throws { self = try JSONDecoder().decode(JSON.self, from: Data(text.utf8)) }
}
