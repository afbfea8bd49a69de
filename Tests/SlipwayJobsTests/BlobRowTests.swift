import Foundation
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Testing

private struct Crash: Error {}

@Suite struct BlobRowTests {
    private func accept(_ staged: StagedBlob, _ site: Site, _ dataset: DatasetID, failing: Bool = false) async throws {
        try await site.tenant { transaction in
            let version = NewVersion(dataset: dataset, mode: .new, mediaType: "text/csv", requestID: "test")
            _ = try transaction.acceptUpload(staged.digest, bytes: staged.bytes, as: version) { try site.blobs.place([staged]) }
            if failing { throw Crash() }
        }
    }

    private func exists(_ digest: Digest, _ site: Site) -> Bool { FileManager.default.fileExists(atPath: site.blobs.path(of: digest)) }

    @Test func aCrashBetweenPlacingAndCommitLeavesNothingButAnOrphan() async throws {
        try await withSite { site in
            let dataset = try await site.makeDataset(.tabularClassification)
            let staged = try await site.blobs.stage(Array("a,b\n1,2\n".utf8))
            await #expect(throws: Crash.self) { try await accept(staged, site, dataset, failing: true) }
            #expect(try await site.value("SELECT count(*) AS value FROM dataset_version") == 0)
            #expect(exists(staged.digest, site))
            let files = try await site.blobs.published(olderThan: .seconds(-10))
            let orphans = try await site.system { try $0.removeOrphans(among: files) { try site.blobs.remove($0) } }
            #expect(orphans == [staged.digest])
            #expect(!exists(staged.digest, site))
        }
    }

    @Test func whatIsReferredToIsNeitherCollectedNorAnOrphan() async throws {
        try await withSite { site in
            let dataset = try await site.makeDataset(.tabularClassification)
            let staged = try await site.blobs.stage(Array("a,b\n1,2\n".utf8))
            try await accept(staged, site, dataset)
            let digest = staged.digest
            let gone = try await site.system { transaction in
                try transaction.collectBlobs(graceSeconds: -1) { try site.blobs.remove($0) }
                    + transaction.collectBlobs([digest]) { try site.blobs.remove($0) }
                    + transaction.removeOrphans(among: [digest]) { try site.blobs.remove($0) }
            }
            #expect(gone.isEmpty)
            try await site.blobs.verify(digest)
            let released = try await site.tenant {
                try $0.failVersion(VersionWork(dataset: dataset, version: 1), with: Problem(422, "bad", title: "Bad", detail: "bad"))
            }
            #expect(released == digest)
            let collected = try await site.system { try $0.collectBlobs([digest]) { try site.blobs.remove($0) } }
            #expect(collected == [digest])
            #expect(!exists(digest, site))
        }
    }

    /// Whatever the order of a publication and a collection of the same bytes, a reference always has its file.
    @Test func publishingAndCollectingRace() async throws {
        try await withSite { site in
            let dataset = try await site.makeDataset(.tabularClassification)
            let bytes = Array("a,b\n1,2\n".utf8)
            for round in 1...30 {
                async let published: Void = {
                    try await accept(try await site.blobs.stage(bytes), site, dataset)
                }()
                async let collected: Void = {
                    for _ in 0..<5 {
                        _ = try await site.system { try $0.collectBlobs(graceSeconds: -1) { try site.blobs.remove($0) } }
                    }
                }()
                _ = try await (published, collected)
                try await site.blobs.verify(SHA256.digest(of: bytes))
                _ = try await site.tenant {
                    try $0.failVersion(
                        VersionWork(dataset: dataset, version: round), with: Problem(422, "bad", title: "Bad", detail: "bad"))
                }
            }
        }
    }
}
