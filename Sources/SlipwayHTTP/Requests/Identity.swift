internal import Foundation
internal import HTTPTypes
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore
internal import Synchronization

/// Who calls, by the key that was sent.
struct Identity: Sendable {
    let organisation: OrganisationID
    let key: APIKeyID
    let publicID: String
    let scopes: Set<Scope>
}

/// Finds out who calls. What the database said of a key is believed for a few seconds, so revocation is felt within them.
final class Authenticator: Sendable {
    private struct Entry {
        let key: APIKeyRecord?
        let readAt: ContinuousClock.Instant
    }

    private let database: Database
    private let memory: Duration
    private let peers: RateLimiter
    private let entries = Mutex<[String: Entry]>([:])
    private static let capacity = 10_000

    init(_ database: Database, _ limits: APIConfiguration.Limits) {
        self.database = database
        memory = limits.keyMemory
        peers = RateLimiter(rate: limits.addressRate)
    }

    /// - Parameter peer: the address that the request came from.
    /// - Errors: the same refusal for no key, a wrong one, an expired and a revoked one; 429 for a peer that sends many of them.
    func identity(from headers: HTTPFields, of peer: @autoclosure () -> String) async throws -> Identity {
        let values = headers[values: .authorization]
        guard values.count <= 1 else { throw Refusal.malformedRequest("there is more than one Authorization field") }
        guard let value = values.first, let secret = Self.bearer(value), let publicID = APIKeySecret.publicID(of: secret) else {
            throw Refusal.unauthorised
        }
        let digest = SHA256.digest(of: secret.utf8)
        // Who was let in before needn't wait behind strangers of the same address.
        let known = entries.withLock { $0[publicID]?.key?.digest.bytes }
        let stranger = known.map { constantTimeEqual(digest.bytes, $0) } ?? false ? nil : peer()
        if let stranger { try peers.take(from: stranger) }
        // An unknown key is compared too, so that it takes as long as a wrong one.
        let key = try await key(publicID)
        let isRight = constantTimeEqual(digest.bytes, key?.digest.bytes ?? Self.nobody)
        guard isRight, let key, key.isValid(at: Date()) else { throw Refusal.unauthorised }
        if let stranger { peers.giveBack(to: stranger) }
        return Identity(organisation: key.organisation, key: key.id, publicID: key.publicID, scopes: Set(key.scopes))
    }

    /// Whether who called may still do so: long answers ask again.
    func isStillValid(_ identity: Identity, for scope: Scope) async throws -> Bool {
        guard let key = try await key(identity.publicID) else { return false }
        return key.isValid(at: Date()) && key.scopes.contains(scope)
    }

    private static let nobody = [UInt8](repeating: 0, count: Digest.byteCount)

    static func bearer(_ value: String) -> String? {
        let parts = value.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let secret = String(parts[1].trimmingSpaces)
        return secret.isEmpty || secret.utf8.count > 200 ? nil : secret
    }

    private func key(_ publicID: String) async throws -> APIKeyRecord? {
        let now = ContinuousClock.now
        if let entry = entries.withLock({ $0[publicID] }), now - entry.readAt < memory { return entry.key }
        let key = try await database.transaction(as: .system, options: TransactionOptions(isReadOnly: true)) {
            try $0.apiKey(publicID: publicID)
        }
        entries.withLock { entries in
            if entries.count >= Self.capacity { entries = entries.filter { now - $0.value.readAt < memory } }
            if entries.count >= Self.capacity { entries = [:] }
            entries[publicID] = Entry(key: key, readAt: now)
        }
        return key
    }

    /// This process needn't wait to feel its own revocation.
    func forget(_ publicID: String) { entries.withLock { $0[publicID] = nil } }
}

/// Takes the same time wherever two texts differ.
func constantTimeEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
    guard first.count == second.count else { return false }
    var difference: UInt8 = 0
    for index in first.indices { difference |= first[index] ^ second[index] }
    return difference == 0
}
