internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import SlipwayDomain

/// `POST /predict/<deployment id>`: reads what the client sent, finds the revision that serves, and answers on a lane.
struct PredictRoute: Sendable {
    let configuration: ServeConfiguration
    let live: LiveRevisions<ServedRevision>
    let lane: ComputeLane
    let logger: Logger

    private static let pictureTypes = ["image/png", "image/jpeg"]

    func answer(_ request: Request, to id: String) async -> Response {
        let requestID = request.headers[.requestID]
        do {
            guard let deployment = DeploymentID(id) else { throw Self.problem(404, "not-found", "No such deployment", "") }
            let body = try await body(of: request)
            let deadline = ContinuousClock.now + configuration.deadline
            let revision = try await find(deployment)
            let text = try await lane.run(for: revision.model, deadline: deadline - .now) {
                try Self.text(of: revision.model.answer(body.inputs()), by: revision)
            }
            return Response(
                status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: text)))
        } catch let problem as Problem {
            return Self.response(problem, requestID)
        } catch LaneError.full {
            return Self.response(
                Self.problem(
                    503, "model-busy", "The model is busy",
                    "\(configuration.queue) calls wait for it already; try again in a moment."), requestID)
        } catch LaneError.deadline {
            return Self.response(
                Self.problem(
                    503, "predict-deadline", "The call took too long",
                    "It wasn't answered within \(configuration.deadline); send fewer inputs a call."), requestID)
        } catch {
            logger.error(
                "predict failed", metadata: ["error": "\(error)", "deployment": "\(id)", "request_id": "\(requestID ?? "")"])
            return Self.response(
                Self.problem(500, "internal", "The call failed", "The log of the serve process says why."), requestID)
        }
    }

    private func find(_ deployment: DeploymentID) async throws -> ServedRevision {
        do {
            return try await live.find(deployment, within: configuration.loadTime)
        } catch LiveRevisions<ServedRevision>.LookUp.failed(let problem) {
            throw Self.problem(503, "deployment-failed", "The deployment failed", problem.detail)
        } catch LiveRevisions<ServedRevision>.LookUp.notLoaded {
            throw Self.problem(
                503, "model-not-loaded", "The model isn't loaded yet",
                "It wasn't within \(configuration.loadTime); try again in a moment.")
        }
    }

    // MARK: What comes in

    /// A whole body, not yet understood: that happens on the lane.
    private enum Body: Sendable {
        case picture([UInt8], mediaType: String)
        case json([UInt8])

        func inputs() throws -> PredictInputs {
            switch self {
            case .picture(let bytes, let mediaType): return .picture(bytes, mediaType: mediaType)
            case .json(let bytes):
                do {
                    return .list(try PredictRoute.list(in: JSONReader.read(bytes)))
                } catch let error as JSONSyntaxError {
                    throw error.problem
                }
            }
        }
    }

    private func body(of request: Request) async throws -> Body {
        let type = request.headers[.contentType].map(Self.essence) ?? ""
        switch type {
        case "application/json":
            return .json(try await bytes(of: request, limit: configuration.jsonBytes, "The body", code: "body-too-large"))
        case "image/jpg", "image/pjpeg":
            return .picture(try await picture(request), mediaType: "image/jpeg")
        case _ where Self.pictureTypes.contains(type):
            return .picture(try await picture(request), mediaType: type)
        default:
            throw Self.problem(
                415, "media-type-unsupported", "The media type isn't one that predict takes",
                "\(type.isEmpty ? "No Content-Type was sent" : "'\(type.prefix(100))' was sent"); "
                    + "application/json, image/png and image/jpeg are taken.")
        }
    }

    private func picture(_ request: Request) async throws -> [UInt8] {
        try await bytes(of: request, limit: configuration.pictureBytes, "The picture", code: "image-too-large")
    }

    private func bytes(of request: Request, limit: Int, _ what: String, code: String) async throws -> [UInt8] {
        let tooLarge = Self.problem(413, code, "\(what) is too large", "\(what) may have \(limit) bytes.")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
        do {
            return Array(buffer: try await request.body.collect(upTo: limit))
        } catch is NIOTooManyBytesError {
            throw tooLarge
        }
    }

    /// The media type without its parameters.
    private static func essence(_ header: String) -> String {
        header.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
    }

    /// The elements of `{"inputs": [...]}`.
    private static func list(in body: JSON) throws -> [JSON] {
        func refused(_ pointer: String, _ code: String, _ detail: String) -> Problem {
            Problem(
                422, "invalid-inputs", title: "The inputs aren't valid", detail: detail,
                errors: [.init(pointer: pointer, code: code, detail: detail)])
        }
        guard case .object(let members) = body else {
            throw refused("", "type-mismatch", "An object with the member 'inputs' is wanted.")
        }
        if let unknown = members.keys.filter({ $0 != "inputs" }).min() {
            throw refused(
                JSONPointer.appending("", unknown), "unknown-member", "There is no member '\(unknown.prefix(64))'; 'inputs' is wanted.")
        }
        guard case .array(let inputs)? = members["inputs"] else {
            throw refused("/inputs", members["inputs"] == nil ? "missing" : "type-mismatch", "'inputs' must be a list.")
        }
        guard !inputs.isEmpty else { throw refused("/inputs", "empty", "'inputs' has no elements.") }
        return inputs
    }

    // MARK: What goes out

    private struct Answer: Encodable {
        let modelVersion: ModelVersionID
        let predictions: [JSON]
        let warnings: [String]?

        enum CodingKeys: String, CodingKey {
            case predictions, warnings
            case modelVersion = "model_version"
        }
    }

    private static func text(of answer: PredictAnswer, by revision: ServedRevision) throws -> Data {
        try JSONEncoder().encode(
            Answer(
                modelVersion: revision.modelVersion, predictions: answer.predictions,
                warnings: answer.warnings.isEmpty ? nil : answer.warnings))
    }

    private static func problem(_ status: Int, _ code: String, _ title: String, _ detail: String) -> Problem {
        Problem(status, code, title: title, detail: detail)
    }

    static func response(_ problem: Problem, _ requestID: String?) -> Response {
        var problem = problem
        problem.requestID = requestID
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let data = try? encoder.encode(problem) else { preconditionFailure("a problem can be written") }
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if problem.status == 503 { headers[.retryAfter] = "1" }
        return Response(
            status: .init(code: problem.status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: data)))
    }
}

extension HTTPField.Name {
    static let requestID: Self = {
        guard let name = Self("X-Request-ID") else { preconditionFailure("a header's name") }
        return name
    }()
}
