import Foundation
import SlipwaySystem
import Testing

@Suite struct FileTests {
    @Test func aDurableWriteReplacesWhatStoodThere() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/slipway-file-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/file"
        // What a write that was cut short leaves behind is in nobody's way.
        try Data("half".utf8).write(to: URL(filePath: path + ".new"))
        for text in ["first", "", "第三"] {
            try File.writeDurably(text.utf8, to: path, mode: 0o644)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o644)
    }

    @Test func aDurableWriteThatFailsNamesTheFile() throws {
        let path = "/nonexistent-\(UUID())/file"
        let error = try #require(throws: SystemError.self) { try File.writeDurably([1, 2], to: path) }
        #expect(error.code == ENOENT && error.description.contains(path))
    }
}
