import Foundation

/// The catalogue of bad inputs that lies beside the checkout, where it is there and Python too: a script writes the files.
package enum BadInputs {
    package struct Case: Decodable, Sendable, CustomStringConvertible {
        package let id, file, via, expect, code, why: String
        package let status: Int
        package var description: String { "\(id) \(file): \(why)" }
    }

    private struct Manifest: Decodable { let cases: [Case] }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/badinputs")

    package static var isPresent: Bool { files != nil }

    /// The cases that arrive by one of these ways; none where there is no catalogue.
    package static func cases(via ways: String...) -> [Case] {
        guard let data = try? Data(contentsOf: folder.appendingPathComponent("manifest.json")),
            let manifest = try? JSONDecoder().decode(Manifest.self, from: data), files != nil
        else { return [] }
        return manifest.cases.filter { ways.contains($0.via) }
    }

    package static func path(of row: Case) throws -> String {
        guard let files else { throw CocoaError(.fileNoSuchFile) }
        return files.appendingPathComponent(row.file).path
    }

    package static func bytes(of row: Case) throws -> [UInt8] { try Array(Data(contentsOf: URL(filePath: path(of: row)))) }

    /// Where the script wrote the files, once a process.
    private static let files: URL? = {
        let script = folder.appendingPathComponent("make.py")
        guard FileManager.default.fileExists(atPath: script.path) else { return nil }
        let out = FileManager.default.temporaryDirectory.appendingPathComponent("slipway-badinputs-\(getpid())")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script.path, out.path]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        leftOvers.append(out)
        atexit { BadInputs.leftOvers.forEach { try? FileManager.default.removeItem(at: $0) } }
        return out
    }()

    /// Removed when the process ends; written once, by `files`.
    private nonisolated(unsafe) static var leftOvers: [URL] = []
}
