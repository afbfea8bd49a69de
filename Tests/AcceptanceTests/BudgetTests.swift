import SlipwayDomain
import Testing

/// A budget in seconds is a promise about a clock, so nothing else may be in training meanwhile: a platform of its own.
@Suite(.platform, .serialized) struct BudgetTests {
    let admin = Platform.current.admin

    @Test func aNumberIsPredictedWithinItsBudget() async throws {
        let rows = (0..<400).map { row -> String in
            let (x, y) = (Double(row % 20), Double(row / 20))
            return "\(x),\(y),\(row % 3 == 0 ? "" : "yes"),\(3 * x - 2 * y + 1)"
        }
        let table = "x,y,flag,height\n" + rows.joined(separator: "\n") + "\n"
        let (project, dataset) = try await admin.makeDataset(.tabularRegression, Array(table.utf8), type: "text/csv")
        let start = ContinuousClock.now
        let experiment = try await admin.train(in: project, ["dataset": .string(dataset), "budget": ["seconds": 10]])
        #expect(ContinuousClock.now - start < .seconds(10 + 3 + 2), "10 s, 3 s more for small budgets, and the wait for the worker")
        #expect(try experiment["metrics"]?.number("r2") ?? 0 > 0.8, "\(experiment)")
        let deployment = try await admin.deploy(experiment.text("model_version"), in: project)
        let answer = try await admin.post("/v1/deployments/\(deployment)/predict", ["inputs": [["x": 10, "y": 10, "flag": "yes"]]])
        #expect(abs(try #require(answer["predictions"]?[0]).number("value") - 11) < 10)
    }
}
