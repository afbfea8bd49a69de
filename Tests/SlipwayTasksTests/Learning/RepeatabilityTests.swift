import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// A template with settings that make a short training of it.
private struct Short: Sendable, CustomTestStringConvertible {
    var template: String
    var task: LearningTask
    var changes: [String: JSON] = [:]

    var testDescription: String { template }

    var upload: [UInt8] {
        get throws { try task.items == .rows ? sampleTable(task: task) : samplePictures() }
    }

    static let all = [
        Short(template: "boosted-trees-classifier", task: .tabularClassification, changes: ["rounds": 60]),
        Short(template: "boosted-trees-regressor", task: .tabularRegression, changes: ["rounds": 60]),
        Short(template: "table-network-classifier", task: .tabularClassification, changes: ["epochs": 6]),
        Short(template: "table-network-regressor", task: .tabularRegression, changes: ["epochs": 6]),
        Short(template: "linear-classifier", task: .tabularClassification, changes: ["epochs": 6]),
        Short(template: "linear-regressor", task: .tabularRegression, changes: ["epochs": 6]),
        Short(template: "small-resnet", task: .imageClassification, changes: ["epochs": 4, "width": 8]),
        Short(template: "picture-features", task: .imageClassification, changes: ["epochs": 6]),
    ]
}

@Suite struct RepeatabilityTests {
    private func weights(_ folder: URL) throws -> Data { try Data(contentsOf: folder.appending(path: "model.safetensors")) }

    /// `FineTuningTests` has those that go on from a model.
    @Test func everyTemplateIsAmongTheCases() throws {
        let names = try TemplateLibrary(folder: templateFolder).templates.filter { !$0.network.hasBase }.map(\.name)
        #expect(Set(Short.all.map(\.template)) == Set(names))
    }

    @Test(arguments: Short.all)
    private func theSameSeedGivesTheSameWeightsAndAnotherOneOthers(_ short: Short) throws {
        try Learning.with(short.task, short.upload) { learning in
            let recipe = try learning.recipe(short.template, short.changes)
            let first = try weights(learning.model(recipe))
            #expect(try weights(learning.model(recipe)) == first)
            #expect(try weights(learning.model(learning.recipe(short.template, short.changes, seed: 8))) != first)
        }
    }

    @Test(arguments: Short.all)
    private func aTrainingThatWasBrokenOffEndsWithTheSameWeights(_ short: Short) throws {
        try Learning.with(short.task, short.upload) { learning in
            let recipe = try learning.recipe(short.template, short.changes)
            let whole = try weights(learning.model(recipe))
            let first = try learning.rung(recipe, pieces: 1)
            #expect(first.result == nil)
            let rest = try learning.rung(recipe, from: first.checkpoint)
            #expect(rest.result?.finished == true)
            #expect(try weights(learning.evaluate([(recipe, rest.checkpoint)])) == whole)
        }
    }

    /// Trees have no schedule, so halving a trial doesn't change it.
    @Test(arguments: Short.all.prefix(2))
    private func treesInTwoRungsAreTheSameTrees(_ short: Short) throws {
        try Learning.with(short.task, short.upload) { learning in
            let recipe = try learning.recipe(short.template, short.changes)
            let first = try learning.rung(recipe, until: 16)
            #expect(first.result?.resource == 16)
            let rest = try learning.rung(recipe, number: 1, from: first.checkpoint)
            #expect(try weights(learning.evaluate([(recipe, rest.checkpoint)])) == weights(learning.model(recipe)))
        }
    }

    @Test func aBrokenCheckpointMeansToStartAfresh() throws {
        let short = Short.all[0]
        try Learning.with(short.task, short.upload) { learning in
            let recipe = try learning.recipe(short.template, short.changes)
            let whole = try learning.rung(recipe)
            var bytes = try Data(contentsOf: URL(fileURLWithPath: whole.checkpoint))
            bytes[bytes.count / 2] ^= 1
            let broken = learning.directory.appending(path: "broken")
            try bytes.write(to: broken)
            let again = try learning.rung(recipe, from: broken.path)
            #expect(again.result?.score == whole.result?.score)
            #expect(again.log.contains { $0.contains("afresh") } && whole.log.isEmpty)
        }
    }
}

@Suite struct QualityTests {
    /// The class depends on a total that no single column tells.
    @Test func totalsAreFoundByTheTrees() throws {
        var draws = Draws(state: 3)
        var text = "a,b,c,d,noise,label\n"
        for _ in 0..<900 {
            let values = (0..<5).map { _ in 10 * draws.uniform() }
            text += values.map { String(format: "%.3f", $0) }.joined(separator: ",")
            text += values[0] + values[1] + values[2] - values[3] > 10 ? ",over\n" : ",under\n"
        }
        try Learning.with(.tabularClassification, Array(text.utf8)) { learning in
            func trial(sums: Int) throws -> (score: Double, made: [String]) {
                let recipe = try learning.recipe("boosted-trees-classifier", ["sums": .integer(sums)])
                let rung = try learning.rung(recipe)
                let report = try Data(contentsOf: learning.evaluate([(recipe, rung.checkpoint)]).appending(path: "report.json"))
                let document = try JSONDecoder().decode(JSON.self, from: report)
                let made = document["mixture"]?[0]?["made"]?.elements ?? []
                return (try #require(rung.result).score, made.compactMap(\.stringValue))
            }
            let (plain, with) = (try trial(sums: 0), try trial(sums: 4))
            #expect(plain.made.isEmpty)
            #expect(with.made.first == "a + b + c − d", "\(with.made)")
            // The mistakes left are rows at the edge: far fewer than half of those that trees make alone.
            #expect(1 - with.score < 0.5 * (1 - plain.score), "\(with.score) \(plain.score)")
        }
    }

    @Test func answersToPricesStayAboutTheRangeThatWasLearned() throws {
        try Learning.with(.tabularRegression, sampleTable(task: .tabularRegression)) { learning in
            for template in ["linear-regressor", "boosted-trees-regressor", "table-network-regressor"] {
                let recipe = try learning.recipe(template)
                let predictor = try Predictor(folder: learning.model(recipe))
                let far = #"{"inputs":[{"length":1e9,"width":1e9,"colour":"红","glossy":"yes","made":"2024-03-01","note":""}]}"#
                let answer = try predictor.predict(json: Data(far.utf8)).json(modelVersion: "m")
                let value = try JSONDecoder().decode(JSON.self, from: answer)["predictions"]?[0]?["value"]?.doubleValue
                // exp(130 / 30) is about the largest price, and a quarter of the range of logarithms is let beyond.
                #expect(try #require(value) > 1 && value ?? 0 < 300, "\(template)")
            }
        }
    }
}
