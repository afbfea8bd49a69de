import Foundation
import SlipwayDomain
import SlipwayTasks

/// What an import said.
struct Imported {
    var items: [ImportedItem] = []
    var rejected: [RejectedItem] = []
    var summary: ImportSummary?
    /// How many files lay in the folder for staged pictures when it was over.
    var stagedFiles = 0

    /// Imports a file in a folder of its own.
    ///
    /// - Throws: the import's `Problem`.
    init(
        file: String, task: LearningTask, format: String = "auto", encoding: String? = nil, target: String? = nil,
        columns: [ColumnProfile]? = nil, limits: ImportLimits = ImportLimits(), threads: Int = 2
    ) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("slipway-import-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let plan = ImportPlan(
            task: task, upload: file, mediaType: "application/octet-stream", format: format, encoding: encoding,
            target: target, columns: columns, limits: limits)
        try importUpload(plan, into: directory.path, threads: threads) { event in
            switch event {
            case .item(let item): items.append(item)
            case .rejected(let item): rejected.append(item)
            case .imported(let summary): self.summary = summary
            default: break
            }
        }
        stagedFiles = try FileManager.default.subpathsOfDirectory(atPath: directory.path).count { $0.hasPrefix("staged/") }
    }

    /// Imports bytes as if they had been uploaded.
    init(
        _ bytes: [UInt8], task: LearningTask, format: String = "auto", encoding: String? = nil, target: String? = nil,
        columns: [ColumnProfile]? = nil, limits: ImportLimits = ImportLimits(), threads: Int = 2
    ) throws {
        let upload = FileManager.default.temporaryDirectory.appendingPathComponent("slipway-upload-\(UUID())")
        try Data(bytes).write(to: upload)
        defer { try? FileManager.default.removeItem(at: upload) }
        try self.init(
            file: upload.path, task: task, format: format, encoding: encoding, target: target, columns: columns,
            limits: limits, threads: threads)
    }

    init(
        csv text: String, task: LearningTask = .tabularClassification, encoding: String? = nil, target: String? = nil,
        columns: [ColumnProfile]? = nil
    ) throws {
        try self.init(Array(text.utf8), task: task, encoding: encoding, target: target, columns: columns)
    }
}
