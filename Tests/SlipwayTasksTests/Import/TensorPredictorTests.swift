import Foundation
import SlipwayDomain
import SlipwayTasks
import Testing

/// A model as its import leaves it, in a folder that goes with it.
private final class BroughtModel {
    let result: ModelImportResult
    let files: [String: String]
    private let folder: URL

    /// - Throws: the import's `Problem`.
    init(_ bytes: [UInt8]) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-brought-\(UUID())")
        self.folder = folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let upload = folder.appending(path: "upload").path
        try Data(bytes).write(to: URL(filePath: upload))
        var result: ModelImportResult?, problem: Problem?
        let plan = TrainerPlan(work: .importModel(ModelImportPlan(upload: upload, limits: ImportLimits())), threads: 1)
        try TrainerMain.run(plan, in: folder) { event in
            if case .importedModel(let made) = event { result = made }
            if case .problem(let told) = event { problem = told }
        }
        if let problem {
            try FileManager.default.removeItem(at: folder)
            throw problem
        }
        self.result = try #require(result)
        files = Dictionary(uniqueKeysWithValues: self.result.files.map { ($0.name, $0.path.map { folder.appending(path: $0).path } ?? upload) })
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// The answers to a call; whole numbers as integers.
    func predictions(_ inputs: [JSON]) throws -> [JSON] {
        let body = try JSONEncoder().encode(["inputs": JSON.array(inputs)])
        let answer = try JSONReader.read([UInt8](try TensorPredictor(files: files).predict(json: body, modelVersion: "v", isAbandoned: { false })))
        guard case .array(let predictions)? = answer["predictions"] else { return [] }
        return predictions.map(\.withWholeNumbers)
    }

    /// `status pointer code` of what is wrong with a call.
    func fault(_ inputs: [JSON]) -> String {
        do { return "\(try predictions(inputs))" } catch let problem as Problem {
            return "\(problem.status) \(problem.errors.first?.pointer ?? "") \(problem.errors.first?.code ?? problem.code)"
        } catch { return "\(error)" }
    }
}

extension JSON {
    fileprivate var withWholeNumbers: JSON {
        switch self {
        case .number(let number): Int(exactly: number).map { .integer($0) } ?? self
        case .array(let elements): .array(elements.map(\.withWholeNumbers))
        case .object(let members): .object(members.mapValues(\.withWholeNumbers))
        default: self
        }
    }
}

private func acceptance(_ name: String) throws -> [UInt8] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: folder.appending(path: "AcceptanceTests/Models/\(name)")))
}

@Suite struct TensorPredictorTests {
    // MARK: What is taken

