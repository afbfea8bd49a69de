internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import SlipwayDomain
internal import SlipwaySystem

/// `POST /predict/<deployment id>`: reads what the client sent, finds the revision that serves, and answers on a lane.
struct PredictRoute: Sendable {
    let configuration: ServeConfiguration
    let live: LiveRevisions<ServedRevision>
    let lanes: CallLanes
    let budget: ByteBudget
    let logger: Logger

    func answer(_ request: Request, to id: String) async -> Response {
        let requestID = request.headers[.requestID]
        do {
            guard let deployment = DeploymentID(id) else { throw Self.problem(404, "not-found", "No such deployment", "") }
            let share = ByteBudget.Share(budget)
            let body = try await body(of: request, share)
            try Task.checkCancellation()
            let deadline = ContinuousClock.now + configuration.deadline
            let revision = try await find(deployment)
            let text = try await lanes.run(for: revision.model, deadline: deadline - .now) { isAbandoned in
                try withExtendedLifetime(share) { try revision.model.answer(body, as: revision.modelVersion, isAbandoned: isAbandoned) }
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
        } catch is CancellationError {
            // The caller has gone, or the process is to stop now: nobody reads this.
            return Self.response(Self.problem(503, "interrupted", "The call was interrupted", ""), requestID)
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
    private func body(of request: Request, _ share: ByteBudget.Share) async throws -> PredictRequest {
        let type = request.headers[.contentType].map(Self.essence) ?? ""
        switch type {
        case "application/json":
            let body = try await bytes(of: request, share, limit: configuration.jsonBytes, "The body")
            return .json(Data(body))
        case "image/png", "image/jpeg", "image/jpg":
            return .picture(try await bytes(of: request, share, limit: configuration.pictureBytes, "The picture"))
        default:
            throw Self.problem(
                415, "media-type-unsupported", "The media type isn't one that predict takes",
                "\(type.isEmpty ? "No Content-Type was sent" : "'\(type.prefix(100))' was sent"); "
                    + "application/json, image/png and image/jpeg are taken.")
        }
    }

    private func bytes(of request: Request, _ share: ByteBudget.Share, limit: Int, _ what: String) async throws -> [UInt8] {
        let tooLarge = Self.problem(413, "body-too-large", "\(what) is too large", "\(what) may have \(limit) bytes.")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
        var bytes: [UInt8] = []
        for try await piece in request.body {
            guard bytes.count + piece.readableBytes <= limit else { throw tooLarge }
            guard share.take(piece.readableBytes) else {
                throw Self.problem(
                    503, "serve-busy", "Too many calls at once",
                    "The calls in flight have \(configuration.bodyBytes) bytes already; try again in a moment.")
            }
            bytes.append(contentsOf: piece.readableBytesView)
        }
        return bytes
    }

    /// The media type without its parameters.
    private static func essence(_ header: String) -> String {
        header.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
    }

    // MARK: What goes out

    private static func problem(_ status: Int, _ code: String, _ title: String, _ detail: String) -> Problem {
        Problem(status, code, title: title, detail: detail)
    }

    static func response(_ problem: Problem, _ requestID: String?) -> Response {
        var problem = problem
        problem.requestID = requestID
        guard let data = try? JSONEncoder.ordered().encode(problem) else { preconditionFailure("a problem can be written") }
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
