package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct DatasetVersionRecord: Sendable {
    package let dataset: DatasetID
    package let number: Int
    package let status: VersionStatus
    package let mode: VersionMode
    package let base: Int?
    package let format: String
    package let mediaType: String
    package let target: String?
    package let items: Int
    package let unlabelled: Int
    package let rejected: Int
    package let classes: RawJSON
    package let profile: RawJSON?
    package let warnings: RawJSON
    package let problem: RawJSON?
    package let createdAt: Date
    package let finishedAt: Date?

    init(_ row: Row) throws {
        dataset = try row["dataset_id"]
        number = try row["number"]
        status = try row["status"]
        mode = try row["mode"]
        base = try row["base"]
        format = try row["format"]
        mediaType = try row["media_type"]
        target = try row["target"]
        items = try row["items"]
        unlabelled = try row["unlabelled"]
        rejected = try row["rejected"]
        classes = try row["classes"]
        profile = try row["profile"]
        warnings = try row["warnings"]
        problem = try row["problem"]
        createdAt = try row["created_at"]
        finishedAt = try row["finished_at"]
    }

    static let columns: SQL = """
        dataset_id, number, status, mode, base, format, media_type, target, items, unlabelled, rejected, classes, profile, warnings,
        problem, created_at, finished_at
        """
}

package struct RejectedItemRecord: Sendable {
    package let id: Int64
    package let item: RejectedItem

    init(_ row: Row) throws {
        id = try row["id"]
        item = RejectedItem(
            name: try row["name"], code: try row["code"], reason: try row["reason"], line: try row["line"], column: try row["column"])
    }
}

extension Transaction {
    package func datasetVersion(_ number: Int, of dataset: DatasetID) throws -> DatasetVersionRecord {
        let version = try queryFirst("""
            SELECT \(sql: DatasetVersionRecord.columns) FROM dataset_version WHERE dataset_id = \(dataset) AND number = \(number)
            """, decode: DatasetVersionRecord.init)
        guard let version else { throw StoreError.notFound("data set version") }
        return version
    }

    /// Those that are ready, oldest first: what is importing or has failed is in no list.
    package func datasetVersions(of dataset: DatasetID, after number: Int64?, limit: Int) throws -> [DatasetVersionRecord] {
        _ = try self.dataset(dataset)
        return try query("""
            SELECT \(sql: DatasetVersionRecord.columns) FROM dataset_version
            WHERE dataset_id = \(dataset) AND status = 'ready' AND number > \(number ?? 0)::bigint ORDER BY number LIMIT \(limit)
            """, decode: DatasetVersionRecord.init)
    }

    package func rejectedItems(ofVersion number: Int, of dataset: DatasetID, after id: Int64?, limit: Int) throws -> [RejectedItemRecord] {
        _ = try datasetVersion(number, of: dataset)
        return try query("""
            SELECT id, name, code, reason, line, "column" FROM rejected_item
            WHERE dataset_id = \(dataset) AND version = \(number) AND id > \(id ?? 0) ORDER BY id LIMIT \(limit)
            """, decode: RejectedItemRecord.init)
    }

    /// Removes a version, and the items that live in no version that is left.
    ///
    /// - Errors: `StoreError.inUse` while an experiment was made from it, or while the data set is importing.
    package func deleteDatasetVersion(_ number: Int, of dataset: DatasetID) throws {
        guard try execute("SELECT 1 FROM dataset WHERE id = \(dataset) FOR UPDATE") == 1 else {
            throw StoreError.notFound("data set version")
        }
        _ = try datasetVersion(number, of: dataset)
        try requireUnused("data set version", """
            SELECT kind, id FROM (
                SELECT 'experiment' AS kind, id::text FROM experiment WHERE dataset_id = \(dataset) AND version = \(number)
                UNION ALL SELECT 'importing version', number::text FROM dataset_version
                          WHERE dataset_id = \(dataset) AND status = 'importing'
            ) AS users
            """)
        try execute(all: [
            "DELETE FROM dataset_version WHERE dataset_id = \(dataset) AND number = \(number)",
            """
            DELETE FROM item WHERE dataset_id = \(dataset) AND NOT EXISTS (
                SELECT 1 FROM dataset_version AS v WHERE v.dataset_id = item.dataset_id AND v.status = 'ready'
                    AND item.born <= v.number AND (item.died IS NULL OR v.number < item.died))
            """,
            """
            DELETE FROM annotation WHERE dataset_id = \(dataset) AND NOT EXISTS (
                SELECT 1 FROM dataset_version AS v WHERE v.dataset_id = annotation.dataset_id AND v.status = 'ready'
                    AND annotation.born <= v.number AND (annotation.died IS NULL OR v.number < annotation.died))
            """,
            """
            UPDATE dataset SET latest_version =
                (SELECT max(number) FROM dataset_version WHERE dataset_id = \(dataset) AND status = 'ready')
            WHERE id = \(dataset)
            """,
        ])
    }
}
