import Foundation
import Keel
import KeelData
import KeelProgram
import SlipwayDomain
import SlipwayTasks
import Testing

private let template = "fine-tuned-import"

@Suite struct FineTuningTests {
    @Test func aTrainingThatWasBrokenOffEndsWithTheSameWeights() throws {
        try Learning.from("torch-cnn.onnx", baseChoice(), classes: ["横", "stands"]) { learning in
            let recipe = try learning.recipe(template, ["epochs": 4, "batch_size": 8])
            let whole = try weights(of: learning.model(recipe)), begun = try learning.rung(recipe, pieces: 1)
            #expect(begun.result == nil)
            let rest = try learning.rung(recipe, from: begun.checkpoint)
            #expect(rest.result?.finished == true && rest.log.isEmpty)
            #expect(try weights(of: learning.evaluate([(recipe, rest.checkpoint)])) == whole)
            #expect(try weights(of: learning.model(learning.recipe(template, ["epochs": 4, "batch_size": 8], seed: 8))) != whole)
        }
    }

    /// A copy of the model's graph and of its external data is all that a version needs beside its weights.
    @Test(arguments: ["torch-cnn.onnx", "torch-cnn-external.zip"]) func aFineTunedModelPredictsWhenItsBaseIsGone(name: String) throws {
        try Learning.from(name, baseChoice(), classes: ["横", "stands"]) { learning in
            let folder = try learning.model(learning.recipe(template, ["epochs": 12, "learning_rate": 0.02, "backbone_rate": 0.5, "batch_size": 4]))
            for path in try #require(learning.base).files.values { try FileManager.default.removeItem(atPath: path) }
            let predictor = try Predictor(folder: folder)
            #expect(predictor.classes == ["stands", "横"])
            var right = 0
            for seed in 0..<20 {
                let answer = try predictor.predict(pictureBytes: samplePicture(lies: seed % 2 == 0, seed: UInt64(seed) + 7000)).json(modelVersion: "v")
                if try JSONReader.read([UInt8](answer))["predictions"]?[0]?["label"]?.stringValue == (seed % 2 == 0 ? "横" : "stands") { right += 1 }
            }
            #expect(right >= 15, "\(right) of 20 bars")
            // What a graph loses on the way is told, not guessed.
            try FileManager.default.removeItem(at: folder.appending(path: "base.onnx"))
            #expect(throws: ModelFault.self) { try Predictor(folder: folder) }
        }
    }

    @Test func aFrozenModelKeepsItsWeightsAndOneThatIsNotMovesThem() throws {
        func moved(_ choice: BaseChoice, _ changes: [String: JSON] = [:]) throws -> (backbone: Bool, head: Bool) {
            try Learning.from("torch-cnn.onnx", choice, classes: ["a", "b"]) { learning in
                let files = try #require(learning.base).files, graph = try #require(files["model.onnx"])
                let own = try Data(contentsOf: URL(filePath: graph))
                let trained = try weights(of: learning.model(learning.recipe(template, ["epochs": 2, "batch_size": 8].merging(changes) { $1 })))
                let backbone = trained.filter { $0.key.contains("backbone.") }
                #expect(!backbone.isEmpty)
                // The file has each weight's bytes as they are.
                let isMoved = backbone.values.filter { numbers in own.range(of: numbers.withUnsafeBytes { Data($0) }) == nil }
                #expect(isMoved.isEmpty || isMoved.count == backbone.count)
                return (!isMoved.isEmpty, trained.keys.contains { $0.hasSuffix(".head.weight") })
            }
        }
        #expect(try moved(baseChoice(isFrozen: true)) == (false, true))
        #expect(try moved(baseChoice(), ["backbone_rate": 0]) == (false, true))
        #expect(try moved(baseChoice()) == (true, true))
    }

