import Foundation
import KeelData
import KeelProgram
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

/// The answers of a model to rows, as it was trained and as `model.onnx`, read back and run as any model from elsewhere.
private func answers(of folder: URL, rows: [JSON], tensors: [JSON]) throws -> (wanted: [JSON], found: [JSON]) {
    let trained = try Predictor(folder: folder), exported = try TensorPredictor(files: ["model.onnx": folder.appending(path: "model.onnx").path])
    // A folder of Keel's, too.
    #expect(try ModelFolder(reading: folder.path).model.outputs == ImportedModel(ONNXModel(reading: folder.appending(path: "model.onnx").path)).outputs)
    func predictions(_ answer: Data) throws -> [JSON] { try JSONReader.read([UInt8](answer))["predictions"]?.elements ?? [] }
    var wanted: [JSON] = [], found: [JSON] = []
    // As many at once as a call may bring of either kind.
    for start in stride(from: 0, to: rows.count, by: 20) {
        let part = start..<min(start + 20, rows.count)
        wanted += try predictions(trained.predict(json: JSONEncoder().encode(["inputs": JSON.array(Array(rows[part]))])).json(modelVersion: "v"))
        found += try predictions(
            exported.predict(json: JSONEncoder().encode(["inputs": JSON.array(Array(tensors[part]))]), modelVersion: "v", isAbandoned: { false }))
    }
    return (wanted, found)
}

