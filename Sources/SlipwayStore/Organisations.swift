package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct OrganisationRecord: Sendable {
    package let id: OrganisationID
    package let name: String
    package let createdAt: Date

    init(_ row: Row) throws {
        id = try row["id"]
        name = try row["name"]
        createdAt = try row["created_at"]
    }
}

/// Organisations are made and listed as the system: a tenant sees none but its own.
extension Transaction {
    package func createOrganisation(named name: String) throws -> OrganisationRecord {
        try naming("organisation", name) {
            try queryOne("INSERT INTO organisation (name) VALUES (\(name)) RETURNING id, name, created_at", decode: OrganisationRecord.init)
        }
    }

    package func organisations(after position: CreationPosition?, limit: Int) throws -> [OrganisationRecord] {
        try query("""
            SELECT id, name, created_at FROM organisation WHERE true \(sql: .after(position)) ORDER BY created_at, id LIMIT \(limit)
            """, decode: OrganisationRecord.init)
    }

    package func organisation(_ id: OrganisationID) throws -> OrganisationRecord {
        guard let record = try queryFirst("SELECT id, name, created_at FROM organisation WHERE id = \(id)", decode: OrganisationRecord.init)
        else { throw StoreError.notFound("organisation") }
        return record
    }

    /// The oldest organisation, which `slipway up` makes on first start.
    package func firstOrganisation() throws -> OrganisationRecord? {
        try organisations(after: nil, limit: 1).first
    }
}

extension SQL {
    static func after(_ position: CreationPosition?) -> SQL { CreationPosition.after(position) }
}
