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
        @Option(help: "What the file is (default: its name says it).") var format: UploadFormat?
        @Option(help: "The version to build on (default: with --mode the newest, else none).") var base: Int?
        @Option(help: "How to build on it (default: append, with --base).") var mode: BuildMode?
        @Option(help: "The column with the labels (default: the last).") var target: String?
        @Option(help: "The text encoding of a table, such as gbk.") var encoding: String?

        func run() async throws {
            let api = try connection.api()
            let dataset = try await api.dataset(dataset)
            let id = try dataset.id
            guard mode == nil || base != nil || dataset["latest_version"]?.intValue != nil else {
                throw Failure.message("the data set has no version to \(mode?.phrase ?? ""): upload one without --mode first")
            }
            let version = try await connection.output.steps.run("Uploading \(file)") { progress in
                let upload = DatasetUpload(
                    file: file, format: format, target: target, encoding: encoding, base: base, mode: mode?.rawValue)
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

        func validate() throws { try checkLimit(limit) }

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

        func validate() throws { try checkLimit(limit) }

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
            let bytes = try readFile(file)
            guard let annotations = try? JSON(parsing: bytes) else { throw Failure.usage("\(file): not valid JSON") }
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

/// How an upload builds on a version: `VersionMode` without `new`, which builds on none.
enum BuildMode: String, ExpressibleByArgument, CaseIterable {
    case append, replace

    var phrase: String { self == .append ? "append to" : "replace items of" }
}

extension UploadFormat: ExpressibleByArgument {}

private func checkLimit(_ limit: Int) throws {
    guard limit > 0 else { throw ValidationError("--limit is 1 or more") }
}

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
    try checkFile(path)
    do {
        return try Data(contentsOf: URL(filePath: path))
    } catch {
        throw Failure.message("\(path): \(reason(error))")
    }
}

/// Says in the system's words why a file can't be read.
func checkFile(_ path: String) throws(Failure) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .usage("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .usage("\(path): \(String(cString: strerror(errno)))") }
    if status.st_mode & S_IFMT == S_IFDIR { throw .usage("\(path): a folder, and a file is wanted") }
}

/// Before long work whose report goes there.
func checkReport(_ path: String) throws(Failure) {
    let folder = URL(filePath: path).absoluteURL.deletingLastPathComponent().path(percentEncoded: false)
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
        throw .usage("\(path): a folder, and the name of a file is wanted")
    }
    guard access(folder, W_OK | X_OK) == 0 else {
        throw .usage("\(path) can't be written: \(String(cString: strerror(errno))); another place is named with --report")
    }
}

/// What the system says about a file, without Foundation's sentence around it.
func reason(_ error: any Error) -> String {
    guard let code = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError, code.domain == NSPOSIXErrorDomain else {
        return error.localizedDescription
    }
    return String(cString: strerror(Int32(code.code)))
}
