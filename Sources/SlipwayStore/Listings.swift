package import Foundation
package import SlipwayPostgres

/// Where a row stands in a list that is ordered by creation.
package struct CreationPosition: Hashable, Sendable {
    package let createdAt: Date
    package let id: UUID

    package init(createdAt: Date, id: UUID) {
        self.createdAt = createdAt
        self.id = id
    }

    /// `AND` the row stands behind `position`, if there is one.
    static func after(_ position: CreationPosition?) -> SQL {
        guard let position else { return "" }
        return "AND (created_at, id) > (\(position.createdAt), \(position.id))"
    }
}

/// JSON as it stands in a column, to be passed on without being understood.
package struct RawJSON: Sendable, Hashable, PostgresDecodable {
    package let text: String

    package init(_ text: String) { self.text = text }
    package init?(postgresText text: PostgresText) { self.text = text.string }
}

extension Transaction {
    /// - Errors: `StoreError.inUse` unless nothing of the list is left.
    func requireUnused(_ what: String, _ users: SQL) throws {
        let users = try query("\(sql: users) LIMIT 20") { StoreError.User(kind: try $0["kind"], id: try $0["id"]) }
        guard users.isEmpty else { throw StoreError.inUse(what, by: users) }
    }

    /// Runs a statement whose row may have a name that is taken.
    func naming<R>(_ what: String, _ name: String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as PostgresError {
            if case .unique(let constraint) = error.violation, constraint.hasSuffix("name_key") {
                throw StoreError.nameTaken(what, name: name)
            }
            throw error
        }
    }
}
