import Foundation
import Keel
import SlipwayDomain
import SlipwayTasks
import Testing

/// A model as the trainer imports it.
///
/// - Returns: its files, paths by name, in `directory`, and what the import found of its training.
func imported(_ bytes: [UInt8], in directory: URL) throws -> (files: [String: String], fact: FineTuning) {
    let place = directory.appending(path: "import-\(UUID())")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    let upload = place.appending(path: "upload").path
    try Data(bytes).write(to: URL(filePath: upload))
    var result: ModelImportResult?
    try TrainerMain.run(TrainerPlan(work: .importModel(ModelImportPlan(upload: upload, limits: ImportLimits())), threads: 1), in: place) { event in
        if case .importedModel(let made) = event { result = made }
        if case .problem(let problem) = event { throw problem }
    }
    let made = try #require(result), fact = try #require(made.facts[FineTuning.fact])
    let files = Dictionary(uniqueKeysWithValues: made.files.map { ($0.name, $0.path.map { place.appending(path: $0).path } ?? upload) })
    return (files, try JSONDecoder().decode(FineTuning.self, from: JSONEncoder().encode(fact)))
}

func fineTuning(of bytes: [UInt8]) throws -> FineTuning {
    let directory = FileManager.default.temporaryDirectory.appending(path: "slipway-fine-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try imported(bytes, in: directory).fact
}

/// One of the acceptance tests' models.
func modelFile(_ name: String) throws -> [UInt8] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: folder.appending(path: "AcceptanceTests/Models/\(name)")))
}

func baseChoice(
    head: BaseChoice.Head = .new, isFrozen: Bool = false, scaling: BaseChoice.Scaling = .symmetric, columns: [String]? = nil
) -> BaseChoice {
    BaseChoice(modelVersion: ModelVersionID(UUID()), head: head, isFrozen: isFrozen, scaling: scaling, columns: columns)
}

/// The numbers of each tensor of a model folder.
func weights(of folder: URL) throws -> [String: [Float]] {
    let file = try Safetensors(reading: folder.appending(path: "model.safetensors").path)
    var found: [String: [Float]] = [:]
    for entry in file.entries { found[entry.name] = try file.tensor(named: entry.name)?.elements() }
    return found
}

extension Learning {
    /// Pictures, with a network of torch's to go on from: four classes of grey ones, 8 pixels square.
    static func from<R>(_ name: String, _ choice: BaseChoice, classes: [String], _ body: (Learning) throws -> R) throws -> R {
        try from(modelFile(name), choice, classes: classes, body)
    }

    static func from<R>(_ model: [UInt8], _ choice: BaseChoice, classes: [String], _ body: (Learning) throws -> R) throws -> R {
        try from(model, choice, .imageClassification, samplePictures(perClass: 12, classes: classes), body)
    }

    static func from<R>(_ model: [UInt8], _ choice: BaseChoice, _ task: LearningTask, _ upload: [UInt8], _ body: (Learning) throws -> R) throws -> R {
        try with(task, upload) { learning in
            var learning = learning
            learning.base = BasePlan(choice: choice, files: try imported(model, in: learning.directory).files)
            return try body(learning)
        }
    }
}
