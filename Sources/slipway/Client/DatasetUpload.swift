import Foundation
import SlipwayDomain

/// One file on its way to a version of a data set. A folder of pictures is packed first.
struct DatasetUpload {
    let file: String
    var format: UploadFormat?
    var target: String?
    var encoding: String?
    var base: Int?
    var mode: String?

    /// Sends the file and waits until it is checked. A version that failed is thrown as its problem.
    func run(with api: API, to dataset: String, _ progress: Steps.Progress) async throws -> JSON {
        try check()
        let query = [
            format.map { "format=" + $0.rawValue }, target.map { "target=" + $0.percentEncoded },
            encoding.map { "encoding=" + $0.percentEncoded },
            base.map { "base=\($0)" }, mode.map { "mode=" + $0 },
        ].compactMap(\.self).joined(separator: "&")
        let path = "/v1/datasets/\(dataset)/versions" + (query.isEmpty ? "" : "?" + query)

        let answer: JSON
        if isFolder {
            progress.update("packing")
            let archive = try FolderArchive(of: file)
            defer { archive.remove() }
            answer = try await api.upload(archive.path, as: "application/zip", to: path)
        } else {
            answer = try await api.upload(file, as: format?.mediaType ?? Self.mediaType(of: file), to: path)
        }
        return try await Self.wait(for: answer, with: api, of: dataset, progress)
    }

    private var isFolder: Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) && isFolder.boolValue
    }

    /// What can be said before anything is asked of the platform.
    func check() throws {
        if isFolder {
            guard format?.isTable != true else { throw Failure.usage("\(file): a folder is no table") }
            guard access(file, R_OK | X_OK) == 0 else { throw Failure.usage("\(file): \(String(cString: strerror(errno)))") }
            return
        }
        try checkFile(file)
        if format == nil { _ = try Self.mediaType(of: file) }
    }

    /// Waits for the version that a 202 named.
    static func wait(for answer: JSON, with api: API, of dataset: String, _ progress: Steps.Progress) async throws -> JSON {
        guard let number = answer["version"]?.intValue else {
            throw Failure.message("the platform's answer names no version: \(answer.text(isPretty: false).prefix(200))")
        }
        while true {
            let version = try await api.get("/v1/datasets/\(dataset)/versions/\(number)")
            switch version["status"]?.stringValue {
            case "ready": return version
            case "failed": throw Failure.work(try Problem(in: version))
            default: progress.update("checking")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// `1,797 items in 10 classes`.
    static func summary(of version: JSON) -> String {
        let items = version["items"]?.intValue ?? 0
        let classes = version["classes"]?.arrayValue.count ?? 0
        let rejected = version["rejected"]?.intValue ?? 0
        let unlabelled = version["unlabelled"]?.intValue ?? 0
        var text = "Version \(version["version"]?.cell ?? "") holds \(items.grouped) items"
        if classes > 0 { text += " in \(classes) classes" }
        if unlabelled > 0 { text += ", \(unlabelled.grouped) of them unlabelled" }
        if rejected > 0 { text += ", \(rejected.grouped) were rejected" }
        return text
    }

    static func mediaType(of file: String) throws -> String {
        switch URL(filePath: file).pathExtension.lowercased() {
        case "zip": "application/zip"
        case "csv", "tsv", "txt": "text/csv"
        default: throw Failure.usage("\(file): a .zip, a .csv or a folder is wanted; --format says what a file of another name is")
        }
    }
}

/// What an uploaded file is, where its name doesn't say it.
enum UploadFormat: String, CaseIterable {
    case auto, csv
    case imageFolder = "image-folder"

    var isTable: Bool { self == .csv }

    /// Nil: the file's name decides.
    var mediaType: String? {
        switch self {
        case .auto: nil
        case .csv: "text/csv"
        case .imageFolder: "application/zip"
        }
    }
}

extension Problem {
    /// The `problem` member of something that failed.
    init(in object: JSON) throws {
        let problem = object["problem"] ?? .null
        self =
            (try? JSONDecoder().decode(Problem.self, from: Data(problem.text(isPretty: false).utf8)))
            ?? Problem(500, "failed", title: "It failed", detail: "The platform gave no reason.")
    }
}

extension Int {
    /// `1,797`
    var grouped: String {
        var text = String(magnitude)
        var index = text.count - 3
        while index > 0 {
            text.insert(",", at: text.index(text.startIndex, offsetBy: index))
            index -= 3
        }
        return self < 0 ? "-" + text : text
    }
}
