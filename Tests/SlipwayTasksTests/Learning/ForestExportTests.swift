import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// A table of what an export can say: numbers, some of which are missing, a yes or no, and words.
private func plainTable(rows: Int, classes: Int) -> [UInt8] {
    var draws = Draws(state: 3), text = "length,width,colour,glossy,answer\n"
    for _ in 0..<rows {
        let (length, width) = (1 + 9 * draws.uniform(), 1 + 9 * draws.uniform())
        let colour = ["红", "绿", "blue", "light grey"][Int(draws.uniform() * 4)], isGlossy = draws.uniform() < 0.5
        let worth = length + width + (colour == "红" ? 6 : 0) + (isGlossy ? 3 : 0) + draws.uniform()
        let answer = classes == 0 ? String(format: "%.2f", exp(worth / 8)) : "class \(min(Int(worth / (30 / Double(classes))), classes - 1))"
        text += "\(draws.uniform() < 0.1 ? "" : String(format: "%.3f", length)),\(String(format: "%.3f", width)),\(colour),\(isGlossy ? "yes" : "no"),\(answer)\n"
    }
    return Array(text.utf8)
}

/// The trees in the ONNX format, read back and run as any model from elsewhere, answer as the trees do.
@Test(arguments: [("boosted-trees-classifier", 2), ("boosted-trees-classifier", 3), ("boosted-trees-regressor", 0)])
func treesInTheONNXFormatAnswerAlike(template: String, classes: Int) throws {
    let task: LearningTask = classes == 0 ? .tabularRegression : .tabularClassification
    try Learning.with(task, plainTable(rows: 300, classes: classes)) { learning in
        let folder = try learning.model(learning.recipe(template, ["rounds": 12, "depth": 4, "sums": 2]))
        let trees = try Predictor(folder: folder), exported = try TensorPredictor(files: ["model.onnx": folder.appending(path: "model.onnx").path])
        var draws = Draws(state: 9), rows: [JSON] = [], tensors: [JSON] = []
        for _ in 0..<100 {
            let length = draws.uniform() < 0.2 ? nil : 10 * draws.uniform(), width = 10 * draws.uniform()
            let colour = ["红", "绿", "blue", "light grey", "mauve"][Int(draws.uniform() * 5)], isGlossy = draws.uniform() < 0.5
            let shown: JSON = length.map { .number($0) } ?? .null
            rows.append(["length": shown, "width": .number(width), "colour": .string(colour), "glossy": .bool(isGlossy)])
            tensors.append(["length": .array([shown]), "width": .array([.number(width)]), "colour": .array([.string(colour)]), "glossy": .array([.integer(isGlossy ? 1 : 0)])])
        }
        func predictions(_ answer: Data) throws -> [JSON] { try JSONReader.read([UInt8](answer))["predictions"]?.elements ?? [] }
        let wanted = try predictions(trees.predict(json: JSONEncoder().encode(["inputs": JSON.array(rows)])).json(modelVersion: "v"))
        let found = try predictions(exported.predict(json: JSONEncoder().encode(["inputs": JSON.array(tensors)]), modelVersion: "v", isAbandoned: { false }))
        #expect(wanted.count == 100 && found.count == 100)
        for (a, b) in zip(wanted, found) {
            if classes == 0 {
                // Leaves are added up in double there, in float here.
                let value = try #require(a["value"]?.doubleValue), other = try #require(b["value"]?.elements.first?.doubleValue)
                #expect(abs(value - other) <= 1e-5 * max(1, abs(value)))
            } else {
                let scores = try (a["scores"]?.elements ?? []).map { try #require($0["score"]?.doubleValue) }, others = (b["scores"]?.elements ?? []).compactMap(\.doubleValue)
                #expect(scores.count == classes && others.count == classes && zip(scores, others).allSatisfy { abs($0 - $1) < 1e-5 })
                let isClear = scores.sorted().suffix(2).reduce(0) { $1 - $0 } > 1e-4
                if isClear { #expect(a["label"] == b["label"]) }
            }
        }
    }
}

@Test func datesAndTextsAreNotExported() throws {
    try Learning.with(.tabularClassification, sampleTable(rows: 60, task: .tabularClassification)) { learning in
        let folder = try learning.model(learning.recipe("boosted-trees-classifier", ["rounds": 2]))
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "model.onnx").path))
    }
}
