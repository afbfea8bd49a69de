import SlipwayDomain

extension BlobStore {
    /// Digests of the files that were placed at least `age` ago, and removes what was left half-written before that. A file has
    /// 32 bytes here, so even a million of them are listed at once.
    package func published(olderThan age: Duration) async throws -> [Digest] {
        try await threads.run { [self] in
            try removeStaged(olderThan: max(age, .seconds(86_400)))
            var digests: [Digest] = []
            try forEachPublished(olderThan: age) { digests += $0 }
            return digests
        }
    }
}
