import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// Nothing that a table holds may crash a trainer: its events must go through JSON, which has no infinities.
@Suite struct HostileTableTests {
    /// Numbers beyond Float, beyond Double, next to nothing; and what is no number at all, in so few rows that the columns are
/// still numbers.
    private func table(_ task: LearningTask) -> [UInt8] {
        let odd = ["1e39", "-1e308", "1e308", "5e-324", "1e400", "inf", "0x1F", "unknown"]
        var text = "x,tiny,huge,word,y\n"
        for row in 0..<120 {
            let x = row < 80 && row % 10 == 0 ? odd[row / 10] : "\(Double(row % 17) / 4)"
            let tiny = "\(Double(row % 13) * .leastNonzeroMagnitude)"
            let huge = row % 2 == 0 ? "1e308" : "-1e308"
            let word = row == 7 ? "\"\u{1}\u{7F}\u{FEFF}\"" : ["a", "b", "é", "e\u{301}"][row % 4]
            let label = task.isClassification ? ["yes", "no"][row % 17 / 9] : row == 3 ? "1e39" : row == 5 ? "unknown" : "\(row % 17)"
            text += "\(x),\(tiny),\(huge),\(word),\(label)\n"
        }
        return Array(text.utf8)
    }

    @Test(arguments: [LearningTask.tabularClassification, .tabularRegression])
    func everyTableTemplateLearnsFromIt(_ task: LearningTask) throws {
        try Learning.with(task, table(task)) { learning in
            for template in learning.library.templates(for: task) {
                let length: [String: JSON] = [template.hyperparameter("epochs") == nil ? "rounds" : "epochs": 3]
                let recipe = try learning.recipe(template.name, length)
                let rung = try learning.rung(recipe)
                let result = try #require(rung.result)
                #expect(throws: Never.self) { try JSONEncoder().encode(result) }
                let model = try learning.evaluate([(recipe, rung.checkpoint)])
                let inputs: JSON = ["inputs": [["x": "1e39", "tiny": "-1e308", "huge": 1, "word": "unheard of"], ["x": nil]]]
                let answer = try Predictor(folder: model).predict(json: JSONEncoder().encode(inputs)).json(modelVersion: "v")
                #expect(!String(decoding: answer, as: UTF8.self).contains("null"), "\(template.name)")
            }
        }
    }

    @Test func aTargetThatIsNoNumberIsAMissingOne() throws {
        let csv = "x,y\n" + (0..<99).map { "\($0 % 7),\($0)\n" }.joined() + "1,unknown\n"
        let imported = try Imported(csv: csv, task: .tabularRegression)
        #expect(imported.items.last?.label == nil && imported.summary?.profile.unlabelled == 1)
        #expect(imported.summary?.warnings.contains { $0.contains("'y' has no number in 1 of 100 rows") } == true)
        // A version that was imported before may have such labels.
        try Learning.with(.tabularRegression, Array(csv.utf8)) { learning in
            var learning = learning
            let items = try String(contentsOfFile: learning.data.items, encoding: .utf8)
            try (items + #"{"id":100,"name":"row 100","split_hash":5,"label":"1,200","row":["1","1,200"]}"# + "\n")
                .write(toFile: learning.data.items, atomically: true, encoding: .utf8)
            learning.data.unlabelled = 1
            let recipe = try learning.recipe("linear-regressor", ["epochs": 2])
            let model = try learning.evaluate([(recipe, learning.rung(recipe).checkpoint)])
            let report = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: model.appending(path: "report.json")))
            #expect(report["counts"]?["unlabelled"] == 2)
        }
    }

    @Test func figuresOfTheLargestNumbersGoThroughJSON() throws {
        let summary = try Imported(csv: "x,y\n1e308,1\n-1e308,2\n1e308,3\n", task: .tabularRegression).summary
        #expect(throws: Never.self) { try JSONEncoder().encode(summary) }
    }
}
