package import Foundation
package import SlipwayDomain
internal import SlipwayTasks

/// A model version as training, or an import, left it.
package final class PredictorModel: LoadedModel {
    private enum Origin {
        case trained(Predictor)
        case imported(TensorPredictor)
    }
    private let origin: Origin

    package init(_ source: ModelSource) throws {
        origin = source.isImported ? .imported(try TensorPredictor(files: source.files)) : .trained(try Predictor(files: source.files))
    }

    package func warmUp() throws {
        switch origin {
        case .trained(let predictor): try predictor.warmUp()
        case .imported(let predictor): predictor.warmUp()
        }
    }

    package func answer(_ request: PredictRequest, as version: ModelVersionID, isAbandoned: () -> Bool) throws -> Data {
        switch (origin, request) {
        case (.trained(let predictor), .picture(let bytes)): try predictor.predict(pictureBytes: bytes).json(modelVersion: version.description)
        case (.trained(let predictor), .json(let body)):
            try predictor.predict(json: body, isAbandoned: isAbandoned).json(modelVersion: version.description)
        case (.imported(let predictor), .json(let body)):
            try predictor.predict(json: body, modelVersion: version.description, isAbandoned: isAbandoned)
        case (.imported, .picture):
            throw Problem(
                415, "predict-media-type", title: "This model takes tensors",
                detail: "send JSON: {\"inputs\": [{\"input\": [[number, ...], ...]}, ...]}")
        }
    }
}
