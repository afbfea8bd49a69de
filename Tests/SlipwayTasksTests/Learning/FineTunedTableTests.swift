import Foundation
import Keel
import KeelModels
import KeelProgram
import SlipwayDomain
import SlipwayTasks
import Testing

private let classifier = "fine-tuned-table-classifier", regressor = "fine-tuned-table-regressor"

/// A perceptron of one hidden layer for rows of three numbers.
///
/// - Parameters:
///   - last: operators on what it makes, each on what the one before it makes. `Squeeze` leaves a number a row.
///   - row: the sizes of its input, and ONNX's number of their type.
///   - hunger: whether all numbers up to the greatest of a batch are added to each other, and what comes of it counts for nothing.
private func perceptron(
    outputs: Int, last: [String] = ["Identity"], row: (sizes: [SampleModel.Size], kind: Int) = (["batch", 3], SampleModel.float), hunger: Bool = false
) -> [UInt8] {
    let answer: [SampleModel.Size] = last.contains("Squeeze") && outputs == 1 ? ["batch"] : ["batch", .init(integerLiteral: outputs)]
    var model = SampleModel([.init("row", row.sizes, kind: row.kind)], [.init("answer", answer)]), draws = Draws(state: 5)
    func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in Float(draws.uniform() - 0.5) } }
    model.add("w1", [3, 16], floats: numbers(48))
    model.add("b1", [16], floats: numbers(16))
    model.add("w2", [16, outputs], floats: numbers(16 * outputs))
    model.add("b2", [outputs], floats: numbers(outputs))
    model.add("MatMul", ["row", "w1"], "m1")
    model.add("Add", ["m1", "b1"], "h1")
    model.add("Tanh", ["h1"], "a1")
    if hunger {
        model.add("zero", [], floats: [0])
        model.add("one", [], floats: [1])
        model.add("axis", [1], integers: [1])
        model.add("ReduceMax", ["row"], "most")
        model.add("Squeeze", ["most"], "end")
        model.add("Range", ["zero", "end", "one"], "steps")
        model.add("Unsqueeze", ["steps", "axis"], "column")
        model.add("Add", ["column", "steps"], "square")
        model.add("ReduceSum", ["square"], "sum")
        model.add("Mul", ["sum", "zero"], "nothing")
        model.add("Add", ["a1", "nothing"], "a2")
    }
    model.add("MatMul", [hunger ? "a2" : "a1", "w2"], "m2")
    model.add("Add", ["m2", "b2"], "h2")
    var value = "h2"
    for (place, type) in last.enumerated() {
        let made = place == last.count - 1 ? "answer" : "end\(place)"
        model.add(type, [value], made)
        value = made
    }
    return model.bytes
}

/// Two numbers of which some are missing, a yes or no, a word and a number of the row; what is learned is how far the numbers lie apart.
private func table(rows: Int = 150, task: LearningTask, size: Double = 1) -> [UInt8] {
    var draws = Draws(state: 11), text = "id,low,colour,high,fresh,answer\n"
    for row in 0..<rows {
        let (low, high, isFresh) = (4 * draws.uniform(), 4 * draws.uniform(), draws.uniform() < 0.5)
        let worth = 3 * (high - low) + (isFresh ? 2 : 0), label = task.isClassification ? (worth > 1 ? "wide" : "狭い") : String(format: "%.3f", 1000 + 100 * worth)
        let shown = draws.uniform() < 0.1 ? "" : String(format: "%.3f", low)
        text += "\(row + 1),\(shown),\(["red", "blue"][row % 2]),\(String(format: "%.3f", size * high)),\(isFresh ? "yes" : "no"),\(label)\n"
    }
    return Array(text.utf8)
}

private let columns = ["low", "high", "fresh"]

private func rowChoice(_ head: BaseChoice.Head = .new, isFrozen: Bool = false, _ scaling: BaseChoice.Scaling = .plain, _ names: [String] = columns) -> BaseChoice {
    baseChoice(head: head, isFrozen: isFrozen, scaling: scaling, columns: names)
}

