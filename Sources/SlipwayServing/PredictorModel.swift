package import Foundation
package import SlipwayDomain
internal import SlipwayTasks

/// A model version as training left it.
package final class PredictorModel: LoadedModel {
    private let predictor: Predictor

    /// - Parameter files: the version's files, paths by name.
    package init(files: [String: String]) throws {
        // A predictor reads a folder; the object store's files have digests for names.
        let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-model-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, path) in files {
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: URL(filePath: path))
        }
        predictor = try Predictor(folder: folder)
    }

    package func warmUp() throws { try predictor.warmUp() }

    package func answer(_ request: PredictRequest, as version: ModelVersionID, isAbandoned: () -> Bool) throws -> Data {
        let answer =
            switch request {
            case .picture(let bytes): try predictor.predict(pictureBytes: bytes)
            case .json(let body): try predictor.predict(json: body, isAbandoned: isAbandoned)
            }
        return answer.json(modelVersion: version.description)
    }
}
