internal import HTTPTypes
internal import SlipwayDomain

/// A problem document with the header fields that go with it.
struct Refusal: Error {
    var problem: Problem
    var headers: HTTPFields = [:]

    static func malformedRequest(_ detail: String) -> Refusal {
        Refusal(problem: Problem(400, "http-malformed", title: "The request is malformed", detail: detail))
    }

    static let unauthorised = Refusal(
        problem: Problem(
            401, "unauthorised", title: "A valid API key is needed",
            detail: "send a key that exists, hasn't expired and wasn't revoked, as \"Authorization: Bearer KEY\""),
        headers: [.wwwAuthenticate: "Bearer realm=\"slipway\""])

    static func unavailable(_ code: String, _ detail: String, retryAfter seconds: Int = 1) -> Refusal {
        Refusal(
            problem: Problem(503, code, title: "The service can't answer right now", detail: detail),
            headers: [.retryAfter: String(seconds)])
    }

    static func tooManyRequests(retryAfter seconds: Int) -> Refusal {
        Refusal(
            problem: Problem(
                429, "too-many-requests", title: "Too many requests",
                detail: "this key has been sent too often, or this address has tried too many; try again after \(seconds) s"),
            headers: [.retryAfter: String(seconds)])
    }

    static func methodNotAllowed(_ method: String, allowed: [String]) -> Refusal {
        Refusal(
            problem: Problem(
                405, "method-not-allowed", title: "The resource has no such method",
                detail: "\(method) isn't among \(allowed.joined(separator: ", "))"),
            headers: [.allow: allowed.joined(separator: ", ")])
    }

    static func unsupportedMediaType(accepted: [String], given: String?) -> Refusal {
        Refusal(
            problem: Problem(
                415, "media-type-unsupported", title: "The body's media type isn't accepted here",
                detail: "send Content-Type \(accepted.joined(separator: " or "))\(given.map { ", not \($0.prefix(100))" } ?? "")"),
            headers: [.acceptPost: accepted.joined(separator: ", ")])
    }

    static func bodyTooLarge(limit: Int) -> Refusal {
        Refusal(problem: Problem(
            413, "body-too-large", title: "The request body is too large", detail: "a body of at most \(limit) bytes is accepted here"))
    }

    static let bodyMissing = Refusal(problem: Problem(
        400, "body-missing", title: "The request has no body", detail: "this route needs a request body"))

    static let tooSlow = Refusal(problem: Problem(
        408, "request-too-slow", title: "The request took too long to arrive",
        detail: "its body didn't arrive within the time or at the rate that this route allows"))
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-ID")!
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotencyReplayed = HTTPField.Name("Idempotency-Replayed")!
    static let acceptPost = HTTPField.Name("Accept-Post")!
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
}

extension Problem {
    /// An id that names nothing, or something of another organisation: the same bytes for both.
    static func notFound(_ what: String) -> Problem {
        Problem(404, "not-found", title: "There is no such resource", detail: "there is no \(what) of this id")
    }

    static let unknownPath = Problem(404, "not-found", title: "There is no such resource", detail: "no route has this path")

    static func invalidBody(_ errors: [Place]) -> Problem {
        Problem(
            422, "request-invalid", title: "The request body isn't valid",
            detail: errors.map { "\($0.pointer ?? ""): \($0.detail)" }.joined(separator: "; "), errors: errors)
    }

    static func invalidBody(_ pointer: String, _ code: String, _ detail: String) -> Problem {
        invalidBody([Place(pointer: pointer, code: code, detail: detail)])
    }

    static func invalidParameter(_ name: String, _ code: String, _ detail: String, status: Int = 422) -> Problem {
        Problem(
            status, "parameter-invalid", title: "A query parameter or header field isn't valid", detail: "\(name): \(detail)",
            errors: [Place(parameter: name, code: code, detail: detail)])
    }

    static func conflict(_ code: String, _ detail: String, errors: [Place] = []) -> Problem {
        Problem(409, code, title: "The resource's state doesn't allow this", detail: detail, errors: errors)
    }

    static func scopeMissing(_ scope: Scope) -> Problem {
        Problem(
            403, "scope-missing", title: "The API key lacks a scope", detail: "this needs a key with the scope \"\(scope.rawValue)\"")
    }
}