    /// Four classes, as many as it was trained for: before any learning worth its name it answers as the model does.
    @Test func aHeadThatIsKeptAnswersAsItDid() throws {
        try Learning.from("torch-cnn.onnx", baseChoice(head: .keep), classes: ["a", "b", "c", "d"]) { learning in
            let recipe = try learning.recipe(template, ["epochs": 1, "learning_rate": 0.00001, "backbone_rate": 0.001])
            let nothing = #expect(throws: Problem.self) { try learning.rung(learning.recipe(template, ["backbone_rate": 0])) }
            #expect(nothing?.code == "train-base-frozen")
            let folder = try learning.model(recipe)
            #expect(try weights(of: folder).keys.allSatisfy { $0.contains("backbone.") })
            let files = try #require(learning.base).files, model = try TensorPredictor(files: files)
            let preparation = PicturePreparation(width: 8, height: 8, fit: .stretch, scaling: .symmetric), jpeg = try samplePicture(lies: true, seed: 4)
            let picture = try preparation.picture(decoding: jpeg)
            let grey = (0..<64).map { at in
                zip([0.299, 0.587, 0.114], picture.pixels[3 * at..<3 * at + 3]).reduce(0) { $0 + $1.0 * (Double($1.1) / 127.5 - 1) }
            }
            let image = JSON.array([.array((0..<8).map { y in .array((0..<8).map { x in .number(grey[8 * y + x]) }) })])
            let asImported = try JSONReader.read([UInt8](model.predict(json: JSONEncoder().encode(["inputs": JSON.array([image])]), modelVersion: "v", isAbandoned: { false })))
            let asTrained = try JSONReader.read([UInt8](Predictor(folder: folder).predict(pictureBytes: jpeg).json(modelVersion: "v")))
            let wanted = (asImported["predictions"]?[0]?["scores"]?.elements ?? []).compactMap(\.doubleValue)
            let found = (asTrained["predictions"]?[0]?["scores"]?.elements ?? []).compactMap { $0["score"]?.doubleValue }
            #expect(wanted.count == 4 && found.count == 4)
            for (a, b) in zip(wanted, found) { #expect(abs(a - b) < 1e-4, "\(wanted) \(found)") }
        }
    }

    /// As TensorFlow and Keras have pictures.
    @Test func channelsMayComeLast() throws {
        var model = SampleModel([.init("picture", ["batch", 8, 10, 3])], [.init("scores", ["batch", 2])])
        model.add("row", [2], integers: [-1, 240])
        model.add("weight", [240, 2], floats: (0..<480).map { Float($0 * 7 % 11) / 11 - 0.5 })
        model.add("Reshape", ["picture", "row"], "numbers")
        model.add("MatMul", ["numbers", "weight"], "product")
        model.add("Softmax", ["product"], "scores")
        #expect(try fineTuning(of: model.bytes).picture == [3, 8, 10])
        try Learning.from(model.bytes, baseChoice(head: .keep), classes: ["a", "b"]) { learning in
            let folder = try learning.model(learning.recipe(template, ["epochs": 1, "learning_rate": 0.00001, "backbone_rate": 0.001]))
            let files = try #require(learning.base).files, jpeg = try samplePicture(lies: true, seed: 4)
            let picture = try PicturePreparation(width: 10, height: 8, fit: .stretch, scaling: .symmetric).picture(decoding: jpeg)
            let image = JSON.array((0..<8).map { y in
                .array((0..<10).map { x in .array((0..<3).map { .number(Double(picture.pixels[3 * (10 * y + x) + $0]) / 127.5 - 1) }) })
            })
            let body = try JSONEncoder().encode(["inputs": JSON.array([image])])
            let asImported = try JSONReader.read([UInt8](TensorPredictor(files: files).predict(json: body, modelVersion: "v", isAbandoned: { false })))
            let asTrained = try JSONReader.read([UInt8](Predictor(folder: folder).predict(pictureBytes: jpeg).json(modelVersion: "v")))
            let wanted = (asImported["predictions"]?[0]?["scores"]?.elements ?? []).compactMap(\.doubleValue)
            let found = (asTrained["predictions"]?[0]?["scores"]?.elements ?? []).compactMap { $0["score"]?.doubleValue }
            #expect(wanted.count == 2 && abs(wanted[0] - 0.5) > 0.01)
            #expect(found.count == 2 && zip(found, wanted).allSatisfy { abs($0 - $1) < 1e-4 }, "\(wanted) \(found)")
        }
    }

    @Test func aTemplateThatGoesOnFromAModelIsChosenWithOneOnly() throws {
        let library = try TemplateLibrary(folder: templateFolder)
        #expect(!library.templates(for: .imageClassification).contains { $0.name == template })
        #expect(library.templates(for: .imageClassification, hasBase: true).map(\.name) == [template])
        #expect(throws: Problem.self) { try library.template(chosenBy: .string(template), for: .imageClassification) }
        #expect(throws: Problem.self) { try library.template(chosenBy: "small-resnet", for: .imageClassification, hasBase: true) }
        try Learning.with(.imageClassification, samplePictures(perClass: 8)) { learning in
            let problem = #expect(throws: Problem.self) { try learning.rung(learning.recipe(template)) }
            #expect(problem?.code == "train-no-base")
        }
    }

    @Test func aKeptHeadOfOtherClassesIsRefused() throws {
        try Learning.from("torch-cnn.onnx", baseChoice(head: .keep), classes: ["a", "b"]) { learning in
            let problem = #expect(throws: Problem.self) { try learning.rung(learning.recipe(template)) }
            #expect(problem?.code == "train-base-classes" && problem?.detail.contains("4 classes") == true)
        }
    }

    /// All the weights of its graph are in its last layer, so the new one in its place has nothing but means of colours to learn from.
    @Test func aModelOfLargePicturesWithoutWeightsButItsLastLayersIsTrainedAndRead() throws {
        try Learning.from(sample(picture: ["batch", 3, 640, 8]), baseChoice(), classes: ["a", "b"]) { learning in
            let folder = try learning.model(learning.recipe(template, ["epochs": 1, "batch_size": 8]))
            #expect(Set(try weights(of: folder).keys.map { $0.split(separator: ".").suffix(2).joined(separator: ".") }) == ["head.weight", "head.bias"])
            let answer = try JSONReader.read([UInt8](Predictor(folder: folder).predict(pictureBytes: samplePicture(lies: true, seed: 3)).json(modelVersion: "v")))
            #expect(answer["predictions"]?[0]?["scores"]?.elements.count == 2)
        }
    }

    /// It has numbers for batches of up to two pictures, which is how many the import tries.
    @Test func whatAGraphCanNotDoWithABatchIsTheModelsFault() throws {
        let model = sample {
            $0.add("table", [3], floats: [0, 1, 2])
            $0.add("first", [1], integers: [0])
            $0.add("Shape", ["picture"], "sizes")
            $0.add("Gather", ["sizes", "first"], "count")
            $0.add("Gather", ["table", "count"], "number")
        } last: { ("Add", [$0, "number"], "") }
        try Learning.from(model, baseChoice(head: .keep), classes: ["a", "b"]) { learning in
            let problem = #expect(throws: Problem.self) { try learning.rung(learning.recipe(template, ["batch_size": 8])) }
            #expect(problem?.status == 422 && problem?.code == "train-base-unfit" && problem?.detail.contains("Gather") == true, "\(String(describing: problem))")
        }
    }

    @Test func largePicturesAreJudgedAFewAtATime() {
        func count(_ side: Int) -> Int { PredictionBatch.count(of: 3 * side * side) }
        #expect(count(224) == 64 && count(448) == 17 && count(1024) == 3)
        #expect(PredictionBatch.count(of: 1) == 1024 && PredictionBatch.count(of: 1 << 40) == 1)
    }
}

// MARK: - What can be trained further

/// Of a data set of pictures.
private func pictures(_ classes: Int) -> DatasetProfile {
    DatasetProfile(items: 20 * classes, unlabelled: 0, classes: (0..<classes).map { ClassCount(name: "\($0)", count: 20) }, columns: nil, target: nil)
}

/// Pictures, a mean over places, and a product: operators before it and after it as given, each of one value.
///
/// - Parameters:
///   - adding: what else is in the model.
///   - last: an operator on what the others make, its inputs, and its domain.
private func sample(
    before: [String] = [], after: [String] = [], picture: [SampleModel.Size] = ["batch", 3, 8, 8], adding: (inout SampleModel) -> Void = { _ in },
    last: ((_ value: String) -> (type: String, inputs: [String], domain: String))? = nil
) -> [UInt8] {
    var model = SampleModel([.init("picture", picture)], [.init("scores", ["batch", 2])]), value = "picture"
    func next(_ type: String, _ more: [String] = []) {
        model.add(type, [value] + more, "v\(value.count)\(type)")
        value = "v\(value.count)\(type)"
    }
    model.add("weight", [3, 2], floats: [1, -1, 0.5, 2, -2, 1])
    model.add("offset", [2], floats: [0.5, 0.25])
    model.add("scale", [], floats: [0.25])
    func place(_ types: [String]) { for type in types { next(type, type.hasSuffix("QuantizeLinear") || type.hasSuffix("DequantizeLinear") ? ["scale"] : []) } }
    place(before)
    next("GlobalAveragePool")
    next("Flatten")
    next("MatMul", ["weight"])
    place(after)
    next("Add", ["offset"])
    adding(&model)
    let (type, inputs, domain) = last?(value) ?? ("Identity", [value], "")
    model.add(type, inputs, "scores", domain: domain)
    return model.bytes
}

@Suite struct FineTuningFactTests {
    @Test func aNetworkOfTorchsCanBeTrainedFurther() throws {
        let found = try fineTuning(of: modelFile("torch-cnn.onnx"))
        #expect(found.why == nil && found.picture == [1, 8, 8] && found.classes == 4 && found.hasLastLayer)
        // Two convolutions and a linear layer; the normalisation is in the first convolution.
        #expect(found.weights == 6)
    }

