internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore
internal import SlipwaySystem

/// A request on its way through its route.
struct Call: Sendable {
    let request: Request
    let channel: any Channel
    let route: Route
    /// As it was sent, without the query.
    let path: String
    let parameters: [String: String]
    let query: Query
    let id: String
    let identity: Identity?
    let logger: Logger
    let limits: APIConfiguration.Limits
    /// Its body's part of what bodies may take together.
    let share: ByteBudget.Share
    let largeBodies: LargeBodies

    /// Who calls. Routes that are open to anyone have no caller.
    var caller: Identity {
        get throws {
            guard let identity else { preconditionFailure("\(route.path) is open and asks who calls") }
            return identity
        }
    }

    var role: Role { get throws { .tenant(try caller.organisation) } }

    /// An id of the path. Text that is no id at all names nothing, as an unknown id does.
    func identifier<Kind>(_ name: String, of what: String) throws -> Identifier<Kind> {
        guard let text = parameters[name], let identifier = Identifier<Kind>(text) else { throw Problem.notFound(what) }
        return identifier
    }

    /// A version's or revision's number in the path.
    func number(_ name: String, of what: String) throws -> Int {
        guard let text = parameters[name], text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int32(text), number > 0,
            !text.hasPrefix("0")
        else { throw Problem.notFound(what) }
        return Int(number)
    }

    /// What an audit entry needs to know of the call.
    func audit(_ action: String) throws -> AuditEntry {
        AuditEntry(organisation: try caller.organisation, key: try caller.key, action: action, requestID: id)
    }

    // MARK: The body

    /// The validated body, and the digest of the bytes that it came as.
    func json() async throws -> (JSON, Digest) {
        guard case .json(let schema, let limit) = route.body else { preconditionFailure("\(route.path) has no JSON body") }
        try requireMediaType(["application/json"])
        // RFC 8259, section 8.1: it's UTF-8, whatever else is said; ASCII is a part of it.
        if let charset, !["utf-8", "utf8", "us-ascii"].contains(charset.lowercased()) {
            throw Problem.unsupportedCharset(charset, "JSON is UTF-8")
        }
        let bytes = try await body(upTo: limit ?? limits.jsonBytes)
        guard !bytes.isEmpty else { throw Refusal.bodyMissing }
        let depth = limits.jsonDepth
        return bytes.count > Self.largeBytes
            ? try await largeBodies.run { try Self.read(bytes, depth, schema) } : try Self.read(bytes, depth, schema)
    }

    private static let largeBytes = 256 << 10

    private static func read(_ bytes: [UInt8], _ depth: Int, _ schema: Schema) throws -> (JSON, Digest) {
        let value = try JSONReader.read(bytes, depthLimit: depth)
        let errors = schema.errors(in: value)
        guard errors.isEmpty else { throw Problem.invalidBody(errors) }
        return (value, SHA256.digest(of: bytes))
    }

    /// The body's bytes, which must all arrive within the time for small bodies.
    func body(upTo limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await piece in try stream(upTo: limit, pace: .total(limits.bodyTime)) {
            guard share.take(piece.readableBytes) else {
                throw Refusal.unavailable("too-many-bodies", "the bodies of requests in flight have \(limits.allJSONBytes) bytes already")
            }
            bytes.append(contentsOf: piece.readableBytesView)
        }
        return bytes
    }

    /// The body as it comes, in constant memory, refused before it's read when it says that it's too long.
    func stream(upTo limit: Int, pace: BodyPace) throws -> BodyStream {
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw Refusal(problem: Problem(
                415, "content-encoding-unsupported", title: "The body's encoding isn't accepted",
                detail: "send the body without Content-Encoding, not \(encoding.prefix(50))"))
        }
        if let length = request.headers[.contentLength] {
            guard let bytes = Int(length), bytes <= limit else { throw Refusal.bodyTooLarge(limit: limit) }
        }
        channel.triggerUserOutboundEvent(BodyExpected(pace: pace, sendsContinue: expectsContinue), promise: nil)
        return BodyStream(base: request.body, limit: limit)
    }

    private var expectsContinue: Bool { request.headers[.expect]?.lowercased() == "100-continue" }

    var hasBody: Bool { request.headers[.transferEncoding] != nil || (request.headers[.contentLength].flatMap { Int($0) } ?? 0) > 0 }

    /// The body's media type, which must be one of those accepted.
    @discardableResult
    func requireMediaType(_ accepted: [String]) throws -> String {
        let fields = request.headers[values: .contentType]
        guard fields.count == 1, let text = fields.first else {
            if fields.isEmpty, !hasBody { throw Refusal.bodyMissing }
            throw Refusal.unsupportedMediaType(accepted: accepted, given: nil)
        }
        let type = text.split(separator: ";", maxSplits: 1)[0].trimmingSpaces.lowercased()
        guard accepted.contains(type) else { throw Refusal.unsupportedMediaType(accepted: accepted, given: type) }
        return type
    }

    /// The charset that goes with the media type.
    var charset: String? {
        for parameter in (request.headers[.contentType] ?? "").split(separator: ";").dropFirst() {
            let pair = parameter.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].trimmingSpaces.lowercased() == "charset" else { continue }
            return pair[1].trimmingSpaces.filter { $0 != "\"" && $0 != "'" }
        }
        return nil
    }
}

extension StringProtocol {
    var trimmingSpaces: SubSequence {
        let isSpace = { (character: Character) in character == " " || character == "\t" }
        let start = firstIndex { !isSpace($0) } ?? endIndex
        let end = lastIndex { !isSpace($0) }.map { index(after: $0) } ?? start
        return self[start..<end]
    }
}

/// The pieces of a body, counted.
struct BodyStream: AsyncSequence, Sendable {
    let base: RequestBody
    let limit: Int

    struct AsyncIterator: AsyncIteratorProtocol {
        var base: RequestBody.AsyncIterator
        let limit: Int
        var bytes = 0

        mutating func next() async throws -> ByteBuffer? {
            guard let piece = try await base.next() else { return nil }
            bytes += piece.readableBytes
            guard bytes <= limit else { throw Refusal.bodyTooLarge(limit: limit) }
            return piece
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator(), limit: limit) }
}

// MARK: Answers

extension Response {
    static func json(_ output: Output, status: HTTPResponse.Status = .ok, location: String? = nil) -> Response {
        json(text: output.text, status: status, location: location)
    }

    static func json(text: String, status: HTTPResponse.Status, location: String? = nil) -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let location { headers[.location] = location }
        if status == .ok { headers[.eTag] = "\"\(SHA256.digest(of: text.utf8).description.prefix(16))\"" }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    static var noContent: Response { Response(status: .noContent) }
}
