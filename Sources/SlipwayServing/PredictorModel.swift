package import Foundation
package import SlipwayDomain
internal import SlipwayTasks

/// A model version as training left it.
package final class PredictorModel: LoadedModel {
    private let predictor: Predictor

    /// - Parameter files: the version's files, paths by name.
    package init(files: [String: String]) throws {
        predictor = try Predictor(files: files)
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