    /// External data may be called almost anything, but not what the platform's own files are.
    @Test(arguments: ["items.jsonl", "report.html"])
    func externalDataIsNotCalledLikeAFileOfOurs(name: String) throws {
        let whole = try BroughtModel(acceptance("torch-cnn-external.zip"))
        func bytes(_ file: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: whole.files[file] ?? ""))) }
        // As long as the name that the model has for it.
        let model = try Array(Data(bytes("model.onnx")).replacing(Data("weights.bin".utf8), with: Data(name.utf8)))
        let problem = #expect(throws: Problem.self) { try BroughtModel(SampleZip([("net.onnx", model), (name, bytes("weights.bin"))]).bytes) }
        #expect(problem?.code == "model-archive-content" && problem?.errors.first?.entry == name)
    }

    /// Some exporters write -1 for what they leave open.
    @Test func aNegativeSizeIsAnOpenOne() throws {
        var model = SampleModel([.init("x", [-1, 2])], [.init("y", [-1, 2])])
        model.add("Relu", ["x"], "y")
        let brought = try BroughtModel(model.bytes)
        #expect(brought.result.inputs["tensors"] == [["name": "x", "kind": "float32", "shape": [nil, 2]]])
        #expect(try brought.predictions([[1, -1], [[2, -2], [-3, 3]]]) == [["y": [1, 0]], ["y": [[2, 0], [0, 3]]]])
    }

    @Test func aModelWhoseShapesDoNotFitEachOtherIsRefused() throws {
        var model = SampleModel([.init("x", [2, 3])], [.init("y", [2, 5])])
        model.add("w", [4, 5], floats: [Float](repeating: 1, count: 20))
        model.add("MatMul", ["x", "w"], "y")
        #expect(#expect(throws: Problem.self) { try BroughtModel(model.bytes) }?.code == "model-invalid-graph")
    }

    /// A size that is given is one that zeros can't be.
    @Test func aModelThatZerosAreNothingForIsTaken() throws {
        var model = SampleModel([.init("shape", [2], kind: SampleModel.int64), .init("x", [6])], [.init("y", ["a", "b"])])
        model.add("Reshape", ["x", "shape"], "y")
        let brought = try BroughtModel(model.bytes)
        #expect(try brought.predictions([["shape": [2, 3], "x": [1, 2, 3, 4, 5, 6]]]) == [["y": [[1, 2, 3], [4, 5, 6]]]])
    }

    // MARK: What is a batch

    @Test func axesOfTwoNamesAreNoBatch() throws {
        var model = SampleModel([.init("nodes", ["N", 2]), .init("edges", ["E", 2])], [.init("a", ["N", 2]), .init("b", ["E", 2])])
        model.add("Relu", ["nodes"], "a")
        model.add("Relu", ["edges"], "b")
        let brought = try BroughtModel(model.bytes)
        #expect(brought.fault([["nodes": [1, 2], "edges": [3, 4]]]) == "422 /inputs/0/nodes shape-mismatch")
        #expect(try brought.predictions([["nodes": [[1, 2]], "edges": [[3, 4], [5, 6]]]]) == [["a": [[1, 2]], "b": [[3, 4], [5, 6]]]])
    }

    /// Three examples, and an output of three numbers that aren't theirs.
    @Test func anOutputWithoutTheBatchIsWhole() throws {
        var model = SampleModel([.init("x", ["n", 1])], [.init("y", ["n", 1]), .init("z", [3])])
        model.add("c", [3], floats: [7, 8, 9])
        model.add("Relu", ["x"], "y")
        model.add("Identity", ["c"], "z")
        let found = try BroughtModel(model.bytes).predictions([[1], [2], [3]])
        #expect(found == [["y": [1], "z": [7, 8, 9]], ["y": [2], "z": [7, 8, 9]], ["y": [3], "z": [7, 8, 9]]])
    }

    /// LightGBM's converter says that there is one label, whatever the batch.
    @Test func whatAFileSaysOfItsOutputsIsLookedAfter() throws {
        let input: JSON = ["input": [1, 2, 3, 4]]
        for prediction in try BroughtModel(acceptance("lightgbm.onnx")).predictions([input, input]) {
            #expect(prediction["label"]?.intValue != nil && prediction["probabilities"]?["0"] != nil, "\(prediction)")
        }
    }

    // MARK: Faults and limits

    @Test func theExampleAtFaultIsNamed() throws {
        var model = SampleModel([.init("ids", ["n", 2], kind: SampleModel.int64)], [.init("y", ["n", 2])])
        model.add("table", [3], floats: [5, 6, 7])
        model.add("Gather", ["table", "ids"], "y")
        let brought = try BroughtModel(model.bytes)
        #expect(try brought.predictions([[0, 1], [2, 2]]) == [["y": [5, 6]], ["y": [7, 7]]])
        #expect(brought.fault([[0, 1], [2, 0], [1, 1], [0, 9], [2, 2]]) == "422 /inputs/3 predict-model")
    }

    /// The limit is of all answers of a call together, and found before they are text.
    @Test func answersThatAreTooLargeAreRefused() throws {
        let width = 1_500_000
        var model = SampleModel([.init("x", ["n", 1])], [.init("y", ["n", .number(width)])])
        model.add("shape", [2], integers: [1, Int64(width)])
        model.add("Expand", ["x", "shape"], "y")
        let brought = try BroughtModel(model.bytes)
        let began = ContinuousClock.now
        #expect(brought.fault([[1], [2], [3]]) == "413 /inputs inference-too-large")
        #expect(brought.fault([[[1]], [2], [3]]) == "413 /inputs inference-too-large")
        #expect(brought.fault([[[1], [2], [3]]]) == "413 /inputs/0 inference-too-large")
        #expect(ContinuousClock.now - began < .seconds(60))

        // Arrays that hold nothing are as long to write.
        var empty = SampleModel([.init("x", ["n", 1])], [.init("y", ["n", "m", 0])])
        empty.add("shape", [3], integers: [1, 100_000_000, 0])
        empty.add("Expand", ["x", "shape"], "y")
        if let brought = try? BroughtModel(empty.bytes) { #expect(brought.fault([[[1]]]).hasPrefix("413")) }
    }
}
