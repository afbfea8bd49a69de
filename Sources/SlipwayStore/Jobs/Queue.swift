package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

/// One attempt's hold on a job. The token is made at the claim and never used again, so whoever holds an older one can't
/// write any more.
package struct Lease: Hashable, Sendable {
    package let job: JobID
    package let token: UUID

    package init(job: JobID, token: UUID) {
        self.job = job
        self.token = token
    }
}

/// The lease was given to another, or the job was ended: roll back, stop the trainer, write nothing more.
package struct LeaseLost: Error, Hashable, CustomStringConvertible {
    package let job: JobID

    package init(job: JobID) { self.job = job }

    package var description: String { "the lease on job \(job) is lost" }
}

package struct LeasedJob: Sendable {
    package let lease: Lease
    package let organisation: OrganisationID
    package let project: ProjectID
    /// Fails for a kind or a payload that this build can't read.
    package let work: Result<JobWork, PostgresError>
    package let subject: JobSubject
    package let attempt: Int
    package let maximumAttempts: Int
    package let requestID: String
    package let isCancelled: Bool

    package var id: JobID { lease.job }

    init(_ row: Row) throws {
        lease = Lease(job: try row["id"], token: try row["token"])
        organisation = try row["organisation_id"]
        project = try row["project_id"]
        attempt = try row["attempt"]
        maximumAttempts = try row["max_attempts"]
        requestID = try row["request_id"]
        isCancelled = try row["cancel_requested"]
        work = Result { () throws(PostgresError) in try JobWork(row["kind"], in: row) }
        subject = (try? row.json("payload")) ?? JobSubject()
    }
}

/// What a fenced write learns at its beginning.
package struct Renewal: Hashable, Sendable {
    package let cancelRequested: Bool
    /// The transaction's number in the whole life of the database.
    package let transaction: String
}

/// What a heartbeat learns of one lease.
package enum LeaseState: Hashable, Sendable {
    case renewed(cancelRequested: Bool)
    /// A transaction holds the row: the attempt's own write, which renews it too, or a cancellation.
    case busy
    case lost
}

extension Transaction {
    // MARK: Enqueueing

    /// Adds a job, and wakes a worker when the transaction commits. As the job's organisation.
    ///
    /// Jobs of one `serialKey` run one after the other in the order of their ids; so whoever makes them must hold a lock
    /// (such as the data set's row) that orders them.
    @discardableResult
    package func enqueue(
        _ work: JobWork, organisation: OrganisationID, project: ProjectID, serialKey: String? = nil, priority: Int = 0,
        maximumAttempts: Int = 3, requestID: String
    ) throws -> JobID {
        let payload = work.payload
        let id: JobID = try queryOne(
            """
            INSERT INTO job (organisation_id, project_id, kind, lane, payload, serial_key, priority, max_attempts, request_id)
            VALUES (\(organisation), \(project), \(work.kind), \(work.lane), \(json: payload), \(serialKey), \(priority),
                    \(maximumAttempts), \(requestID))
            RETURNING id
            """,
            decode: { try $0["id"] })
        try wakeWorkers(work.lane)
        return id
    }

    func wakeWorkers(_ lane: JobLane) throws { try notify("slipway_job", lane.rawValue) }

    // MARK: Leasing

    /// Leases the next job of a lane, or none. As the system.
    ///
    /// Projects take turns: the one with the fewest running jobs is served, of several the one that was served longest ago;
    /// within a project, and before fairness, the higher priority goes first, then who has waited longest. A backlog costs
    /// little, because only the head of each project's queue is looked at.
    ///
    /// Two workers never get one job: the second skips the locked row. `any(array(...))` keeps the index plan under a
    /// generic plan, and can't lease more than one.
    package func leaseJob(in lane: JobLane, for worker: WorkerID, seconds: Double) throws -> LeasedJob? {
        try queryFirst(
            """
            WITH RECURSIVE waiting AS (
                (SELECT project_id FROM job WHERE state = 'queued' AND lane = \(lane)::job_lane ORDER BY project_id LIMIT 1)
                UNION ALL
                SELECT (SELECT project_id FROM job
                        WHERE state = 'queued' AND lane = \(lane)::job_lane AND project_id > waiting.project_id
                        ORDER BY project_id LIMIT 1)
                FROM waiting WHERE project_id IS NOT NULL
            ), running AS (
                SELECT project_id, count(*) AS jobs FROM job WHERE lease_expires_at IS NOT NULL AND lane = \(lane)::job_lane
                GROUP BY project_id
            ), turn AS MATERIALIZED (
                SELECT waiting.project_id
                FROM waiting
                CROSS JOIN LATERAL (\(sql: Self.head(of: "waiting", in: lane))) head
                LEFT JOIN running USING (project_id)
                ORDER BY head.priority DESC, coalesce(running.jobs, 0),
                    (SELECT max(started_at) FROM job WHERE lane = \(lane)::job_lane AND project_id = waiting.project_id
                         AND started_at IS NOT NULL) NULLS FIRST,
                    waiting.project_id
            )
            UPDATE job SET state = 'running', worker = \(worker), attempt = attempt + 1, token = gen_random_uuid(),
                lease_expires_at = clock_timestamp() + make_interval(secs => \(seconds)), started_at = clock_timestamp()
            WHERE id = ANY (ARRAY(SELECT head.id FROM turn
                                  CROSS JOIN LATERAL (\(sql: Self.head(of: "turn", in: lane)) FOR UPDATE SKIP LOCKED) head
                                  LIMIT 1))
            RETURNING id, organisation_id, project_id, kind, payload, attempt, max_attempts, token, request_id, cancel_requested
            """,
            decode: LeasedJob.init)
    }

