internal import Foundation
internal import Keel
internal import KeelData
internal import KeelModels
internal import KeelNN
internal import KeelProgram
internal import SlipwayDomain
internal import SlipwaySystem

/// `model.json`: all that prediction needs beside the weights. Its format number rises when a reader of the old one
/// would go wrong; a reader of this one goes on reading every older format. With `metadata`, the folder of a model that has a `model.onnx` is a
/// `ModelFolder` of Keel's, too.
struct ModelManifest: Codable, Sendable {
    struct Column: Codable, Sendable, Hashable {
        var name: String
        var type: ColumnType
    }

    /// One trial's share in the model.
    struct Part: Codable, Sendable {
        var template: String
        var network: String
        var hyperparameters: [String: JSON]
        var seed: UInt64
        /// Units of the template's resource that were done.
        var resource: Double
        /// Its share in the mean of all parts' predictions.
        var weight: Double
        var members: Int
        var encoder: TableEncoder?
        var link: Link?
        var shape: NetworkShape?
        var input: NetworkInput?
    }

    struct File: Codable, Sendable {
        var bytes: Int
        var sha256: String
    }

    var format = 1
    var task: LearningTask
    /// In the order of the scores; empty for regression.
    var classes: [String]
    var columns: [Column]
    var target: String?
    var parts: [Part]
    /// The files beside this one.
    var files: [String: File]
    /// Nil in what was written before 2026-12.
    var metadata: ModelMetadata?

    static let name = "model.json", weights = "model.safetensors"
    /// The same model in the ONNX format, for other runtimes; there where it can be said in it.
    static let exchange = "model.onnx"

    /// What predict takes, as the API's model version shows it.
    var inputs: JSON {
        switch task.items {
        case .pictures: return ["kind": "picture", "media_types": ["image/png", "image/jpeg"]]
        case .rows:
            let columns = columns.filter { $0.name != target }.map { column -> JSON in
                ["name": .string(column.name), "type": .string(column.type.rawValue)]
            }
            return ["kind": "row", "columns": .array(columns)]
        }
    }
}

/// A model that was trained, before it is written or after it was read.
struct TrainedModel: Sendable {
    struct Part: Sendable {
        var description: ModelManifest.Part
        var members: [any Scorer]
    }

    var task: LearningTask
    var classes: [String]
    var columns: [ModelManifest.Column]
    var target: String?
    var parts: [Part]
    /// The model from elsewhere that imported networks among the members are of.
    var base: BaseModel?

    var manifest: ModelManifest {
        ModelManifest(
            task: task, classes: classes, columns: columns, target: target, parts: parts.map(\.description), files: [:],
            metadata: ModelMetadata(
                name: task.rawValue, labels: classes, lineage: ["templates": Set(parts.map(\.description.template)).sorted().joined(separator: ", ")]))
    }

    // MARK: Writing and reading

    /// Writes `model.json` and the weights into a folder, the files of the model that it goes on from, and `model.onnx` where the model can be said in that format.
    ///
    /// - Returns: the names of the files.
    func write(to folder: URL) throws -> [String] {
        var manifest = manifest
        var tensors: [(name: String, tensor: Tensor)] = []
        for (index, part) in parts.enumerated() {
            for (number, member) in part.members.enumerated() {
                let prefix = "part\(index).member\(number)."
                if number == 0, let encoder = (member as? NetworkScorer)?.encoder {
                    for state in try encoder.trunk.state() { tensors.append(("part\(index).encoder.\(state.name)", state.tensor)) }
                }
                switch member {
                case let member as ForestScorer:
                    for (name, tensor) in try member.forest.tensors { tensors.append((prefix + name, tensor)) }
                case let member as NetworkScorer:
                    for state in try member.network.state() { tensors.append((prefix + state.name, state.tensor)) }
                default: preconditionFailure("every scorer is written")
                }
            }
        }
        let weights = folder.appending(path: ModelManifest.weights)
        try Safetensors.write(tensors, to: weights.path)
        let bytes = try Data(contentsOf: weights, options: .mappedIfSafe)
        manifest.files[ModelManifest.weights] = .init(bytes: bytes.count, sha256: SHA256.digest(of: bytes).description)
        var names = [ModelManifest.name, ModelManifest.weights]
        for (name, path) in base?.filesOfVersion ?? [] {
            let copy = folder.appending(path: name)
            try FileManager.default.copyItem(at: URL(fileURLWithPath: path), to: copy)
            let bytes = try Data(contentsOf: copy, options: .mappedIfSafe)
            manifest.files[name] = .init(bytes: bytes.count, sha256: SHA256.digest(of: bytes).description)
            names.append(name)
        }
        if let exported = try onnx() {
            try File.writeDurably(Data(exported), to: folder.appending(path: ModelManifest.exchange).path)
            manifest.files[ModelManifest.exchange] = .init(bytes: exported.count, sha256: SHA256.digest(of: exported).description)
            names.append(ModelManifest.exchange)
        }
        let document = try JSONEncoder.ordered().encode(manifest)
        try File.writeDurably(document, to: folder.appending(path: ModelManifest.name).path)
        return names
    }

