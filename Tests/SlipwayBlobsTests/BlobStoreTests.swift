import Foundation
import SlipwayBlobs
import SlipwayDomain
import SlipwaySystem
import Testing

/// A store in a folder of its own, removed at the end.
private func withStore(minimumFreeShare: Double = 0, _ body: (BlobStore, String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-blobs-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(try BlobStore(directory: folder + "/blobs", minimumFreeShare: minimumFreeShare), folder)
}

private func staged(_ store: BlobStore) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: store.directory + "/staging")
}

private let abc = Digest("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")

@Suite struct BlobStoreTests {
    @Test func digestIsTheOneOfTheStandard() {
        #expect(SHA256.digest(of: Array("abc".utf8)) == abc)  // FIPS 180-4, B.1
        #expect(Digest("xyz") == nil)
        #expect(abc.flatMap { Digest($0.description) } == abc)
    }

    @Test(arguments: [0, 1, (1 << 20) - 1, 1 << 20, 3_000_001])
    func whatWasStagedAndPlacedIsRead(count: Int) async throws {
        try await withStore { store, _ in
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
            let writer = try await store.stage()
            for start in stride(from: 0, to: count, by: 70_001) {
                try await writer.append(bytes[start..<min(count, start + 70_001)])
            }
            let blob = try await writer.finish()
            #expect(blob.bytes == count)
            #expect(blob.digest == SHA256.digest(of: bytes))
            await #expect(throws: BlobError.missing(blob.digest)) { try await store.open(blob.digest) }

            try store.place([blob])
            try await store.verify(blob.digest)
            let reader = try await store.open(blob.digest)
            var read: [UInt8] = []
            for try await piece in reader.stream(pieceBytes: 65_536) { read += piece }
            #expect(read == bytes)
            let contents = try await store.contents(of: blob.digest)
            #expect(contents == bytes)
            if count > 100 {
                let part = try await reader.read(90..<100)
                #expect(part == Array(bytes[90..<100]))
                let last = try await reader.read((count - 1)..<(count + 9))
                #expect(last == [bytes[count - 1]])
            }
            #expect(try staged(store).isEmpty)
        }
    }

    @Test func whatIsNotPlacedDisappears() async throws {
        try await withStore { store, _ in
            do {
                let writer = try await store.stage()
                try await writer.append(Array("half".utf8))
            }
            _ = try await store.stage(Array("whole".utf8))
            #expect(try staged(store).isEmpty)
        }
    }

    @Test func placingTwiceIsHarmlessAndRemovingTwiceToo() async throws {
        try await withStore { store, _ in
            let first = try await store.stage(Array("abc".utf8)), second = try await store.stage(Array("abc".utf8))
            try store.place([first, second])
            try await store.verify(first.digest)
            let reader = try await store.open(first.digest)
            try store.remove([first.digest])
            try store.remove([first.digest])
            // Who has it open goes on reading.
            let contents = try await reader.read(0..<3)
            #expect(contents == Array("abc".utf8))
            await #expect(throws: BlobError.missing(first.digest)) { try await store.verify(first.digest) }
        }
    }

    @Test func adoptingMovesTheFileWhenItIsPlaced() async throws {
        try await withStore { store, folder in
            let paths = (0..<40).map { "\(folder)/picture-\($0)" }
            for (number, path) in paths.enumerated() { try Data("picture \(number)".utf8).write(to: URL(filePath: path)) }
            let blobs = try await store.adopt(paths.enumerated().map { ($1, SHA256.digest(of: Array("picture \($0)".utf8))) })
            try store.place(blobs)
            for blob in blobs { try await store.verify(blob.digest) }
            #expect(!paths.contains { FileManager.default.fileExists(atPath: $0) })
        }
    }

    @Test func aFileThatIsNotWhatItsProducerSaidIsRefused() async throws {
        try await withStore { store, folder in
            let path = folder + "/file"
            try Data("abd".utf8).write(to: URL(filePath: path))
            let digest = try #require(abc)
            await #expect(throws: BlobError.self) { try await store.adopt(path, digest: digest) }
            try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: path)
            await #expect(throws: SystemError.self) { try await store.adopt(folder + "/link") }
            await #expect(throws: SystemError.self) { try await store.adopt(folder) }
        }
    }

    @Test func aChangedBlobIsFoundOut() async throws {
        try await withStore { store, _ in
            let blob = try await store.stage(Array("abc".utf8))
            try store.place([blob])
            try FileManager.default.removeItem(atPath: store.path(of: blob.digest))
            try Data("abx".utf8).write(to: URL(filePath: store.path(of: blob.digest)))
            await #expect(throws: BlobError.corrupt(blob.digest, found: SHA256.digest(of: Array("abx".utf8)))) {
                try await store.verify(blob.digest)
            }
            await #expect(throws: BlobError.self) { try await store.contents(of: blob.digest) }
        }
    }

    @Test func aFullDiskIsATypedError() async throws {
        try await withStore(minimumFreeShare: 1.1) { store, folder in
            await #expect { try await store.stage() } throws: { if case BlobError.diskFull = $0 { true } else { false } }
            try Data("abc".utf8).write(to: URL(filePath: folder + "/file"))
            await #expect(throws: BlobError.self) { try await store.adopt(folder + "/file") }
        }
    }

    @Test func leftoversAreSweptOnlyWhenOld() async throws {
        try await withStore { store, _ in
            try Data("left".utf8).write(to: URL(filePath: store.directory + "/staging/left"))
            try store.removeStaged(olderThan: .seconds(3600))
            #expect(try staged(store) == ["left"])
            try store.clearStaging()
            #expect(try staged(store).isEmpty)

            let blob = try await store.stage(Array("abc".utf8))
            try store.place([blob])
            var young: [Digest] = [], old: [Digest] = []
            try store.forEachPublished(olderThan: .seconds(3600)) { old += $0 }
            try store.forEachPublished(olderThan: .seconds(-3600)) { young += $0 }
            #expect(old.isEmpty)
            #expect(young == [blob.digest])
        }
    }
}
