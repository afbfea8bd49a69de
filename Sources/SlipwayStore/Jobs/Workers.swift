package import Foundation
package import SlipwayDomain
package import SlipwayPostgres

/// A process that runs jobs. Its id is random at each start, and no job depends on its row: leases alone decide.
package struct WorkerRow: Sendable {
    package let id: WorkerID
    package let host: String
    package let pid: Int
    package let build: String
    package let slots: [String: Int]
    package let startedAt: Date
    package let lastSeenAt: Date
}

/// What a worker says of itself at each beat.
package struct WorkerRegistration: Sendable {
    package let id: WorkerID
    package let host: String
    /// `ProcessIdentity`: where the process runs, its number there, and when it was started.
    package let place: String
    package let pid: Int32
    package let startTime: Int64
    package let build: String
    package let slots: [JobLane: Int]

    package init(id: WorkerID, host: String, place: String, pid: Int32, startTime: Int64, build: String, slots: [JobLane: Int]) {
        self.id = id
        self.host = host
        self.place = place
        self.pid = pid
        self.startTime = startTime
        self.build = build
        self.slots = slots
    }
}

/// As the system.
extension Transaction {
    /// At the start and at each beat: a worker that was away for long comes back, though its row was forgotten.
    package func register(_ worker: WorkerRegistration) throws {
        let counts = Dictionary(uniqueKeysWithValues: worker.slots.map { ($0.key.rawValue, $0.value) })
        try execute(
            """
            INSERT INTO worker (id, host, place, pid, start_time, build, slots)
            VALUES (\(worker.id), \(worker.host), \(worker.place), \(worker.pid), \(worker.startTime), \(worker.build), \(json: counts))
            ON CONFLICT (id) DO UPDATE SET last_seen_at = now()
            """)
    }

    package func unregister(worker: WorkerID) throws {
        try execute("DELETE FROM worker WHERE id = \(worker)")
    }

    /// The workers of a place (`ProcessIdentity`) that hold leases.
    package func workersWithLeases(at place: String) throws -> [(id: WorkerID, pid: Int32, startTime: Int64)] {
        try query(
            """
            SELECT id, pid, start_time FROM worker
            WHERE place = \(place) AND id IN (SELECT worker FROM job WHERE lease_expires_at IS NOT NULL)
            """,
            decode: { (try $0["id"], try $0["pid"], try $0["start_time"]) })
    }

    /// Ends the leases of a worker that is known to be dead, so that the sweep needn't wait for them to run out.
    package func expireLeases(of worker: WorkerID) throws {
        try execute(
            """
            UPDATE job SET lease_expires_at = clock_timestamp() - interval '1 s'
            WHERE id = ANY (ARRAY(SELECT id FROM job WHERE lease_expires_at IS NOT NULL AND worker = \(worker)
                                  ORDER BY id FOR UPDATE SKIP LOCKED))
            """)
        try execute("DELETE FROM worker WHERE id = \(worker)")
    }

    /// Removes workers that were killed.
    package func forgetWorkers(unseenForSeconds seconds: Double) throws {
        try execute("DELETE FROM worker WHERE last_seen_at < now() - make_interval(secs => \(seconds))")
    }

    package func workers() throws -> [WorkerRow] {
        try query(
            "SELECT id, host, pid, build, slots, started_at, last_seen_at FROM worker ORDER BY started_at, id",
            decode: {
                WorkerRow(
                    id: try $0["id"], host: try $0["host"], pid: try $0["pid"], build: try $0["build"],
                    slots: try $0.json("slots"), startedAt: try $0["started_at"], lastSeenAt: try $0["last_seen_at"])
            })
    }
}
