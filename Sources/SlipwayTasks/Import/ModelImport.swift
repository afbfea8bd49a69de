internal import Foundation
internal import Keel
internal import KeelProgram
internal import SlipwayDomain

/// An ONNX model that was trained elsewhere, a zip with one and the external data that it names beside it, or weights of one of the library's networks.
///
/// It is parsed, checked, made ready as a deployment would, and run once on zeros: what can bring a process down does so here. A model that tells pictures
/// apart is run backwards, too, to see whether it can be trained further; its result is told before that, and once more after it.
struct ModelImport {
    let plan: ModelImportPlan
    /// The job's own.
    let directory: String

    /// How it is called among the version's files.
    static let file = "model.onnx"
    /// What clients take for what the platform says itself.
    private static let reserved: Set = [ModelManifest.name, EvaluationRun.itemsFile, EvaluationRun.reportFile, EvaluationRun.pageFile]

    func run(_ emit: (TrainerEvent) throws -> Void) throws {
        do {
            let (path, external) = try files()
            let model = try ONNXModel(reading: path, files: external, limits: Self.limits)
            try check(model, external)
            let imported = try ImportedModel(model), tensors = try TensorPredictor(imported)
            try tensors.tryOut()
            var opsets: [String: JSON] = [:]
            for (domain, version) in imported.opsets { opsets[domain.isEmpty ? "ai.onnx" : domain] = .integer(version) }
            var facts: [String: JSON] = ["producer": .string(imported.producer), "opsets": .object(opsets)]
            if let network = plan.network {
                facts["network"] = .string(network.name)
                if let classes = network.classes { facts["classes"] = .integer(classes) }
            }
            switch imported.form {
            case .program: facts["runs_as"] = "program"
            case .interpreted(_, let why):
                facts["runs_as"] = "interpreted"
                facts["why"] = .string(why)
            }
            let files = ([(Self.file, path)] + external.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }).map { name, path in
                ModelImportResult.File(name: name, path: path == plan.upload ? nil : "staged/\(name)")
            }
            func tell(_ fineTuning: FineTuning) throws {
                facts[FineTuning.fact] = try JSONReader.read([UInt8](JSONEncoder().encode(fineTuning)))
                try emit(.importedModel(ModelImportResult(inputs: tensors.inputs, outputs: tensors.outputs, facts: facts, files: files)))
            }
            // The import holds whatever becomes of the process that finds out whether the model can be trained.
            try tell(.unknown)
            try tell(FineTuning(model))
        } catch let error as ArchiveError {
            if case .unreadable = error { throw error }
            throw error.problem
        } catch let error as ONNXError {
            throw Self.problem(error)
        }
    }

    /// Of a model in the import, and in the process that serves it.
    static var limits: ONNXLimits {
        var limits = ONNXLimits()
        limits.bytes = 2 << 30
        limits.time = .seconds(30)
        limits.steps = 2_000_000
        limits.work = 1 << 40
        return limits
    }

    // MARK: Files

    /// The model's path, and those of its external data by their names.
    private func files() throws -> (model: String, external: [String: String]) {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: plan.upload))
        let head = Array(try handle.read(upToCount: 9) ?? Data())
        try handle.close()
        let folder = directory + "/staged"
        if let network = plan.network {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let weights = NetworkWeights(choice: network, path: plan.upload), graph = "\(folder)/\(Self.file)"
            return (graph, try weights.writeGraph(to: graph) ? [NetworkWeights.file: plan.upload] : [:])
        }
        guard head.starts(with: [0x50, 0x4B]) else {
            // A number, then JSON: as safetensors begin, and no ONNX.
            guard head.count == 9, head[4..<8].allSatisfy({ $0 == 0 }), head[8] == UInt8(ascii: "{") else { return (plan.upload, [:]) }
            throw Problem(
                422, "model-network-missing", title: "The file holds weights alone",
                detail: "It begins like safetensors: name the network of the library that they are the weights of (`network`), or export the model to ONNX.")
        }

        let archive = try ZipArchive(path: plan.upload, limits: plan.limits)
        if let pickle = archive.entries.first(where: { entry in [".pkl", ".pickle"].contains { entry.name.lowercased().hasSuffix($0) } }) {
            throw Problem(
                415, "model-format-unsafe", title: "This format isn't taken",
                detail: "'\(pickle.name)' is a pickle, which is a program: export the model to ONNX",
                errors: [.init(entry: pickle.name, code: "model-format-unsafe", detail: "a pickle")])
        }
        func content(_ entry: String, _ detail: String) -> Problem {
            Problem(
                422, "model-archive-content", title: "The archive isn't a model", detail: detail,
                errors: [.init(entry: entry, code: "model-archive-content", detail: detail)])
        }
        let models = archive.entries.filter { $0.name.lowercased().hasSuffix(".onnx") }
        guard let model = models.first, models.count == 1 else {
            throw Problem(
                422, "model-archive-content", title: "The archive isn't a model",
                detail: "It holds \(models.count) files that end in .onnx; one is expected, with its external data beside it.")
        }
        for entry in archive.entries where Self.reserved.contains(entry.name) {
            throw content(entry.name, "'\(entry.name)' is how a file of the models that are trained here is called")
        }
        for entry in archive.entries where !Self.isPlain(entry.name) {
            throw content(entry.name, "'\(entry.name)' isn't a plain name: letters, digits, '.', '_' and '-', no folder, at most 100 of them")
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var external: [String: String] = [:]
        for entry in archive.entries {
            let isModel = entry == model
            guard isModel || entry.name != Self.file else { throw content(entry.name, "'\(entry.name)' is how the model is called") }
            let path = "\(folder)/\(isModel ? Self.file : entry.name)"
            FileManager.default.createFile(atPath: path, contents: nil)
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try archive.read(entry) { try file.write(contentsOf: Data($0)) }
            try file.close()
            if !isModel { external[entry.name] = path }
        }
        return ("\(folder)/\(Self.file)", external)
    }

    private static func isPlain(_ name: String) -> Bool {
        guard (1...100).contains(name.utf8.count), name.first != ".", name.first != "-" else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
    }

    // MARK: What is in them

    private func check(_ model: ONNXModel, _ external: [String: String]) throws {
        if let extra = external.keys.sorted().first(where: { !model.externalFiles.contains($0) }) {
            let detail = "'\(extra)' isn't named by the model; beside the model the archive holds its external data, and nothing else"
            throw Problem(
                422, "model-archive-content", title: "The archive isn't a model", detail: detail,
                errors: [.init(entry: extra, code: "model-archive-content", detail: detail)])
        }
        guard !model.unsupported.isEmpty else { return }
        let rows = model.unsupported.map { one in
            "\(one.domain.isEmpty ? "ai.onnx" : one.domain).\(one.type) of opset \(one.opset): \(one.reason) (\(one.count) node\(one.count == 1 ? "" : "s"))"
                .withoutControls
        }
        throw Problem(
            422, "model-unsupported-op", title: "The model has operators that can't be computed here",
            detail: rows.prefix(5).joined(separator: "; ") + (rows.count > 5 ? "; and \(rows.count - 5) more" : ""),
            errors: rows.prefix(50).map { .init(code: "model-unsupported-op", detail: $0) })
    }

    private static func problem(_ error: ONNXError) -> Problem {
        let (status, code): (Int, String) =
            switch error {
            case .limit: (422, "model-too-large")
            case .tooLong: (504, "inference-timeout")
            case .externalData: (422, "model-external-data")
            case .unsupported, .notExportable: (422, "model-unsupported-op")
            case .opset: (422, "model-unsupported-opset")
            case .malformed, .tensor: (422, "model-corrupt")
            case .tooDeep, .notDefined, .definedTwice, .graph, .node, .input: (422, "model-invalid-graph")
            case .file: (500, "model-unreadable")
            }
        return Problem(status, code, title: "The model can't be imported", detail: String(error.description.prefix(2000)))
    }
}
