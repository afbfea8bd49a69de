import ArgumentParser
import Foundation
import SlipwayDomain

struct ModelCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Models, their versions, files and reports.",
        subcommands: [List.self, Show.self, Import.self, Files.self, Download.self, Report.self, Lineage.self, Delete.self])

    private static let versionMembers = [
        "id", "model", "version", "status", "task", "classes", "inputs", "outputs", "metrics", "files", "problem", "created_at",
    ]

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the models.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The project's name or id; all when left out.") var project: String?

        func run() async throws {
            let models = try await connection.api().members("models", of: project)
            connection.output.show(models, ["id", "name", "task", "created_at"])
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a model with its versions, or one version.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, PROJECT/NAME:VERSION, or the model's id.") var model: String

        func run() async throws {
            let api = try connection.api()
            if model.contains(":") { return connection.output.show(try await api.modelVersion(model), versionMembers) }
            let model = try await api.model(model)
            connection.output.show(model, ["id", "name", "task", "created_at"])
            guard !connection.json, let versions = model["versions"]?.arrayValue, !versions.isEmpty else { return }
            connection.output.terminal.print()
            let rows = versions.map { version in
                JSON.object([
                    "version": version["version"] ?? .null, "id": version["id"] ?? .null, "created_at": version["created_at"] ?? .null,
                    "score": (try? Score(of: version, objective: nil)).map { .string($0.short) } ?? .null,
                ])
            }
            connection.output.show(rows, ["version", "id", "score", "created_at"])
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Brings a model that was trained elsewhere, and waits until it is checked.",
            discussion: """
                `slipway onnx check` says beforehand whether an ONNX model's operators are supported; `slipway models list` names the networks whose \
                weights are taken.
                """)
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The project's name or id.") var project: String
        @Argument(
            help: "An .onnx file, a zip with one and its external data beside it, or weights of a network of the library as .safetensors.",
            completion: .file()) var file: String
        @Option(help: "The network that the weights are of.") var network: String?
        @Option(help: "How many classes it tells apart (default: as many as it was published with).") var classes: Int?
        @Option(help: "The model's name; it gets a version (default: the file's name).") var name: String?

        func run() async throws {
            let api = try connection.api()
            try checkFile(file)
            let url = URL(filePath: file), name = name ?? url.deletingPathExtension().lastPathComponent
            let project = try await api.project(project).id
            let mediaType = url.pathExtension.lowercased() == "zip" ? "application/zip" : "application/octet-stream"
            let version = try await connection.output.steps.run("Importing \(file)") { progress in
                var path = "/v1/projects/\(project)/models/import?name=\(name.percentEncoded)"
                if let network { path += "&network=\(network.percentEncoded)" }
                if let classes { path += "&classes=\(classes)" }
                let accepted = try await api.upload(file, as: mediaType, to: path)
                let version = try await Self.wait(for: accepted, with: api, progress)
                return ("Version \(version["version"]?.cell ?? "") of the model '\(name)' is ready", version)
            }
            connection.output.show(version, versionMembers)
        }

        private static func wait(for accepted: JSON, with api: API, _ progress: Steps.Progress) async throws -> JSON {
            guard let id = accepted["model_version"]?.stringValue else {
                throw Failure.message("the platform's answer names no model version: \(accepted.text(isPretty: false).prefix(200))")
            }
            var job: JSON?
            while true {
                let version = try await api.get("/v1/model-versions/\(id)")
                switch version["status"]?.stringValue {
                case "ready": return version
                case "failed": throw Failure.work(try Problem(in: version))
                default: progress.update("checking")
                }
                // The job had ended when the version was asked for: nobody works at it any more.
                if let job, ["failed", "cancelled"].contains(job["status"]?.stringValue) { throw Failure.work(try Problem(in: job)) }
                job = try await api.get("/v1/jobs/\(accepted["job"]?.stringValue ?? "")")
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    struct Files: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists a model version's files.")
        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var version: VersionArgument

        func run() async throws {
            let version = try await connection.api().modelVersion(version.reference)
            connection.output.show(version["files"]?.arrayValue ?? [], ["name", "bytes", "sha256"])
        }
    }

    struct Download: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Downloads a model version's files.")
        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var version: VersionArgument
        @Option(name: .shortAndLong, help: "The folder to put them in; made when missing.", completion: .directory)
        var output = "."

        func run() async throws {
            let api = try connection.api()
            let version = try await api.modelVersion(version.reference)
            try makeFolder(output)
            let names = (version["files"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
            for name in names {
                try await api.download(file: name, ofVersion: version.id, to: output + "/" + name)
            }
            connection.output.done(
                "\(names.count) files in \(output)",
                ["folder": .string(output), "files": .array(names.map(JSON.string))])
        }
    }

    struct Report: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Downloads the report: how good the model is, where it fails.")
        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var version: VersionArgument
        @Option(name: .shortAndLong, help: "Where to write it; .json gives the report for programs.", completion: .file())
        var output = "report.html"

        func run() async throws {
            let api = try connection.api()
            let name = output.hasSuffix(".json") ? "report.json" : "report.html"
            try await api.download(file: name, ofVersion: api.modelVersion(version.reference).id, to: output)
            connection.output.done("the report is in \(output)", ["report": .string(output)])
        }
    }

    struct Lineage: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows what a model version was made from, as JSON: data, labels, template, seed, binary.")
        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var version: VersionArgument

        func run() async throws {
            let api = try connection.api()
            let lineage = try await api.get("/v1/model-versions/\(api.modelVersion(version.reference).id)/lineage")
            connection.output.terminal.print(lineage.text())
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a model that no deployment has.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var model: String

        func run() async throws {
            let api = try connection.api()
            let id = try await api.model(model).id
            try await api.delete("/v1/models/\(id)")
            connection.output.done("deleted \(model)", ["id": .string(id)])
        }
    }
}

struct VersionArgument: ParsableArguments {
    @Argument(help: "PROJECT/MODEL:VERSION, PROJECT/MODEL for the newest, or the version's id.") var reference: String
}

extension API {
    func download(file: String, ofVersion id: String, to path: String) async throws {
        try await download("/v1/model-versions/\(id)/files/\(file.percentEncoded)", to: path)
    }
}

func makeFolder(_ path: String) throws {
    do {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
        throw Failure.message("\(path): \(reason(error))")
    }
}
