import Foundation
import SlipwaySystem
import Testing

/// The programs of `Examples/Keel`, built as anyone would build them who depends on a released version: a package elsewhere, a
/// repository with a version's tag, and no flags of ours.
@Suite(.serialized) struct ExamplesTests {
    /// A program, its arguments, and the least that the last number it prints may be.
    private static let programs: [(name: String, arguments: [String], least: Double)] = [
        ("classifier", ["Examples/data/breast-cancer.csv"], 0.95)
    ]

    @Test func theyBuildAgainstAVersionAndDoWhatTheySay() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/slipway-examples-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }

        // What is in the working tree, as a release.
        let release = folder + "/slipway", package = folder + "/outside"
        try shell("mkdir '\(release)' && git ls-files -z | tar -c --null -T - | tar -x -C '\(release)'", in: repository)
        try shell(
            "git init -q && git add -A && git -c user.name=test -c user.email=test@localhost commit -qm Release && git tag 9.9.9", in: release)
        try shell("cp -R Examples/Keel '\(package)'", in: repository)
        let manifest = try String(contentsOfFile: package + "/Package.swift", encoding: .utf8)
        let byPath = #".package(name: "slipway", path: "../..")"#
        try #require(manifest.contains(byPath))
        try manifest.replacing(byPath, with: ".package(url: \"file://\(release)\", from: \"9.9.0\")")
            .write(toFile: package + "/Package.swift", atomically: true, encoding: .utf8)
        // Optimised, this would compile Keel whole a second time, for minutes.
        try shell("swift build", in: package)

        for program in Self.programs {
            let output = try shell(
                "'\(package)/.build/debug/\(program.name)' " + program.arguments.joined(separator: " "), in: repository)
            let last = output.split { $0.isWhitespace }.compactMap { Double($0) }.last
            #expect(try #require(last, "\(program.name): \(output)") >= program.least, "\(program.name): \(output)")
        }
        // None is left out.
        let sources = try FileManager.default.contentsOfDirectory(atPath: repository + "/Examples/Keel/Sources")
        #expect(Set(sources) == Set(Self.programs.map(\.name)))
    }

    @discardableResult
    private func shell(_ script: String, in directory: String) throws -> String {
        var command = ChildProcess.Command("/bin/sh", ["-c", script], environment: ProcessInfo.processInfo.environment)
        command.directory = directory
        let (exit, output) = try ChildProcess.run(command, withErrors: true)
        try #require(exit.ending.isSuccess, "\(script): \(output)")
        return output
    }
}

private let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