    /// - Parameter file: where a file of the model lies, by its name.
    /// - Errors: `ModelFault` when a file is missing, changed, or of a format that this build doesn't know.
    init(file: (_ name: String) throws -> URL) throws {
        let manifest: ModelManifest
        do {
            let bytes = try Data(contentsOf: file(ModelManifest.name))
            manifest = try JSONDecoder().decode(ModelManifest.self, from: bytes)
        } catch {
            throw ModelFault("model.json can't be read: \(error)")
        }
        guard manifest.format == 1 else { throw ModelFault("model.json has format \(manifest.format); this build reads 1") }
        guard manifest.files[ModelManifest.weights] != nil else { throw ModelFault("model.json names no weights") }
        /// Where one of the manifest's files lies, which is as it was written.
        func checked(_ name: String, _ expected: ModelManifest.File) throws -> String {
            let path = try file(name).path, bytes: Data
            do {
                bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
            } catch {
                throw ModelFault("\(name) can't be read: \(error)")
            }
            guard bytes.count == expected.bytes, SHA256.digest(of: bytes).description == expected.sha256 else {
                throw ModelFault("\(name) isn't what was written: \(bytes.count) bytes, expected \(expected.bytes)")
            }
            return path
        }
        var paths: [String: String] = [:]
        for (name, expected) in manifest.files where name != ModelManifest.exchange { paths[name] = try checked(name, expected) }
        let weights = try Safetensors(reading: paths[ModelManifest.weights] ?? "")
        base = try BaseModel(ofVersion: paths)
        task = manifest.task
        classes = manifest.classes
        columns = manifest.columns
        target = manifest.target
        parts = []
        for (index, description) in manifest.parts.enumerated() {
            guard let network = NetworkKind(rawValue: description.network), description.weight.isFinite,
                let link = description.link, link.isRegression || link.classes == classes.count,
                (1...100).contains(description.members)
            else { throw ModelFault("part \(index) can't be understood") }
            let encoder = network.pretrained == nil ? nil : try PictureEncoder(loading: weights, under: "part\(index).encoder.")
            let members: [any Scorer] = try (0..<description.members).map { number in
                let prefix = "part\(index).member\(number)."
                switch network {
                case .boostedTrees:
                    guard let encoder = description.encoder else { throw ModelFault("part \(index) has no encoder") }
                    let forest = try Forest(weights, prefix)
                    guard encoder.isSound(columns: manifest.columns.count),
                        forest.isSound(features: encoder.treeWidth, outputs: link.outputs)
                    else { throw ModelFault("the trees of part \(index) point outside of themselves") }
                    return ForestScorer(forest: forest, encoder: encoder, link: link)
                case .tableNetwork, .tableLinear, .resnet, .pictureFeatures, .pretrainedFeatures, .imported, .importedTable:
                    guard let shape = description.shape, let input = description.input, shape.isSound, input.isSound(columns: manifest.columns.count),
                        input.sizes[0] == shape.inputs, link.isRegression || shape.outputs == link.classes
                    else { throw ModelFault("part \(index) and its network don't fit each other") }
                    if shape.kind == .imported, base?.takes(input) != true { throw ModelFault("part \(index) and the model that it goes on from don't fit each other") }
                    var layer = try shape.network(seed: 0, base: base)
                    try layer.load(from: weights, under: prefix, allowingMore: true)
                    if case .encoded = input { guard encoder != nil else { throw ModelFault("part \(index) has no encoder") } }
                    return NetworkScorer(network: layer, input: input, link: link, encoder: encoder)
                }
            }
            parts.append(Part(description: description, members: members))
        }
        guard !parts.isEmpty else { throw ModelFault("the model has no parts") }
    }

    init(task: LearningTask, classes: [String], columns: [ModelManifest.Column], target: String?, parts: [Part], base: BaseModel? = nil) {
        self.task = task
        self.classes = classes
        self.columns = columns
        self.target = target
        self.parts = parts
        self.base = base
    }

    // MARK: Predicting

    var preparations: Set<PicturePreparation> { Set(parts.compactMap(\.description.input?.preparation)) }

    /// The weighted mean over the parts, each the mean of its members.
    func predictions(_ inputs: ModelInputs) throws -> Predictions {
        var all: [(predictions: Predictions, weight: Double)] = []
        for part in parts {
            let share = part.description.weight / Double(max(part.members.count, 1))
            for member in part.members { all.append((try member.predictions(inputs), share)) }
        }
        return .mean(all)
    }
}

/// A model folder that can't be used.
package struct ModelFault: Error, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}
