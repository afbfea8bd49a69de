import BadInputs
import Foundation
import Keel
import KeelModels
import KeelNN
import SlipwayDomain
import SlipwayTasks
import Testing

/// The models of the acceptance tests: their script says what they are.
private let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("AcceptanceTests/Models")

private func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: models.appendingPathComponent(name))) }

/// Imports bytes as if they had been uploaded, in a folder of their own.
///
/// - Returns: what `body` makes of the result and of the version's files, paths by name.
/// - Throws: the import's `Problem`.
private func imported<R>(_ bytes: [UInt8], _ network: NetworkChoice? = nil, _ body: (ModelImportResult, [String: String]) throws -> R) throws -> R {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("slipway-model-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let upload = directory.appendingPathComponent("upload").path
    try Data(bytes).write(to: URL(filePath: upload))
    var result: ModelImportResult?, problem: Problem?
    let plan = TrainerPlan(work: .importModel(ModelImportPlan(upload: upload, network: network, limits: ImportLimits())), threads: 1)
    try TrainerMain.run(plan, in: directory) { event in
        if case .importedModel(let made) = event { result = made }
        if case .problem(let told) = event { problem = told }
    }
    if let problem { throw problem }
    let made = try #require(result)
    let files = Dictionary(uniqueKeysWithValues: made.files.map { ($0.name, $0.path.map { directory.appendingPathComponent($0).path } ?? upload) })
    return try body(made, files)
}

private func problem(_ bytes: [UInt8], _ network: NetworkChoice? = nil) -> Problem? {
    do {
        try imported(bytes, network) { _, _ in Issue.record("taken") }
        return nil
    } catch {
        return error as? Problem
    }
}

private func answer(_ predictor: TensorPredictor, _ body: JSON) throws -> JSON {
    let data = try predictor.predict(json: JSONEncoder().encode(body), modelVersion: "v", isAbandoned: { false })
    return try JSONReader.read([UInt8](data))
}

private func elements(_ json: JSON?) -> [JSON] { if case .array(let elements)? = json { elements } else { [] } }

@Test func aPipelineTakesWordsAndAnswersWithThem() throws {
    try imported(bytes("sklearn-pipeline.onnx")) { result, files in
        #expect(elements(result.inputs["tensors"]).map { $0["kind"]?.stringValue } == ["float32", "float32", "string"])
        #expect(elements(result.outputs).map { $0["name"]?.stringValue } == ["output_label", "output_probability"])
        #expect(result.facts["producer"] == "skl2onnx" && result.facts["runs_as"] == "interpreted")
        let predictor = try TensorPredictor(files: files), case1: JSON = ["length": [8.5], "width": [1], "colour": ["red"]]
        let predictions = elements(try answer(predictor, ["inputs": [case1, ["length": [0.5], "width": [nil], "colour": ["mauve"]]]])["predictions"])
        #expect(predictions[0]["output_label"] == "long")
        #expect(try #require(predictions[0]["output_probability"]?["long"]?.doubleValue) > 0.5)
        // A number that is missing is NaN, and so are the shares that depend on it: JSON has none.
        #expect(predictions[1]["output_probability"]?["long"] == .null)
    }
}

@Test func examplesAreComputedTogetherAndBatchesByThemselves() throws {
    try imported(bytes("torch-cnn.onnx")) { result, files in
        #expect(result.facts["runs_as"] == "program")
        #expect(elements(result.inputs["tensors"]).first?["shape"] == ["batch", 1, 8, 8])
        let expected = try JSONReader.read(bytes("torch-cnn.json")), images = elements(expected["inputs"]).compactMap { $0["image"] }
        let predictor = try TensorPredictor(files: files)
        func scores(_ inputs: [JSON]) throws -> [JSON] { elements(try answer(predictor, ["inputs": .array(inputs)])["predictions"]).compactMap { $0["scores"] } }
        let alone = try scores(images), together = try scores([.array(images)])
        #expect(alone.count == 3 && together == [.array(alone)])
        #expect(try scores(images.map { ["image": $0] }) == alone)
        // Kernels may add up in another order for another number of pictures.
        let mixed = try scores([images[0], .array([images[1]]), images[2]]), wanted = [alone[0], .array([alone[1]]), alone[2]]
        func numbers(_ json: JSON) -> [Double] { json.doubleValue.map { [$0] } ?? elements(json).flatMap(numbers) }
        #expect(zip(mixed, wanted).allSatisfy { elements($0).count == elements($1).count })
        #expect(zip(mixed.flatMap(numbers), wanted.flatMap(numbers)).allSatisfy { abs($0 - $1) < 1e-6 } && mixed.flatMap(numbers).count == 3 * elements(alone[0]).count)
    }
}

@Test func whatIsWrongWithAnInputIsNamed() throws {
    try imported(bytes("lightgbm.onnx")) { _, files in
        let predictor = try TensorPredictor(files: files)
        func fault(_ body: JSON) -> String {
            do { return "\(try answer(predictor, body))" } catch let problem as Problem {
                return "\(problem.status) \(problem.errors.first?.pointer ?? "") \(problem.errors.first?.code ?? problem.code)"
            } catch { return "\(error)" }
        }
        let good: JSON = ["input": [1, 2, 3, 4]]
        #expect(fault(["inputs": [good, ["input": [1, 2, 3]]]]) == "422 /inputs/1/input shape-mismatch")
        #expect(fault(["inputs": [["input": [1, 2, 3, "x"]]]]) == "422 /inputs/0/input invalid-value")
        #expect(fault(["inputs": [["input": [[1, 2, 3, 4], [1, 2]]]]]) == "422 /inputs/0/input invalid-value")
        #expect(fault(["inputs": [["inptu": [1, 2, 3, 4]]]]) == "422 /inputs/0/input missing-member")
        #expect(fault(["inputs": [["input": [1, 2, 3, 4], "more": 1]]]) == "422 /inputs/0/more unknown-member")
        #expect(fault(["inputs": []]) == "422 /inputs missing-member")
        #expect(fault(["inputs": .array([JSON](repeating: good, count: 1001))]) == "413 /inputs too-many")
    }
}

@Test func anArchiveHoldsAModelAndItsExternalDataAndNothingElse() throws {
    let model = try bytes("torch-cnn.onnx")
    try imported(bytes("torch-cnn-external.zip")) { result, files in
        #expect(result.files.map(\.name) == ["model.onnx", "weights.bin"])
        _ = try TensorPredictor(files: files)
    }
    try imported(SampleZip([("a model.onnx".replacing(" ", with: "-"), model)]).bytes) { result, _ in #expect(result.files.map(\.name) == ["model.onnx"]) }
    let refused: [([(String, [UInt8])], String, Int)] = [
        ([("m.onnx", model), ("notes.txt", [1])], "model-archive-content", 422),
        ([("m.onnx", model), ("n.onnx", model)], "model-archive-content", 422),
        ([("notes.txt", [1])], "model-archive-content", 422),
        ([("folder/m.onnx", model)], "model-archive-content", 422),
        ([("m.onnx", model), ("data.pkl", [1])], "model-format-unsafe", 415),
        ([("m.onnx", [0xFF, 0xFF])], "model-corrupt", 422),
        ([("../m.onnx", model)], "archive-path-escape", 422),
    ]
    for (files, code, status) in refused {
        let told = problem(SampleZip(files).bytes)
        #expect(told?.code == code && told?.status == status, "\(files.map(\.0)): \(String(describing: told))")
    }
}

// MARK: Weights of the library's networks

/// A network's weights as safetensors, with tensors left out, changed or added.
private func weights(_ choice: NetworkChoice, _ change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in }) throws -> [UInt8] {
    var generator = Philox(seed: 3)
    var tensors = try NamedNetwork(choice.name).make(classes: choice.classes, using: &generator).state().map { (name: $0.name, tensor: $0.tensor) }
    try change(&tensors)
    let path = FileManager.default.temporaryDirectory.appending(path: "slipway-weights-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Safetensors.write(tensors, to: path)
    return Array(try Data(contentsOf: URL(filePath: path)))
}

/// Half as many bits a weight: the graph has them as float32 then, and needs no file beside it.
@Test(arguments: [(NetworkChoice(name: "cifar-resnet-20", classes: 3), false), (NetworkChoice(name: "cifar-resnet-20"), true), (NetworkChoice(name: "lstm-forecaster-64"), false)])
func weightsOfANetworkAnswerAsItDoes(choice: NetworkChoice, halves: Bool) throws {
    let file = try weights(choice) { tensors in
        if halves { tensors = try tensors.map { ($0.name, $0.tensor.dtype == .float32 ? try $0.tensor.cast(to: .bfloat16) : $0.tensor) } }
    }
    try imported(file, choice) { result, files in
        let entry = try NamedNetwork(choice.name)
        #expect(result.files.map(\.name) == (halves ? ["model.onnx"] : ["model.onnx", "model.safetensors"]))
        #expect(result.facts["network"]?.stringValue == choice.name && result.facts["classes"]?.intValue == choice.classes)
        #expect(result.facts["runs_as"] == "program")
        #expect(elements(result.inputs["tensors"]).map { $0["name"]?.stringValue } == entry.inputs.map(\.name))
        #expect(elements(result.outputs).map { $0["name"]?.stringValue } == entry.outputs.map(\.name))

        var generator = Philox(seed: 3), network = try entry.make(classes: choice.classes, using: &generator)
        if halves { try network.forEachState { (_, _, tensor) throws(TensorError) in
            if tensor.dtype == .float32 { try tensor.assign(tensor.detached().cast(to: .bfloat16).cast(to: .float32)) }
        } }
        let shape = entry.inputs[0].spec.shape, sizes = (1..<shape.rank).map { shape[$0].number ?? 12 }, count = sizes.reduce(1, *)
        let x = try Tensor.uniform(Shape([2] + sizes), in: -1...1, using: &generator)
        let wanted = try network([x], in: .prediction)[0].elements(Float.self), numbers = try x.elements(Float.self)
        func nested(_ numbers: ArraySlice<Float>, _ sizes: ArraySlice<Int>) -> JSON {
            guard let first = sizes.first else { return .number(Double(numbers[numbers.startIndex])) }
            let width = numbers.count / first
            return .array((0..<first).map { nested(numbers[(numbers.startIndex + $0 * width)..<(numbers.startIndex + ($0 + 1) * width)], sizes.dropFirst()) })
        }
        let inputs = (0..<2).map { nested(numbers[($0 * count)..<(($0 + 1) * count)], sizes[...]) }
        func flat(_ json: JSON?) -> [Double] { json?.doubleValue.map { [$0] } ?? elements(json).flatMap(flat) }
        let answers = elements(try answer(TensorPredictor(files: files), ["inputs": .array(inputs)])["predictions"])
        let found = answers.flatMap { flat($0[entry.outputs[0].name]) }
        // A program with fused steps, in float32.
        #expect(found.count == wanted.count && zip(found, wanted).allSatisfy { abs($0 - Double($1)) <= 1e-4 * max(1, abs($0)) })
    }
}

@Test func theFirstTensorThatIsWrongIsNamed() throws {
    let choice = NetworkChoice(name: "nlinear-96")
    func told(_ change: (inout [(name: String, tensor: Tensor)]) throws -> Void) throws -> (entry: String?, detail: String) {
        let told = try #require(problem(try weights(choice, change), choice))
        #expect((told.status, told.code) == (422, "model-weights-mismatch"), "\(told)")
        return (told.errors.first?.entry, told.detail)
    }
    #expect(try told { $0.removeLast() }.entry == "map.bias")
    #expect(try told { $0[0].name = "map.kernel" }.entry == "map.weight")
    #expect(try told { $0.append(("more\u{7}", try Tensor([Float(1)]))) }.entry?.hasPrefix("more") == true)
    let turned = try told { $0[0].tensor = try Tensor.zeros([96, 95]) }
    #expect(turned.entry == "map.weight" && turned.detail.contains("[96, 96]") && turned.detail.contains("[96, 95]"), "\(turned)")
    #expect(try told { $0[0].tensor = try Tensor.zeros([96, 96], .int64) }.entry == "map.weight")
}

@Test func weightsAloneAreNoModel() throws {
    let file = try weights(NetworkChoice(name: "nlinear-96"))
    #expect(problem(file)?.code == "model-network-missing")
    let model = try bytes("torch-cnn.onnx")
    #expect(problem(model, NetworkChoice(name: "nlinear-96"))?.code == "model-corrupt")
}

@Test func anUnknownNetworkIsAParametersFault() throws {
    func fault(_ choice: NetworkChoice) -> String? {
        do throws(Problem) {
            try choice.check()
            return nil
        } catch { return "\(error.status) \(error.errors.first?.parameter ?? "") \(error.detail)" }
    }
    #expect(fault(NetworkChoice(name: "resnet-18", classes: 7)) == nil)
    #expect(fault(NetworkChoice(name: "resnet-19"))?.hasPrefix("422 network ") == true)
    #expect(fault(NetworkChoice(name: "resnet-19"))?.contains("resnet-1") == true)
    #expect(fault(NetworkChoice(name: "nlinear-96", classes: 7))?.hasPrefix("422 classes ") == true)
    #expect(fault(NetworkChoice(name: "resnet-18", classes: 0))?.hasPrefix("422 classes ") == true)
}

/// The catalogue's: ONNX, weights (of a network that they aren't of), and no format that is taken.
@Test(arguments: BadInputs.cases(via: "model-import").filter { !$0.file.hasSuffix(".pkl") })
func modelOfTheCatalogueIsAnsweredAsItSays(_ row: BadInputs.Case) throws {
    let began = ContinuousClock.now, choice = row.file.hasSuffix(".safetensors") ? NetworkChoice(name: "nlinear-96") : nil
    if row.expect == "accept", choice != nil {
        // Sound, and read to the end; but its one tensor is none of a network's.
        #expect(try problem(BadInputs.bytes(of: row), choice)?.code == "model-weights-mismatch")
        return
    }
    do {
        try imported(BadInputs.bytes(of: row), choice) { _, _ in #expect(row.expect == "accept", "taken") }
    } catch let problem as Problem {
        #expect(row.expect != "accept", "\(problem)")
        #expect(problem.code == row.code && problem.status == row.status, "\(problem)")
        #expect(!problem.detail.contains("slipway-"), "a path of this machine is shown")
        if row.code == "model-unsupported-op" { #expect(problem.detail.contains("NoSuchOp of opset")) }
    }
    #expect(ContinuousClock.now - began < .seconds(60))
}
