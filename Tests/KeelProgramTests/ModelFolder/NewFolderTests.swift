import Foundation
import KeelProgram
import Testing

private func withFolder<R>(_ body: (String) async throws -> R) async throws -> R {
    let path = FileManager.default.temporaryDirectory.appending(path: "keel-folder-\(UUID())").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

private func names(in folder: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }

private func fill(_ folder: borrowing NewFolder, _ text: String) throws { try Data(text.utf8).write(to: URL(filePath: folder.temporary + "/file")) }

@Suite struct NewFolderTests {
    @Test func whatAKilledWriterLeftIsRemovedByTheNextOne() async throws {
        try await withFolder { folder in
            for _ in 0..<2 {
                await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
                    let new = try NewFolder(folder + "/model")
                    try fill(new, "half")
                    kill(getpid(), SIGKILL)
                    try new.publish()
                }
                // The second one has removed what the first one left.
                let left = try names(in: folder)
                #expect(left.count == 1 && left[0].hasPrefix("model.unfinished-"))
            }
            let new = try NewFolder(folder + "/model/")
            #expect(try names(in: folder) == [(new.temporary as NSString).lastPathComponent])
            try fill(new, "whole")
            try new.publish()
            #expect(try names(in: folder) == ["model"])
        }
    }

    /// Two write at once; what is called alike by chance, is a link, or belongs to another model stays too.
    @Test func whatIsStillBeingWrittenStays() async throws {
        try await withFolder { folder in
            let files = FileManager.default, others = ["model.backup", "model.unfinished-1234567", "model2.unfinished-123456", "target"]
            for name in others { try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true) }
            try files.createSymbolicLink(atPath: folder + "/model.unfinished-abcdef", withDestinationPath: folder + "/target")
            let first = try NewFolder(folder + "/model")
            try fill(first, "first")
            let second = try NewFolder(folder + "/model")
            try fill(second, "second")
            #expect(try names(in: folder).count == others.count + 3)
            try first.publish()
            #expect(try String(contentsOfFile: folder + "/model/file", encoding: .utf8) == "first")
            try second.publish()
            #expect(try String(contentsOfFile: folder + "/model/file", encoding: .utf8) == "second")
            #expect(try names(in: folder) == (others + ["model", "model.unfinished-abcdef"]).sorted())
        }
    }

    /// Many at once: each ends whole, and nothing is left.
    @Test func writersDoNotTakeEachOthersFolders() async throws {
        try await withFolder { folder in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for turn in 0..<20 {
                            let new = try NewFolder(folder + "/model")
                            try fill(new, "\(writer) \(turn)")
                            try new.publish()
                        }
                    }
                }
                try await group.waitForAll()
            }
            // A writer that made its folder meanwhile may have seen another one's leftover last.
            #expect(try names(in: folder) == ["model"])
            #expect(try names(in: folder + "/model") == ["file"])
        }
    }
}
