package import SlipwayDomain
package import SlipwayPostgres

// The rows of blobs. ARCHITECTURE, "Blobs", says why publishing and collecting are what they are. Both are given what
// touches the files, because the store of bytes knows nothing of the database, nor this of the bytes.

extension Transaction {
    /// Publishes staged bytes, in the transaction that writes the references to them: the rows first, which locks them against
    /// collection, then `place`, which gives the files their names. As an organisation.
    package func publish(_ blobs: [(digest: Digest, bytes: Int)], place: () throws -> Void) throws {
        // One order for all, so that two publishers of the same blobs don't lock each other out.
        let distinct = Dictionary(blobs.map { ($0.digest, $0.bytes) }, uniquingKeysWith: { first, _ in first })
            .sorted { $0.key < $1.key }
        for start in stride(from: 0, to: distinct.count, by: 10_000) {
            let part = distinct[start..<min(start + 10_000, distinct.count)]
            try execute(
                """
                INSERT INTO blob (sha256, bytes)
                SELECT sha256, bytes FROM unnest(\(part.map(\.key))::bytea[], \(part.map(\.value))::bigint[]) AS new(sha256, bytes)
                ORDER BY sha256
                ON CONFLICT (sha256) DO UPDATE SET touched_at = now()
                """)
        }
        try place()
    }

    package func publish(_ digest: Digest, bytes: Int, place: () throws -> Void) throws {
        try publish([(digest, bytes)], place: place)
    }

    /// Removes blobs that nothing refers to and nobody has published within the grace time: rows, then files (by `remove`).
    /// Returns those that went; fewer than `limit` means that there are no more. As the system.
    ///
    /// A publisher holds the row's lock and is skipped; one that comes later waits for this transaction and writes its bytes
    /// again. References without a publication (a version that copies an item's row) are safe too: the foreign key needs the
    /// row that is locked here.
    package func collectBlobs(graceSeconds: Double, limit: Int = 500, remove: ([Digest]) throws -> Void) throws -> [Digest] {
        try collect(among: "touched_at < now() - make_interval(secs => \(graceSeconds))", limit: limit, remove: remove)
    }

    /// The same for certain blobs, which have just lost a reference, without a grace time. As the system.
    package func collectBlobs(_ digests: [Digest], remove: ([Digest]) throws -> Void) throws -> [Digest] {
        try collect(among: "sha256 = ANY (\(digests)::bytea[])", limit: digests.count, remove: remove)
    }

    private func collect(among condition: SQL, limit: Int, remove: ([Digest]) throws -> Void) throws -> [Digest] {
        let isUnused: SQL = """
            NOT EXISTS (SELECT FROM item WHERE item.blob = sha256)
            AND NOT EXISTS (SELECT FROM dataset_version WHERE upload = sha256)
            AND NOT EXISTS (SELECT FROM checkpoint WHERE checkpoint.blob = sha256)
            AND NOT EXISTS (SELECT FROM model_file WHERE model_file.blob = sha256)
            AND NOT EXISTS (SELECT FROM model_version WHERE model_version.upload = sha256)
            """
        let locked: [Digest] = try query(
            """
            SELECT sha256 FROM blob WHERE \(sql: condition) AND \(sql: isUnused)
            ORDER BY sha256 LIMIT \(limit) FOR UPDATE SKIP LOCKED
            """,
            decode: { try $0["sha256"] })
        // Asked again under the lock: a publisher may have committed between the first statement's snapshot and the lock.
        let collected: [Digest] = try query(
            "DELETE FROM blob WHERE sha256 = ANY (\(locked)::bytea[]) AND \(sql: isUnused) RETURNING sha256",
            decode: { try $0["sha256"] })
        if !collected.isEmpty { try remove(collected) }
        return collected
    }

    /// Removes those of the given files that have no row: what a crash between renaming and commit left. As the system.
    ///
    /// Each digest's row is made for the length of this transaction, so a publisher of the same bytes waits for its end.
    package func removeOrphans(among digests: [Digest], remove: ([Digest]) throws -> Void) throws -> [Digest] {
        let orphans: [Digest] = try query(
            """
            INSERT INTO blob (sha256, bytes) SELECT sha256, 0 FROM unnest(\(digests.sorted())::bytea[]) AS file(sha256) ORDER BY sha256
            ON CONFLICT (sha256) DO NOTHING RETURNING sha256
            """,
            decode: { try $0["sha256"] })
        guard !orphans.isEmpty else { return [] }
        try remove(orphans)
        try execute("DELETE FROM blob WHERE sha256 = ANY (\(orphans)::bytea[])")
        return orphans
    }
}
