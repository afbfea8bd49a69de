internal import HTTPTypes
internal import NIOHTTP1
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// The one place where errors meet HTTP. What isn't named here is our fault: 500, with its cause in the log only.
extension Refusal {
    init(_ error: any Error) {
        switch error {
        case let refusal as Refusal: self = refusal
        case let problem as Problem: self.init(problem: problem)
        case let error as JSONSyntaxError: self.init(problem: error.problem)
        case let error as HTTPParserError: self = .parserError(error)
        case let error as PostgresError: self.init(error)
        case let error as IdempotencyError: self.init(error)
        case let error as StoreError: self.init(problem: Problem(error))
        case let error as BlobError: self.init(error)
        default: self = .internalError
        }
    }

    static let internalError = Refusal(problem: Problem(
        500, "internal-error", title: "Something went wrong on our side",
        detail: "the request id leads to the cause in the service's log"))

    /// Whether the cause is worth a line in the log.
    var isOurs: Bool { problem.status >= 500 }

    static func parserError(_ error: HTTPParserError) -> Refusal {
        switch error {
        case .headerOverflow:
            Refusal(problem: Problem(
                431, "header-too-large", title: "The request's header is too large", detail: "send fewer or shorter header fields"))
        default: .malformedRequest("the bytes aren't HTTP/1.1 as RFC 9112 has it")
        }
    }

    private init(_ error: PostgresError) {
        switch error {
        case .unavailable, .outcomeUnknown, .closed, .connectionLost:
            self = .unavailable("database-unavailable", "the database can't be reached")
        case .busy, .crowded: self = .unavailable("database-busy", "too many requests wait for the database", retryAfter: 2)
        case .server(let error) where error.state == .diskFull: self = .storageFull
        case .server(let error) where error.state == .queryCanceled || error.state == .lockNotAvailable:
            self = .unavailable("database-busy", "the database took too long")
        case .server(let error) where error.state == .serializationFailure || error.state == .deadlockDetected:
            self = .unavailable("database-busy", "the request collided with others")
        // What a row refers to was deleted, or what was to be deleted got a user, at the same moment.
        case .server(let error) where error.state == .foreignKeyViolation:
            self.init(problem: .conflict("in-use", "what this refers to was deleted or used by another request at the same time"))
        default: self = .internalError
        }
    }

    private init(_ error: BlobError) {
        switch error {
        case .diskFull: self = .storageFull
        case .missing, .corrupt:
            self.init(problem: Problem(
                500, "artifact-corrupt", title: "The stored bytes are damaged",
                detail: "what was stored is missing or isn't what it was; the request id leads to the cause in the service's log"))
        case .unexpected: self = .internalError
        }
    }

    static let storageFull = Refusal(problem: Problem(
        507, "storage-full", title: "The object store is full", detail: "less than the minimum of free space is left; nothing was kept"))
}

extension Problem {
    init(_ error: StoreError) {
        switch error {
        case .notFound(let what): self = .notFound(what)
        case .nameTaken(let what, let name):
            self = .conflict("name-taken", "there is another \(what) of the name \"\(name)\"")
        case .inUse(let what, let users):
            self = .conflict(
                "in-use", "the \(what) is still used by \(users.map { "\($0.kind) \($0.id)" }.joined(separator: ", "))",
                errors: users.map { Place(code: "in-use", detail: "\($0.kind) \($0.id)") })
        case .alreadyFinished(let what): self = .conflict("already-finished", "the \(what) has ended already")
        }
    }
}
