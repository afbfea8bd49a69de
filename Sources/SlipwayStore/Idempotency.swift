package import SlipwayDomain
package import SlipwayPostgres

/// A creation that may be asked for again: the client's key, for one route and path of one organisation.
package struct IdempotentRequest: Sendable {
    package let organisation: OrganisationID
    /// Method and path.
    package let route: String
    package let key: String
    package let body: Digest

    package init(organisation: OrganisationID, route: String, key: String, body: Digest) {
        self.organisation = organisation
        self.route = route
        self.key = key
        self.body = body
    }
}

/// What was answered the first time.
package struct RecordedAnswer: Sendable, Hashable {
    package let status: Int
    package let location: String?
    package let response: String

    package init(status: Int, location: String?, response: String) {
        self.status = status
        self.location = location
        self.response = response
    }
}

package enum IdempotencyError: Error, Hashable, Sendable {
    /// Another transaction is at the same request.
    case inFlight
    /// The key came with another body before.
    case reused
}

extension Transaction {
    /// The answer that was given before; nil when this transaction is the one to create, and to `remember` what it answers.
    ///
    /// The lock ends with the transaction, however that ends: no key stays blocked by a process that died.
    package func recall(_ request: IdempotentRequest) throws -> RecordedAnswer? {
        let name = "\(request.organisation)\u{1F}\(request.route)\u{1F}\(request.key)"
        // All 64 bits of a lock's number: with 32, some ten thousand requests in flight would meet by chance.
        let isAlone = try queryOne(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(\(name), \(AdvisoryLock.idempotency))) AS alone"
        ) { try $0["alone"] as Bool }
        guard isAlone else { throw IdempotencyError.inFlight }
        let found = try queryFirst("""
            SELECT body_sha256, status, location, response FROM idempotency_key
            WHERE organisation_id = \(request.organisation) AND route = \(request.route) AND key = \(request.key)
              AND created_at > now() - interval '24 hours'
            """) { row in
            (body: try row["body_sha256"] as Digest,
             answer: RecordedAnswer(status: try row["status"], location: try row["location"], response: try row["response"]))
        }
        guard let found else { return nil }
        guard found.body == request.body else { throw IdempotencyError.reused }
        return found.answer
    }

    package func remember(_ answer: RecordedAnswer, of request: IdempotentRequest) throws {
        try execute("""
            INSERT INTO idempotency_key (organisation_id, route, key, body_sha256, status, location, response)
            VALUES (\(request.organisation), \(request.route), \(request.key), \(request.body), \(answer.status), \(answer.location), \(answer.response))
            ON CONFLICT (organisation_id, route, key) DO UPDATE
            SET body_sha256 = excluded.body_sha256, status = excluded.status, location = excluded.location,
                response = excluded.response, created_at = now()
            """)
    }

    /// Removes answers that are older than they are kept. As the system.
    package func forgetOldAnswers() throws -> Int {
        try execute("DELETE FROM idempotency_key WHERE created_at < now() - interval '24 hours'")
    }
}

/// What advisory locks are for.
enum AdvisoryLock {
    /// The seed of a lock's hash.
    static let idempotency: Int64 = 0x51D3
    /// The first of a lock's two numbers: such locks don't meet those of one number.
    static let firstOrganisation: Int32 = 0x51D4
}
