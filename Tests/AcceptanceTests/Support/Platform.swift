import Foundation
import SlipwayClient
import SlipwayDomain
import SlipwaySystem
import Synchronization
import Testing

/// A whole platform: the built binary, started as a user starts it, in a data directory of its own.
final class Platform: Sendable {
    /// Roles of the supervisor's children, as they stand on their command lines.
    enum Role: String { case api, worker, serve, trainer }

    private struct Running {
        var process: ChildProcess
        var url: String
    }

    /// The one that the `.platform` trait started around the suite.
    @TaskLocal private static var scoped: Platform?
    static var current: Platform {
        guard let scoped else { preconditionFailure("the suite needs the trait .platform") }
        return scoped
    }

    let folder: String
    let dataDirectory: String
    private let environment: [String: String]
    private let running = Mutex<Running?>(nil)

    private init(folder: String, dataName: String, environment: [String: String]) {
        self.folder = folder
        dataDirectory = folder + "/" + dataName
        self.environment = environment
    }

    // MARK: Life

    /// Runs `body` with a platform that is ready, and ends the platform with all its processes afterwards.
    ///
    /// The folder, logs included, is kept if something failed, and named.
    static func with<Result>(
        environment: [String: String] = [:], dataName: String = "data", isStarted: Bool = true,
        _ body: (Platform) async throws -> Result
    ) async throws -> Result {
        let folder = FileManager.default.temporaryDirectory.path + "/slipway-acceptance-\(UUID())"
        // PostgreSQL's unprivileged user must be able to enter it when the tests run as root.
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let platform = Platform(folder: folder, dataName: dataName, environment: environment)
        do {
            if isStarted { try await platform.start() }
            let result = try await $scoped.withValue(platform) { try await body(platform) }
            try await platform.end()
            try FileManager.default.removeItem(atPath: folder)
            return result
        } catch {
            await platform.kill()
            Issue.record("the platform's folder is kept: \(folder)\n\(platform.logTail())")
            throw error
        }
    }

