import Foundation
import SlipwayDomain
import SlipwaySystem
import Testing

/// A run of the built binary, with its two streams apart.
struct Run {
    let code: Int32
    let output: String
    let errors: String

    var json: JSON { get throws { try JSONReader.read(Array(output.utf8)) } }
    /// The problem document, which is the last line of standard error.
    var problem: JSON { get throws { try JSONReader.read(Array((errors.split(separator: "\n").last ?? "").utf8)) } }
}

/// The product beside the test bundle.
let binary: String = {
    let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(filePath: bundle).deletingLastPathComponent().appending(path: "slipway").path
}()

/// The binary with a plain environment, its streams going to files.
func start(
    _ arguments: [String], environment: [String: String] = [:], output: String, errors: String
) throws -> ChildProcess {
    var all = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "SLIPWAY_DATA_DIR": "/nonexistent/data"]
    all.merge(environment) { $1 }
    var files: [Int32] = []
    defer { for file in files { close(file) } }
    for path in [output, errors] { files.append(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)) }
    try #require(files.allSatisfy { $0 >= 0 })
    var command = ChildProcess.Command(binary, arguments, environment: all)
    command.descriptors = [nil, files[0], files[1]]
    return try ChildProcess.spawn(command)
}

func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Run {
    try await withTemporaryFolder { folder in
        let child = try start(arguments, environment: environment, output: folder + "/out", errors: folder + "/err")
        return try ended(await child.wait(), folder)
    }
}

func ended(_ exit: ChildProcess.Exit, _ folder: String) throws -> Run {
    guard case .exited(let code) = exit.ending else {
        Issue.record("ended with \(exit)")
        return Run(code: -1, output: "", errors: "")
    }
    return Run(
        code: code, output: try String(contentsOfFile: folder + "/out", encoding: .utf8),
        errors: try String(contentsOfFile: folder + "/err", encoding: .utf8))
}

func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.path + "/slipway-cli-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}
