import Foundation
import SlipwayDomain
import SlipwaySystem
import Testing

/// The built binary, as scripts use it: exit codes, what goes to standard output, and where settings come from.
@Suite struct CommandTests {
    private struct Outcome {
        let code: Int32
        let output: String
        var json: JSON { get throws { try JSONReader.read(Array(output.utf8)) } }
    }

    /// The product beside the test bundle.
    private static let binary: String = {
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(filePath: bundle).deletingLastPathComponent().appending(path: "slipway").path
    }()

    private func slipway(_ arguments: [String], environment: [String: String] = [:], withErrors: Bool = false) throws -> Outcome {
        var all = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "SLIPWAY_DATA_DIR": "/nonexistent/data"]
        all.merge(environment) { $1 }
        let (exit, output) = try ChildProcess.run(
            ChildProcess.Command(Self.binary, arguments, environment: all), withErrors: withErrors)
        guard case .exited(let code) = exit.ending else {
            Issue.record("\(arguments) ended with \(exit)")
            return Outcome(code: -1, output: output)
        }
        return Outcome(code: code, output: output)
    }

    private func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.path + "/slipway-cli-\(UUID()).yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { unlink(path) }
        return try body(path)
    }

    private func setting(_ name: String, in outcome: Outcome) throws -> JSON {
        guard case .array(let rows)? = try outcome.json["settings"] else { return .null }
        return rows.first { $0["name"]?.stringValue == name } ?? .null
    }

    @Test(arguments: [
        (["--help"], 0), (["--version"], 0), (["--generate-completion-script", "bash"], 0), (["train", "--help"], 0),
        (["nonsense"], 2), (["project"], 0), (["predict", "digits"], 2), (["config", "--port", "many"], 2),
        (["project", "list"], 3), (["project", "list", "--url", "http://127.0.0.1:1"], 3),
        (["train", "/nonexistent/file.zip"], 3), (["train", "x.csv", "--no-watch", "--deploy"], 2),
    ] as [([String], Int32)])
    func exitCodes(_ arguments: [String], _ code: Int32) throws {
        #expect(try slipway(arguments).code == code)
    }

    @Test func aFlagBeatsTheEnvironmentAndThatTheFile() throws {
        try withFile("port: 1001\nserve_queue: 7\nlease: 2m\n") { file in
            let environment = ["SLIPWAY_CONFIG": file, "SLIPWAY_PORT": "1002"]
            let outcome = try slipway(["config", "--json", "--port", "1003"], environment: environment)
            #expect(try setting("port", in: outcome)["value"] == "1003")
            #expect(try setting("port", in: outcome)["source"] == "--port")
            let other = try slipway(["config", "--json"], environment: environment)
            #expect(try setting("port", in: other)["source"] == "SLIPWAY_PORT")
            #expect(try setting("serve_queue", in: other)["value"] == "7")
            #expect(try setting("serve_queue", in: other)["source"] == .string(file))
            #expect(try setting("lease", in: other)["source"] == .string(file))
            #expect(try setting("host", in: other)["source"] == "default")
        }
    }

    @Test func secretsAreMasked() throws {
        let outcome = try slipway(
            ["config", "--json"], environment: ["SLIPWAY_DATABASE_URL": "postgres://me:hunter2@db/x", "SLIPWAY_METRICS_KEY": "hunter2"])
        #expect(!outcome.output.contains("hunter2"))
        #expect(try setting("database_url", in: outcome)["value"] == "********")
    }

    /// The soft limit is for programs that `select`.
    @Test func theAPIMayOpenAsManyFilesAsTheHardLimitSays() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/slipway-api-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var input: [Int32] = [-1, -1], log: [Int32] = [-1, -1]
        try #require(pipe(&input) == 0 && pipe(&log) == 0)
        for end in input + log { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var command = ChildProcess.Command(
            "/bin/bash", ["-c", "ulimit -Sn 256 && exec \"$0\" api", Self.binary],
            environment: [
                "PATH": "/usr/bin:/bin", "SLIPWAY_DATA_DIR": folder, "SLIPWAY_PORT": "0", "SLIPWAY_DATABASE_URL": "postgres://x:x@127.0.0.1:1/x",
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

    @Test func hostNamesAreAList() throws {
        let outcome = try slipway(["config", "--json", "--hosts", "ml.example.org, [::1]"])
        #expect(try setting("hosts", in: outcome)["value"] == "ml.example.org,[::1]")
        #expect(try slipway(["config", "--hosts", "ml.example.org:443"]).code == 2)
    }

    @Test func anUnknownKeyNamesTheNearest() throws {
        try withFile("prot: 1001\n") { file in
            let outcome = try slipway(["config", "--config", file], withErrors: true)
            #expect(outcome.code == 2)
            #expect(outcome.output.contains("'prot'") && outcome.output.contains("'port'"))
        }
    }

    @Test func aProblemIsADocumentForPrograms() throws {
        let outcome = try slipway(["project", "list", "--json"], withErrors: true)
        #expect(try outcome.json["code"] == "not-reachable")
    }

    @Test func aTakenPortIsRefusedBeforeAnythingIsMade() throws {
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
        let outcome = try slipway(["up", "--data-dir", directory, "--port", port], withErrors: true)
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("127.0.0.1:\(port)") && outcome.output.contains("--port"), "\(outcome.output)")
        #expect(!FileManager.default.fileExists(atPath: directory))
    }

    /// The flags and the table are two lists; this holds them to each other.
    @Test func everySettingHasItsFlag() throws {
        let help = try slipway(["config", "--help"]).output
        guard case .array(let rows)? = try slipway(["config", "--json"]).json["settings"] else {
            Issue.record("config --json lists no settings")
            return
        }
        for row in rows {
            let flag = try #require(row["flag"]?.stringValue)
            #expect(help.contains(flag + " "), "\(flag)")
        }
    }
}
