internal import CCrypto
package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

/// A new key: `slip_<public id>_<secret>`. The secret's 256 random bits need no slow hash; only a digest of the whole is kept.
package struct APIKeySecret: Sendable {
    package let publicID: String
    /// What the client sends. It is shown once.
    package let text: String

    package init() {
        publicID = Self.random(bytes: 8)
        text = "slip_\(publicID)_\(Self.random(bytes: 32))"
    }

    /// The part by which a key is looked up; nil when the text isn't of a key's form.
    package static func publicID(of text: String) -> String? {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "slip", parts[1].utf8.count == 16, parts[2].utf8.count == 64,
            parts[1...].allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) } })
        else { return nil }
        return String(parts[1])
    }

    package static func digest(of text: String) -> Digest { SHA256.digest(of: text.utf8) }

    private static func random(bytes count: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = RAND_bytes(&bytes, Int32(count))
        precondition(filled == 1, "libcrypto has no randomness")
        return bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

package struct APIKeyRecord: Sendable {
    package let id: APIKeyID
    package let organisation: OrganisationID
    package let name: String
    package let publicID: String
    package let digest: Digest
    package let scopes: [Scope]
    package let createdAt: Date
    package let expiresAt: Date?
    package let revokedAt: Date?

    init(_ row: Row) throws {
        id = try row["id"]
        organisation = try row["organisation_id"]
        name = try row["name"]
        publicID = try row["public_id"]
        digest = try row["digest"]
        scopes = try row["scopes"]
        createdAt = try row["created_at"]
        expiresAt = try row["expires_at"]
        revokedAt = try row["revoked_at"]
    }

    static let columns: SQL = "id, organisation_id, name, public_id, digest, scopes, created_at, expires_at, revoked_at"

    package func isValid(at time: Date) -> Bool { revokedAt == nil && expiresAt.map { time < $0 } ?? true }
}

extension Transaction {
    package func createAPIKey(
        _ secret: APIKeySecret, named name: String, of organisation: OrganisationID, scopes: [Scope], expiresAt: Date?
    ) throws -> APIKeyRecord {
        try queryOne("""
            INSERT INTO api_key (organisation_id, name, public_id, digest, scopes, expires_at)
            VALUES (\(organisation), \(name), \(secret.publicID), \(APIKeySecret.digest(of: secret.text)), \(scopes), \(expiresAt))
            RETURNING \(sql: APIKeyRecord.columns)
            """, decode: APIKeyRecord.init)
    }

    /// As the system: who calls isn't known yet.
    package func apiKey(publicID: String) throws -> APIKeyRecord? {
        try queryFirst("SELECT \(sql: APIKeyRecord.columns) FROM api_key WHERE public_id = \(publicID)", decode: APIKeyRecord.init)
    }

    package func apiKey(_ id: APIKeyID) throws -> APIKeyRecord {
        guard let key = try queryFirst("SELECT \(sql: APIKeyRecord.columns) FROM api_key WHERE id = \(id)", decode: APIKeyRecord.init)
        else { throw StoreError.notFound("API key") }
        return key
    }

    package func apiKeys(after position: CreationPosition?, limit: Int) throws -> [APIKeyRecord] {
        try query("""
            SELECT \(sql: APIKeyRecord.columns) FROM api_key WHERE organisation_id = current_organisation() \(sql: .after(position))
            ORDER BY created_at, id LIMIT \(limit)
            """, decode: APIKeyRecord.init)
    }

    /// Revoking again changes nothing.
    package func revokeAPIKey(_ id: APIKeyID) throws -> APIKeyRecord {
        let key = try queryFirst("""
            UPDATE api_key SET revoked_at = coalesce(revoked_at, now()) WHERE id = \(id) RETURNING \(sql: APIKeyRecord.columns)
            """, decode: APIKeyRecord.init)
        guard let key else { throw StoreError.notFound("API key") }
        return key
    }

    /// An administrator's key of the first organisation, which is made when there is none: `slipway up` on first start, and
    /// `slipway admin new-key`. As the system.
    package func createAdministratorKey() throws -> APIKeySecret {
        // Two that start at once make one organisation.
        try execute("SELECT pg_advisory_xact_lock(\(AdvisoryLock.firstOrganisation), 0)")
        let organisation = try firstOrganisation() ?? createOrganisation(named: "default")
        let secret = APIKeySecret()
        _ = try createAPIKey(secret, named: "administrator", of: organisation.id, scopes: Scope.allCases, expiresAt: nil)
        return secret
    }
}
