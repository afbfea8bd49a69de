package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct ProjectRecord: Sendable {
    package let id: ProjectID
    package let name: String
    package let description: String
    package let createdAt: Date

    init(_ row: Row) throws {
        id = try row["id"]
        name = try row["name"]
        description = try row["description"]
        createdAt = try row["created_at"]
    }

    static let columns: SQL = "id, name, description, created_at"
}

extension Transaction {
    package func createProject(named name: String, description: String) throws -> ProjectRecord {
        try naming("project", name) {
            try queryOne("""
                INSERT INTO project (organisation_id, name, description) VALUES (current_organisation(), \(name), \(description))
                RETURNING \(sql: ProjectRecord.columns)
                """, decode: ProjectRecord.init)
        }
    }

    package func project(_ id: ProjectID) throws -> ProjectRecord {
        guard let project = try queryFirst("SELECT \(sql: ProjectRecord.columns) FROM project WHERE id = \(id)", decode: ProjectRecord.init)
        else { throw StoreError.notFound("project") }
        return project
    }

    package func projects(after position: CreationPosition?, limit: Int) throws -> [ProjectRecord] {
        try query("""
            SELECT \(sql: ProjectRecord.columns) FROM project WHERE organisation_id = current_organisation() \(sql: .after(position))
            ORDER BY created_at, id LIMIT \(limit)
            """, decode: ProjectRecord.init)
    }

    /// - Errors: `StoreError.inUse` while anything is in the project.
    package func deleteProject(_ id: ProjectID) throws {
        guard try execute("SELECT 1 FROM project WHERE id = \(id) FOR UPDATE") == 1 else { throw StoreError.notFound("project") }
        try requireUnused("project", """
            SELECT kind, id FROM (
                SELECT 'data set' AS kind, id::text FROM dataset WHERE project_id = \(id)
                UNION ALL SELECT 'experiment', id::text FROM experiment WHERE project_id = \(id)
                UNION ALL SELECT 'model', id::text FROM model WHERE project_id = \(id)
                UNION ALL SELECT 'deployment', id::text FROM deployment WHERE project_id = \(id)
            ) AS contents
            """)
        try execute("DELETE FROM project WHERE id = \(id)")
    }
}
