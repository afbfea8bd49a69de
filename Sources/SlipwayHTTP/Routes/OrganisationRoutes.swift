internal import Foundation
internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// Organisations and the keys of their members.
struct OrganisationRoutes {
    let database: Database
    let authenticator: Authenticator

    static let organisation = View<OrganisationRecord>("Organisation", [
        .always("id", .identifier) { .text($0.id) },
        .always("name", .name) { .string($0.name) },
        .always("created_at", .time) { .time($0.createdAt) },
    ])

    static let key = View<(record: APIKeyRecord, secret: APIKeySecret?)>("APIKey", [
        .always("id", .identifier) { .text($0.record.id) },
        .always("name", .name) { .string($0.record.name) },
        .always("public_id", .string) { .string($0.record.publicID) },
        .sometimes("key", .string) { $0.secret.map { .string($0.text) } },
        .always("organisation", .identifier) { .text($0.record.organisation) },
        .always("scopes", .names) { .array($0.record.scopes.map { .string($0.rawValue) }) },
        .always("created_at", .time) { .time($0.record.createdAt) },
        .sometimes("expires_at", .time) { $0.record.expiresAt.map(Output.time) },
        .sometimes("revoked_at", .time) { $0.record.revokedAt.map(Output.time) },
    ])

    var routes: [Route] {
        [
            Route(.get, "/v1/organisations", .scope(.platform), "List organisations", query: QueryParameter.page,
                content: .list(Self.organisation.reference), handle: organisations),
            Route(.post, "/v1/organisations", .scope(.platform), "Create an organisation", body: .json(.object([.required("name", .name)])),
                status: .created, content: .json(Self.organisation.reference), isIdempotent: true, handle: createOrganisation),
            Route(
                .get, "/v1/api-keys", .scope(.admin), "List API keys", query: QueryParameter.page,
                content: .list(Self.key.reference), handle: keys),
            Route(
                .post, "/v1/api-keys", .scope(.admin), "Create an API key; the secret is in this answer only",
                body: .json(
                    .object([
                        .required("name", .name),
                        .required("scopes", .array(.choice(Scope.allCases.map(\.rawValue)), count: 1...5)),
                        .optional("expires_in_seconds", .integer(1...10 * 366 * 86_400), "never, by default"),
                        .optional("organisation", .identifier, "another organisation's: needs the scope platform"),
                    ])),
                status: .created, content: .json(Self.key.reference), isIdempotent: true, handle: createKey),
            Route(
                .get, "/v1/api-keys/{key}", .scope(.admin), "Show an API key", content: .json(Self.key.reference), handle: showKey),
            Route(
                .delete, "/v1/api-keys/{key}", .scope(.admin), "Revoke an API key", status: .noContent, content: .none,
                handle: revokeKey),
        ]
    }

    func organisations(_ call: Call) async throws -> Response {
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: .system) { try $0.organisations(after: position, limit: page.limit + 1) }
        return .json(page.output(records, Self.organisation) { CreationPosition(createdAt: $0.createdAt, id: $0.id.uuid) })
    }

    func createOrganisation(_ call: Call) async throws -> Response {
        let (body, digest) = try await call.json()
        let name = body["name"]?.stringValue ?? ""
        return try await call.create("organisation.create", body: digest, in: database, as: .system) { transaction in
            let record = try transaction.createOrganisation(named: name)
            return Created(object: "organisation \(record.id)", location: nil, output: Self.organisation.output(record))
        }
    }

    func keys(_ call: Call) async throws -> Response {
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: call.role) { try $0.apiKeys(after: position, limit: page.limit + 1) }
        let shown: [(record: APIKeyRecord, secret: APIKeySecret?)] = records.map { ($0, nil) }
        return .json(page.output(shown, Self.key) { CreationPosition(createdAt: $0.record.createdAt, id: $0.record.id.uuid) })
    }

    /// A key can't give what it hasn't got, except that an administrator may give the lesser scopes; `platform` needs `platform`.
    func createKey(_ call: Call) async throws -> Response {
        let (body, digest) = try await call.json()
        let caller = try call.caller
        guard case .array(let words)? = body["scopes"] else { preconditionFailure("the schema requires scopes") }
        let scopes = Scope.allCases.filter { words.contains(.string($0.rawValue)) }
        guard !scopes.contains(.platform) || caller.scopes.contains(.platform) else { throw Problem.scopeMissing(.platform) }
        var organisation = caller.organisation
        if let other = body["organisation"]?.stringValue, other != organisation.description {
            guard caller.scopes.contains(.platform) else { throw Problem.scopeMissing(.platform) }
            guard let id = OrganisationID(other) else { throw Problem.notFound("organisation") }
            organisation = id
        }
        let name = body["name"]?.stringValue ?? ""
        let expiry = body["expires_in_seconds"]?.intValue.map { Date(timeIntervalSinceNow: Double($0)) }
        return try await call.create("api-key.create", body: digest, in: database, as: .system) { [organisation] transaction in
            _ = try transaction.organisation(organisation)
            let secret = APIKeySecret()
            let record = try transaction.createAPIKey(secret, named: name, of: organisation, scopes: scopes, expiresAt: expiry)
            return Created(
                object: "api key \(record.publicID)", location: "/v1/api-keys/\(record.id)", output: Self.key.output((record, secret)),
                remembered: Self.key.output((record, nil)))
        }
    }

    func showKey(_ call: Call) async throws -> Response {
        let id: APIKeyID = try call.identifier("key", of: "API key")
        let record = try await database.transaction(as: call.role) { try $0.apiKey(id) }
        return .json(Self.key.output((record, nil)))
    }

    /// A key can't take away what it couldn't give.
    func revokeKey(_ call: Call) async throws -> Response {
        let id: APIKeyID = try call.identifier("key", of: "API key")
        let audit = try call.audit("api-key.revoke")
        let scopes = try call.caller.scopes
        let record = try await database.transaction(as: call.role) { transaction in
            let record = try transaction.revokeAPIKey(id)
            guard scopes.contains(.platform) || !record.scopes.contains(.platform) else { throw Problem.scopeMissing(.platform) }
            try transaction.record(audit, of: "api key \(record.publicID)")
            return record
        }
        authenticator.forget(record.publicID)
        return .noContent
    }
}
