package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct ModelRecord: Sendable {
    package struct Version: Sendable {
        package let id: ModelVersionID
        package let number: Int
        package let metrics: RawJSON
        package let createdAt: Date
    }

    package let id: ModelID
    package let project: ProjectID
    package let name: String
    /// Nil of one that was imported.
    package let task: LearningTask?
    package let createdAt: Date
    /// The newest `shownVersions`, newest first.
    package internal(set) var versions: [Version] = []
    static let shownVersions = 50

    init(_ row: Row) throws {
        id = try row["id"]
        project = try row["project_id"]
        name = try row["name"]
        task = try row["task"]
        createdAt = try row["created_at"]
    }

    static let columns: SQL = "id, project_id, name, task, created_at"
}

package struct ModelFileRecord: Sendable {
    package let name: String
    package let blob: Digest
    package let bytes: Int

    init(_ row: Row) throws {
        name = try row["name"]
        blob = try row["blob"]
        bytes = try row["bytes"]
    }
}

package struct ModelVersionRecord: Sendable {
    package let id: ModelVersionID
    package let model: ModelID
    package let number: Int
    package let status: ModelVersionStatus
    /// Nil, as the task, of one that was imported.
    package let experiment: ExperimentID?
    package let task: LearningTask?
    package let classes: RawJSON
    package let inputs: RawJSON
    /// Of one that was imported.
    package let outputs: RawJSON?
    package let metrics: RawJSON
    package let lineage: RawJSON
    /// Why it couldn't be imported.
    package let problem: RawJSON?
    package let createdAt: Date
    package internal(set) var files: [ModelFileRecord] = []

    init(_ row: Row) throws {
        id = try row["id"]
        model = try row["model_id"]
        number = try row["number"]
        status = try row["status"]
        experiment = try row["experiment_id"]
        task = try row["task"]
        classes = try row["classes"]
        inputs = try row["inputs"]
        outputs = try row["outputs"]
        metrics = try row["metrics"]
        lineage = try row["lineage"]
        problem = try row["problem"]
        createdAt = try row["created_at"]
    }
}

extension Transaction {
    package func model(_ id: ModelID) throws -> ModelRecord {
        guard let model = try queryFirst("SELECT \(sql: ModelRecord.columns) FROM model WHERE id = \(id)", decode: ModelRecord.init)
        else { throw StoreError.notFound("model") }
        return try withVersions([model])[0]
    }

    package func models(in project: ProjectID, after position: CreationPosition?, limit: Int) throws -> [ModelRecord] {
        _ = try self.project(project)
        return try withVersions(try query("""
            SELECT \(sql: ModelRecord.columns) FROM model WHERE project_id = \(project) \(sql: .after(position))
            ORDER BY created_at, id LIMIT \(limit)
            """, decode: ModelRecord.init))
    }

    private func withVersions(_ models: [ModelRecord]) throws -> [ModelRecord] {
        let versions = try query("""
            SELECT v.id, v.model_id, v.number, v.metrics, v.created_at FROM unnest(\(models.map(\.id))::uuid[]) AS asked(model)
            CROSS JOIN LATERAL (SELECT * FROM model_version WHERE model_id = asked.model AND status = 'ready' ORDER BY number DESC
                                LIMIT \(ModelRecord.shownVersions)) AS v
            ORDER BY v.number DESC
            """
        ) { row in
            (
                model: try row["model_id"] as ModelID,
                version: ModelRecord.Version(
                    id: try row["id"], number: try row["number"], metrics: try row["metrics"], createdAt: try row["created_at"])
            )
        }
        let byModel = Dictionary(grouping: versions, by: \.model)
        return models.map { model in
            var model = model
            model.versions = byModel[model.id]?.map(\.version) ?? []
            return model
        }
    }

    package func modelVersion(_ id: ModelVersionID) throws -> ModelVersionRecord {
        let version = try queryFirst("""
            SELECT id, model_id, number, status, experiment_id, task, classes, inputs, outputs, metrics, lineage, problem, created_at
            FROM model_version WHERE id = \(id)
            """, decode: ModelVersionRecord.init)
        guard var version else { throw StoreError.notFound("model version") }
        version.files = try query(
            "SELECT name, blob, bytes FROM model_file WHERE model_version_id = \(id) ORDER BY name", decode: ModelFileRecord.init)
        return version
    }

    package func modelFile(_ name: String, of version: ModelVersionID) throws -> ModelFileRecord? {
        try queryFirst(
            "SELECT name, blob, bytes FROM model_file WHERE model_version_id = \(version) AND name = \(name)", decode: ModelFileRecord.init)
    }

    /// Retired revisions are history, and go along.
    ///
    /// - Errors: `StoreError.inUse` while a version of it serves, is being rolled out, or is what a running experiment goes on from.
    package func deleteModel(_ id: ModelID) throws {
        guard try execute("SELECT 1 FROM model WHERE id = \(id) FOR UPDATE") == 1 else { throw StoreError.notFound("model") }
        try releaseVersions("model", "v.model_id = \(id)")
        try execute("DELETE FROM model WHERE id = \(id)")
    }

    /// Retired revisions go along.
    ///
    /// - Errors: `StoreError.inUse` while it serves, is being rolled out, or is what a running experiment goes on from.
    package func deleteModelVersion(_ id: ModelVersionID) throws {
        try releaseVersions("model version", "v.id = \(id)")
        guard try execute("DELETE FROM model_version WHERE id = \(id)") == 1 else { throw StoreError.notFound("model version") }
    }

    /// A revision that comes meanwhile is found by its foreign key.
    private func releaseVersions(_ what: String, _ versions: SQL) throws {
        try requireUnused(what, """
            SELECT DISTINCT 'deployment' AS kind, r.deployment_id::text AS id
            FROM deployment_revision AS r JOIN model_version AS v ON v.id = r.model_version_id
            WHERE r.status IN ('deploying', 'ready') AND \(sql: versions)
            UNION ALL
            SELECT 'running experiment', e.id::text FROM experiment AS e JOIN model_version AS v ON v.id = e.base_version_id
            WHERE e.finished_at IS NULL AND \(sql: versions)
            """)
        try execute("""
            DELETE FROM deployment_revision AS r USING model_version AS v
            WHERE v.id = r.model_version_id AND r.status IN ('retired', 'failed') AND \(sql: versions)
            """)
    }
}