/// Leaves are added up in double there and in float here, and a network's products are in another order: `tolerance`.
private func expectAlike(_ answers: (wanted: [JSON], found: [JSON]), count: Int, classes: Int, _ tolerance: Double) throws {
    #expect(answers.wanted.count == count && answers.found.count == count)
    for (a, b) in zip(answers.wanted, answers.found) {
        if classes == 0 {
            let value = try #require(a["value"]?.doubleValue), other = try #require(b["value"]?.elements.first?.doubleValue)
            #expect(abs(value - other) <= tolerance * max(1, abs(value)))
        } else {
            let scores = try (a["scores"]?.elements ?? []).map { try #require($0["score"]?.doubleValue) }, others = (b["scores"]?.elements ?? []).compactMap(\.doubleValue)
            #expect(scores.count == classes && others.count == classes && zip(scores, others).allSatisfy { abs($0 - $1) < tolerance })
            let isClear = scores.sorted().suffix(2).reduce(0) { $1 - $0 } > 1e-3
            if isClear { #expect(a["label"] == b["label"]) }
        }
    }
}

private func expectTableAlike(_ folder: URL, classes: Int, _ tolerance: Double) throws {
    var draws = Draws(state: 9), rows: [JSON] = [], tensors: [JSON] = []
    for _ in 0..<100 {
        let length = draws.uniform() < 0.2 ? nil : 10 * draws.uniform(), width = 10 * draws.uniform()
        let colour = ["红", "绿", "blue", "light grey", "mauve"][Int(draws.uniform() * 5)]
        let isGlossy = draws.uniform() < 0.2 ? nil : draws.uniform() < 0.5
        let shown: JSON = length.map { .number($0) } ?? .null
        rows.append(["length": shown, "width": .number(width), "colour": .string(colour), "glossy": isGlossy.map { .bool($0) } ?? .null])
        let glossy: JSON = isGlossy.map { .integer($0 ? 1 : 0) } ?? .null
        tensors.append(["length": .array([shown]), "width": .array([.number(width)]), "colour": .array([.string(colour)]), "glossy": .array([glossy])])
    }
    try expectAlike(answers(of: folder, rows: rows, tensors: tensors), count: 100, classes: classes, tolerance)
}

@Test(arguments: [("boosted-trees-classifier", 2), ("boosted-trees-classifier", 3), ("boosted-trees-regressor", 0)])
func treesInTheONNXFormatAnswerAlike(template: String, classes: Int) throws {
    let task: LearningTask = classes == 0 ? .tabularRegression : .tabularClassification
    try Learning.with(task, plainTable(rows: 300, classes: classes)) { learning in
        try expectTableAlike(learning.model(learning.recipe(template, ["rounds": 12, "depth": 4, "sums": 2])), classes: classes, 1e-5)
    }
}

@Test(arguments: [("table-network-classifier", 2), ("table-network-classifier", 3), ("table-network-regressor", 0), ("linear-classifier", 3), ("linear-regressor", 0)])
func networksOfTablesInTheONNXFormatAnswerAlike(template: String, classes: Int) throws {
    let task: LearningTask = classes == 0 ? .tabularRegression : .tabularClassification
    try Learning.with(task, plainTable(rows: 300, classes: classes)) { learning in
        try expectTableAlike(learning.model(learning.recipe(template, ["epochs": 4])), classes: classes, 1e-4)
    }
}

/// A picture's planes of bytes, as the exported model takes them.
private func planes(_ jpeg: [UInt8], _ preparation: PicturePreparation) throws -> JSON {
    let picture = try preparation.picture(decoding: jpeg)
    return .array(
        (0..<3).map { channel in
            .array((0..<picture.height).map { y in .array((0..<picture.width).map { x in .integer(Int(picture.pixels[3 * (y * picture.width + x) + channel])) }) })
        })
}

private func expectPicturesAlike(_ folder: URL, _ preparation: PicturePreparation) throws {
    let pictures = try (0..<6).map { try samplePicture(lies: $0 % 2 == 0, seed: UInt64($0) + 5000) }
    let rows = pictures.map { JSON.object(["base64": .string(Data($0).base64EncodedString())]) }
    let tensors = try pictures.map { JSON.object(["picture": try planes($0, preparation)]) }
    try expectAlike(answers(of: folder, rows: rows, tensors: tensors), count: 6, classes: 2, 1e-4)
}

@Test func aNetworkOfPicturesInTheONNXFormatAnswersAlike() throws {
    try Learning.with(.imageClassification, samplePictures()) { learning in
        let folder = try learning.model(learning.recipe("small-resnet", ["epochs": 1, "width": 16, "depth": 1]))
        try expectPicturesAlike(folder, PicturePreparation(width: 24, height: 24, fit: .letterbox(fill: 128), scaling: .symmetric))
    }
}

@Test func aHeadOnPretrainedWeightsInTheONNXFormatAnswersAlike() throws {
    try withPretrainedStore { store in
        try Learning.with(.imageClassification, samplePictures(perClass: 8), models: store) { learning in
            let folder = try learning.model(learning.recipe("pretrained-features", ["epochs": 2]))
            try expectPicturesAlike(folder, PicturePreparation(width: 224, height: 224, fit: .stretch, scaling: .unit))
        }
    }
}

@Test func aModelThatWasTrainedFurtherInTheONNXFormatAnswersAlike() throws {
    try Learning.from("torch-cnn.onnx", baseChoice(), classes: ["横", "stands"]) { learning in
        let folder = try learning.model(learning.recipe("fine-tuned-import", ["epochs": 2]))
        try expectPicturesAlike(folder, PicturePreparation(width: 8, height: 8, fit: .stretch, scaling: .symmetric))
    }
}

@Test func countedEdgesAreNotExported() throws {
    try Learning.with(.imageClassification, samplePictures(perClass: 8)) { learning in
        let folder = try learning.model(learning.recipe("picture-features", ["epochs": 1]))
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "model.onnx").path))
    }
}

@Test(arguments: [("boosted-trees-classifier", "rounds"), ("linear-classifier", "epochs")])
func datesAndTextsAreNotExported(template: String, resource: String) throws {
    try Learning.with(.tabularClassification, sampleTable(rows: 60, task: .tabularClassification)) { learning in
        let folder = try learning.model(learning.recipe(template, [resource: 2]))
        #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "model.onnx").path))
    }
}
