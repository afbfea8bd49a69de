internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// What a POST that creates has made.
struct Created: Sendable {
    /// For the audit log: `project 0f3c...`
    let object: String
    let location: String?
    let output: Output
    /// What is kept for a repetition of the request, where that must not show all (a secret).
    var remembered: Output?
}

extension Call {
    /// Creates in one transaction with the audit entry and the answer's record: asked again with the same `Idempotency-Key`,
    /// the first answer is given once more, and nothing is created.
    func create(
        _ action: String, body digest: Digest, in database: Database, as role: Role? = nil,
        _ make: @escaping @Sendable (Transaction) throws -> Created
    ) async throws -> Response {
        let request = try idempotentRequest(body: digest)
        let audit = try audit(action)
        let status = route.status
        let (answer, isReplay) = try await database.transaction(as: try role ?? self.role) { transaction -> (RecordedAnswer, Bool) in
            if let request, let answer = try transaction.recall(request) { return (answer, true) }
            let created = try make(transaction)
            try transaction.record(audit, of: created.object)
            let answer = RecordedAnswer(status: status.code, location: created.location, response: created.output.text)
            if let request {
                let kept = created.remembered.map { RecordedAnswer(status: status.code, location: created.location, response: $0.text) }
                try transaction.remember(kept ?? answer, of: request)
            }
            return (answer, false)
        }
        var response = Response.json(
            text: answer.response, status: HTTPResponse.Status(code: answer.status), location: answer.location)
        if isReplay { response.headers[.idempotencyReplayed] = "true" }
        return response
    }

    /// Nil without an `Idempotency-Key`.
    private func idempotentRequest(body: Digest) throws -> IdempotentRequest? {
        let values = request.headers[values: .idempotencyKey]
        guard let key = values.first else { return nil }
        guard values.count == 1, (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem.invalidParameter(
                "Idempotency-Key", "header-invalid", "must be one text of 1 to 255 visible ASCII characters", status: 400)
        }
        // The same key with other parameters is another request.
        let query = request.head.path?.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        let digest = query.isEmpty ? body : SHA256.digest(of: body.bytes + Array(query.utf8))
        return IdempotentRequest(
            organisation: try caller.organisation, route: "\(request.method.rawValue) \(path)", key: key, body: digest)
    }
}

extension Refusal {
    init(_ error: IdempotencyError) {
        switch error {
        case .inFlight:
            self.init(
                problem: .conflict("idempotency-in-flight", "a request with this Idempotency-Key is being answered right now"),
                headers: [.retryAfter: "1"])
        case .reused:
            self.init(problem: Problem(
                422, "idempotency-key-reused", title: "The Idempotency-Key was used for another request",
                detail: "the key came with another body or other parameters within 24 hours"))
        }
    }
}
