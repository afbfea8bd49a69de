package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

/// A job as its organisation sees it.
package struct JobRecord: Sendable {
    package let id: JobID
    package let project: ProjectID
    package let kind: String
    package let state: JobState
    package let lane: JobLane
    package let attempt: Int
    package let maxAttempts: Int
    package let progress: Double
    package let problem: RawJSON?
    package let requestID: String
    package let createdAt: Date
    package let startedAt: Date?
    package let finishedAt: Date?

    init(_ row: Row) throws {
        id = try row["id"]
        project = try row["project_id"]
        kind = try row["kind"]
        state = try row["state"]
        lane = try row["lane"]
        attempt = try row["attempt"]
        maxAttempts = try row["max_attempts"]
        progress = try row["progress"]
        problem = try row["problem"]
        requestID = try row["request_id"]
        createdAt = try row["created_at"]
        startedAt = try row["started_at"]
        finishedAt = try row["finished_at"]
    }
}

extension Transaction {
    package func job(_ id: JobID) throws -> JobRecord {
        let job = try queryFirst("""
            SELECT id, project_id, kind, state, lane, attempt, max_attempts, progress, problem, request_id, created_at, started_at, finished_at
            FROM job WHERE id = \(id)
            """, decode: JobRecord.init)
        guard let job else { throw StoreError.notFound("job") }
        return job
    }

    package func jobLog(_ id: JobID) throws -> String {
        guard let log = try queryFirst("SELECT log FROM job WHERE id = \(id)", decode: { try $0["log"] as String })
        else { throw StoreError.notFound("job") }
        return log
    }

    /// As the system.
    package func jobCounts() throws -> [JobCount] {
        try query("SELECT kind, state, count(*) AS count FROM job GROUP BY kind, state ORDER BY kind, state") {
            JobCount(kind: try $0["kind"], state: try $0["state"], count: try $0["count"])
        }
    }
}

/// How many jobs of a kind are in a state.
package struct JobCount: Sendable {
    package let kind: String
    package let state: JobState
    package let count: Int
}
