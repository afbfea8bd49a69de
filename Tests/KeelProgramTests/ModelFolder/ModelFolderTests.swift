import Foundation
import Keel
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

/// A new folder for a test, which is removed after it.
private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let path = FileManager.default.temporaryDirectory.appending(path: "keel-model-\(UUID())").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

private struct Net: Layer {
    var hidden: Linear
    var norm: BatchNorm
    var head: Linear

    init(seed: UInt64) throws(TensorError) {
        var generator = Philox(seed: seed)
        hidden = try Linear(6, 16, using: &generator)
        norm = try BatchNorm(16)
        head = try Linear(16, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(context.dropped(norm(hidden(x, in: context), in: context).relu(), rate: 0.2), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try hidden.forEachState(body, under: "hidden")
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }

    func program() throws -> Program {
        try Program.trace({ try self($0, in: .prediction) }, input: "x", floats(.symbol("batch"), Dimension(6)))
    }
}

/// Forty examples of three classes, in batches whose order is a seed's.
private func batches() throws -> TensorBatches {
    var generator = Philox(seed: 9)
    let x = try Tensor.normal([40, 6], using: &generator)
    return try TensorBatches(x, x.sliced(1, to: 3).argMax(1), batchSize: 8, shuffledBy: 4)
}

private func trainer(seed: UInt64) throws -> Trainer<Net, [Tensor]> {
    let trainer = try Trainer(Net(seed: seed), seed: 3, averageDecay: 0.9, optimizer: { try AdamW($0, learningRate: 1e-2) }) {
        (net: Net, batch: [Tensor], context) in try net(batch[0], in: context).softmaxCrossEntropy(batch[1])
    }
    return trainer
}

private let metadata = ModelMetadata(
    name: "digits", version: "2", preprocessing: ["x": [.init("normalise", ["mean": [0.5], "deviation": [0.25]])]], labels: ["a", "b", "ü/\"c\""],
    lineage: ["seed": "3"])

@Test func aModelFolderHoldsWhatWasWritten() throws {
    try withFolder { folder in
        let net = try Net(seed: 1), path = folder + "/model"
        try ModelFolder.write(net.program(), tensors: Checkpoint.tensors(net), metadata: metadata, to: path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).sorted() == ["model.json", "model.onnx", "model.safetensors"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model"])

        let read = try ModelFolder(reading: path)
        #expect(read.metadata == metadata)
        var generator = Philox(seed: 2)
        let x = try Tensor.normal([5, 6], using: &generator)
        try expectClose([#require(read.run(["x": x])["output"])], [net(x, in: .prediction)], 1e-5)

        var other = try Net(seed: 7)
        try Checkpoint.load(&other, from: read.weights)
        try expectEqual([other(x, in: .prediction)], [net(x, in: .prediction)])
    }
}

/// Of a program that reads a network's parameters as they lie in an optimiser's store, and its running statistics, each number is there once.
@Test func weightsAreThereOnce() throws {
    try withFolder { folder in
        var net = try Net(seed: 1)
        let optimizer = try AdamW(ParameterStore(&net), learningRate: 1e-2), ready = net
        let program = try Program.trace(
            { try ready($0[0], in: .prediction) }, inputs: ["x": floats(.symbol("batch"), Dimension(6))], state: optimizer.state() + net.buffers())
        try ModelFolder.write(program, tensors: Checkpoint.tensors(net, optimizer), metadata: metadata, to: folder + "/model")
        let read = try ModelFolder(reading: folder + "/model")
        #expect(!read.weights.entries.contains { $0.name.hasPrefix("program.") })
        #expect(try Set(read.weights.entries.map(\.name)).isSuperset(of: net.state().map { "model." + $0.name }))
        let graph = try FileManager.default.attributesOfItem(atPath: folder + "/model/model.onnx")[.size] as? Int
        #expect(try #require(graph) < 6000)
        var generator = Philox(seed: 2)
        let x = try Tensor.normal([5, 6], using: &generator)
        try expectClose([#require(read.run(["x": x])["output"])], [net(x, in: .prediction)], 1e-5)
    }
}

/// Names that the graph would give its own constants, and its input's.
@Test func weightsMayHaveAnyNames() throws {
    try withFolder { folder in
        var generator = Philox(seed: 3)
        let layer = try Linear(6, 30, using: &generator), other = try Tensor.normal([30], using: &generator)
        let program = try Program.trace({ x in try (layer(x, in: .prediction) + other) * 2 }, input: "x", floats(.symbol("batch"), Dimension(6)))
        let tensors = [("constant", try Tensor(Float(7))), ("x", layer.weight), ("gemm", other), ("program.0", try Tensor(Float(3)))]
        try ModelFolder.write(program, tensors: tensors, metadata: metadata, to: folder + "/model")
        let x = try Tensor.normal([2, 6], using: &generator), read = try ModelFolder(reading: folder + "/model")
        try expectClose([#require(read.run(["x": x])["output"])], program.run([x]), 1e-5)
        for (name, tensor) in tensors { try expectEqual([#require(try read.weights.tensor(named: name))], [tensor]) }
    }
}

/// Network, running statistics, optimiser, running mean, the data's order and dropout's randomness: the same bytes as if nothing had been saved.
@Test func trainingGoesOnFromAModelFolderAsIfItHadNeverStopped() throws {
    try withFolder { folder in
        var data = try batches()
        let straight = try trainer(seed: 1)
        try straight.train(on: &data, epochs: 4)

        var first = try batches(), second = try batches()
        let before = try trainer(seed: 1)
        try before.train(on: &first, epochs: 2)
        try ModelFolder.write(
            before.network.program(), tensors: Checkpoint.tensors(before.network, before.optimizer, average: before.average), notes: before.notes,
            metadata: metadata, to: folder + "/model")
        let after = try trainer(seed: 8)
        try after.restore(from: ModelFolder(reading: folder + "/model").weights)
        try after.train(on: &second, epochs: 4)

        let (a, b) = (
            try Checkpoint.tensors(straight.network, straight.optimizer, average: straight.average),
            try Checkpoint.tensors(after.network, after.optimizer, average: after.average)
        )
        #expect(a.map(\.name) == b.map(\.name))
        try expectEqual(b.map(\.tensor), a.map(\.tensor))
    }
}

/// The same for a training step that is a program, which goes on from a folder that eager training wrote.
@Test func aTrainingProgramGoesOnFromAModelFolder() throws {
    func step(_ net: Net, _ optimizer: AdamW) throws -> Program {
        try Program.trace(
            { inputs in
                let loss = try net(inputs[0], in: .training(random: inputs[2])).softmaxCrossEntropy(inputs[1])
                try optimizer.minimise(loss)
                return loss.detached()
            }, inputs: ["x": floats(Dimension(8), Dimension(6)), "labels": TensorSpec([8], .int64), "random": TensorSpec([2], .int64)],
            state: optimizer.state() + net.buffers())
    }
    func inputs(_ step: Int) throws -> [Tensor] {
        var generator = Philox(seed: UInt64(step))
        let x = try Tensor.normal([8, 6], using: &generator)
        return [x, try x.sliced(1, to: 3).argMax(1), try Tensor([Int64(3), Int64(step)])]
    }
    try withFolder { folder in
        var net = try Net(seed: 1)
        let optimizer = try AdamW(ParameterStore(&net), learningRate: 1e-2), program = try step(net, optimizer)
        for i in 0..<3 { _ = try program.run(inputs(i)) }
        try ModelFolder.write(net.program(), tensors: Checkpoint.tensors(net, optimizer), metadata: metadata, to: folder + "/model")

        var copy = try Net(seed: 5)
        let again = try AdamW(ParameterStore(&copy), learningRate: 1e-2), second = try step(copy, again)
        try Checkpoint.load(&copy, again, from: ModelFolder(reading: folder + "/model").weights)
        for i in 3..<6 { try expectEqual(second.run(inputs(i)), program.run(inputs(i))) }
        try expectEqual(Checkpoint.tensors(copy, again).map(\.tensor), Checkpoint.tensors(net, optimizer).map(\.tensor))
    }
}

@Test func aModelTakesTheOldOnesPlaceWhole() throws {
    try withFolder { folder in
        let path = folder + "/model"
        for seed in 1...2 {
            let net = try Net(seed: UInt64(seed))
            try ModelFolder.write(net.program(), metadata: ModelMetadata(name: "\(seed)"), to: path)
            #expect(try ModelFolder(reading: path).metadata.name == "\(seed)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model"])
        }
        // What can't be written leaves nothing behind, and the old model as it was.
        let program = try Program.trace({ x in try x.cumulativeMax(1).values }, input: "x", floats(.symbol("batch"), Dimension(6)))
        #expect(throws: ONNXError.self) { try ModelFolder.write(program, metadata: metadata, to: path) }
        #expect(throws: ModelFolderError.self) { try ModelFolder.write(Net(seed: 1).program(), metadata: metadata, to: folder + "/nowhere/model") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model"])
        #expect(try ModelFolder(reading: path).metadata.name == "2")
    }
}

/// Neither reading nor tracing copies weights: they lie in the file's mapping.
@Test func weightsStayInTheFile() throws {
    try withFolder { folder in
        let net = try Net(seed: 1), path = folder + "/model"
        try ModelFolder.write(net.program(), tensors: Checkpoint.tensors(net), metadata: metadata, to: path)
        let read = try ModelFolder(reading: path), program = try Program(onnx: read.graph)
        let weights = program.graph.constants.values.filter { $0.count >= 48 }
        #expect(weights.count == 2)
        for weight in weights { #expect(weight.isMapped) }
    }
}

/// A tensor of a model lies in its file; what writes over it changes a page of its own, not the file.
@Test func writingOverAMappedWeightDoesntChangeTheFile() throws {
    try withFolder { folder in
        let net = try Net(seed: 1), path = folder + "/model"
        try ModelFolder.write(net.program(), tensors: Checkpoint.tensors(net), metadata: metadata, to: path)
        let read = try ModelFolder(reading: path)
        guard case .tensor(let weight, .float32)? = read.graph.initializers["model.hidden.weight"] else { throw ModelFolderError.manifest("no weight") }
        try weight.assign(.zeros([16, 6]))
        #expect(try weight.elements() == [Float](repeating: 0, count: 96))
        _ = try ModelFolder(reading: path)
    }
}

// What a folder from elsewhere may be.

private enum Damage: String, CaseIterable {
    case aByteOfTheGraph, aByteOfTheWeights, shortWeights, noWeights, noGraph, noManifest, linkedWeights, linkedManifest, weightsAreAFolder
    case aPathOutside, notJSON, deepJSON, hugeManifest, newFormat, formatOfText, negativeBytes, wrongHash, noFiles

    var document: ((inout [String: Any]) -> Void)? {
        func files(_ change: @escaping (inout [String: Any]) -> Void) -> (inout [String: Any]) -> Void {
            { document in
                var files = document["files"] as? [String: Any] ?? [:]
                change(&files)
                document["files"] = files
            }
        }
        switch self {
        case .aPathOutside: return files { files in
            files["../model/model.safetensors"] = files["model.safetensors"]
            files["model.safetensors"] = nil
        }
        case .newFormat: return { $0["format"] = 2 }
        case .formatOfText: return { $0["format"] = "1" }
        case .negativeBytes: return files { $0["model.onnx"] = ["bytes": -1, "sha256": ""] }
        case .wrongHash: return files { files in
            let bytes = (files["model.onnx"] as? [String: Any])?["bytes"] ?? 0
            files["model.onnx"] = ["bytes": bytes, "sha256": String(repeating: "0", count: 64)]
        }
        case .noFiles: return { $0["files"] = nil }
        default: return nil
        }
    }

    func apply(to folder: String) throws {
        let manager = FileManager.default
        func path(_ name: String) -> String { "\(folder)/\(name)" }
        func flip(_ name: String) throws {
            var bytes = try Data(contentsOf: URL(filePath: path(name)))
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: URL(filePath: path(name)))
        }
        func link(_ name: String) throws {
            try manager.moveItem(atPath: path(name), toPath: path("real"))
            try manager.createSymbolicLink(atPath: path(name), withDestinationPath: "real")
        }
        if let document {
            var manifest = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path("model.json")))) as? [String: Any])
            document(&manifest)
            return try JSONSerialization.data(withJSONObject: manifest).write(to: URL(filePath: path("model.json")))
        }
        switch self {
        case .aByteOfTheGraph: try flip("model.onnx")
        case .aByteOfTheWeights: try flip("model.safetensors")
        case .shortWeights: try Data(contentsOf: URL(filePath: path("model.safetensors"))).dropLast(4).write(to: URL(filePath: path("model.safetensors")))
        case .noWeights: try manager.removeItem(atPath: path("model.safetensors"))
        case .noGraph: try manager.removeItem(atPath: path("model.onnx"))
        case .noManifest: try manager.removeItem(atPath: path("model.json"))
        case .linkedWeights: try link("model.safetensors")
        case .linkedManifest: try link("model.json")
        case .weightsAreAFolder:
            try manager.removeItem(atPath: path("model.safetensors"))
            try manager.createDirectory(atPath: path("model.safetensors"), withIntermediateDirectories: false)
        case .notJSON: try Data("{\"format\": 1,".utf8).write(to: URL(filePath: path("model.json")))
        case .deepJSON: try Data(String(repeating: "[", count: 100_000).utf8).write(to: URL(filePath: path("model.json")))
        case .hugeManifest: try Data(count: 17 << 20).write(to: URL(filePath: path("model.json")))
        default: break
        }
    }
}

@Test(arguments: Damage.allCases)
private func aDamagedFolderIsRefused(_ damage: Damage) throws {
    try withFolder { folder in
        let net = try Net(seed: 1), path = folder + "/model"
        try ModelFolder.write(net.program(), tensors: Checkpoint.tensors(net), metadata: metadata, to: path)
        try damage.apply(to: path)
        #expect(throws: ModelFolderError.self, "\(damage)") { try ModelFolder(reading: path) }
    }
}

/// The hashes are right; what they are of isn't.
@Test(arguments: [
    Message.external("w", [2], "other.bin"), .external("w", [2], "../model.safetensors"), .external("w", [2], "model.onnx"),
    .external("w", [1 << 40], "model.safetensors"), .external("w", [2], "model.safetensors", offset: "999999"),
    .external("w", [2], "model.safetensors", offset: "-1"), Message().int(1, 2).int(2, 99).text(8, "w").data(9, Message.two),
])
func aGraphThatReachesOutOfItsFolderIsRefused(_ tensor: Message) throws {
    try withFolder { folder in
        let path = folder + "/model"
        try ModelFolder.write(Net(seed: 1).program(), metadata: metadata, to: path)
        try Data(Message.addition(tensor).bytes).write(to: URL(filePath: path + "/model.onnx"))
        try seal(path)
        #expect(throws: ONNXError.self) { try ModelFolder(reading: path) }
    }
}

@Test func aGraphThatGoesInACircleIsRefused() throws {
    try withFolder { folder in
        let path = folder + "/model"
        try ModelFolder.write(Net(seed: 1).program(), metadata: metadata, to: path)
        let circle = Message.model(.graph([.node("Add", ["x", "b"], ["a"]), .node("Relu", ["a"], ["b"])], [.value("x")], [.value("b")]))
        try Data(circle.bytes).write(to: URL(filePath: path + "/model.onnx"))
        try seal(path)
        #expect { try ModelFolder(reading: path) } throws: { if case ONNXError.notDefined = $0 { true } else { false } }
    }
}

/// Makes the manifest say what the files now are, as their forger would.
private func seal(_ path: String) throws {
    let manifest = URL(filePath: path + "/model.json")
    var document = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: manifest)) as? [String: Any])
    var files: [String: Any] = [:]
    for name in ["model.onnx", "model.safetensors"] {
        let file = try MappedFile("\(path)/\(name)")
        files[name] = ["bytes": file.bytes.count, "sha256": file.sha256]
    }
    document["files"] = files
    try JSONSerialization.data(withJSONObject: document).write(to: manifest)
}

/// Folders of each format that there ever was. A new format adds one; old ones stay as they are.
@Test(arguments: [1])
func oldFormatsStayLoadable(_ format: Int) throws {
    let golden = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/format-\(format)").path
    let folder = try ModelFolder(reading: golden)
    #expect(folder.metadata == ModelMetadata(name: "golden", preprocessing: ["x": [.init("scale", ["factor": [0.5]])]], labels: ["no", "yes"], lineage: ["seed": "1"]))
    var generator = Philox(seed: 0), layer = try Linear(2, 2, using: &generator)
    #expect(try Checkpoint.load(&layer, from: folder.weights) == ["step": "7"])
    #expect(try layer.weight.elements() == [1, -2, 0.5, 3])
    let y = try #require(folder.run(["x": Tensor([Float(2), 1, -1, 4], [2, 2])])["output"])
    #expect(try y.elements() == [0.25, 3.5, -8.75, 11])
}

/// Writes a golden folder of the newest format, where a path for it is given. Those that are committed are never written anew.
@Test(.enabled(if: ProcessInfo.processInfo.environment["KEEL_WRITE_GOLDEN"] != nil))
func writeGoldenFolder() throws {
    var generator = Philox(seed: 0), layer = try Linear(2, 2, using: &generator)
    layer.weight = try Tensor([Float(1), -2, 0.5, 3], [2, 2])
    layer.bias = try Tensor([Float(0.25), -0.5])
    let ready = layer, program = try Program.trace({ try ready($0, in: .prediction) }, input: "x", floats(.symbol("batch"), Dimension(2)))
    let metadata = ModelMetadata(name: "golden", preprocessing: ["x": [.init("scale", ["factor": [0.5]])]], labels: ["no", "yes"], lineage: ["seed": "1"])
    try ModelFolder.write(
        program, tensors: Checkpoint.tensors(layer), notes: ["step": "7"], metadata: metadata, to: #require(ProcessInfo.processInfo.environment["KEEL_WRITE_GOLDEN"]))
}

@Test func onlyAModelsFolderIsReplaced() throws {
    try withFolder { folder in
        let program = try Net(seed: 1).program(), files = FileManager.default
        func write(to path: String) throws { try ModelFolder.write(program, metadata: metadata, to: path) }
        // One of something else, one with a model and something else, and one with another format's manifest.
        try files.createDirectory(atPath: folder + "/own", withIntermediateDirectories: true)
        try Data("notes".utf8).write(to: URL(filePath: folder + "/own/notes.txt"))
        try write(to: folder + "/more")
        try Data("notes".utf8).write(to: URL(filePath: folder + "/more/notes.txt"))
        try write(to: folder + "/other")
        try Data("{\"format\": 9}".utf8).write(to: URL(filePath: folder + "/other/model.json"))
        for name in ["own", "more", "other"] {
            let before = try files.contentsOfDirectory(atPath: "\(folder)/\(name)").sorted()
            #expect(throws: ModelFolderError.self) { try write(to: "\(folder)/\(name)") }
            #expect(try files.contentsOfDirectory(atPath: "\(folder)/\(name)").sorted() == before)
        }
        // A model is, and what is empty; a name may end with slashes.
        try files.createDirectory(atPath: folder + "/empty", withIntermediateDirectories: true)
        for name in ["model", "model/", "model//", "empty/"] {
            try write(to: "\(folder)/\(name)")
            #expect(try files.contentsOfDirectory(atPath: "\(folder)/\(name)").count == 3)
        }
        #expect(try files.contentsOfDirectory(atPath: folder).sorted() == ["empty", "model", "more", "other", "own"])
    }
}
