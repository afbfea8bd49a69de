internal import Foundation
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
    switch (try format(of: plan), plan.task.isTabular) {
    case (.imageFolder, false): try ImageFolderImport(plan: plan, directory: directory, threads: threads).run(emit)
    case (.csv, true): try TableImport(plan: plan).run(emit)
    case (.imageFolder, true), (.csv, false):
        throw Problem(
            422, "import-format", title: "This format doesn't fit the task",
            detail: "A data set for \(plan.task.rawValue) takes \(plan.task.isTabular ? "csv" : "image-folder"), not \(plan.format).",
            errors: [.init(parameter: "format", code: "import-format", detail: "'\(plan.format)' is for another task")])
    }
}

private enum UploadFormat: String { case imageFolder = "image-folder", csv }

private func format(of plan: ImportPlan) throws -> UploadFormat {
    if plan.format == "auto" { return plan.task.isTabular ? .csv : .imageFolder }
    guard let format = UploadFormat(rawValue: plan.format) else {
        throw Problem(
            422, "import-format", title: "This format isn't known",
            detail: "The format '\(plan.format)' isn't known; auto, image-folder and csv are.",
            errors: [.init(parameter: "format", code: "import-format", detail: "unknown: '\(plan.format)'")])
    }
    return format
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
