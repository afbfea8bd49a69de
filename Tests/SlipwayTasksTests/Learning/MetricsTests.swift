import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

@Suite struct MetricsTests {
    private func metrics(_ model: URL) throws -> [String: JSON] {
        let report = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: model.appending(path: "report.json")))
        return Dictionary(uniqueKeysWithValues: (report["metrics"]?.elements ?? []).map { ($0["name"]?.stringValue ?? "", $0) })
    }

    /// What two seeds of one recipe have in common is nearly all: a mix would cost twice the time for next to nothing.
    @Test func aModelThatAddsNextToNothingIsNotMixedIn() throws {
        try Learning.with(.tabularClassification, sampleTable(rows: 300, task: .tabularClassification)) { learning in
            let trials = try [UInt64(7), 8].map { seed in
                let recipe = try learning.recipe("boosted-trees-classifier", ["rounds": 40], seed: seed)
                return (recipe, try learning.rung(recipe).checkpoint)
            }
            let model = try learning.evaluate(trials)
            let report = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: model.appending(path: "report.json")))
            #expect(report["mixture"]?.elements.count == 1)
        }
    }

    /// The definition, pair by pair, on what the model answers for the items that were held out.
    @Test func theAreaUnderTheCurveIsTheShareOfPairsInOrder() throws {
        let upload = sampleTable(rows: 300, task: .tabularClassification)
        try Learning.with(.tabularClassification, upload) { learning in
            let model = try learning.model(learning.recipe("linear-classifier", ["epochs": 2]))
            let decoder = JSONDecoder()
            func lines(_ file: URL) throws -> [JSON] {
                try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
                    try decoder.decode(JSON.self, from: Data($0.utf8))
                }
            }
            let rows = Dictionary(
                uniqueKeysWithValues: try lines(URL(fileURLWithPath: learning.data.items)).map { ($0["id"]?.intValue ?? 0, $0) })
            let names = learning.data.columns?.map(\.name) ?? []
            let predictor = try Predictor(folder: model)
            var scores: [String: [Double]] = [:]
            for item in try lines(model.appending(path: "items.jsonl")) where item["split"] == "test" {
                let row = try #require(rows[Int(item["id"]?.stringValue ?? "") ?? 0])
                let fields = Dictionary(uniqueKeysWithValues: zip(names, row["row"]?.elements ?? []))
                let answer = try predictor.predict(json: JSONEncoder().encode(["inputs": [JSON.object(fields)]]))
                let first = try decoder.decode(JSON.self, from: answer.json(modelVersion: ""))["predictions"]?[0]?["scores"]?[0]
                scores[item["label"]?.stringValue ?? "", default: []].append(try #require(first?["score"]?.doubleValue))
            }
            let (own, others) = (try #require(scores[predictor.classes[0]]), try #require(scores[predictor.classes[1]]))
            var inOrder = 0.0
            for score in own { for other in others { inOrder += score > other ? 1 : score == other ? 0.5 : 0 } }
            // Scores as text lose nothing, and ranks are halves: only the order of the sums differs.
            let expected = inOrder / Double(own.count * others.count)
            #expect(abs(try #require(metrics(model)["auc"]?["value"]?.doubleValue) - expected) < 1e-9)
        }
    }

    @Test func ofManyClassesTheAreaHasNoInterval() throws {
        var text = "x,y\n"
        for row in 0..<600 { text += "\(row % 60 + row / 200),class \(row % 60)\n" }
        try Learning.with(.tabularClassification, Array(text.utf8)) { learning in
            let recipe = try learning.recipe("linear-classifier", ["epochs": 1])
            let rung = try learning.rung(recipe)
            #expect(rung.result?.metrics["accuracy"] != nil && rung.result?.metrics["auc"] == nil)
            let found = try metrics(learning.evaluate([(recipe, rung.checkpoint)]))
            #expect(found["auc"]?["value"] != nil && found["auc"]?["low"] == nil)
            #expect(found["log_loss"]?["low"] != nil && found["accuracy"]?["high"] != nil)
        }
    }
}
