internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import SlipwayDomain
internal import SlipwaySystem

/// What Hummingbird knows of a request beside the request itself.
struct ConnectionContext: InitializableFromSource {
    let channel: any Channel
    let logger: Logger

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
        logger = source.logger
    }
}

/// From a request to its response: the host, the route, the caller, the scope and the query are checked here, for all
/// routes alike, and whatever is thrown becomes a problem document. Each request makes one line in the log.
struct Responder: HTTPResponder {
    let table: RouteTable
    let configuration: APIConfiguration
    let authenticator: Authenticator
    let metrics: Metrics
    let logger: Logger
    private let keys: RateLimiter
    private let bodies: ByteBudget
    private let largeBodies = LargeBodies()

    init(table: RouteTable, configuration: APIConfiguration, authenticator: Authenticator, metrics: Metrics, logger: Logger) {
        self.table = table
        self.configuration = configuration
        self.authenticator = authenticator
        self.metrics = metrics
        self.logger = logger
        keys = RateLimiter(rate: configuration.limits.keyRate)
        bodies = ByteBudget(bytes: configuration.limits.allJSONBytes)
    }

    /// What is known of a request when its line is written.
    private struct Trace: Sendable {
        let id: String
        let method: String
        let path: String
        let started = ContinuousClock.now
        var pattern: String?
        var key: String?
        var organisation: OrganisationID?
        var code: String?
    }

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let target = request.head.path ?? "/"
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        // The query isn't logged: it may hold what was meant to be a header.
        var trace = Trace(
            id: RequestID.accepted(request.headers[.requestID]), method: request.method.rawValue, path: String(parts[0].prefix(300)))
        var logger = self.logger
        logger[metadataKey: "request_id"] = .string(trace.id)
        var response: Response
        do {
            response = try await answer(request, context, parts[0], parts.count > 1 ? parts[1] : nil, logger, &trace)
        } catch {
            response = refusal(of: error, logger, &trace)
        }
        response.headers[.requestID] = trace.id
        response.headers[HTTPField.Name("X-Content-Type-Options")!] = "nosniff"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "private, no-cache" }
        if request.method == .get || request.method == .head {
            if let tag = response.headers[.eTag], matches(request.headers[.ifNoneMatch], tag) {
                response = Response(status: .notModified, headers: response.headers)
                response.headers[.contentLength] = nil
                response.headers[.contentType] = nil
            }
        } else {
            response.headers[.eTag] = nil
        }
        if request.method == .head { response = response.createHeadResponse() }
        return noting(response, trace, logger)
    }

    private func answer(
        _ request: Request, _ context: ConnectionContext, _ path: Substring, _ query: Substring?, _ logger: Logger, _ trace: inout Trace
    ) async throws -> Response {
        try checkHost(request.head.authority)
        let route: Route, parameters: [String: String]
        switch table.match(request.method, path) {
        case .found(let found, let values): (route, parameters) = (found, values)
        case .wrongMethod(let allowed, let pattern):
            trace.pattern = pattern
            throw Refusal.methodNotAllowed(String(request.method.rawValue.prefix(50)), allowed: allowed)
        case .unknown: throw Problem.unknownPath
        }
        trace.pattern = route.path
        var identity: Identity?
        switch route.access {
        case .open: break
        case .metrics where hasMetricsKey(request.headers): break
        case .metrics: identity = try await caller(of: request, context, with: .platform, &trace)
        case .anyKey: identity = try await caller(of: request, context, with: nil, &trace)
        case .scope(let scope): identity = try await caller(of: request, context, with: scope, &trace)
        }
        let call = Call(
            request: request, channel: context.channel, route: route, path: String(path), parameters: parameters,
            query: try Query(query, of: route.query), id: trace.id, identity: identity, logger: logger, limits: configuration.limits,
            share: ByteBudget.Share(bodies), largeBodies: largeBodies)
        return try await route.handle(call)
    }

    /// A page of another site that a browser was led to by a name that now points here (DNS rebinding) says that name.
    private func checkHost(_ authority: String?) throws {
        guard configuration.isLoopback || !configuration.hosts.isEmpty, let authority else { return }
        let name = authority.hasPrefix("[")
            ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        let known = ["localhost", "127.0.0.1", "[::1]", configuration.host] + configuration.hosts
        guard known.contains(where: { $0.lowercased() == name.lowercased() }) else {
            throw Problem(
                421, "host-unknown", title: "This server doesn't answer for that host",
                detail: "address it as localhost, or name the host in the setting hosts")
        }
    }

    private func caller(
        of request: Request, _ context: ConnectionContext, with scope: Scope?, _ trace: inout Trace
    ) async throws -> Identity {
        let caller = try await authenticator.identity(from: request.headers, of: context.channel.remoteAddress?.asker ?? "")
        (trace.key, trace.organisation) = (caller.publicID, caller.organisation)
        // Predict calls wait in line at their model instead.
        if scope != .predict { try keys.take(from: caller.publicID) }
        if let scope, !caller.scopes.contains(scope) { throw Problem.scopeMissing(scope) }
        return caller
    }

    private func hasMetricsKey(_ headers: HTTPFields) -> Bool {
        let values = headers[values: .authorization]
        guard let wanted = configuration.metricsKey, values.count == 1, let given = Authenticator.bearer(values[0]) else { return false }
        return constantTimeEqual(Array(given.utf8), Array(wanted.utf8))
    }

    private func matches(_ condition: String?, _ tag: String) -> Bool {
        guard let condition else { return false }
        return condition.split(separator: ",").contains { candidate in
            let text = candidate.trimmingSpaces
            return text == "*" || text == tag || text == "W/\(tag)"
        }
    }

    private func refusal(of error: any Error, _ logger: Logger, _ trace: inout Trace) -> Response {
        if error is CancellationError {
            // The client has gone away, or the server is to stop now: nobody reads this.
            trace.code = "client-gone"
            return .problem(.unavailable("interrupted", "the request was interrupted"), requestID: trace.id)
        }
        let refusal = Refusal(error)
        trace.code = refusal.problem.code
        if refusal.isOurs { logger.error("\(trace.method) \(trace.path) failed", metadata: ["error": .string(String(describing: error))]) }
        return .problem(refusal, requestID: trace.id)
    }

    // MARK: The request's line

    private func noting(_ response: Response, _ trace: Trace, _ logger: Logger) -> Response {
        guard response.body.contentLength != 0 else {
            note(response.status.code, trace, logger)
            return response
        }
        // The line is written at the body's end.
        var response = response
        let body = response.body
        let status = response.status.code
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            do {
                try await body.write(writer)
                note(status, trace, logger)
            } catch {
                var trace = trace
                trace.code = "client-gone"
                // As nginx says it: the client closed the connection before it had the answer.
                note(499, trace, logger)
                throw error
            }
        }
        return response
    }

    private func note(_ status: Int, _ trace: Trace, _ logger: Logger) {
        let duration = ContinuousClock.now - trace.started
        metrics.request(route: trace.pattern ?? "unknown", method: trace.method, status: status, seconds: duration / .seconds(1))
        var metadata: Logger.Metadata = [
            "method": .string(String(trace.method.prefix(20))), "path": .string(trace.path), "status": "\(status)",
            "milliseconds": "\((duration / .milliseconds(1) * 10).rounded() / 10)",
        ]
        if let key = trace.key { metadata["key"] = .string(key) }
        if let organisation = trace.organisation { metadata["organisation"] = .string(organisation.description) }
        if let code = trace.code { metadata["code"] = .string(code) }
        logger.info("request", metadata: metadata)
    }
}