    /// Starts the supervisor and waits until the platform is ready. A second start listens on the first one's port.
    func start(within limit: Duration = .seconds(60)) async throws {
        let lastPort = client.flatMap { URL(string: $0.http.base)?.port } ?? 0
        try? FileManager.default.removeItem(atPath: dataDirectory + "/url")
        let log = open(folder + "/up.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard log >= 0 else { throw SystemError("opening the platform's log") }
        defer { close(log) }
        var command = command(["up", "--data-dir", dataDirectory, "--port", "\(lastPort)"])
        command.descriptors = [nil, log, log]
        command.killsGroupAtEnd = false  // What a killed supervisor leaves behind is the supervisor's business.
        let process = try ChildProcess.spawn(command)
        running.withLock { $0 = Running(process: process, url: "") }

        try await eventually(within: limit, "the platform is ready") {
            guard try process.poll() == nil else { throw AcceptanceError.ended(log: logTail()) }
            guard let text = try? String(contentsOfFile: dataDirectory + "/url", encoding: .utf8) else { return false }
            let url = text.trimmingCharacters(in: .whitespacesAndNewlines)
            guard let answer = try? await PlatformClient(url: url, key: nil).send("GET", "/readyz") else { return false }
            guard answer.status == 200 else { return false }
            let key = try String(contentsOfFile: dataDirectory + "/admin.key", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let client = try PlatformClient(url: url, key: key)
            running.withLock { $0?.url = url }
            connection.withLock { $0 = client }
            return true
        }
    }

    /// Runs the binary to its end; the output is standard output and error in one.
    func run(_ arguments: [String], within limit: Duration = .seconds(60)) async throws -> (
        ending: ChildProcess.Ending, output: String
    ) {
        let path = folder + "/run-\(UUID()).log"
        let log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard log >= 0 else { throw SystemError("opening \(path)") }
        defer { close(log) }
        var command = command(arguments)
        command.descriptors = [nil, log, log]
        let process = try ChildProcess.spawn(command)
        try await eventually(within: limit, "slipway \(arguments[0]) ends") { try process.poll() != nil }
        return (await process.wait().ending, try String(contentsOfFile: path, encoding: .utf8))
    }

    private func command(_ arguments: [String]) -> ChildProcess.Command {
        ChildProcess.Command(
            Self.binary, arguments,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"]
                .merging(environment) { $1 })
    }

    /// Asks the supervisor to stop, as a service manager does, and waits for its end.
    func stop() async throws -> ChildProcess.Exit {
        let process = try #require(running.withLock { $0?.process })
        process.signal(SIGTERM)
        let exit = await process.wait()
        running.withLock { $0 = nil }
        return exit
    }

    /// Kills the supervisor alone, as the kernel does when memory runs out: it gets no word in.
    func kill() async {
        guard let process = running.withLock({ $0?.process }) else { return }
        process.signal(SIGKILL)
        _ = await process.wait()
        running.withLock { $0 = nil }
    }

    /// The end of a test: a clean stop, after which no process is left.
    private func end() async throws {
        let all = processes
        guard !all.isEmpty else { return }
        let exit = try await stop()
        #expect(exit.ending.isSuccess, "slipway up ended with \(exit)")
        let left = all.filter { Foundation.kill($0, 0) == 0 }
        #expect(left == [], "processes outlived slipway up")
        for pid in left { Foundation.kill(pid, SIGKILL) }
    }

    // MARK: Access

    private let connection = Mutex<PlatformClient?>(nil)
    private var client: PlatformClient? { connection.withLock { $0 } }

    /// The administrator's client.
    var admin: PlatformClient {
        guard let client else { preconditionFailure("the platform was started") }
        return client
    }

    /// The supervisor and all processes below it.
    var processes: [pid_t] { running.withLock { $0?.process.pid }.map { [$0] + Self.descendants(of: $0) } ?? [] }

    /// Processes below the supervisor that have this role.
    func processes(_ role: Role) -> [pid_t] {
        processes.filter { pid in
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            let arguments = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return arguments.count > 1 && arguments[1] == role.rawValue
        }
    }

    private static func descendants(of pid: pid_t) -> [pid_t] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        let children = threads.flatMap { thread in
            let list = FileManager.default.contents(atPath: "/proc/\(pid)/task/\(thread)/children") ?? Data()
            return String(decoding: list, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
        }
        return children + children.flatMap(descendants)
    }

    /// The peak resident memory of a process, in bytes.
    static func peakMemory(of pid: pid_t) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kilobytes = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return try #require(kilobytes) * 1024
    }

    func logTail(bytes: Int = 6_000) -> String {
        var text = ""
        let logs = (try? FileManager.default.contentsOfDirectory(atPath: dataDirectory + "/logs"))?.sorted() ?? []
        for path in [folder + "/up.log"] + logs.map({ dataDirectory + "/logs/" + $0 }) {
            guard let content = FileManager.default.contents(atPath: path), !content.isEmpty else { continue }
            text += "--- \(path)\n\(String(decoding: content.suffix(bytes), as: UTF8.self))\n"
        }
        return text
    }

    /// The product beside the test bundle: the tests run what the build made.
    static let binary: String = {
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(filePath: bundle).deletingLastPathComponent().appending(path: "slipway").path
    }()
}

/// Runs a suite's tests against one platform, or with platforms that they start themselves. Such suites run one after the
/// other: what they measure and kill would disturb the others.
struct PlatformTrait: SuiteTrait, TestScoping {
    private static let turn = Turn()
    let isStarted: Bool

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Self.turn.take {
            guard isStarted else { return try await function() }
            try await Platform.with { _ in try await function() }
        }
    }
}

extension Trait where Self == PlatformTrait {
    static var platform: Self { PlatformTrait(isStarted: true) }
    static var platformsOfItsOwn: Self { PlatformTrait(isStarted: false) }
}

/// One at a time, in the order of coming.
actor Turn {
    private var last: Task<Void, Never>?

    nonisolated func take<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        let (end, done) = AsyncStream<Never>.makeStream()
        let mine = Task { for await _ in end {} }
        let before = await enter(mine)
        await before?.value
        defer { done.finish() }
        return try await body()
    }

    private func enter(_ mine: Task<Void, Never>) -> Task<Void, Never>? {
        defer { last = mine }
        return last
    }
}

enum AcceptanceError: Error {
    case ended(log: String)
    case tooLate(what: String, after: Duration)
    case accepted
}

/// Asks again and again until the answer is yes.
func eventually(
    within limit: Duration, _ what: String, every pause: Duration = .milliseconds(50), _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while try await !condition() {
        guard clock.now < deadline else { throw AcceptanceError.tooLate(what: what, after: limit) }
        try await Task.sleep(for: pause)
    }
}
