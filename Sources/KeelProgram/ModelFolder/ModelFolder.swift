import Foundation
public import Keel

/// A model on disk: a folder with its graph (`model.onnx`), its weights (`model.safetensors`, which the graph refers to, so that they are there once), and
/// `model.json` with what else is known of it and the size and SHA-256 of both.
///
/// The weights' file is a checkpoint, too: `Checkpoint.load` of KeelNN takes a network's parameters, and an optimiser's moments where they were saved,
/// from it, so that training goes on from a model.
///
/// ```swift
/// let program = try Program.trace({ try network($0, in: .prediction) }, input: "images", spec)
/// try ModelFolder.write(program, tensors: Checkpoint.tensors(network, optimizer), metadata: ModelMetadata(name: "digits"), to: path)
///
/// let folder = try ModelFolder(reading: path)
/// let scores = try folder.run(["images": images])["output"]
/// try Checkpoint.load(&network, optimizer, from: folder.weights)
/// ```
public struct ModelFolder: Sendable {
    public let metadata: ModelMetadata
    /// The graph with its weights, which lie in the mapped file: a program, if it can be traced.
    public let model: ImportedModel
    package let graph: ONNXModel
    /// All tensors by their names, with the notes that they were saved with.
    public let weights: Safetensors

    // Writing.

