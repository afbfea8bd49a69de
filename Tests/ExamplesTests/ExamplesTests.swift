import Foundation
import SlipwaySystem
import Testing

/// The programs of `Examples/Keel`, built as anyone would build them who depends on a released version: a package elsewhere, a
/// repository with a version's tag, and no flags of ours.
@Suite(.serialized) struct ExamplesTests {
    /// A program, its arguments, and what the last number that it prints may be.
    private static let programs: [(name: String, arguments: [String], allowed: ClosedRange<Double>)] = [
        ("classifier", ["Examples/data/breast-cancer.csv"], 0.95...1),
        ("custom-layer", [], 0.9...1),
        ("custom-loss", [], 0.9...1.3),
        ("gan", [], 0...0.3),
        ("multi-input", [], 0...0.06),
        ("pictures", [], 0.95...1),
        ("profiling", [], 5450...5450),
        ("resume", [], 1...1),
        ("second-order", [], 0...0.01),
        ("sequences", [], 0.85...1),
        ("transfer", [], 0.85...1),
        ("two-optimizers", [], 0...0.05),
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
            let number = try #require(last, "\(program.name): \(output)")
            #expect(program.allowed.contains(number), "\(program.name): \(output)")
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
