import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// Rows far from all that a brought model was trained on.
@Suite struct FarRowsTests {
    /// Scores of the squares of sums of two numbers.
    private var squares: [UInt8] {
        var model = SampleModel([.init("row", ["batch", 2])], [.init("answer", ["batch", 2])])
        model.add("w1", [2, 4], floats: [0.5, -0.25, 0.75, 0.5, 0.25, 0.5, -0.5, 0.75])
        model.add("w2", [4, 2], floats: [0.5, -0.5, -0.25, 0.25, 0.5, -0.75, -0.5, 0.25])
        model.add("b2", [2], floats: [0, 0.125])
        model.add("MatMul", ["row", "w1"], "sums")
        model.add("Mul", ["sums", "sums"], "squared")
        model.add("MatMul", ["squared", "w2"], "product")
        model.add("Add", ["product", "b2"], "answer")
        return model.bytes
    }

    /// - Parameter body: gets the folder of the trained model.
    private func train(_ scaling: BaseChoice.Scaling, _ body: (URL) throws -> Void) throws {
        let text = "x,same,answer\n" + (0..<90).map { "0.\($0 % 7),0.1,\($0 % 7 < 3 ? "low" : "high")\n" }.joined()
        let choice = baseChoice(scaling: scaling, columns: ["x", "same"])
        try Learning.from(squares, choice, .tabularClassification, Array(text.utf8)) { learning in
            try body(learning.model(learning.recipe("fine-tuned-table-classifier", ["epochs": 1])))
        }
    }

    private func predict(_ folder: URL, _ rows: [JSON]) throws -> PredictionAnswer {
        try Predictor(folder: folder).predict(json: JSONEncoder().encode(["inputs": JSON.array(rows)]))
    }

    @Test func anAnswerThatIsNotFiniteIsRefusedWithItsPlace() throws {
        try train(.plain) { folder in
            var rows = [JSON](repeating: ["x": 0.5, "same": 0.1], count: 300)
            let near = try predict(folder, rows)
            #expect(near.count == 300)
            rows[270] = ["x": "1e32", "same": 0.1]
            let problem = #expect(throws: Problem.self) { try predict(folder, rows) }
            #expect(problem?.status == 422 && problem?.code == "predict-not-finite" && problem?.errors.first?.pointer == "/inputs/270", "\(String(describing: problem))")
        }
    }

    /// Rounding makes a deviation of 1e-17 of it.
    @Test func aConstantColumnIsNotScaledAndAScaleIsAboveZero() throws {
        try train(.standard) { folder in
            let file = folder.appending(path: "model.json"), written = try String(contentsOf: file, encoding: .utf8)
            let columns = try JSONReader.read(Array(written.utf8))["parts"]?[0]?["input"]?["rows"]?["_0"]?["columns"]
            #expect(columns?[1]?["feature"]?["measure"]?["scale"]?.doubleValue == 1, "\(written)")
            let one = try predict(folder, [["x": 0.5, "same": 1.1]])
            #expect(one.count == 1)
            for scale in ["0", "-1"] {
                let other = written.replacingOccurrences(of: #""scale":1}"#, with: #""scale":\#(scale)}"#)
                #expect(other != written)
                try other.write(to: file, atomically: true, encoding: .utf8)
                #expect(throws: ModelFault.self) { try Predictor(folder: folder) }
            }
        }
    }
}