/// The predictions of a model folder, or of a brought model, for some inputs.
private func predictions(_ folder: URL, _ rows: [JSON]) throws -> [JSON] {
    let body = try JSONEncoder().encode(["inputs": JSON.array(rows)])
    return try JSONReader.read([UInt8](Predictor(folder: folder).predict(json: body).json(modelVersion: "v")))["predictions"]?.elements ?? []
}

private func answers(_ files: [String: String], _ rows: [[Double]]) throws -> [[Double]] {
    let body = try JSONEncoder().encode(["inputs": JSON.array(rows.map { .array($0.map(JSON.number)) })])
    let made = try JSONReader.read([UInt8](TensorPredictor(files: files).predict(json: body, modelVersion: "v", isAbandoned: { false })))
    return (made["predictions"]?.elements ?? []).map { one in one["answer"]?.doubleValue.map { [$0] } ?? (one["answer"]?.elements ?? []).compactMap(\.doubleValue) }
}

@Suite struct FineTunedTableTests {
    /// Of rows that weren't seen: the label that is right, or how far the value is off.
    @Test func aModelOfRowsLearnsATableAndAnswersWhenItsBaseIsGone() throws {
        let rows: [JSON] = [["low": 0.5, "high": 3.5, "fresh": true], ["low": 3.5, "high": 0.5, "fresh": false, "colour": "red"]]
        try Learning.from(perceptron(outputs: 4, last: ["Softmax"]), rowChoice(), .tabularClassification, table(task: .tabularClassification)) { learning in
            let folder = try learning.model(learning.recipe(classifier, ["epochs": 30, "learning_rate": 0.02, "batch_size": 16]))
            for path in try #require(learning.base).files.values { try FileManager.default.removeItem(atPath: path) }
            #expect(try predictions(folder, rows).map { $0["label"]?.stringValue } == ["wide", "狭い"])
        }
        try Learning.from(perceptron(outputs: 1), rowChoice(.new, .standard), .tabularRegression, table(task: .tabularRegression)) { learning in
            let folder = try learning.model(learning.recipe(regressor, ["epochs": 30, "learning_rate": 0.02, "batch_size": 16]))
            let values = try predictions(folder, rows).compactMap { $0["value"]?.doubleValue }
            #expect(values.count == 2 && abs(values[0] - 2100) < 250 && abs(values[1] - 100) < 250, "\(values)")
        }
    }

    @Test(arguments: [LearningTask.tabularClassification, .tabularRegression], [BaseChoice.Head.new, .keep])
    func aTrainingThatWasBrokenOffEndsWithTheSameWeights(task: LearningTask, head: BaseChoice.Head) throws {
        let outputs = task.isClassification ? 2 : 1
        try Learning.from(perceptron(outputs: outputs), rowChoice(head, .standard), task, table(task: task)) { learning in
            let recipe = try learning.recipe(task.isClassification ? classifier : regressor, ["epochs": 4, "batch_size": 8])
            let whole = try weights(of: learning.model(recipe)), begun = try learning.rung(recipe, pieces: 1)
            #expect(begun.result == nil)
            let rest = try learning.rung(recipe, from: begun.checkpoint)
            #expect(rest.result?.finished == true && rest.log.isEmpty)
            #expect(try weights(of: learning.evaluate([(recipe, rest.checkpoint)])) == whole)
        }
    }

    @Test func aFrozenModelKeepsItsWeights() throws {
        try Learning.from(perceptron(outputs: 2), rowChoice(isFrozen: true), .tabularClassification, table(task: .tabularClassification)) { learning in
            let graph = try #require(learning.base?.files["model.onnx"]), own = try Data(contentsOf: URL(filePath: graph))
            let trained = try weights(of: learning.model(learning.recipe(classifier, ["epochs": 2])))
            let backbone = trained.filter { $0.key.contains("backbone.") }
            // Five members, the weights and biases of one layer.
            #expect(backbone.count == 10 && backbone.values.allSatisfy { numbers in own.range(of: numbers.withUnsafeBytes { Data($0) }) != nil })
        }
    }

