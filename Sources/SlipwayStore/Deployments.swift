package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

package struct DeploymentRecord: Sendable {
    package struct Revision: Sendable {
        package let number: Int
        package let modelVersion: ModelVersionID
        package let status: RevisionStatus
        package let problem: RawJSON?
        package let createdAt: Date
    }

    package let id: DeploymentID
    package let project: ProjectID
    package let name: String
    package let status: DeploymentStatus
    /// The one that serves.
    package let revision: Int?
    package let problem: RawJSON?
    package let createdAt: Date
    /// The newest `shownRevisions`, newest first.
    package internal(set) var revisions: [Revision] = []
    static let shownRevisions = 50

    init(_ row: Row) throws {
        id = try row["id"]
        project = try row["project_id"]
        name = try row["name"]
        status = try row["status"]
        revision = try row["revision"]
        problem = try row["problem"]
        createdAt = try row["created_at"]
    }

    static let columns: SQL = "id, project_id, name, status, revision, problem, created_at"
}

extension Transaction {
    /// A deployment with its first revision, which the serve process warms up.
    package func createDeployment(in project: ProjectID, named name: String, of version: ModelVersionID) throws -> DeploymentRecord {
        _ = try self.project(project)
        let created = try naming("deployment", name) {
            try queryFirst("""
                INSERT INTO deployment (organisation_id, project_id, name)
                SELECT organisation_id, \(project), \(name) FROM model_version WHERE id = \(version)
                RETURNING \(sql: DeploymentRecord.columns)
                """, decode: DeploymentRecord.init)
        }
        guard let created else { throw StoreError.notFound("model version") }
        return try addRevision(of: version, to: created.id)
    }

    /// A new revision; the one that serves goes on until the new one is warm. A stopped deployment starts again.
    package func addRevision(of version: ModelVersionID, to id: DeploymentID) throws -> DeploymentRecord {
        let number = try queryFirst("""
            UPDATE deployment SET next_revision = next_revision + 1, problem = NULL,
                                  status = CASE WHEN revision IS NULL OR status = 'stopped' THEN 'deploying' ELSE status END,
                                  revision = CASE WHEN status = 'stopped' THEN NULL ELSE revision END
            WHERE id = \(id) RETURNING next_revision - 1 AS number
            """) { try $0["number"] as Int }
        guard let number else { throw StoreError.notFound("deployment") }
        let added = try execute("""
            INSERT INTO deployment_revision (deployment_id, number, organisation_id, model_version_id)
            SELECT \(id), \(number), organisation_id, id FROM model_version WHERE id = \(version)
            """)
        guard added == 1 else { throw StoreError.notFound("model version") }
        try notifyServe(id)
        return try deployment(id)
    }

    package func deployment(_ id: DeploymentID) throws -> DeploymentRecord {
        let deployment = try queryFirst(
            "SELECT \(sql: DeploymentRecord.columns) FROM deployment WHERE id = \(id)", decode: DeploymentRecord.init)
        guard let deployment else { throw StoreError.notFound("deployment") }
        return try withRevisions([deployment])[0]
    }

    package func deployments(in project: ProjectID, after position: CreationPosition?, limit: Int) throws -> [DeploymentRecord] {
        _ = try self.project(project)
        return try withRevisions(try query("""
            SELECT \(sql: DeploymentRecord.columns) FROM deployment WHERE project_id = \(project) \(sql: .after(position))
            ORDER BY created_at, id LIMIT \(limit)
            """, decode: DeploymentRecord.init))
    }

    private func withRevisions(_ deployments: [DeploymentRecord]) throws -> [DeploymentRecord] {
        let revisions = try query("""
            SELECT r.deployment_id, r.number, r.model_version_id, r.status, r.problem, r.created_at
            FROM unnest(\(deployments.map(\.id))::uuid[]) AS asked(deployment)
            CROSS JOIN LATERAL (SELECT * FROM deployment_revision WHERE deployment_id = asked.deployment ORDER BY number DESC
                                LIMIT \(DeploymentRecord.shownRevisions)) AS r
            ORDER BY r.number DESC
            """
        ) { row in
            (
                deployment: try row["deployment_id"] as DeploymentID,
                revision: DeploymentRecord.Revision(
                    number: try row["number"], modelVersion: try row["model_version_id"], status: try row["status"],
                    problem: try row["problem"], createdAt: try row["created_at"])
            )
        }
        let byDeployment = Dictionary(grouping: revisions, by: \.deployment)
        return deployments.map { deployment in
            var deployment = deployment
            deployment.revisions = byDeployment[deployment.id]?.map(\.revision) ?? []
            return deployment
        }
    }

    /// Stopping again changes nothing.
    package func stopDeployment(_ id: DeploymentID) throws -> DeploymentRecord {
        let stopped = try execute(all: [
            "UPDATE deployment SET status = 'stopped', revision = NULL, problem = NULL WHERE id = \(id)",
            "UPDATE deployment_revision SET status = 'retired' WHERE deployment_id = \(id) AND status IN ('deploying', 'ready')",
        ])[0]
        guard stopped == 1 else { throw StoreError.notFound("deployment") }
        try notifyServe(id)
        return try deployment(id)
    }

    package func deleteDeployment(_ id: DeploymentID) throws {
        guard try execute("DELETE FROM deployment WHERE id = \(id)") == 1 else { throw StoreError.notFound("deployment") }
        try notifyServe(id)
    }

    /// The serve process looks at the deployment once this transaction has committed.
    private func notifyServe(_ id: DeploymentID) throws { try notify("slipway_deployment", id.description) }
}