    private static func head(of projects: SQL, in lane: JobLane) -> SQL {
        """
        SELECT id, priority FROM job
        WHERE state = 'queued' AND lane = \(lane)::job_lane AND project_id = \(sql: projects).project_id
          AND run_at <= now() AND kind = ANY (\(JobWork.Kind.allCases)::text[])
          AND (serial_key IS NULL OR NOT EXISTS (
              SELECT FROM job earlier WHERE earlier.serial_key = job.serial_key AND earlier.finished_at IS NULL
                  AND (earlier.id < job.id OR earlier.state = 'running')))
        ORDER BY priority DESC, run_at, id LIMIT 1
        """
    }

    /// Begins a fenced write: renews the lease and holds the job's row until the end of the transaction. As the job's
    /// organisation.
    ///
    /// - Errors: `LeaseLost`.
    @discardableResult
    package func renew(_ lease: Lease, seconds: Double) throws -> Renewal {
        let renewal: Renewal? = try queryFirst(
            """
            UPDATE job SET lease_expires_at = clock_timestamp() + make_interval(secs => \(seconds))
            WHERE id = \(lease.job) AND token = \(lease.token) AND state = 'running'
            RETURNING cancel_requested, pg_current_xact_id()::text AS transaction
            """,
            decode: { Renewal(cancelRequested: try $0["cancel_requested"], transaction: try $0["transaction"]) })
        guard let renewal else { throw LeaseLost(job: lease.job) }
        return renewal
    }

    /// What became of an earlier transaction, by the number that `renew` gave; nil while it isn't decided.
    package func isCommitted(_ transaction: String) throws -> Bool? {
        let status: String? = try queryOne(
            "SELECT pg_xact_status(\(transaction)::xid8) AS status", decode: { try $0["status"] })
        return status == "in progress" ? nil : status == "committed"
    }

    /// The heartbeat of all of a worker's attempts at once. It never waits for a row: one attempt's long write doesn't delay
    /// the beats of the others. As the system.
    package func beat(_ leases: [Lease], seconds: Double) throws -> [Lease: LeaseState] {
        let ids = leases.map(\.job), tokens = leases.map(\.token)
        var states = Dictionary(uniqueKeysWithValues: leases.map { ($0, LeaseState.lost) })
        let renewed: [(Lease, Bool)] = try query(
            """
            UPDATE job SET lease_expires_at = clock_timestamp() + make_interval(secs => \(seconds))
            WHERE id = ANY (ARRAY(SELECT job.id FROM unnest(\(ids)::bigint[], \(tokens)::uuid[]) held(id, token)
                                  JOIN job ON job.id = held.id AND job.token = held.token
                                  WHERE job.state = 'running' ORDER BY job.id FOR UPDATE OF job SKIP LOCKED))
            RETURNING id, token, cancel_requested
            """,
            decode: { (Lease(job: try $0["id"], token: try $0["token"]), try $0["cancel_requested"]) })
        for (lease, cancelRequested) in renewed { states[lease] = .renewed(cancelRequested: cancelRequested) }
        guard renewed.count < leases.count else { return states }
        // Skipped or gone? What isn't ours any more doesn't show here.
        let held: [Lease] = try query(
            """
            SELECT job.id, job.token FROM unnest(\(ids)::bigint[], \(tokens)::uuid[]) held(id, token)
            JOIN job ON job.id = held.id AND job.token = held.token WHERE job.state = 'running'
            """,
            decode: { Lease(job: try $0["id"], token: try $0["token"]) })
        for lease in held where states[lease] == .lost { states[lease] = .busy }
        return states
    }

