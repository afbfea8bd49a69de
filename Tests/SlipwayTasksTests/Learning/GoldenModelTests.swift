import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// Model folders that were written once and stay loadable for ever, one of each kind, with the answers that they gave then.
///
/// A new kind of model gets a folder here; the old ones are never written again. `SLIPWAY_WRITE_GOLDEN=NAME` writes one.
private struct GoldenModel: Sendable, CustomTestStringConvertible {
    var name: String
    var task: LearningTask
    var template: String
    var changes: [String: JSON]

    var testDescription: String { name }

    var folder: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden").appending(path: name)
    }

    static let all = [
        GoldenModel(
            name: "trees", task: .tabularClassification, template: "boosted-trees-classifier",
            changes: ["rounds": 6, "depth": 3, "sums": 2, "learning_rate": 0.3]),
        GoldenModel(
            name: "table-network", task: .tabularRegression, template: "table-network-regressor",
            changes: ["epochs": 5, "width": 8, "blocks": 1, "frequencies": 1, "learning_rate": 0.01]),
        GoldenModel(name: "linear", task: .tabularClassification, template: "linear-classifier", changes: ["epochs": 5]),
        GoldenModel(
            name: "resnet", task: .imageClassification, template: "small-resnet", changes: ["epochs": 2, "width": 8]),
        GoldenModel(name: "picture-features", task: .imageClassification, template: "picture-features", changes: ["epochs": 3]),
    ]

    /// What is asked of it.
    var inputs: [JSON] {
        get throws {
            guard task.items == .rows else {
                return try [true, false].map { ["base64": .string(Data(try samplePicture(lies: $0, seed: 5)).base64EncodedString())] }
            }
            return [
                ["length": 9.5, "width": 8, "colour": "红", "glossy": true, "made": "2024-03-09", "note": "as new and in its box"],
                ["length": 1.5, "width": nil, "colour": "绿", "glossy": "no", "made": nil, "note": "slightly scratched"],
                ["length": 5, "width": "6.25", "colour": "unheard of", "glossy": nil, "made": "2019-01-31", "note": ""],
            ]
        }
    }

    func write() throws {
        let upload = try task.items == .rows ? sampleTable(task: task) : samplePictures()
        try Learning.with(task, upload) { learning in
            let model = try learning.model(learning.recipe(template, changes))
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for file in ["model.json", "model.safetensors"] {
                try Data(contentsOf: model.appending(path: file)).write(to: folder.appending(path: file))
            }
        }
        let body = try JSONEncoder().encode(["inputs": JSON.array(inputs)])
        let answers = try JSONDecoder().decode(
            JSON.self, from: Predictor(folder: folder).predict(json: body).json(modelVersion: name))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        try encoder.encode(JSON.object(["inputs": .array(inputs), "predictions": answers["predictions"] ?? .null]))
            .write(to: folder.appending(path: "answers.json"))
    }
}

@Suite struct GoldenModelTests {
    @Test(arguments: GoldenModel.all)
    private func aModelOfOldAnswersAsItDid(_ golden: GoldenModel) throws {
        if ProcessInfo.processInfo.environment["SLIPWAY_WRITE_GOLDEN"] == golden.name { try golden.write() }
        let recorded = try JSONDecoder().decode(
            JSON.self, from: Data(contentsOf: golden.folder.appending(path: "answers.json")))
        let body = try JSONEncoder().encode(["inputs": try #require(recorded["inputs"])])
        let predictor = try Predictor(folder: golden.folder)
        let answers = try JSONDecoder().decode(JSON.self, from: predictor.predict(json: body).json(modelVersion: golden.name))
        let expected = try #require(recorded["predictions"]).elements
        #expect(answers["predictions"]?.elements.count == expected.count)
        for (index, answer) in expected.enumerated() { try compare(answers["predictions"]?[index], answer) }
    }

    /// Sums in another order (other processors, other libraries) move a float's last digits: 1e-4 leaves room for that
    /// through a network's layers, and for nothing else.
    private func compare(_ found: JSON?, _ expected: JSON) throws {
        #expect(found?["label"] == expected["label"])
        func close(_ a: JSON?, _ b: JSON?) -> Bool {
            guard let a = a?.doubleValue, let b = b?.doubleValue else { return a == b }
            return abs(a - b) <= 1e-4 * max(1, abs(b))
        }
        #expect(close(found?["value"], expected["value"]))
        #expect(close(found?["score"], expected["score"]))
        for (index, score) in (expected["scores"]?.elements ?? []).enumerated() {
            #expect(found?["scores"]?[index]?["label"] == score["label"])
            #expect(close(found?["scores"]?[index]?["score"], score["score"]), "\(String(describing: found)) \(expected)")
        }
    }

    @Test func aChangedFileIsRefused() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-golden-\(UUID())")
        try FileManager.default.copyItem(at: GoldenModel.all[0].folder, to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        let weights = folder.appending(path: "model.safetensors")
        var bytes = try Data(contentsOf: weights)
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: weights)
        #expect(throws: ModelFault.self) { try Predictor(folder: folder) }
    }
}