    @Test func onlyWhatLiesBetweenWeightsAndTheOutputNeedsGradients() throws {
        #expect(try fineTuning(of: sample(before: ["Round", "Abs"])).why == nil)
        #expect(try fineTuning(of: sample(after: ["Tanh"])).weights == 2)
        let refused = try fineTuning(of: sample(after: ["Tanh", "Round"]))
        #expect(refused.why?.contains("no gradient goes through Round") == true && refused.operators.count == 1)
        // Whole numbers that stand for weights, or for what comes in, are no start for learning.
        #expect(try fineTuning(of: sample(after: ["QuantizeLinear", "DequantizeLinear"])).operators.count == 2)
        #expect(try fineTuning(of: sample(before: ["QuantizeLinear", "DequantizeLinear"])).operators.count == 2)
        // Behind the product and before it: a mean, and what it is asked for.
        #expect(try !fineTuning(of: sample(after: ["Tanh"])).hasLastLayer && fineTuning(of: sample()).hasLastLayer)
    }

    /// What a function's call makes has a gradient: one that is nothing but zeros.
    @Test func whatCutsGradientsInAFunctionIsFound() throws {
        let refused = try fineTuning(of: sample { $0.addFunction("Stepped", ["x"], of: "Round") } last: { ("Stepped", [$0], "local") })
        #expect(refused.operators.first?.contains("Round") == true, "\(refused)")
        let fine = try fineTuning(of: sample { $0.addFunction("Bent", ["x"], of: "Tanh") } last: { ("Bent", [$0], "local") })
        #expect(fine.why == nil && fine.weights == 2)
    }