    /// Learning nothing worth its name, it answers as the model does for the numbers of the row, and yes is 1.
    @Test(arguments: [
        (2, ["Softmax"]), (1, ["Sigmoid"]), (2, ["Identity"]), (0, ["Identity"]), (0, ["Squeeze"]), (1, ["Squeeze", "Sigmoid"]), (1, ["Sigmoid", "Squeeze"]),
        (2, ["Softmax", "Flatten"]), (2, ["Softmax", "Clip"]), (1, ["Sigmoid", "Clip"]),
    ])
    func aHeadThatIsKeptAnswersAsItDid(classes: Int, last: [String]) throws {
        let task: LearningTask = classes == 0 ? .tabularRegression : .tabularClassification, hasLogits = classes > 0 && last == ["Identity"]
        try Learning.from(perceptron(outputs: max(classes, 1), last: last), rowChoice(.keep), task, table(task: task)) { learning in
            let recipe = try learning.recipe(task.isClassification ? classifier : regressor, ["epochs": 1, "learning_rate": 0.00001, "backbone_rate": 0.001])
            let folder = try learning.model(recipe), files = try #require(learning.base).files
            let rows: [JSON] = [["low": 1.5, "high": 2.5, "fresh": true], ["low": 3, "high": -20, "fresh": false, "id": 7]]
            // Of one row, some graphs make a number without axes.
            let found = try predictions(folder, rows), alone = try rows.flatMap { try predictions(folder, [$0]) }
            let wanted = try answers(files, [[1.5, 2.5, 1], [3, -20, 0]])
            #expect(found.count == 2 && alone.count == 2 && wanted.count == 2)
            for (found, wanted) in zip(found + alone, wanted + wanted) {
                let shares = hasLogits ? wanted.map { exp($0) / wanted.reduce(0) { $0 + exp($1) } } : wanted
                let told = classes == 0 ? [found["value"]?.doubleValue] : (found["scores"]?.elements ?? []).map { $0["score"]?.doubleValue }
                let scores = classes == 1 ? [1 - shares[0], shares[0]] : shares
                #expect(told.count == (classes == 0 ? 1 : 2) && scores.count == told.count)
                for (a, b) in zip(told, scores) { #expect(abs(try #require(a) - b) < 2e-3, "\(told) \(scores)") }
            }
        }
    }

    @Test func whatIsMissingIsTheMedian() throws {
        let text = "low,high,fresh,answer\n" + (0..<60).map { "\(["", "2", "2.0"][$0 % 3]),\($0),\($0 % 4 < 2),\($0 % 2 == 0 ? "x" : "y")\n" }.joined()
        try Learning.from(perceptron(outputs: 2), rowChoice(), .tabularClassification, Array(text.utf8)) { learning in
            let folder = try learning.model(learning.recipe(classifier, ["epochs": 1]))
            let found = try predictions(folder, [["high": 3, "fresh": true], ["low": 2, "high": 3, "fresh": true], ["low": 0, "high": 3, "fresh": true]])
            #expect(found[0] == found[1] && found[0] != found[2])
        }
    }

    /// A plan may be older than its data.
    @Test func columnsThatAreGoneAreNamed() throws {
        try Learning.from(perceptron(outputs: 2), rowChoice(.new, .plain, ["low", "width", "fresh"]), .tabularClassification, table(task: .tabularClassification)) { learning in
            let problem = #expect(throws: Problem.self) { try learning.rung(learning.recipe(classifier)) }
            #expect(problem?.code == "train-base-columns" && problem?.errors.first?.pointer == "/base/columns/1")
        }
    }

    @Test func aModelThatWasTrainedFurtherInTheONNXFormatAnswersAlike() throws {
        for task in [LearningTask.tabularClassification, .tabularRegression] {
            for (head, scaling) in [(BaseChoice.Head.new, BaseChoice.Scaling.standard), (.keep, .plain)] {
                let outputs = task.isClassification ? 2 : 1
                try Learning.from(perceptron(outputs: outputs), rowChoice(head, scaling), task, table(task: task)) { learning in
                    let folder = try learning.model(learning.recipe(task.isClassification ? classifier : regressor, ["epochs": 2]))
                    let exported = try TensorPredictor(files: ["model.onnx": folder.appending(path: "model.onnx").path])
                    let inputs: JSON = ["inputs": [["low": [1.25], "high": [3], "fresh": [1]], ["low": [nil], "high": [-900.5], "fresh": [nil]]]]
                    let rows: [JSON] = [["low": 1.25, "high": 3, "fresh": true], ["high": -900.5]]
                    let answer = try JSONReader.read([UInt8](exported.predict(json: JSONEncoder().encode(inputs), modelVersion: "v", isAbandoned: { false })))
                    let found = (answer["predictions"]?.elements ?? []).map { ($0["scores"] ?? $0["value"])?.elements.compactMap(\.doubleValue) ?? [] }
                    let wanted = try predictions(folder, rows).map { one in
                        one["value"]?.doubleValue.map { [$0] } ?? (one["scores"]?.elements ?? []).compactMap { $0["score"]?.doubleValue }
                    }
                    #expect(found.count == 2 && wanted.count == 2)
                    for (a, b) in zip(found, wanted) { #expect(a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 * max(1, abs($1)) }, "\(a) \(b)") }
                }
            }
        }
    }

    // MARK: Limits

    /// It reads two rows at most, which is how many the import tries.
    @Test(arguments: [BaseChoice.Head.new, .keep]) func aGraphThatLeavesRowsOutIsTheModelsFault(head: BaseChoice.Head) throws {
        var model = SampleModel([.init("row", ["batch", 3])], [.init("answer", ["batch", 2])])
        model.add("start", [1], integers: [0])
        model.add("end", [1], integers: [2])
        model.add("w", [3, 2], floats: [1, -1, 0.5, 2, -2, 1])
        model.add("Slice", ["row", "start", "end"], "first")
        model.add("MatMul", ["first", "w"], "answer")
        try Learning.from(model.bytes, rowChoice(head), .tabularClassification, table(task: .tabularClassification)) { learning in
            let problem = #expect(throws: Problem.self) { try learning.rung(learning.recipe(classifier, ["batch_size": 8])) }
            #expect(problem?.code == "train-base-unfit" && problem?.detail.contains("whose first axis isn't the batch's") == true, "\(String(describing: problem))")
        }
    }

    @Test func aGraphThatTakesTooMuchIsTheModelsFault() throws {
        try Learning.from(perceptron(outputs: 2, hunger: true), rowChoice(), .tabularClassification, table(task: .tabularClassification)) { learning in
            let recipe = try learning.recipe(classifier, ["epochs": 1]), checkpoint = try learning.rung(recipe).checkpoint
            func with(high: String) throws -> Learning {
                var other = learning
                let file = learning.directory.appending(path: "items-\(high).jsonl")
                let lines = try String(contentsOf: URL(filePath: learning.data.items), encoding: .utf8).split(separator: "\n").map { line in
                    var item = try JSONDecoder().decode(DataItem.self, from: Data(line.utf8))
                    item.row?[3] = high
                    return try String(decoding: JSONEncoder().encode(item), as: UTF8.self)
                }
                try lines.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
                other.data.items = file.path
                return other
            }
            // A square of 30,000 numbers takes 3.6 GB, one of 2 million 16 TB.
            let served = #expect(throws: Problem.self) { try with(high: "30000").evaluate([(recipe, checkpoint)]) }
            #expect(served?.status == 422 && served?.code == "train-base-too-large" && served?.detail.contains("2 GiB") == true, "\(String(describing: served))")
            let trained = #expect(throws: Problem.self) { try with(high: "2000000").rung(recipe) }
            #expect(trained?.code == "train-base-unfit" && trained?.detail.contains("bytes") == true, "\(String(describing: trained))")
        }
    }

    /// The import's way forwards has a clock, a training none that could choose its weights.
    @Test func onlyTheImportHasAClock() throws {
        let estimator = try ImportedEstimator(ONNXModel(perceptron(outputs: 2)))
        #expect(throws: UntrainableModel.run("two examples take longer than 0 seconds")) { try estimator.plan(.scores, within: 0) }
        #expect(try estimator.plan(.scores).weights == ["w1", "b1", "w2", "b2"])
        var limits = ONNXLimits()
        limits.time = .zero
        let hurried = try TrainableGraph(ONNXModel(perceptron(outputs: 2), limits: limits), upTo: "h2", weights: [])
        #expect(throws: TensorError.self) { try hurried(.zeros([2, 3]), weights: []) }
        #expect(ONNXLimits.training.time > .seconds(365 * 86_400) && ONNXLimits.training.bytes <= Int(ProcessInfo.processInfo.physicalMemory))
    }
}

@Suite struct FineTunedTableFactTests {
    @Test func aPerceptronCanBeTrainedFurther() throws {
        let found = try fineTuning(of: perceptron(outputs: 4, last: ["Softmax"]))
        #expect(found.why == nil && found.numbers == 3 && found.picture.isEmpty && found.classes == 4 && found.weights == 4 && found.hasLastLayer, "\(found)")
        // Behind a last layer may be the unit of what is estimated.
        #expect(try ONNXModel(inUnits).lastLayer(before: "answer")?.features == "row" && fineTuning(of: inUnits).classes == 1)
    }

    private var inUnits: [UInt8] {
        var model = SampleModel([.init("row", ["batch", 3])], [.init("answer", ["batch", 1])])
        model.add("w", [3, 1], floats: [1, 2, 3])
        model.add("unit", [1], floats: [250])
        model.add("MatMul", ["row", "w"], "product")
        model.add("Mul", ["unit", "product"], "scaled")
        model.add("Sub", ["scaled", "unit"], "answer")
        return model.bytes
    }

    @Test func whatIsNoModelOfRowsIsNamed() throws {
        var two = SampleModel([.init("a", ["batch", 1]), .init("b", ["batch", 1])], [.init("answer", ["batch", 1])])
        two.add("w", [1], floats: [2])
        two.add("Mul", ["a", "w"], "m")
        two.add("Add", ["m", "b"], "answer")
        var whole = SampleModel([.init("row", ["batch", 3], kind: SampleModel.int64)], [.init("answer", ["batch", 3], kind: SampleModel.int64)])
        whole.add("two", [3], integers: [2, 2, 2])
        whole.add("Mul", ["row", "two"], "answer")
        let cases: [([UInt8], String)] = [
            (two.bytes, "it has 2 inputs; one, of pictures or of rows of numbers, is expected"),
            (whole.bytes, "its input 'row' is int64 [batch, 3]"),
            (perceptron(outputs: 2, row: (["batch", "columns"], SampleModel.float)), "a row must have a number of columns from 1 to 4096"),
            (withoutNumbers, "its initialiser 'w' holds NaN"),
            (perceptron(outputs: 4, last: ["Squeeze"]), "for a batch of 1 it makes [4]"),
        ]
        for (model, words) in cases {
            let found = try fineTuning(of: model)
            #expect(found.why?.contains(words) == true, "\(String(describing: found.why))")
        }
    }

    @Test func logitsAreBeforeASoftmaxOrASigmoidWhateverTheirShape() throws {
        func logits(_ last: [String]) throws -> String? { try ONNXModel(perceptron(outputs: 1, last: last)).logits(of: "answer") }
        #expect(try logits(["Sigmoid"]) == "h2" && logits(["Sigmoid", "Squeeze", "Identity"]) == "h2" && logits(["Softmax", "Flatten"]) == "h2")
        #expect(try logits(["Identity"]) == nil && logits(["Squeeze"]) == nil && logits(["Sigmoid", "Clip"]) == nil)
        #expect(try ONNXModel(perceptron(outputs: 1, last: ["Sigmoid", "Clip"])).isOfChances("answer"))
        #expect(try !ONNXModel(perceptron(outputs: 1, last: ["Clip"])).isOfChances("answer"))
        // A function of the file's may have any name.
        var own = SampleModel([.init("row", ["batch", 3])], [.init("answer", ["batch", 3])])
        own.addFunction("Sigmoid", ["x"], of: "Tanh")
        own.add("Sigmoid", ["row"], "answer", domain: "local")
        #expect(try ONNXModel(own.bytes).logits(of: "answer") == nil && !ONNXModel(own.bytes).isOfChances("answer"))
    }

    private var withoutNumbers: [UInt8] {
        var model = SampleModel([.init("row", ["batch", 2])], [.init("answer", ["batch", 2])])
        model.add("w", [2, 2], floats: [1, .nan, 0, 1])
        model.add("MatMul", ["row", "w"], "answer")
        return model.bytes
    }

    private static let profiles = [
        ColumnProfile(name: "id", type: .number, missing: 0, distinct: 40, isIdentifier: true), ColumnProfile(name: "a", type: .number, missing: 3, distinct: 9),
        ColumnProfile(name: "colour", type: .category, missing: 0, distinct: 2), ColumnProfile(name: "fresh", type: .boolean, missing: 0, distinct: 2),
        ColumnProfile(name: "b", type: .number, missing: 0, distinct: 9), ColumnProfile(name: "day", type: .date, missing: 0, distinct: 9),
        ColumnProfile(name: "answer", type: .number, missing: 0, distinct: 2),
    ]

    private func profile(classes: Int, dropping dropped: String? = nil) -> DatasetProfile {
        DatasetProfile(
            items: 40, unlabelled: 0, classes: (0..<classes).map { ClassCount(name: "\($0)", count: 20) }, columns: Self.profiles.filter { $0.name != dropped },
            target: "answer")
    }

    @Test func columnsAreThoseOfNumbersInTheirOrderOrThoseThatAreNamed() throws {
        let found = try fineTuning(of: perceptron(outputs: 2)), id = ModelVersionID(UUID())
        func choice(
            _ columns: [String]?, head: BaseChoice.Head = .new, _ scaling: BaseChoice.Scaling? = nil, task: LearningTask = .tabularClassification, dropping: String? = nil
        ) throws(Problem) -> BaseChoice {
            try found.choice(id, head: head, isFrozen: false, scaling: scaling, columns: columns, task: task, profile: profile(classes: 2, dropping: dropping))
        }
        #expect(try choice(nil) == BaseChoice(modelVersion: id, scaling: .plain, columns: ["a", "fresh", "b"]))
        #expect(try choice(["b", "id", "a"], .standard).columns == ["b", "id", "a"])
        func pointer(_ body: () throws(Problem) -> BaseChoice) -> String? {
            do { return "\(try body())" } catch { return error.status == 422 ? error.errors.first?.pointer : "\(error.status)" }
        }
        #expect(pointer { () throws(Problem) in try choice(nil, dropping: "b") } == "/base/columns")
        #expect(pointer { () throws(Problem) in try choice(["a", "b"]) } == "/base/columns")
        for (name, index) in [("c", 1), ("answer", 1), ("colour", 1), ("day", 1), ("a", 1)] {
            #expect(pointer { () throws(Problem) in try choice(["a", name, "b"]) } == "/base/columns/\(index)", "\(name)")
        }
        #expect(pointer { () throws(Problem) in try choice(nil, .imagenet) } == "/base/scaling")
        #expect(pointer { () throws(Problem) in try choice(nil, task: .imageClassification) } == "/base/model_version")
        // Two scores are no number.
        #expect(pointer { () throws(Problem) in try choice(nil, head: .keep, task: .tabularRegression) } == "/base/head")
        let wrong = #expect(throws: Problem.self) { try choice(nil, dropping: "b") }
        #expect(wrong?.detail.contains("takes 3 numbers a row, and beside the target 2 columns hold numbers, or true and false (a, fresh)") == true, "\(String(describing: wrong))")
    }

    @Test func oneScoreTellsTwoClassesApart() throws {
        let found = try fineTuning(of: perceptron(outputs: 1, last: ["Sigmoid"])), id = ModelVersionID(UUID())
        func keep(_ classes: Int, _ task: LearningTask) throws -> BaseChoice.Head {
            try found.choice(id, head: .keep, isFrozen: false, scaling: nil, columns: nil, task: task, profile: profile(classes: classes)).head
        }
        #expect(try keep(2, .tabularClassification) == .keep && keep(0, .tabularRegression) == .keep)
        #expect(throws: Problem.self) { try keep(3, .tabularClassification) }
    }

    @Test func templatesOfRowsGoOnFromAModelOnly() throws {
        let library = try TemplateLibrary(folder: templateFolder)
        for (task, name) in [(LearningTask.tabularClassification, classifier), (.tabularRegression, regressor)] {
            #expect(library.templates(for: task, hasBase: true).map(\.name) == [name])
            #expect(!library.templates(for: task).contains { $0.name == name })
            let refused = #expect(throws: Problem.self) { try library.template(chosenBy: .string(library.templates(for: task)[0].name), for: task, hasBase: true) }
            #expect(refused?.detail.contains("'imported-table'") == true)
        }
    }
}
