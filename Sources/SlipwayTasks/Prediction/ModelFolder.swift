internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// `model.json`: all that prediction needs beside the weights. Its format number rises when a reader of the old one
/// would go wrong; a reader of this one goes on reading every older format.
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
        var pictures: PicturePreparation?
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

    static let name = "model.json", trees = "trees.json", weights = "model.safetensors"

    /// What predict takes, as the API's model version shows it.
    var inputs: JSON {
        guard task.isTabular else {
            return ["kind": "picture", "media_types": ["image/png", "image/jpeg"]]
        }
        let columns = columns.filter { $0.name != target }.map { column -> JSON in
            ["name": .string(column.name), "type": .string(column.type.rawValue)]
        }
        return ["kind": "row", "columns": .array(columns)]
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

    var manifest: ModelManifest {
        ModelManifest(
            task: task, classes: classes, columns: columns, target: target, parts: parts.map(\.description), files: [:])
    }

    // MARK: Writing and reading

    /// Writes `model.json` and the weights into a folder.
    ///
    /// - Returns: the names of the files.
    func write(to folder: URL) throws -> [String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var manifest = manifest
        var names: [String] = []
        func write(_ bytes: Data, as name: String) throws {
            try writeDurably(bytes, to: folder.appending(path: name))
            manifest.files[name] = .init(bytes: bytes.count, sha256: Digest(of: bytes).hex)
            names.append(name)
        }
        let forests = parts.map { $0.members.compactMap { ($0 as? ForestScorer)?.forest } }
        if forests.contains(where: { !$0.isEmpty }) {
            try write(try encoder.encode(StoredForests(parts: forests)), as: ModelManifest.trees)
        }
        let document = try encoder.encode(manifest)
        try writeDurably(document, to: folder.appending(path: ModelManifest.name))
        return [ModelManifest.name] + names
    }

    /// - Errors: `ModelFault` when a file is missing, changed, or of a format that this build doesn't know.
    init(from folder: URL) throws {
        let manifest: ModelManifest
        do {
            let bytes = try Data(contentsOf: folder.appending(path: ModelManifest.name))
            manifest = try JSONDecoder().decode(ModelManifest.self, from: bytes)
        } catch {
            throw ModelFault("model.json can't be read: \(error)")
        }
        guard manifest.format == 1 else { throw ModelFault("model.json has format \(manifest.format); this build reads 1") }
        func read(_ name: String) throws -> Data {
            guard let expected = manifest.files[name] else { throw ModelFault("model.json names no \(name)") }
            let bytes = try Data(contentsOf: folder.appending(path: name), options: .mappedIfSafe)
            guard bytes.count == expected.bytes, Digest(of: bytes).hex == expected.sha256 else {
                throw ModelFault("\(name) isn't what was written: \(bytes.count) bytes, expected \(expected.bytes)")
            }
            return bytes
        }
        task = manifest.task
        classes = manifest.classes
        columns = manifest.columns
        target = manifest.target
        var forests: [[Forest]]?
        parts = []
        for (index, description) in manifest.parts.enumerated() {
            guard let network = NetworkKind(rawValue: description.network), description.weight.isFinite else {
                throw ModelFault("part \(index) has an unknown network '\(description.network)'")
            }
            let members: [any Scorer]
            switch network {
            case .boostedTrees:
                if forests == nil {
                    forests = try JSONDecoder().decode(StoredForests.self, from: read(ModelManifest.trees)).parts
                }
                guard let encoder = description.encoder, let link = description.link, let forests,
                    forests.indices.contains(index), forests[index].count == description.members,
                    encoder.columns.allSatisfy({ columns.indices.contains($0.index) }),
                    link.kind == .identity || link.classes == classes.count
                else { throw ModelFault("part \(index) and its trees don't fit each other") }
                members = try forests[index].map { forest in
                    guard forest.isSound(features: encoder.treeWidth, outputs: link.outputs) else {
                        throw ModelFault("the trees of part \(index) point outside of themselves")
                    }
                    return ForestScorer(forest: forest, encoder: encoder, link: link)
                }
            case .tableNetwork, .tableLinear, .resnet, .pictureFeatures:
                throw ModelFault("part \(index) has an unknown network '\(description.network)'")
            }
            parts.append(Part(description: description, members: members))
        }
        guard !parts.isEmpty else { throw ModelFault("the model has no parts") }
    }

    init(task: LearningTask, classes: [String], columns: [ModelManifest.Column], target: String?, parts: [Part]) {
        self.task = task
        self.classes = classes
        self.columns = columns
        self.target = target
        self.parts = parts
    }

    // MARK: Predicting

    var preparations: Set<PicturePreparation> { Set(parts.compactMap(\.description.pictures)) }

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

/// `trees.json`: the trees of each part's members.
private struct StoredForests: Codable {
    var format = 1
    var parts: [[Forest]]
}

/// A model folder that can't be used.
package struct ModelFault: Error, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}