    /// Writes a program as a model: into a folder beside `path` first, which is flushed to disk and then takes that name, so that at no moment
    /// is there half a model under it. A model that had the name is gone then; a folder with anything else in it stays.
    ///
    /// - Parameters:
    ///   - tensors: the weights by their names, such as `Checkpoint.tensors(network)`, and what else is to be kept, such as an optimiser's state. The program's
    ///     constants that have the same numbers are these; others lie beside them as `program.<n>`.
    ///   - notes: text that is kept with the tensors, such as a trainer's progress.
    /// - Throws: as `Program.writeONNX`; `TensorError.argument` for a name that comes twice; `ModelFolderError.file`, `TensorError.file`.
    public static func write(
        _ program: Program, tensors: [(name: String, tensor: Tensor)] = [], notes: [String: String] = [:], metadata: ModelMetadata, opset: Int = 17,
        to path: String
    ) throws {
        let folder = try NewFolder(path), temporary = folder.temporary
        func file(_ name: String) -> String { "\(temporary)/\(name)" }

        var model = try program.onnx(opset: opset, weights: tensors)
        var kept = tensors.map { (name: $0.name, tensor: $0.tensor.detached()) }
        kept += model.unnamedWeights(beside: Set(kept.map(\.name)))
        // The widest first: then each tensor lies at a multiple of its elements' width, and needs no copy to be read.
        kept = kept.enumerated().sorted { (-$0.element.tensor.dtype.width, $0.offset) < (-$1.element.tensor.dtype.width, $1.offset) }.map(\.element)
        try Safetensors.write(kept, metadata: notes, to: file(ModelManifest.weights))
        model.refer(to: try Safetensors(reading: file(ModelManifest.weights)), named: ModelManifest.weights)

        var writer = ProtobufWriter()
        model.write(to: &writer)
        try NewFile.write(to: file(ModelManifest.graph)) { file in try writer.forEachPiece { try file.write($0) } }

        var manifest = ModelManifest(files: [:], metadata: metadata)
        for name in [ModelManifest.graph, ModelManifest.weights] {
            let written = try MappedFile(file(name))
            manifest.files[name] = ModelManifest.File(bytes: written.bytes.count, sha256: written.sha256)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let document = try encoder.encode(manifest)
        try NewFile.write(to: file(ModelManifest.name)) { file in try file.write(Array(document)) }
        try checkReplaceable(folder.path)
        try folder.publish()
    }

    /// - Throws: `ModelFolderError.file` where a folder has the name that isn't empty and not a model's alone.
    private static func checkReplaceable(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        func refused(_ what: String) -> ModelFolderError { .file(name: path, "there is something else than a model, which stays: \(what)") }
        let found: [String]
        do { found = try FileManager.default.contentsOfDirectory(atPath: path) } catch { throw refused("it isn't a folder that can be read") }
        if found.isEmpty { return }
        let own = [ModelManifest.name, ModelManifest.graph, ModelManifest.weights]
        if let other = found.filter({ !own.contains($0) }).min() { throw refused("'\(other)'") }
        do { _ = try manifest(in: path) } catch { throw refused("\(error)") }
    }

    // Reading.

    /// Opens a model. Both files are mapped once, their sizes and SHA-256 are compared with what `model.json` says, and only then are they read. What else
    /// it lists is for others: a trained model of Slipway's platform is such a folder, too.
    ///
    /// - Throws: `ModelFolderError`; `ONNXError` and `TensorError` for a graph or weights that aren't sound.
    public init(reading path: String, limits: ONNXLimits = ONNXLimits()) throws {
        let manifest = try Self.manifest(in: path)
        var files: [String: MappedFile] = [:]
        for (name, expected) in manifest.files where [ModelManifest.graph, ModelManifest.weights].contains(name) {
            let file = try Self.open(name, in: path)
            guard file.bytes.count == expected.bytes else {
                throw ModelFolderError.changed(name: name, expected: "\(expected.bytes) bytes", found: "\(file.bytes.count) bytes")
            }
            let digest = file.sha256
            guard digest == expected.sha256 else { throw ModelFolderError.changed(name: name, expected: expected.sha256, found: digest) }
            files[name] = file
        }
        guard let graph = files[ModelManifest.graph], let weights = files[ModelManifest.weights] else {
            preconditionFailure("the manifest names both")
        }
        metadata = manifest.metadata
        self.weights = try Safetensors(weights, at: "\(path)/\(ModelManifest.weights)")
        self.graph = try ONNXModel(MappedBytes(graph), .files([ModelManifest.weights: MappedBytes(weights)]), limits)
        model = try ImportedModel(self.graph)
    }

    /// The outputs by their names.
    ///
    /// - Throws: as `ImportedModel.run`; `ONNXError.graph` for an output that isn't a tensor.
    public func run(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
        let made = try model.run(inputs.mapValues { ONNXValue($0) })
        var outputs: [String: Tensor] = [:]
        for (port, value) in zip(model.outputs, made) {
            guard case .tensor(let tensor, _) = value else { throw ONNXError.graph("the output '\(port.name)' isn't a tensor") }
            outputs[port.name] = tensor
        }
        return outputs
    }

    private static func open(_ name: String, in folder: String) throws -> MappedFile {
        do {
            return try MappedFile("\(folder)/\(name)", followsLinks: false)
        } catch {
            guard case .file(_, let what) = error.reason else { throw error }
            throw ModelFolderError.file(name: name, what)
        }
    }

    private static func manifest(in folder: String) throws -> ModelManifest {
        let file = try open(ModelManifest.name, in: folder), count = file.bytes.count
        guard count <= ModelManifest.maximumBytes else { throw ModelFolderError.manifest("\(count) bytes, at most \(ModelManifest.maximumBytes) are read") }
        struct Format: Decodable { let format: Int }
        let document = Data(file.bytes), decoder = JSONDecoder()
        let manifest: ModelManifest
        do {
            let format = try decoder.decode(Format.self, from: document).format
            guard (1...ModelManifest.format).contains(format) else { throw ModelFolderError.format(format, newest: ModelManifest.format) }
            manifest = try decoder.decode(ModelManifest.self, from: document)
        } catch let error as DecodingError {
            throw ModelFolderError.manifest("\(error)")
        }
        let expected = [ModelManifest.graph, ModelManifest.weights]
        guard expected.allSatisfy({ manifest.files[$0] != nil }) else { throw ModelFolderError.files(given: manifest.files.keys.sorted(), expected: expected) }
        return manifest
    }
}

extension Program {
    /// Writes the program as an ONNX model whose weights are a safetensors file's, which will lie beside it. What the file holds in other numbers
    /// (halves, say) is in the model.
    ///
    /// - Parameters:
    ///   - weights: the tensors that were read from the file, by their names there.
    ///   - name: what the file will be called.
    /// - Returns: whether the model needs the file.
    /// - Throws: as `writeONNX(to:opset:weights:)`.
    package func writeONNX(
        to path: String, opset: Int = 17, weights: [(name: String, tensor: Tensor)], of file: Safetensors, named name: String
    ) throws -> Bool {
        var model = try onnx(opset: opset, weights: weights)
        let count = model.refer(to: file, named: name)
        var writer = ProtobufWriter()
        model.write(to: &writer)
        try NewFile.write(to: path) { file in try writer.forEachPiece { try file.write($0) } }
        return count > 0
    }
}

extension ONNX.Model {
    /// Weights of a program that nobody named get names of their own, and are given; small ones stay in the graph.
    fileprivate mutating func unnamedWeights(beside names: Set<String>) -> [(name: String, tensor: Tensor)] {
        guard var graph else { return [] }
        let taken = names.union((graph.inputs + graph.outputs).map(\.name))
        var found: [(name: String, tensor: Tensor)] = []
        for place in graph.initializers.indices where !names.contains(graph.initializers[place].name) {
            guard let numbers = graph.initializers[place].numbers, numbers.count * numbers.dtype.width > 256 else { continue }
            var name = "program.\(found.count)"
            while taken.contains(name) { name += "_" }
            graph.rename(graph.initializers[place].name, name)
            found.append((name, numbers))
        }
        self.graph = graph
        return found
    }

    /// Initialisers that the file holds as the model has them lie there and no longer in the model.
    ///
    /// - Returns: how many do.
    @discardableResult
    fileprivate mutating func refer(to weights: Safetensors, named name: String) -> Int {
        guard var graph else { return 0 }
        var count = 0
        for place in graph.initializers.indices {
            let initializer = graph.initializers[place]
            guard let entry = weights[initializer.name], entry.dtype == initializer.numbers?.dtype else { continue }
            graph.initializers[place].lie(in: name, at: weights.range(of: entry))
            count += 1
        }
        self.graph = graph
        return count
    }
}

extension ONNX.Graph {
    fileprivate mutating func rename(_ initializer: String, _ name: String) {
        for place in initializers.indices where initializers[place].name == initializer { initializers[place].name = name }
        for place in nodes.indices { nodes[place].inputs = nodes[place].inputs.map { $0 == initializer ? name : $0 } }
    }
}
