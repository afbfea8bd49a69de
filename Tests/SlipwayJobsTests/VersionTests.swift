import Foundation
import SlipwayBlobs
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Testing

/// A generator with a seed, so that a failure can be repeated.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct VersionTests {
    /// Random versions on random bases, against a model that copies everything.
    @Test(arguments: 1...6)
    func versionsAreWhatANaiveModelSays(seed: Int) async throws {
        try await withSite { site in
            var random = Seeded(state: UInt64(seed))
            let dataset = try await site.makeDataset(.imageClassification)
            // The items of each version: content and label by name.
            var model: [Int: [String: (content: Int, label: String?)]] = [:]
            for number in 1...12 {
                let mode: VersionMode =
                    model.isEmpty ? .new : [.new, .append, .replace, .relabel, .append, .replace].randomElement(using: &random)!
                let base = mode == .new ? nil : model.keys.sorted().randomElement(using: &random)!
                var expected = base.flatMap { model[$0] } ?? [:]
                let labels: [String?] = ["cat", "dog", nil]
                if mode == .relabel, let base {
                    let items = try await contents(of: base, dataset, site)
                    var changes: [Relabelling] = []
                    for (name, item) in items.sorted(by: { $0.key < $1.key }) where Bool.random(using: &random) {
                        let label = labels.randomElement(using: &random)!
                        expected[name]?.label = label
                        changes.append(Relabelling(item: "\(item.id)", annotation: label.map { .init(label: $0) }))
                    }
                    let sent = changes
                    let accepted = try await site.tenant {
                        try $0.acceptRelabelling(sent, of: dataset, base: base, requestID: "test")
                    }
                    #expect(accepted.number == number)
                    try await site.tenant { transaction in
                        let work = VersionWork(dataset: dataset, version: number)
                        try transaction.finishRelabelling(of: work, try transaction.versionPlan(work))
                    }
                } else {
                    let names = Set((0..<Int.random(in: 1...6, using: &random)).map { _ in "n\(Int.random(in: 0...8, using: &random))" })
                    let incoming = names.sorted().map { name in
                        (name: name, content: Int.random(in: 0...1000, using: &random), label: labels.randomElement(using: &random)!)
                    }
                    for item in incoming where mode != .append || expected[item.name] == nil {
                        expected[item.name] = (item.content, item.label)
                    }
                    try await importVersion(incoming, mode, base, dataset, site)
                }
                model[number] = expected
                for (version, items) in model {
                    let found = try await contents(of: version, dataset, site)
                    #expect(found.mapValues(\.content) == items.mapValues(\.content), "seed \(seed), version \(version) after \(number)")
                    #expect(found.mapValues(\.label) == items.mapValues(\.label), "seed \(seed), version \(version) after \(number)")
                }
                let row: (Int, Int, Int) = try await site.tenant {
                    try $0.queryOne(
                        """
                        SELECT items, unlabelled, latest_version FROM dataset_version JOIN dataset ON id = dataset_id
                        WHERE dataset_id = \(dataset) AND number = \(number)
                        """,
                        decode: { (try $0["items"], try $0["unlabelled"], try $0["latest_version"]) })
                }
                #expect(row == (expected.count, expected.values.count { $0.label == nil }, number))
            }
        }
    }

    private func importVersion(
        _ items: [(name: String, content: Int, label: String?)], _ mode: VersionMode, _ base: Int?, _ dataset: DatasetID, _ site: Site
    ) async throws {
        let upload = try await site.blobs.stage(Array("upload".utf8))
        var staged: [StagedBlob] = []
        for item in items { staged.append(try await site.blobs.stage(Array("content \(item.content)".utf8))) }
        let pictures = staged
        try await site.tenant { transaction in
            let version = NewVersion(dataset: dataset, mode: mode, base: base, mediaType: "application/zip", requestID: "test")
            let accepted = try transaction.acceptUpload(upload.digest, bytes: upload.bytes, as: version) { try site.blobs.place([upload]) }
            let work = VersionWork(dataset: dataset, version: accepted.number)
            let plan = try transaction.versionPlan(work)
            try transaction.publish(pictures.map { ($0.digest, $0.bytes) }) { try site.blobs.place(pictures) }
            let summary = ImportSummary(
                format: "image-folder", profile: DatasetProfile(items: 0, unlabelled: 0, classes: []), warnings: [])
            try transaction.finishImport(
                of: work, plan, summary: summary,
                items: { write in
                    for (item, picture) in zip(items, pictures) {
                        try write(
                            ImportedItem(
                                name: item.name, splitHash: Int64(item.content), label: item.label, sha256: picture.digest.description,
                                bytes: picture.bytes, mediaType: "image/png", width: 1, height: 1))
                    }
                }, rejected: { _ in })
        }
    }

    private func contents(
        of version: Int, _ dataset: DatasetID, _ site: Site
    ) async throws -> [String: (id: Int64, content: Int, label: String?)] {
        let rows: [(String, Int64, Int, String?)] = try await site.tenant {
            try $0.query(
                """
                SELECT name, item.id, split_hash, label FROM item LEFT JOIN annotation ON item_id = item.id
                    AND annotation.born <= \(version) AND (annotation.died IS NULL OR annotation.died > \(version))
                WHERE item.dataset_id = \(dataset) AND item.born <= \(version) AND (item.died IS NULL OR item.died > \(version))
                """,
                decode: { (try $0["name"], try $0["id"], try $0["split_hash"], try $0["label"]) })
        }
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.0, (id: $0.1, content: $0.2, label: $0.3)) })
    }

    @Test func anUnknownItemFailsARelabelling() async throws {
        try await withSite { site in
            let dataset = try await site.makeDataset(.imageClassification)
            try await importVersion([("a", 1, "cat")], .new, nil, dataset, site)
            await #expect(throws: UnknownItems.self) {
                try await site.tenant { transaction in
                    let changes = ["x", "12345"].map { Relabelling(item: $0, annotation: .init(label: "dog")) }
                    let accepted = try transaction.acceptRelabelling(changes, of: dataset, base: 1, requestID: "test")
                    let work = VersionWork(dataset: dataset, version: accepted.number)
                    try transaction.finishRelabelling(of: work, try transaction.versionPlan(work))
                }
            }
        }
    }
}