    @Test func numbersOfAFormulaAreNoWeights() throws {
        #expect(try fineTuning(of: sample { $0.add("two", [1], floats: [2]) } last: { ("Pow", [$0, "two"], "") }).weights == 2)
        #expect(try fineTuning(of: sample { $0.add("exponents", [2], floats: [2, 3]) } last: { ("Pow", [$0, "exponents"], "") }).weights == 2)
        // Where it can't be seen what they are, a gradient that isn't finite tells.
        let hidden = try fineTuning(
            of: sample {
                $0.addFunction("Power", ["x", "y"], of: "Pow")
                $0.add("exponents", [2], floats: [2, 3])
            } last: { ("Power", [$0, "exponents"], "local") })
        #expect(hidden.why == nil && hidden.weights == 2, "\(hidden)")
        // Without a gradient that is finite there is nothing to go on with.
        let none = try fineTuning(of: sample { $0.add("nothing", [2], floats: [0, 0]) } last: { ("Div", [$0, "nothing"], "") })
        #expect(none.why?.contains("no gradient of its weights is finite") == true, "\(none)")
    }

    /// A product of a table of places, and a convolution of the picture itself, end as if a new last layer could stand there.
    @Test func aLastLayerIsOneThatWasTried() throws {
        var places = SampleModel([.init("picture", ["batch", 3, 8, 8])], [.init("scores", ["batch", 3])])
        places.add("rows", [3], integers: [0, 3, 64])
        places.add("weight", [64, 2], floats: (0..<128).map { Float($0 % 7) - 3 })
        places.add("Reshape", ["picture", "rows"], "table")
        places.add("MatMul", ["table", "weight"], "product")
        places.add("GlobalAveragePool", ["product"], "mean")
        places.add("Flatten", ["mean"], "scores")
        var direct = SampleModel([.init("picture", ["batch", 3, 8, 8])], [.init("scores", ["batch", 2])])
        direct.add("weight", [2, 3, 1, 1], floats: [1, -1, 0.5, 2, -2, 1])
        direct.add("Conv", ["picture", "weight"], "planes")
        direct.add("GlobalAveragePool", ["planes"], "mean")
        direct.add("Flatten", ["mean"], "scores")
        for (model, classes) in [(places, 3), (direct, 2)] {
            let found = try fineTuning(of: model.bytes)
            #expect(found.why == nil && found.classes == classes && found.weights == 1 && !found.hasLastLayer, "\(found)")
            let problem = #expect(throws: Problem.self) {
                try found.choice(ModelVersionID(UUID()), head: .new, isFrozen: false, scaling: nil, columns: nil, task: .imageClassification, profile: pictures(2))
            }
            #expect(problem?.errors.first?.pointer == "/base/head")
        }
    }

