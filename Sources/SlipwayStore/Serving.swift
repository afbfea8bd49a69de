package import SlipwayDomain
package import SlipwayPostgres

// What the serve process reads and writes. A deployment's `revision` is the one that serves; newer ones that are
// `deploying` wait to be loaded.

/// A deployment as the serve process should have it.
package struct ServedDeployment: Sendable, Hashable {
    package struct Revision: Sendable, Hashable {
        package let number: Int
        package let modelVersion: ModelVersionID
    }

    package let id: DeploymentID
    package let organisation: OrganisationID
    package let status: DeploymentStatus
    /// The one that serves, or served before a restart.
    package internal(set) var serving: Revision?
    /// The newest that isn't warm yet.
    package internal(set) var next: Revision?
}

/// A model version, to be loaded.
package struct ServedVersion: Sendable, Hashable {
    /// Whether it was trained elsewhere: how its files are called doesn't say.
    package let isImported: Bool
    package internal(set) var files: [ServedFile]
}

package struct ServedFile: Sendable, Hashable {
    package let name: String
    package let blob: Digest
    package let bytes: Int
}

extension Transaction {
    /// All deployments that aren't stopped. As the system.
    package func deploymentsToServe() throws -> [ServedDeployment] {
        let rows = try query(
            """
            SELECT d.id, d.organisation_id, d.status, r.number, r.model_version_id, r.number = d.revision AS serves
            FROM deployment d JOIN deployment_revision r ON r.deployment_id = d.id
            WHERE d.status <> 'stopped' AND (r.number = d.revision OR r.status = 'deploying')
            ORDER BY d.created_at, d.id, r.number
            """
        ) { row in
            (
                deployment: ServedDeployment(
                    id: try row["id"], organisation: try row["organisation_id"], status: try row["status"]),
                revision: ServedDeployment.Revision(number: try row["number"], modelVersion: try row["model_version_id"]),
                serves: try row["serves"] as Bool?
            )
        }
        var deployments: [ServedDeployment] = []
        for row in rows {
            if deployments.last?.id != row.deployment.id { deployments.append(row.deployment) }
            let last = deployments.count - 1
            if row.serves == true {
                deployments[last].serving = row.revision
            } else if row.revision.number > deployments[last].serving?.number ?? 0 {
                deployments[last].next = row.revision
            }
        }
        return deployments
    }

    /// As the system.
    ///
    /// - Errors: `StoreError.notFound`.
    package func servedVersion(_ id: ModelVersionID) throws -> ServedVersion {
        let version: ServedVersion? = try queryFirst("SELECT experiment_id IS NULL AS is_imported FROM model_version WHERE id = \(id)") { row in
            ServedVersion(isImported: try row["is_imported"], files: [])
        }
        guard var version else { throw StoreError.notFound("model version") }
        version.files = try query("SELECT name, blob, bytes FROM model_file WHERE model_version_id = \(id) ORDER BY name") { row in
            ServedFile(name: try row["name"], blob: try row["blob"], bytes: try row["bytes"])
        }
        return version
    }

    /// Makes a warm revision the one that serves and retires the older ones. False when it may not any more: the
    /// deployment was stopped or deleted, or a newer revision serves. As the deployment's organisation.
    package func switchDeployment(_ id: DeploymentID, to number: Int) throws -> Bool {
        let switched = try execute(
            """
            UPDATE deployment SET revision = \(number), status = 'ready', problem = NULL
            WHERE id = \(id) AND status <> 'stopped' AND coalesce(revision, 0) < \(number)
              AND EXISTS (SELECT FROM deployment_revision
                          WHERE deployment_id = \(id) AND number = \(number) AND status = 'deploying')
            """)
        guard switched == 1 else { return false }
        try execute(
            """
            UPDATE deployment_revision SET status = CASE WHEN number = \(number) THEN 'ready' ELSE 'retired' END::revision_status
            WHERE deployment_id = \(id) AND number <= \(number) AND status IN ('deploying', 'ready')
            """)
        return true
    }

    /// A revision that can't be loaded. What served before goes on serving. As the deployment's organisation.
    package func failRevision(_ number: Int, of id: DeploymentID, _ problem: Problem) throws {
        let failed = try execute(
            """
            UPDATE deployment_revision SET status = 'failed', problem = \(json: problem)
            WHERE deployment_id = \(id) AND number = \(number) AND status = 'deploying'
            """)
        guard failed == 1 else { return }
        // A newer revision is on its way: its outcome is the one that counts.
        try execute(
            """
            UPDATE deployment SET problem = \(json: problem),
                                  status = CASE WHEN revision IS NULL THEN 'failed' ELSE status END
            WHERE id = \(id) AND status <> 'stopped' AND next_revision = \(number + 1)
            """)
    }

    /// Whether the revision that should serve does: after a restart its files may be gone. As the deployment's organisation.
    package func setAvailability(of id: DeploymentID, revision number: Int, _ problem: Problem?) throws {
        try execute(
            """
            UPDATE deployment SET status = \(problem == nil ? DeploymentStatus.ready : .failed), problem = \(json: problem)
            WHERE id = \(id) AND revision = \(number) AND status = \(problem == nil ? DeploymentStatus.failed : .ready)
            """)
    }
}
