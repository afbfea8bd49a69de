package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct DatasetRecord: Sendable {
    package let id: DatasetID
    package let project: ProjectID
    package let name: String
    package let task: LearningTask
    package let description: String
    package let latestVersion: Int?
    package let createdAt: Date

    init(_ row: Row) throws {
        id = try row["id"]
        project = try row["project_id"]
        name = try row["name"]
        task = try row["task"]
        description = try row["description"]
        latestVersion = try row["latest_version"]
        createdAt = try row["created_at"]
    }

    static let columns: SQL = "id, project_id, name, task, description, latest_version, created_at"
}

extension Transaction {
    package func createDataset(in project: ProjectID, named name: String, task: LearningTask, description: String) throws -> DatasetRecord {
        let created = try naming("data set", name) {
            try queryFirst("""
                INSERT INTO dataset (organisation_id, project_id, name, task, description)
                SELECT organisation_id, id, \(name), \(task), \(description) FROM project WHERE id = \(project)
                RETURNING \(sql: DatasetRecord.columns)
                """, decode: DatasetRecord.init)
        }
        guard let created else { throw StoreError.notFound("project") }
        return created
    }

    package func dataset(_ id: DatasetID) throws -> DatasetRecord {
        guard let dataset = try queryFirst("SELECT \(sql: DatasetRecord.columns) FROM dataset WHERE id = \(id)", decode: DatasetRecord.init)
        else { throw StoreError.notFound("data set") }
        return dataset
    }

    package func datasets(in project: ProjectID, after position: CreationPosition?, limit: Int) throws -> [DatasetRecord] {
        _ = try self.project(project)
        return try query("""
            SELECT \(sql: DatasetRecord.columns) FROM dataset WHERE project_id = \(project) \(sql: .after(position))
            ORDER BY created_at, id LIMIT \(limit)
            """, decode: DatasetRecord.init)
    }

    /// - Errors: `StoreError.inUse` while an experiment was made from it or an import is under way.
    package func deleteDataset(_ id: DatasetID) throws {
        guard try execute("SELECT 1 FROM dataset WHERE id = \(id) FOR UPDATE") == 1 else { throw StoreError.notFound("data set") }
        try requireUnused("data set", """
            SELECT kind, id FROM (
                SELECT 'experiment' AS kind, id::text FROM experiment WHERE dataset_id = \(id)
                UNION ALL SELECT 'importing version', number::text FROM dataset_version WHERE dataset_id = \(id) AND status = 'importing'
            ) AS users
            """)
        try execute("DELETE FROM dataset WHERE id = \(id)")
    }
}
