import Foundation
import SlipwayDomain
import SlipwayTasks

extension TaskGuess {
    /// Pictures are classified; of a table the target decides.
    static func task(of file: String, target: String?, encoding: String?) throws -> LearningTask {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else {
            throw Failure.usage("\(file): no such file or folder")
        }
        if isFolder.boolValue { return .imageClassification }
        try checkFile(file)
        if try DatasetUpload.mediaType(of: file) == "application/zip" { return .imageClassification }
        return try task(ofTable: file, target: target, encoding: encoding)
    }
}
