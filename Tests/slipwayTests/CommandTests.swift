import Foundation
import SlipwayDomain
import SlipwaySystem
import Testing

/// The built binary, as scripts use it: exit codes, what goes to standard output, and where settings come from.
@Suite struct CommandTests {
    private func withFile<Result>(_ text: String, _ body: (String) async throws -> Result) async throws -> Result {
        let path = FileManager.default.temporaryDirectory.path + "/slipway-cli-\(UUID()).yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { unlink(path) }
        return try await body(path)
    }

    private func setting(_ name: String, in outcome: Run) throws -> JSON {
        guard case .array(let rows)? = try outcome.json["settings"] else { return .null }
        return rows.first { $0["name"]?.stringValue == name } ?? .null
    }

    @Test(arguments: [
        (["--help"], 0), (["--version"], 0), (["--generate-completion-script", "bash"], 0), (["train", "--help"], 0),
        (["nonsense"], 2), (["project"], 0), (["predict", "digits"], 2), (["config", "--port", "many"], 2),
        (["project", "list"], 3), (["project", "list", "--url", "http://127.0.0.1:1", "--key", "k"], 3),
        (["train", "/nonexistent/file.zip"], 3), (["train", "x.csv", "--no-watch", "--deploy"], 2),
    ] as [([String], Int32)])
    func exitCodes(_ arguments: [String], _ code: Int32) async throws {
        #expect(try await run(arguments).code == code)
    }

    @Test func aFlagBeatsTheEnvironmentAndThatTheFile() async throws {
        try await withFile("port: 1001\nserve_queue: 7\nlease: 2m\n") { file in
            let environment = ["SLIPWAY_CONFIG": file, "SLIPWAY_PORT": "1002"]
            let outcome = try await run(["config", "--json", "--port", "1003"], environment: environment)
            #expect(try setting("port", in: outcome)["value"] == "1003")
            #expect(try setting("port", in: outcome)["source"] == "--port")
            let other = try await run(["config", "--json"], environment: environment)
            #expect(try setting("port", in: other)["source"] == "SLIPWAY_PORT")
            #expect(try setting("serve_queue", in: other)["value"] == "7")
            #expect(try setting("serve_queue", in: other)["source"] == .string(file))
            #expect(try setting("lease", in: other)["source"] == .string(file))
            #expect(try setting("host", in: other)["source"] == "default")
        }
    }

    @Test func secretsAreMasked() async throws {
        let outcome = try await run(
            ["config", "--json"], environment: ["SLIPWAY_DATABASE_URL": "postgres://me:hunter2@db/x", "SLIPWAY_METRICS_KEY": "hunter2"])
        #expect(!outcome.output.contains("hunter2"))
        #expect(try setting("database_url", in: outcome)["value"] == "********")
    }

