import Foundation
import Keel
import KeelModels
import KeelNN
import SlipwayDomain
import SlipwayTasks
import Testing

/// A store whose EfficientNet-Lite0 has the weights that it begins with: what the platform does doesn't depend on how well it sees.
func withPretrainedStore<Result>(_ body: (ModelStore) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-models-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    let store = ModelStore(folder: folder.path), weights = URL(filePath: store.path(of: PretrainedModel.weights, in: .efficientNetLite0))
    try FileManager.default.createDirectory(at: weights.deletingLastPathComponent(), withIntermediateDirectories: true)
    var generator = Philox(seed: 1)
    try EfficientNetLite(classes: 1000, using: &generator).save(to: weights.path)
    var digests: [String: JSON] = [:]
    for member in PretrainedModel.efficientNetLite0.members {
        let path = store.path(of: member.name, in: .efficientNetLite0)
        if member.name != PretrainedModel.weights { try Data("a licence".utf8).write(to: URL(filePath: path)) }
        digests[member.name] = ["bytes": 0, "sha256": .string(try SHA256.digest(ofFile: path).description)]
    }
    let stored: JSON = [
        "name": "efficientnet-lite0", "licence": "none", "package": "none", "version": "0", "package_sha256": "none", "files": .object(digests),
    ]
    try JSONEncoder().encode(stored).write(to: URL(filePath: store.path(of: StoredModel.file, in: .efficientNetLite0)))
    return try body(store)
}

@Suite struct PretrainedTemplateTests {
    private let template = "pretrained-features"

    @Test func aModelFromPretrainedWeightsNeedsNoStoreToPredict() throws {
        try withPretrainedStore { store in
            try Learning.with(.imageClassification, samplePictures(), models: store) { learning in
                let recipe = try learning.recipe(template, ["epochs": 4])
                let model = try learning.model(recipe)
                let begun = try learning.rung(recipe, pieces: 1), rest = try learning.rung(recipe, from: begun.checkpoint)
                #expect(rest.result?.finished == true)
                func weights(_ folder: URL) throws -> Data { try Data(contentsOf: folder.appending(path: "model.safetensors")) }
                #expect(try weights(learning.evaluate([(recipe, rest.checkpoint)])) == weights(model))
                // Others than were pulled.
                let file = try FileHandle(forWritingTo: URL(filePath: store.path(of: PretrainedModel.weights, in: .efficientNetLite0)))
                try file.seekToEnd()
                try file.write(contentsOf: Data([0]))
                try file.close()
                let problem = #expect(throws: Problem.self) { try learning.rung(recipe) }
                #expect(problem?.code == "train-no-weights" && problem?.detail.contains("models pull efficientnet-lite0") == true)
                try FileManager.default.removeItem(atPath: store.folder)
                try Predictor(folder: model).warmUp()
                #expect(throws: Problem.self) { try learning.rung(recipe) }
            }
        }
    }

    @Test func aTemplateWithoutItsWeightsIsNotOffered() throws {
        let library = try TemplateLibrary(folder: templateFolder)
        #expect(library.template(named: template) == nil)
        #expect(library.missing[template]?.name == "efficientnet-lite0")
        let problem = #expect(throws: Problem.self) { try library.template(chosenBy: .string(template), for: .imageClassification) }
        #expect("\(try #require(problem))".contains("slipway models pull efficientnet-lite0"))
        try withPretrainedStore { store in
            let library = try TemplateLibrary(folder: templateFolder, models: store)
            #expect(library.template(named: template) != nil)
            #expect(library.missing.isEmpty)
            // They come and go while the platform runs.
            try FileManager.default.removeItem(atPath: store.folder)
            #expect(library.template(named: template) == nil && library.missing[template] != nil)
        }
    }
}