    /// As long as the file likes, in time that grows with it, and on any stack.
    @Test func theLastLayerIsFoundBehindLongChains() throws {
        var model = SampleModel([.init("picture", ["batch", 3])], [.init("scores", ["batch", 2])]), weight = "weight", value = "product"
        model.add("weight", [3, 2], floats: [1, -1, 0.5, 2, -2, 1])
        func chain(_ type: String, _ value: inout String) {
            for step in 0..<60_000 {
                model.add(type, [value], "\(type)\(step)")
                value = "\(type)\(step)"
            }
        }
        chain("Transpose", &weight)
        model.add("MatMul", ["picture", weight], "product")
        chain("Dropout", &value)
        model.add("Identity", [value], "scores")
        #expect(try ONNXModel(model.bytes).lastLayer(before: "scores")?.features == "picture")
    }

    @Test func anImportHasItsResultBeforeItLooksForGradients() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "slipway-fine-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let upload = directory.appending(path: "upload").path
        try Data(sample()).write(to: URL(filePath: upload))
        var told: [ModelImportResult] = []
        try TrainerMain.run(TrainerPlan(work: .importModel(ModelImportPlan(upload: upload, limits: ImportLimits())), threads: 1), in: directory) { event in
            if case .importedModel(let made) = event { told.append(made) }
        }
        let facts = try told.map { try JSONDecoder().decode(FineTuning.self, from: JSONEncoder().encode($0.facts[FineTuning.fact])) }
        #expect(facts.count == 2 && facts.first?.why?.contains("more memory or time") == true && facts.last?.why == nil)
        #expect(told.first?.inputs == told.last?.inputs && told.first?.outputs == told.last?.outputs && told.first?.files.map(\.name) == ["model.onnx"])
    }

    @Test(arguments: [
        (["batch", 4, 8, 8] as [SampleModel.Size], "[batch, 1 or 3, height, width]"), (["batch", 3, "height", 8], "height and width must be numbers"),
        (["batch", 3, 4, 8], "from 8 to 1024"), (["batch", 3, 8], "[batch, 1 or 3, height, width]"), (["batch", 8, 8, 4], "[batch, height, width, 1 or 3]"),
    ])
    private func picturesAreOfOneSize(_ sizes: [SampleModel.Size], _ words: String) throws {
        var model = SampleModel([.init("picture", sizes)], [.init("scores", ["batch", 2])])
        model.add("Identity", ["picture"], "scores")
        #expect(try fineTuning(of: model.bytes).why?.contains(words) == true)
    }

    @Test func aModelWithoutWeightsHasNothingToTrain() throws {
        var model = SampleModel([.init("picture", ["batch", 3, 8, 8])], [.init("scores", ["batch", 3])])
        model.add("GlobalAveragePool", ["picture"], "mean")
        model.add("Flatten", ["mean"], "scores")
        #expect(try fineTuning(of: model.bytes).why == "no float32 initialiser reaches its output")
        #expect(try fineTuning(of: modelFile("lightgbm.onnx")).why?.contains("0 of its 2 outputs are float32 tensors") == true)
    }

    @Test func aWishThatTheModelCanNotFulfilNamesItsMember() throws {
        let grey = try fineTuning(of: modelFile("torch-cnn.onnx")), id = ModelVersionID(UUID())
        func pointer(_ head: BaseChoice.Head = .new, frozen: Bool = false, _ scaling: BaseChoice.Scaling? = nil, _ task: LearningTask = .imageClassification, _ classes: Int = 2, columns: [String]? = nil) -> String? {
            do {
                _ = try grey.choice(id, head: head, isFrozen: frozen, scaling: scaling, columns: columns, task: task, profile: pictures(classes))
                return nil
            } catch { return error.status == 422 ? error.errors.first?.pointer : "\(error.status)" }
        }
        #expect(pointer() == nil && pointer(frozen: true, .bytes) == nil && pointer(.keep, .unit, .imageClassification, 4) == nil)
        #expect(pointer(.keep) == "/base/head")
        #expect(pointer(.keep, frozen: true, nil, .imageClassification, 4) == "/base/frozen")
        #expect(pointer(.new, .imagenet) == "/base/scaling" && pointer(.new, .standard) == "/base/scaling")
        #expect(pointer(columns: ["a"]) == "/base/columns")
        #expect(pointer(.new, nil, .tabularClassification) == "/base/model_version")
        #expect(try grey.choice(id, head: .new, isFrozen: false, scaling: nil, columns: nil, task: .imageClassification, profile: pictures(2)).scaling == .unit)
        #expect(try fineTuning(of: sample()).choice(id, head: .new, isFrozen: false, scaling: nil, columns: nil, task: .imageClassification, profile: pictures(2)).scaling == .imagenet)

        let refused = try fineTuning(of: sample(after: ["Round"]))
        let problem = #expect(throws: Problem.self) { try refused.choice(id, head: .new, isFrozen: false, scaling: nil, columns: nil, task: .imageClassification, profile: pictures(2)) }
        #expect(problem?.detail.contains("Round") == true && problem?.errors.last?.code == "model-no-gradient")
    }
}
