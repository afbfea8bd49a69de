import BadInputs
import Foundation
import SlipwayClient
import SlipwayDomain
import SlipwaySystem
import Testing

/// The catalogue of bad (and odd but good) files that lies beside the checkout of those who develop Slipway, as far as it
/// concerns pictures and tables. Without the catalogue, or Python to write its files, there is nothing to run.
@Suite(.platform, .enabled(if: BadInputs.isPresent)) struct BadInputTests {
    let admin = Platform.current.admin

    @Test(arguments: BadInputs.cases(via: "dataset-archive"))
    func archive(_ input: BadInputs.Case) async throws {
        let type = input.file.hasSuffix(".tar") ? "application/x-tar" : "application/zip"
        try await check(input, bytes: BadInputs.bytes(of: input), type: type, task: .imageClassification)
    }

    @Test(arguments: BadInputs.cases(via: "table"))
    func table(_ input: BadInputs.Case) async throws {
        let query = input.file.hasPrefix("gbk") ? "?encoding=gbk" : ""
        try await check(input, bytes: BadInputs.bytes(of: input), type: "text/csv", task: .tabularClassification, query: query)
    }

    /// A picture among good ones is skipped and listed with its code; sent to predict it is refused with the same.
    @Test func pictures() async throws {
        let good = sampleArchive(classes: 2, picturesPerClass: 20)
        let (project, dataset) = try await admin.makeDataset(.imageClassification, good, type: "application/zip")
        let experiment = try await admin.train(in: project, ["dataset": .string(dataset), "preset": "fast", "budget": ["trials": 1]])
        let deployment = try await admin.deploy(experiment.text("model_version"), in: project)

        for input in BadInputs.cases(via: "image-sample") {
            let bytes = try BadInputs.bytes(of: input)
            let type = input.file.hasSuffix(".png") ? "image/png" : "image/jpeg"
            let answer = try await admin.send(
                "POST", "/v1/deployments/\(deployment)/predict", headers: [("Content-Type", type)], body: .bytes(bytes))

            var archive = ZipArchive()
            for kind in 0..<2 {
                for number in 0..<15 {
                    let picture = samplePicture(kind: kind, width: 12, height: 12, seed: UInt64(kind * 50 + number))
                    archive.add("kind-\(kind)/\(number).png", picture.png())
                }
            }
            archive.add("kind-0/" + input.file, bytes)
            let set = try await admin.makeDataset(in: project, .imageClassification, name: input.id)
            let version = try await admin.upload(archive.bytes, type: "application/zip", to: set)
            let rejected = try await admin.list("/v1/datasets/\(set)/versions/\(version.integer("version"))/rejected")

            if input.expect == "accept" {
                #expect(answer.status == 200, "\(input)")
                #expect(version["status"] == "ready" && rejected == [], "\(input): \(version) \(rejected)")
            } else {
                let problem = try JSONDecoder().decode(Problem.self, from: Data(answer.body))
                #expect(answer.status == input.status && problem.code == input.code, "\(input): \(problem)")
                #expect(version["status"] == "ready", "\(input): \(version)")
                #expect(rejected.map { $0["name"]?.stringValue } == ["kind-0/" + input.file], "\(input): \(rejected)")
                #expect(rejected.map { $0["code"]?.stringValue } == [input.code], "\(input): \(rejected)")
            }
        }
    }

    private func check(
        _ input: BadInputs.Case, bytes: [UInt8], type: String, task: LearningTask, query: String = ""
    ) async throws {
        let project = try await admin.makeProject()
        let dataset = try await admin.makeDataset(in: project, task)
        let outcome = await outcome { try await admin.upload(bytes, type: type, to: dataset, query: query) }
        switch (input.expect, outcome) {
        case ("accept", .accepted), ("accept-or-reject", .accepted): break
        case ("accept-warn", .accepted(let version)), ("reject-or-warn", .accepted(let version)):
            #expect(version["warnings"]?.array.isEmpty == false, "\(input): \(version)")
        case ("reject-at-train", .accepted):
            let problem = try await admin.refusal {
                try await admin.post("/v1/projects/\(project)/experiments", ["dataset": .string(dataset), "target": "label"])
            }
            #expect(problem.status == input.status && problem.code == input.code, "\(input): \(problem)")
        case ("reject", .refused(let problem)), ("accept-or-reject", .refused(let problem)),
            ("reject-or-warn", .refused(let problem)):
            // Tar isn't among the formats, which is an answer to both of its cases.
            let isUnsupported = problem.status == 415 && type == "application/x-tar"
            #expect(isUnsupported || problem.status == input.status && problem.code == input.code, "\(input): \(problem)")
            #expect(!problem.title.isEmpty && !problem.detail.isEmpty)
            for hidden in [Platform.current.folder, "SELECT ", ".swift"] { #expect(!problem.detail.contains(hidden)) }
            #expect(try await admin.get("/v1/datasets/\(dataset)")["latest_version"].map { $0 == .null } ?? true)
            // The same again gets the same answer, and a good one is taken.
            let again = await self.outcome { try await admin.upload(bytes, type: type, to: dataset, query: query) }
            if case .refused(let second) = again { #expect(second.code == problem.code) } else { Issue.record("\(input): \(again)") }
            let good = task == .imageClassification ? sampleArchive(classes: 2, picturesPerClass: 3, side: 8) : sampleTable(rows: 20)
            let version = try await admin.upload(good, type: task == .imageClassification ? "application/zip" : "text/csv", to: dataset)
            #expect(version["status"] == "ready", "\(version)")
        default: Issue.record("\(input): \(outcome)")
        }
        #expect(try await admin.with(key: nil).send("GET", "/healthz", timeout: .seconds(1)).status == 200)
        let escaped = (try? FileManager.default.subpathsOfDirectory(atPath: Platform.current.folder))?.filter { $0.contains("ESCAPED") }
        #expect(escaped == [])
    }

    private enum Outcome { case accepted(JSON), refused(Problem), other(any Error) }

    /// Refused at once or at the end of the import is the same to the user.
    private func outcome(_ upload: () async throws -> JSON) async -> Outcome {
        do {
            let version = try await upload()
            return version["status"] == "ready" ? .accepted(version) : .refused(try decode(version["problem"]))
        } catch let problem as Problem {
            return .refused(problem)
        } catch {
            return .other(error)
        }
    }
}
