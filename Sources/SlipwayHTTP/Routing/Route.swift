internal import HTTPTypes
internal import Hummingbird
internal import SlipwayDomain

/// One method of one path: everything the server, its tests and `/openapi.json` know about it.
struct Route: Sendable {
    /// Who may call it.
    enum Access: Sendable, Hashable {
        /// Anyone: it says nothing that isn't public.
        case open
        /// Any valid key.
        case anyKey
        /// A key with this scope.
        case scope(Scope)
        /// A key with the scope `platform`, or the key that collectors of metrics have.
        case metrics
    }

    enum Body: Sendable {
        case none
        case json(Schema, limit: Int? = nil)
        /// A body that is taken as it comes, as one of these media types.
        case stream([String])
    }

    enum Content: Sendable {
        case json(Schema)
        case list(Schema)
        case bytes
        case text(String)
        case eventStream
        case none
    }

    let method: HTTPRequest.Method
    /// `/v1/projects/{project}`
    let path: String
    let access: Access
    let summary: String
    let query: [QueryParameter]
    let body: Body
    let status: HTTPResponse.Status
    let content: Content
    /// Whether an `Idempotency-Key` makes a repetition harmless.
    let isIdempotent: Bool
    let handle: @Sendable (Call) async throws -> Response

    init(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, _ summary: String, query: [QueryParameter] = [],
        body: Body = .none, status: HTTPResponse.Status = .ok, content: Content, isIdempotent: Bool = false,
        handle: @escaping @Sendable (Call) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.summary = summary
        self.query = query
        self.body = body
        self.status = status
        self.content = content
        self.isIdempotent = isIdempotent
        self.handle = handle
    }

    /// The names in braces.
    var parameters: [String] { RouteTable.segments(path).compactMap(RouteTable.parameter) }
}

/// All routes, found by method and path. A path is decoded once and compared segment by segment; 405 needs to know which
/// methods a path has, which is why this isn't Hummingbird's router.
struct RouteTable: Sendable {
    enum Match {
        case found(Route, parameters: [String: String])
        case wrongMethod(allowed: [String], pattern: String)
        case unknown
    }

    let routes: [Route]
    private let byLength: [Int: [(segments: [Substring], routes: [Route])]]

    init(_ routes: [Route]) {
        self.routes = routes
        var paths: [String: [Route]] = [:]
        for route in routes {
            precondition(
                !paths[route.path, default: []].contains { $0.method == route.method }, "\(route.method) \(route.path) stands twice"
            )
            paths[route.path, default: []].append(route)
        }
        // A literal segment goes before a parameter.
        byLength = Dictionary(grouping: paths.sorted { $0.key > $1.key }.map { (Self.segments($0.key), $0.value) }, by: \.0.count)
            .mapValues { $0.sorted { Self.parameterCount($0.0) < Self.parameterCount($1.0) } }
    }

    static func segments(_ path: some StringProtocol) -> [Substring] {
        Substring(path).split(separator: "/", omittingEmptySubsequences: false).dropFirst().map { $0 }
    }

    static func parameter(_ segment: Substring) -> String? {
        segment.hasPrefix("{") && segment.hasSuffix("}") ? String(segment.dropFirst().dropLast()) : nil
    }

    private static func parameterCount(_ segments: [Substring]) -> Int { segments.count { parameter($0) != nil } }

    /// `path` is as it was sent, without the query.
    func match(_ method: HTTPRequest.Method, _ path: Substring) -> Match {
        guard path.hasPrefix("/") else { return .unknown }
        var segments: [String] = []
        for segment in Self.segments(path) {
            guard let decoded = percentDecoded(segment), !decoded.contains("/"), decoded != ".", decoded != ".." else { return .unknown }
            segments.append(decoded)
        }
        for (pattern, routes) in byLength[segments.count] ?? [] {
            guard let parameters = Self.parameters(of: segments, in: pattern) else { continue }
            // HEAD is answered like GET, without the body.
            let wanted = method == .head ? .get : method
            if let route = routes.first(where: { $0.method == wanted }) { return .found(route, parameters: parameters) }
            let methods = routes.map(\.method.rawValue) + (routes.contains { $0.method == .get } ? ["HEAD"] : [])
            return .wrongMethod(allowed: methods.sorted(), pattern: routes[0].path)
        }
        return .unknown
    }

    private static func parameters(of segments: [String], in pattern: [Substring]) -> [String: String]? {
        var parameters: [String: String] = [:]
        for (segment, wanted) in zip(segments, pattern) {
            if let name = parameter(wanted) {
                guard !segment.isEmpty else { return nil }
                parameters[name] = segment
            } else if segment != wanted {
                return nil
            }
        }
        return parameters
    }
}
