import Foundation
import Testing

/// `Examples/README.md` shows each program as it is in all three frameworks, and Keel's is never the longest.
@Suite struct ExampleDocumentTests {
    private static let examples = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "Examples")

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.examples.appending(path: path), encoding: .utf8)
    }

    /// Lines that are neither empty nor comments nor docstrings of one line.
    private func lineCount(_ text: String, comment: String) -> Int {
        text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            .count { !$0.isEmpty && !$0.hasPrefix(comment) && !$0.hasPrefix("\"\"\"") }
    }

    @Test func everyProgramIsShownAsItIsAndNoLongerThanItsPeers() throws {
        let document = try text("README.md")
        let programs = try FileManager.default.contentsOfDirectory(atPath: Self.examples.path + "/Keel/Sources")
        #expect(programs.count == 12)
        for program in programs {
            let keel = try text("Keel/Sources/\(program)/main.swift")
            let torch = try text("Torch/\(program).py"), paddle = try text("Paddle/\(program).py")
            for shown in [keel, torch, paddle] { #expect(document.contains("\n" + shown), "\(program) isn't shown as it is") }
            let count = lineCount(keel, comment: "//")
            let peers = [lineCount(torch, comment: "#"), lineCount(paddle, comment: "#")]
            #expect(peers.allSatisfy { count <= $0 }, "\(program) has \(count) lines, its peers have \(peers)")
            #expect(document.contains("| \(count) | \(peers[0]) | \(peers[1]) |"), "\(program): the table's numbers")
        }
    }
}