    // MARK: Ending an attempt

    /// Ends an attempt; the lease was renewed at the beginning of this transaction.
    package func finish(_ lease: Lease, as next: AttemptEnd, log: String) throws {
        let ended: (state: JobState, problem: Problem?, progress: Double?) = switch next {
        case .succeeded: (.succeeded, nil, 1)
        case .failed(let problem): (.failed, problem, nil)
        case .cancelled: (.cancelled, nil, nil)
        case .retry(_, let problem): (.queued, problem, nil)
        case .released: (.queued, nil, nil)
        }
        let wait: Double = if case .retry(let seconds, _) = next { seconds } else { 0 }
        // A release isn't the job's fault, so it has one attempt more; the numbers of attempts stay unique.
        let extra = next == .released ? 1 : 0
        let lane: JobLane? = try queryFirst(
            """
            UPDATE job SET state = \(ended.state), worker = NULL, token = NULL, lease_expires_at = NULL,
                problem = \(json: ended.problem), progress = coalesce(\(ended.progress)::real, progress),
                run_at = CASE WHEN \(ended.state) = 'queued' THEN now() + make_interval(secs => \(wait)) ELSE run_at END,
                finished_at = CASE WHEN \(ended.state) = 'queued' THEN NULL ELSE now() END,
                max_attempts = least(max_attempts + \(extra), 32767), log = right(log || \(log), \(Self.logCharacters))
            WHERE id = \(lease.job) AND token = \(lease.token) AND state = 'running'
            RETURNING lane
            """,
            decode: { try $0["lane"] })
        guard let lane else { throw LeaseLost(job: lease.job) }
        // Also after success: a job of the same serial key may have waited for this one.
        try wakeWorkers(lane)
    }

    private static var logCharacters: Int { 65_536 }

    /// How far a job is, from 0 to 1; the lease was renewed at the beginning of this transaction.
    package func record(progress: Double, of job: JobID) throws {
        try execute("UPDATE job SET progress = greatest(progress, least(\(progress)::real, 1)) WHERE id = \(job)")
    }

    // MARK: Cancelling

    /// Cancels a queued job at once and asks the worker of a running one to stop it. As the job's organisation.
    /// Returns the state that the job is in then, or nil when there is no such job.
    package func cancel(_ job: JobID) throws -> JobState? {
        let state: JobState? = try queryFirst(
            """
            UPDATE job SET cancel_requested = true,
                state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                finished_at = CASE WHEN state = 'queued' THEN now() ELSE finished_at END
            WHERE id = \(job) AND state IN ('queued', 'running') RETURNING state
            """,
            decode: { try $0["state"] })
        if let state {
            if state == .running { try notify("slipway_cancel", "\(job)") }
            return state
        }
        return try queryFirst("SELECT state FROM job WHERE id = \(job)", decode: { try $0["state"] })
    }

    // MARK: Sweeping

    /// Running jobs whose lease has run out, whoever held it. As the system; `takeOverdue` decides, as the organisation.
    package func overdueJobs(limit: Int = 100) throws -> [(job: JobID, organisation: OrganisationID)] {
        try query(
            """
            SELECT id, organisation_id FROM job WHERE lease_expires_at < clock_timestamp() ORDER BY lease_expires_at LIMIT \(limit)
            """,
            decode: { (try $0["id"], try $0["organisation_id"]) })
    }

    /// Locks a job whose lease has run out, if that is still so and nobody is just writing with it. As its organisation. From
    /// here the caller holds the lease until the end of the transaction, and ends the attempt with `finish`.
    package func takeOverdue(_ job: JobID) throws -> LeasedJob? {
        try queryFirst(
            """
            SELECT id, organisation_id, project_id, kind, payload, attempt, max_attempts, token, request_id, cancel_requested
            FROM job WHERE id = \(job) AND state = 'running' AND lease_expires_at < clock_timestamp()
            FOR UPDATE SKIP LOCKED
            """,
            decode: LeasedJob.init)
    }
}

/// How an attempt ends.
package enum AttemptEnd: Hashable, Sendable {
    case succeeded
    /// For good.
    case failed(Problem)
    case cancelled
    /// Another attempt in `afterSeconds`; the problem is what went wrong in this one.
    case retry(afterSeconds: Double, Problem)
    /// The worker goes: another attempt at once, which doesn't count.
    case released
}
