import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// Settings that the templates allow, and that no network survives: a decay of ten a step.
@Suite struct DivergenceTests {
    private static let wild: [String: JSON] = ["learning_rate": 1, "weight_decay": 10, "batch_size": 16, "epochs": 40, "patience": 100]

    @Test func whatANetworkWasAtItsBestIsTheResult() throws {
        try Learning.with(.tabularClassification, sampleTable(task: .tabularClassification)) { learning in
            let recipe = try learning.recipe("linear-classifier", Self.wild)
            let rung = try learning.rung(recipe)
            let result = try #require(rung.result)
            #expect(result.finished && result.resource < 40 && result.metrics.values.allSatisfy(\.isFinite))
            #expect(rung.log.contains { $0.contains("diverged") })
            _ = try learning.evaluate([(recipe, rung.checkpoint)])
        }
    }

    @Test func aNetworkThatNeverLearnedFailsItsTrial() throws {
        let upload = sampleTable(rows: 3000, task: .tabularClassification)
        try Learning.with(.tabularClassification, upload) { learning in
            // The rate is at its height within the first of so few epochs.
            let recipe = try learning.recipe("linear-classifier", Self.wild.merging(["epochs": 3]) { _, new in new })
            let problem = #expect(throws: Problem.self) { try learning.rung(recipe) }
            #expect(problem?.code == "train-diverged" && problem?.status == 422)
        }
    }
}