    /// The soft limit is for programs that `select`.
    @Test func theAPIMayOpenAsManyFilesAsTheHardLimitSays() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/slipway-api-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var input: [Int32] = [-1, -1], log: [Int32] = [-1, -1]
        try #require(pipe(&input) == 0 && pipe(&log) == 0)
        for end in input + log { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var command = ChildProcess.Command(
            "/bin/bash", ["-c", "ulimit -Sn 256 && exec \"$0\" api", binary],
            environment: [
                "PATH": "/usr/bin:/bin", "SLIPWAY_DATA_DIR": folder, "SLIPWAY_PORT": "0",
                "SLIPWAY_DATABASE_URL": "postgres://x:x@127.0.0.1:1/x",
            ])
        command.descriptors = [input[0], nil, log[1]]
        let child = try ChildProcess.spawn(command)
        close(input[0])
        close(log[1])
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !text.contains("listening") {
            let count = read(log[0], &buffer, buffer.count)
            if count <= 0 { break }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
        let limits = try String(contentsOfFile: "/proc/\(child.pid)/limits", encoding: .utf8)
        close(input[1])
        close(log[0])
        _ = try child.waitBlocking()
        let files = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }, "\(text)")
        let numbers = files.split(separator: " ").dropFirst(3).prefix(2)
        #expect(numbers.first == numbers.last)
        #expect(numbers.first != "256")
    }

    @Test func hostNamesAreAList() async throws {
        let outcome = try await run(["config", "--json", "--hosts", "ml.example.org, [::1]"])
        #expect(try setting("hosts", in: outcome)["value"] == "ml.example.org,[::1]")
        #expect(try await run(["config", "--hosts", "ml.example.org:443"]).code == 2)
    }

    @Test func anUnknownKeyNamesTheNearest() async throws {
        try await withFile("prot: 1001\n") { file in
            let outcome = try await run(["config", "--config", file])
            #expect(outcome.code == 2)
            #expect(outcome.errors.contains("'prot'") && outcome.errors.contains("'port'"))
        }
    }

    @Test func aResultThatCannotBeWrittenIsAFailure() async throws {
        try await withTemporaryFolder { folder in
            let child = try start(["config"], output: "/dev/full", errors: folder + "/err")
            #expect(await child.wait().ending == .exited(code: 1))
            #expect(try String(contentsOfFile: folder + "/err", encoding: .utf8).contains("No space left"))
        }
    }

    @Test func aMistypedCommandIsGuessed() async throws {
        #expect(try await run(["tain", "x.csv"]).errors.contains("did you mean 'slipway train'?"))
        #expect(try await run(["project", "lst"]).errors.contains("did you mean 'slipway project list'?"))
        #expect(try await !run(["dataset", "quintessence"]).errors.contains("did you mean"))
    }

    @Test func aMissingKeyIsSaidSo() async throws {
        let outcome = try await run(["project", "list", "--json", "--url", "http://127.0.0.1:1"])
        #expect(outcome.code == 4)
        #expect(try outcome.problem["code"] == "key-missing")
    }

    @Test func aProblemIsADocumentForPrograms() async throws {
        let outcome = try await run(["project", "list", "--json"])
        #expect(try outcome.problem["code"] == "not-reachable")
    }

    @Test func aTakenPortIsRefusedBeforeAnythingIsMade() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try #require(bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0)
            }
        }
        let port = String(UInt16(bigEndian: address.sin_port))
        let directory = FileManager.default.temporaryDirectory.path + "/slipway-port-\(UUID())"
        let outcome = try await run(["up", "--data-dir", directory, "--port", port])
        #expect(outcome.code == 1)
        #expect(outcome.errors.contains("127.0.0.1:\(port)") && outcome.errors.contains("--port"), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: directory))
    }

    private func settings(_ flags: [String] = []) async throws -> [JSON] {
        let outcome = try await run(["config", "--json"] + flags)
        guard case .array(let rows)? = try outcome.json["settings"] else {
            Issue.record("config --json lists no settings: \(outcome.errors)")
            return []
        }
        return rows
    }

    @Test func everySettingHasItsFlag() async throws {
        let flags = try await settings().flatMap { [try #require($0["flag"]?.stringValue), $0["value"]?.stringValue ?? "x"] }
        #expect(flags.contains("--port"))
        for row in try await settings(flags) { #expect(row["source"] == row["flag"]) }
    }

    /// A row that names a setting begins its second cell with that setting's default, as a flag takes it or as help says it.
    @Test func theReadmesTableOfLimitsGivesTheDefaults() async throws {
        let readme = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "README.md")
        let table = try String(contentsOf: readme, encoding: .utf8)
            .matches(of: /\n\| [^|]+ \| ([^|]+) \| `(\w+)` \|/)
        let written = table.map { (name: String($0.2), fallback: String($0.1)) }
        #expect(written.contains { $0.name == "upload_bytes" } && written.contains { $0.name == "data_slots" })
        let initial = Dictionary(uniqueKeysWithValues: try await settings().map { ($0["name"]?.stringValue ?? "", $0) })
        var flags: [String] = []
        for (name, fallback) in written {
            let row = try #require(initial[name], "\(name) is no setting")
            if fallback.first?.isNumber == true {
                let number = fallback.split(separator: ", ")[0].filter { $0 != "," && $0 != " " }
                flags += [try #require(row["flag"]?.stringValue), String(number)]
            } else {
                #expect(row["default"]?.stringValue == fallback)
            }
        }
        for row in try await settings(flags) {
            #expect(row["value"] == initial[row["name"]?.stringValue ?? ""]?["value"], "\(row)")
        }
    }
}
