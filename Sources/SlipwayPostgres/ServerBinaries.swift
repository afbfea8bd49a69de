internal import Foundation
internal import SlipwaySystem

/// Where PostgreSQL's own programs are.
package struct ServerBinaries: Sendable, Hashable {
    package let directory: String
    package let major: Int

    /// The newest PostgreSQL among Debian's places, `PATH` and what `pg_config` says; or the one of `major`, if a cluster needs it.
    ///
    /// - Errors: `ClusterError.noServer` with what was found instead.
    package static func find(
        major: Int? = nil, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> ServerBinaries {
        var directories: [String] = []
        let debian = "/usr/lib/postgresql"
        if let versions = try? FileManager.default.contentsOfDirectory(atPath: debian) {
            directories += versions.map { "\(debian)/\($0)/bin" }
        }
        let path = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        let folders = path.split(separator: ":").map(String.init)
        directories += folders
        if let tool = folders.map({ $0 + "/pg_config" }).first(where: isExecutable),
            let answer = try? output(of: tool, ["--bindir"], environment: environment) {
            directories.append(answer)
        }

        var found: [ServerBinaries] = []
        for directory in directories where ["postgres", "initdb"].allSatisfy({ isExecutable("\(directory)/\($0)") }) {
            guard !found.contains(where: { $0.directory == directory }),
                let version = try? output(of: "\(directory)/postgres", ["--version"], environment: environment),
                let major = version.split(whereSeparator: { !$0.isNumber }).first.flatMap({ Int($0) })
            else { continue }
            found.append(ServerBinaries(directory: directory, major: major))
        }
        found.sort { $0.major > $1.major }
        guard let best = found.first(where: { major == nil || $0.major == major }) else {
            throw ClusterError.noServer(wanted: major, found: found.map(\.major))
        }
        return best
    }

    func path(_ program: String) -> String { "\(directory)/\(program)" }

    private static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    private static func output(of program: String, _ arguments: [String], environment: [String: String]) throws -> String {
        let (exit, output) = try ChildProcess.run(ChildProcess.Command(program, arguments, environment: environment))
        guard exit.ending.isSuccess else { throw SystemError("running \(program)", code: ENOEXEC) }
        return output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
