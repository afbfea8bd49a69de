import ArgumentParser
import Foundation
import SlipwayDomain

struct DatasetCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dataset", abstract: "Data sets, their versions, items and annotations.",
        subcommands: [
            Create.self, List.self, Show.self, Upload.self, Items.self, Rejected.self, Annotate.self, Delete.self,
        ])

    private static let members = ["id", "name", "task", "latest_version", "description", "created_at"]
    static let versionMembers = [
        "version", "status", "items", "unlabelled", "rejected", "classes", "warnings", "problem", "created_at",
    ]

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes an empty data set.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The project's name or id.") var project: String
        @Argument(help: "Its name, unique in the project.") var name: String
        @Option(help: "What is to be learned from it: \(tasks).") var task: String
        @Option(help: "What it holds.") var description = ""

        func run() async throws {
            let api = try connection.api()
            let dataset = try await api.post(
                "/v1/projects/\(api.project(project).id)/datasets",
                ["name": .string(name), "task": .string(task), "description": .string(description)])
            connection.output.show(dataset, members)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the data sets.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "The project's name or id; all when left out.") var project: String?

        func run() async throws {
            connection.output.show(try await connection.api().members("datasets", of: project), members)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a data set, or one of its versions.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var dataset: String
        @Option(help: "A version's number.") var version: Int?

        func run() async throws {
            let api = try connection.api()
            let dataset = try await api.dataset(dataset)
            guard let version else { return connection.output.show(dataset, members) }
            connection.output.show(
                try await api.get("/v1/datasets/\(dataset.id)/versions/\(version)"), versionMembers)
        }
    }

    struct Upload: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Uploads a file as a new version, and waits until it is checked.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var dataset: String
        @Argument(help: "A zip, a folder of pictures (one folder a class), or a CSV.", completion: .file())
        var file: String
        @Option(help: "The version to build on.") var base: Int?
        @Option(help: "What to do with the base: append or replace.") var mode: VersionMode?
        @Option(help: "The column with the labels (default: the last).") var target: String?
        @Option(help: "The text encoding of a table, such as gbk.") var encoding: String?

        func validate() throws {
            guard (base == nil) == (mode == nil) else { throw ValidationError("--base and --mode go together") }
        }

        func run() async throws {
            let api = try connection.api()
            let id = try await api.dataset(dataset).id
            let version = try await connection.output.steps.run("Uploading \(file)") { progress in
                let upload = DatasetUpload(
                    file: file, target: target, encoding: encoding, base: base, mode: mode?.rawValue)
                let version = try await upload.run(with: api, to: id, progress)
                return (DatasetUpload.summary(of: version), version)
            }
            connection.output.show(version, versionMembers)
        }
    }

    struct Items: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists a version's items with their labels.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var dataset: String
        @Option(help: "A version's number (default: the newest).") var version: Int?
        @Option(help: "Only items with this label.") var label: String?
        @Option(help: "Only items of this split: train or test.") var split: String?
        @Option(help: "At most this many.") var limit = 100

        func run() async throws {
            let api = try connection.api()
            let path = try await api.path(ofVersion: version, of: dataset)
            let query = [label.map { "label=" + $0.percentEncoded }, split.map { "split=" + $0.percentEncoded }]
                .compactMap(\.self).joined(separator: "&")
            let items = try await api.list("\(path)/items" + (query.isEmpty ? "" : "?" + query), limit: limit)
            connection.output.show(items, ["id", "name", "annotation", "split", "media_type", "bytes"])
        }
    }

    struct Rejected: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists what a version's import left out, and why.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var dataset: String
        @Option(help: "A version's number (default: the newest).") var version: Int?
        @Option(help: "At most this many.") var limit = 1000

        func run() async throws {
            let api = try connection.api()
            let items = try await api.list(api.path(ofVersion: version, of: dataset) + "/rejected", limit: limit)
            connection.output.show(items, ["name", "code", "reason", "line", "column"])
        }
    }

    struct Annotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Labels items anew, which makes the next version.",
            discussion: "FILE holds [{\"item\": ID, \"annotation\": {\"label\": \"cat\"}}]; null takes a label away.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var dataset: String
        @Argument(help: "JSON; - reads standard input.", completion: .file()) var file: String
        @Option(help: "The version to start from (default: the newest).") var version: Int?

        func run() async throws {
            let api = try connection.api()
            let path = try await api.path(ofVersion: version, of: dataset)
            let annotations = try JSON(parsing: readFile(file))
            let made = try await connection.output.steps.run("Labelling") { progress in
                let answer = try await api.post("\(path)/annotations", annotations)
                let version = try await DatasetUpload.wait(for: answer, with: api, of: try await api.dataset(dataset).id, progress)
                return (DatasetUpload.summary(of: version), version)
            }
            connection.output.show(made, versionMembers)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a data set, or one of its versions.")
        @OptionGroup var connection: ConnectionOptions
        @Argument(help: "PROJECT/NAME, or its id.") var dataset: String
        @Option(help: "Only this version.") var version: Int?

        func run() async throws {
            let api = try connection.api()
            let id = try await api.dataset(dataset).id
            try await api.delete("/v1/datasets/\(id)" + (version.map { "/versions/\($0)" } ?? ""))
            connection.output.done("deleted \(dataset)" + (version.map { " version \($0)" } ?? ""), ["id": .string(id)])
        }
    }

    private static let tasks = LearningTask.allCases.map(\.rawValue).joined(separator: ", ")
}

extension VersionMode: ExpressibleByArgument {}

extension API {
    /// The newest when no number is given.
    fileprivate func path(ofVersion number: Int?, of dataset: String) async throws -> String {
        let dataset = try await self.dataset(dataset)
        guard let number = number ?? dataset["latest_version"]?.intValue else {
            throw Failure.message("the data set has no version yet; `slipway dataset upload` makes one")
        }
        return "/v1/datasets/\(try dataset.id)/versions/\(number)"
    }
}

/// A file's bytes; `-` is standard input.
func readFile(_ path: String) throws -> Data {
    if path == "-" { return FileHandle.standardInput.readDataToEndOfFile() }
    do {
        return try Data(contentsOf: URL(filePath: path))
    } catch {
        throw Failure.usage("\(path): \(reason(error))")
    }
}

/// What the system says about a file, without Foundation's sentence around it.
func reason(_ error: any Error) -> String {
    guard let code = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError, code.domain == NSPOSIXErrorDomain else {
        return error.localizedDescription
    }
    return String(cString: strerror(Int32(code.code)))
}
