internal import Foundation
internal import KeelData
package import SlipwayDomain

/// Reads an uploaded file into items: the work of an `ImportPlan`.
///
/// Items go to `emit` one by one as they are read, pictures as files under generated names in the folder `staged` of
/// `directory`, and at the end comes what the chooser needs to know of them all. Memory doesn't grow with the upload.
/// - Parameters:
///   - directory: the job's own; `ImportedItem.file` is relative to it.
///   - threads: decode pictures, several at once. The events don't depend on their number.
/// - Throws: `Problem` when the upload can't become a version, whoever repeats it; other errors may go away.
package func importUpload(
    _ plan: ImportPlan, into directory: String, threads: Int, emit: (TrainerEvent) throws -> Void
) throws {
    switch try UploadFormat(named: plan.format, for: plan.task) {
    case .imageFolder: try ImageFolderImport(plan: plan, directory: directory, threads: threads).run(emit)
    case .csv: try TableImport(plan: plan).run(emit)
    }
}

/// Judges an upload's parameters before its bytes are read.
///
/// - Parameter charset: of the media type; `encoding` is stronger.
/// - Throws: `Problem` 422 naming the parameter, or 415 for the charset.
package func checkUpload(
    format: String, target: String?, encoding: String?, charset: String?, for task: LearningTask
) throws(Problem) {
    let format = try UploadFormat(named: format, for: task)
    func fault(_ parameter: String, _ detail: String) -> Problem {
        Problem(
            422, "import-parameter", title: "This parameter doesn't fit the upload", detail: "\(parameter): \(detail)",
            errors: [.init(parameter: parameter, code: "import-parameter", detail: detail)])
    }
    switch format {
    case .imageFolder:
        if target != nil { throw fault("target", "the pictures' folders are their labels") }
        if encoding != nil { throw fault("encoding", "is for tables") }
    case .csv:
        if let encoding {
            do throws(TableError) { _ = try TextEncoding(named: encoding) } catch { throw fault("encoding", "\(error)") }
        } else if let charset {
            do throws(TableError) { _ = try TextEncoding(named: charset) } catch { throw .unsupportedCharset(charset, "\(error)") }
        }
    }
}

extension Problem {
    package static func unsupportedCharset(_ charset: String, _ reason: String) -> Problem {
        Problem(
            415, "charset-unsupported", title: "The body's charset isn't read here",
            detail: "Content-Type says charset=\(charset.prefix(50)): \(reason)")
    }
}

private enum UploadFormat: String {
    case imageFolder = "image-folder", csv

    init(named name: String, for task: LearningTask) throws(Problem) {
        let wanted = switch task.items {
        case .rows: Self.csv
        case .pictures: Self.imageFolder
        }
        guard name == "auto" || name == wanted.rawValue else {
            throw Problem(
                422, "import-format", title: "This format doesn't fit the task",
                detail: "A data set for \(task.rawValue) takes \(wanted.rawValue), not \(name).",
                errors: [.init(parameter: "format", code: "import-format", detail: "'\(name)' isn't \(wanted.rawValue)")])
        }
        self = wanted
    }
}

/// Says how far an import is, at most a hundred times.
struct ImportProgress {
    private var lastPercent = 0

    mutating func report(_ done: Int, of total: Int, _ emit: (TrainerEvent) throws -> Void) throws {
        let percent = total > 0 ? min(100, 100 * done / total) : 100
        guard percent > lastPercent else { return }
        lastPercent = percent
        try emit(.progress(fraction: Double(percent) / 100, message: "importing"))
    }
}
