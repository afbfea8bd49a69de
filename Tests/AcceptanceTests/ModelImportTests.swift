import BadInputs
import Foundation
import SlipwayClient
import SlipwayDomain
import Testing

/// Models that other libraries trained (`Models/models.py`), from their files to predictions.
@Suite(.platform) struct ModelImportTests {
    let admin = Platform.current.admin

    private static let folder = repository + "/Tests/AcceptanceTests/Models/"

    private func bytes(_ file: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: Self.folder + file))) }

    /// Sends a model and waits for the end of its import, good or bad.
    private func bring(_ bytes: [UInt8], type: String, to project: String, name: String, more: String = "") async throws -> JSON {
        let accepted = try await admin.post("/v1/projects/\(project)/models/import?name=\(name)\(more)", .bytes(bytes), type: type)
        return try await admin.settled("/v1/model-versions/\(accepted.text("model_version"))", within: .seconds(120)) { $0["status"] != "importing" }
    }

    @Test(arguments: ["sklearn-pipeline.onnx", "lightgbm.onnx", "torch-cnn.onnx", "torch-cnn-external.zip", "torch-mlp.onnx"])
    func aModelAnswersAsWhereItWasTrained(file: String) async throws {
        let name = String(file.prefix { $0 != "." }), project = try await admin.makeProject()
        let version = try await bring(bytes(file), type: file.hasSuffix("zip") ? "application/zip" : "application/octet-stream", to: project, name: name)
        #expect(version["status"] == "ready", "\(version)")
        #expect(version["task"] == .null && version["experiment"] == nil)
        #expect(version["inputs"]?["kind"] == "tensors")
        let lineage = try await admin.get("/v1/model-versions/\(version.text("id"))/lineage")
        #expect(lineage["import"]?["facts"]?["runs_as"] == (name.hasPrefix("torch") ? "program" : "interpreted"))

        let expected = try JSONReader.read(bytes(name.replacing("-external", with: "") + ".json"))
        let deployment = try await admin.deploy(version.text("id"), in: project)
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": #require(expected["inputs"])])
        let predictions = answer["predictions"]?.array ?? [], answers = expected["answers"]?.array ?? []
        #expect(predictions.count == answers.count && !answers.isEmpty)
        // float32 here and there.
        for (found, wanted) in zip(predictions, answers) { #expect(found.isClose(to: wanted, 1e-4), "\(found) isn't \(wanted)") }
    }

    /// NLinear: a linear map of how far the steps are from the last, which is added again. Its weights here take every second step's half.
    @Test func weightsOfANetworkOfTheLibraryServe() async throws {
        let steps = 96, header = """
            {"map.weight":{"dtype":"F32","shape":[96,96],"data_offsets":[0,36864]},"map.bias":{"dtype":"F32","shape":[96],"data_offsets":[36864,37248]}}
            """
        let weights = (0..<(steps * steps)).map { Float($0 / steps == $0 % steps && $0 % 2 == 0 ? 0.5 : 0) } + (0..<steps).map { Float($0) / 8 }
        let file = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8) + weights.withUnsafeBytes { Array($0) }
        let project = try await admin.makeProject()
        let version = try await bring(file, type: "application/octet-stream", to: project, name: "line", more: "&network=nlinear-96")
        #expect(version["status"] == "ready", "\(version)")
        #expect(version["files"]?.array.compactMap { $0["name"]?.stringValue } == ["model.onnx", "model.safetensors"])
        let lineage = try await admin.get("/v1/model-versions/\(version.text("id"))/lineage")
        #expect(lineage["import"]?["facts"]?["network"] == "nlinear-96")

        let deployment = try await admin.deploy(version.text("id"), in: project)
        func channels(_ series: [Double]) -> JSON { .array(series.map { .array([JSON](repeating: .number($0), count: 7)) }) }
        let series = (0..<steps).map { Double($0 * $0 % 17) }, last = series[steps - 1]
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": [channels(series)]])
        let wanted = (0..<steps).map { last + ($0 % 2 == 0 ? (series[$0] - last) / 2 : 0) + Double($0) / 8 }
        let output = try #require(version["outputs"]?[0]?["name"]?.stringValue)
        let found = answer["predictions"]?[0]?[output] ?? .null
        #expect(found.isClose(to: channels(wanted), 1e-4), "\(found)")

        let refused = try await bring(file, type: "application/octet-stream", to: project, name: "other", more: "&network=cifar-resnet-20")
        #expect(refused["status"] == "failed" && refused["problem"]?["code"] == "model-weights-mismatch")
        #expect(refused["problem"]?["errors"]?[0]?["entry"]?.stringValue?.hasPrefix("stem.") == true, "\(refused)")
    }

    @Test func versionsOfAModelGrowAndServeInTurn() async throws {
        let project = try await admin.makeProject()
        let first = try await bring(bytes("torch-cnn.onnx"), type: "application/octet-stream", to: project, name: "cnn")
        let second = try await bring(bytes("torch-cnn-external.zip"), type: "application/zip", to: project, name: "cnn")
        #expect(try (first.integer("version"), second.integer("version")) == (1, 2))
        #expect(first["model"] == second["model"])
        #expect(second["files"]?.array.compactMap { $0["name"]?.stringValue } == ["model.onnx", "weights.bin"])
        let deployment = try await admin.deploy(first.text("id"), in: project)
        _ = try await admin.post("/v1/deployments/\(deployment)/revisions", ["model_version": #require(second["id"])])
        let served = try await admin.settled("/v1/deployments/\(deployment)", within: .seconds(60)) { $0["revision"] == 2 }
        #expect(served["traffic"]?[0]?["model_version"] == second["id"])
        let refusal = try await admin.refusal {
            try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": [["image": [[1, 2], [3, 4]]]]])
        }
        #expect((refusal.status, refusal.errors.first?.pointer) == (422, "/inputs/0/image"))
    }

    /// A network for four classes of grey pictures, 8 pixels square, learns three classes of coloured ones.
    @Test func anImportedModelIsTrainedFurtherOnPicturesAndServesWithoutItsBase() async throws {
        let (project, dataset) = try await admin.makeDataset(
            .imageClassification, sampleArchive(classes: 3, picturesPerClass: 20), type: "application/zip")
        let base = try await bring(bytes("torch-cnn-external.zip"), type: "application/zip", to: project, name: "cnn"), id = try base.text("id")
        let found = try await admin.get("/v1/model-versions/\(id)/lineage")["import"]?["facts"]?["fine_tuning"]
        #expect(found?["classes"] == 4 && found?["picture"] == [1, 8, 8] && found?["last_layer"] == true, "\(String(describing: found))")
        let refusal = try await admin.refusal {
            try await admin.post("/v1/projects/\(project)/experiments", ["dataset": .string(dataset), "base": ["model_version": .string(id), "head": "keep"]])
        }
        #expect((refusal.status, refusal.errors.first?.pointer) == (422, "/base/head"))

        let template = try await admin.get("/v1/templates/fine-tuned-import").text("source")
            .replacing("default: 0.001,", with: "default: 0.02,").replacing("default: 0.1, minimum: 0, maximum: 1, unit: share of the", with: "default: 0.5, minimum: 0, maximum: 1, unit: share of the")
            .replacing("default: 32, minimum: 2", with: "default: 4, minimum: 2").replacing("epochs: 5 }", with: "epochs: 40 }")
        let experiment = try await admin.train(
            in: project,
            ["dataset": .string(dataset), "preset": "fast", "budget": ["trials": 1], "template": .string(template), "base": ["model_version": .string(id)]])
        #expect(experiment["base"] == ["model_version": .string(id), "head": "new", "frozen": false, "scaling": "unit"])
        let version = try await admin.get("/v1/model-versions/\(experiment.text("model_version"))")
        #expect(version["task"] == "image-classification" && version["inputs"]?["kind"] == "picture")
        #expect(version["files"]?.array.compactMap { $0["name"]?.stringValue } == [
            "base-data.weights.bin", "base.onnx", "items.jsonl", "model.json", "model.onnx", "model.safetensors", "report.html", "report.json",
        ])
        #expect(try await admin.get("/v1/model-versions/\(version.text("id"))/lineage")["base"]?["model_version"] == .string(id))

        // What was imported may go: the version has all that it needs.
        try await admin.delete("/v1/models/\(base.text("model"))")
        let deployment = try await admin.deploy(version.text("id"), in: project)
        let held = try await admin.list("/v1/datasets/\(dataset)/versions/1/items?split=test")
        var right = 0
        for item in held {
            let picture = try await admin.send("GET", "/v1/datasets/\(dataset)/versions/1/items/\(item.text("id"))/content")
            let answer = try await admin.post("/v1/deployments/\(deployment)/predict", .bytes(picture.body), type: "image/png")
            if try #require(answer["predictions"]?[0]).text("label") == item["annotation"]?["label"]?.stringValue { right += 1 }
        }
        #expect(held.count == 12)
        #expect(try abs(#require(experiment["metrics"]).number("accuracy") - Double(right) / Double(held.count)) < 1e-9)
        #expect(right >= 8, "\(right) of 12: three kinds that differ in pattern")
    }

    /// A perceptron that knows how far rows of four numbers are from the middle learns two words for it, from a table with other columns as well.
    @Test func anImportedModelIsTrainedFurtherOnATableAndAnswersRows() async throws {
        var generator = SplitMix(seed: 6), text = "place,w,x,y,colour,z,where\n", rows: [(row: JSON, label: String)] = []
        for number in 0..<300 {
            let numbers = (0..<4).map { _ in Double.random(in: -1...1, using: &generator) }
            let label = numbers.reduce(0) { $0 + $1 * $1 } > 1.2 ? "far" : "near", colour = ["red", "blue"][number % 2]
            text += "\(number),\(numbers[0]),\(numbers[1]),\(numbers[2]),\(colour),\(numbers[3]),\(label)\n"
            rows.append((["w": .number(numbers[0]), "x": .number(numbers[1]), "y": .number(numbers[2]), "z": .number(numbers[3]), "colour": .string(colour)], label))
        }
        let (project, dataset) = try await admin.makeDataset(.tabularClassification, Array(text.utf8), type: "text/csv")
        let base = try await bring(bytes("torch-mlp.onnx"), type: "application/octet-stream", to: project, name: "mlp"), id = try base.text("id")
        let found = try await admin.get("/v1/model-versions/\(id)/lineage")["import"]?["facts"]?["fine_tuning"]
        #expect(found?["classes"] == 3 && found?["numbers"] == 4 && found?["last_layer"] == true, "\(String(describing: found))")
        let refusal = try await admin.refusal {
            try await admin.post(
                "/v1/projects/\(project)/experiments", ["dataset": .string(dataset), "base": ["model_version": .string(id), "columns": ["w", "x", "colour", "z"]]])
        }
        #expect((refusal.status, refusal.errors.first?.pointer) == (422, "/base/columns/2"))

        let experiment = try await admin.train(
            in: project, ["dataset": .string(dataset), "preset": "fast", "budget": ["trials": 1], "base": ["model_version": .string(id)]])
        #expect(experiment["base"] == ["model_version": .string(id), "head": "new", "frozen": false, "scaling": "none", "columns": ["w", "x", "y", "z"]])
        let version = try await admin.get("/v1/model-versions/\(experiment.text("model_version"))")
        #expect(version["task"] == "tabular-classification" && version["inputs"]?["kind"] == "row")
        #expect(version["files"]?.array.compactMap { $0["name"]?.stringValue } == [
            "base.onnx", "items.jsonl", "model.json", "model.onnx", "model.safetensors", "report.html", "report.json",
        ])
        try await admin.delete("/v1/models/\(base.text("model"))")
        let deployment = try await admin.deploy(version.text("id"), in: project)
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": .array(rows.map(\.row))])
        let labels = (answer["predictions"]?.array ?? []).map { $0["label"]?.stringValue }
        #expect(labels.count == rows.count)
        // Half of them are each: guessing is right with 150.
        let right = zip(labels, rows).count { $0 == $1.label }
        #expect(right >= 250, "\(right) of 300")
    }

    /// The catalogue's; weights are sent as a network's. The one that is sound is of no network of the library.
    @Test(.enabled(if: BadInputs.isPresent), arguments: BadInputs.cases(via: "model-import").filter { $0.file != "st_good.safetensors" })
    func badModels(_ input: BadInputs.Case) async throws {
        let project = try await admin.makeProject(), bytes = try BadInputs.bytes(of: input)
        let type = input.file.hasSuffix(".pt") ? "application/zip" : "application/octet-stream"
        let query = "?name=bad" + (input.file.hasSuffix(".safetensors") ? "&network=nlinear-96" : "")
        let answer = try await admin.send(
            "POST", "/v1/projects/\(project)/models/import\(query)", headers: [("Content-Type", type)], body: .bytes(bytes))
        guard answer.status == 202 else {
            let problem = try JSONDecoder().decode(Problem.self, from: Data(answer.body))
            #expect(input.expect == "reject" && problem.status == input.status && problem.code == input.code, "\(input): \(problem)")
            return
        }
        let accepted = try JSONReader.read(answer.body)
        let version = try await admin.settled("/v1/model-versions/\(accepted.text("model_version"))", within: .seconds(120)) { $0["status"] != "importing" }
        if input.expect == "accept" {
            #expect(version["status"] == "ready", "\(input): \(version)")
        } else {
            #expect(version["status"] == "failed", "\(input): \(version)")
            #expect(version["problem"]?["status"]?.intValue == input.status && version["problem"]?["code"]?.stringValue == input.code, "\(input): \(version)")
            #expect(try await admin.get("/v1/models/\(accepted.text("model"))")["versions"] == [])
        }
    }
}

extension JSON {
    /// Numbers within a share of the larger one, or of 1; all else equal.
    fileprivate func isClose(to other: JSON, _ tolerance: Double) -> Bool {
        if let a = doubleValue, let b = other.doubleValue { return abs(a - b) <= tolerance * max(1, abs(a), abs(b)) }
        switch (self, other) {
        case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { $0.isClose(to: $1, tolerance) }
        case (.object(let a), .object(let b)): return a.count == b.count && a.allSatisfy { key, value in b[key].map { value.isClose(to: $0, tolerance) } ?? false }
        default: return self == other
        }
    }
}
