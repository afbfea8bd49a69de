internal import HTTPTypes
internal import Hummingbird
internal import NIOHTTP1
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore
internal import Synchronization

/// Passes predict calls on to the serve process. Nothing of a client's bytes is understood here.
struct PredictRoutes {
    let database: Database
    let serve: ServeClient
    let metrics: Metrics
    let known: KnownDeployments

    var routes: [Route] {
        [
            Route(.post, "/v1/deployments/{deployment}/predict", .scope(.predict), "Predict: a picture's bytes, or `{\"inputs\": [...]}`",
                body: .stream(["application/json", "image/png", "image/jpeg"]),
                content: .json(.object([
                    .required("model_version", .identifier), .required("predictions", .array(.anyObject)), .optional("warnings", .names),
                ])), handle: predict)
        ]
    }

    func predict(_ call: Call) async throws -> Response {
        let id: DeploymentID = try call.identifier("deployment", of: "deployment")
        try await check(id, call)
        let isJSON = (call.request.headers[.contentType] ?? "").prefix { $0 != ";" }.trimmingSpaces.lowercased() == "application/json"
        let body = try call.stream(
            upTo: isJSON ? call.limits.predictJSONBytes : call.limits.predictPictureBytes, pace: .total(call.limits.predictTime))
        var head = HTTPRequestHead(
            version: .http1_1, method: .POST, uri: "/predict/\(id)", headers: ["Host": "serve", "X-Request-ID": call.id])
        for name in [HTTPField.Name.contentType, .contentLength] {
            if let value = call.request.headers[name] { head.headers.add(name: name.rawName, value: value) }
        }
        let serve = serve, request = head
        let answer = try await ClientWatch(call.channel).cancelling { try await serve.answer(to: request, body: body) }
        metrics.predicted(status: Int(answer.head.status.code))
        var headers: HTTPFields = [:]
        for name in [HTTPField.Name.contentType, .retryAfter] {
            if let value = answer.head.headers.first(name: name.rawName) { headers[name] = value }
        }
        return Response(status: .init(code: Int(answer.head.status.code)), headers: headers, body: ResponseBody(byteBuffer: answer.body))
    }

    private func check(_ id: DeploymentID, _ call: Call) async throws {
        let organisation = try call.caller.organisation
        guard !known.contains(id, of: organisation) else { return }
        let status = try await database.transaction(as: call.role) { try $0.deployment(id).status }
        switch status {
        case .stopped: throw Problem.conflict("deployment-stopped", "the deployment was stopped; a new revision starts it again")
        case .deploying, .failed, .ready: known.insert(id, of: organisation)
        }
    }
}

/// Whose deployment is whose, as read a moment ago: a deployment never changes hands, and the serve process knows better
/// than the database whether it still serves.
final class KnownDeployments: Sendable {
    private struct Key: Hashable {
        let deployment: DeploymentID
        let organisation: OrganisationID
    }

    private static let memory = Duration.seconds(2)
    private static let capacity = 10_000
    private let entries = Mutex<[Key: ContinuousClock.Instant]>([:])

    func contains(_ deployment: DeploymentID, of organisation: OrganisationID) -> Bool {
        let readAt = entries.withLock { $0[Key(deployment: deployment, organisation: organisation)] }
        return readAt.map { ContinuousClock.now - $0 < Self.memory } ?? false
    }

    func insert(_ deployment: DeploymentID, of organisation: OrganisationID) {
        entries.withLock { entries in
            if entries.count >= Self.capacity { entries = [:] }
            entries[Key(deployment: deployment, organisation: organisation)] = .now
        }
    }

    /// This process needn't wait to know of what it has changed itself.
    func forget(_ deployment: DeploymentID, of organisation: OrganisationID) {
        entries.withLock { $0[Key(deployment: deployment, organisation: organisation)] = nil }
    }
}
