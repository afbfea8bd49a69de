package import SlipwayPostgres

/// What nobody asks for any more goes, some rows at a time, so that no other transaction waits long. As the system.
extension Transaction {
    /// Removes jobs that ended longer ago than this, with their logs. Returns how many; fewer than `limit`: there are no more.
    package func forgetJobs(finishedBefore seconds: Double, limit: Int = 1000) throws -> Int {
        try execute(
            """
            DELETE FROM job WHERE id = ANY (ARRAY(
                SELECT id FROM job WHERE finished_at < now() - make_interval(secs => \(seconds)) ORDER BY finished_at LIMIT \(limit)
                FOR UPDATE SKIP LOCKED))
            """)
    }

    /// Removes what experiments that ended longer ago than this told while they ran: progress, metrics, logs. How they ended
    /// stays. Returns how many events; fewer than `limit`: there are no more.
    package func forgetEvents(finishedBefore seconds: Double, limit: Int = 5000) throws -> Int {
        try execute(
            """
            DELETE FROM experiment_event WHERE (experiment_id, sequence) IN (
                SELECT event.experiment_id, event.sequence
                FROM experiment JOIN experiment_event AS event ON event.experiment_id = experiment.id
                WHERE experiment.finished_at < now() - make_interval(secs => \(seconds)) AND event.kind <> 'status'
                ORDER BY experiment.finished_at LIMIT \(limit))
            """)
    }
}
