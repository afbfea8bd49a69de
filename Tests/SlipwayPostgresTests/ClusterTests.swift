import Foundation
import Glibc
import Logging
import SlipwayPostgres
import SlipwaySystem
import SlipwayTestSupport
import Testing

private let logger: Logger = {
    var logger = Logger(label: "tests.cluster")
    logger.logLevel = .error
    return logger
}()

private var fast: Cluster.Options {
    var options = Cluster.Options()
    options.isDurable = false
    options.sharedBuffersMegabytes = 16
    options.maximumConnections = 20
    return options
}

/// A data directory that goes with the test. `body` has a thread of its own.
private func withDataDirectory<R: Sendable>(under parent: String = "/tmp", _ body: @escaping @Sendable (String) throws -> R)
    async throws -> R
{
    try await onThread {
        let directory = "\(parent)/slipway-cluster-\(UUID().uuidString.prefix(8))"
        try Cluster.makeDataDirectory(directory)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try body(directory)
    }
}

private func start(_ directory: String, _ options: Cluster.Options = fast, lock: FileLock? = nil) throws -> Cluster {
    try Cluster.start(in: directory, lock: lock ?? FileLock(path: directory + "/lock"), options: options, logger: logger)
}

private func select(_ cluster: Cluster, _ sql: SQL = "SELECT 1 AS value") throws -> Int {
    let connection = Connection(cluster.address, logger: logger)
    defer { connection.close() }
    return try connection.transaction(as: .owner) { try $0.queryOne(sql, decode: { try $0["value"] }) }
}

private func mode(_ path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
}

/// A platform in a process of its own, to be killed.
private struct Host {
    let child: ChildProcess
    let server: pid_t
    private let input: Int32

    init(_ directory: String, as user: ChildProcess.Command.User? = nil) throws {
        var toChild: [Int32] = [-1, -1], fromChild: [Int32] = [-1, -1]
        guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else { throw SystemError("making a pipe") }
        let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("ClusterHost")
        var command = ChildProcess.Command(executable.path, [directory], environment: ["PATH": "/usr/bin:/bin"])
        command.descriptors = [toChild[0], fromChild[1], 2]
        command.user = user
        let started = Result { try ChildProcess.spawn(command) }
        for descriptor in [toChild[0], fromChild[1]] { close(descriptor) }
        child = try started.get()
        input = toChild[1]
        let output = FileHandle(fileDescriptor: fromChild[0], closeOnDealloc: true)
        var line = ""
        while !line.hasSuffix("\n") {
            guard let byte = try output.read(upToCount: 1), !byte.isEmpty else { break }
            line += String(decoding: byte, as: UTF8.self)
        }
        guard let server = pid_t(line.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            close(input)
            throw SystemError("starting a cluster host: \(line)", code: EINVAL)
        }
        self.server = server
    }

    func end() throws -> ChildProcess.Exit? {
        close(input)
        return try child.waitBlocking(timeout: .seconds(30))
    }

    func kill() throws {
        child.signal(SIGKILL)
        _ = try child.waitBlocking()
        close(input)
    }
}

@Suite struct ClusterTests {
    @Test func aClusterStartsStopsAndStartsAgainInTime() async throws {
        try await withDataDirectory { directory in
            let clock = ContinuousClock()
            var options = Cluster.Options()
            options.sharedBuffersMegabytes = 16
            let first = try clock.measure {
                let cluster = try start(directory, options)
                #expect(try select(cluster) == 1)
                #expect(try cluster.stop().ending == .exited(code: 0))
            }
            let second = try clock.measure {
                let cluster = try start(directory, options)
                #expect(try select(cluster) == 1)
                try cluster.stop()
            }
            // Far above what is needed (1 s and 0.3 s), for a busy machine.
            #expect(first < .seconds(30) && second < .seconds(15))
            print("cluster: first start and stop \(first), second \(second)")
            #expect(mode(directory + "/postgres") == 0o700)
            #expect(mode(directory + "/postgres.secret") == 0o600)
            #expect(mode(directory + "/run") == 0o700)
            #expect(!FileManager.default.fileExists(atPath: directory + "/postgres.password"))
        }
    }

    @Test func noOneGetsInWithoutThePassword() async throws {
        try await withDataDirectory { directory in
            let cluster = try start(directory)
            defer { _ = try? cluster.stop() }
            let address = try PostgresAddress(
                cluster.address.connectionString.replacing(/password='[0-9a-f]{64}'/, with: "password='guess'"))
            let connection = Connection(address, logger: logger)
            #expect(throws: PostgresError.self) { try connection.transaction(as: .owner) { try $0.execute("SELECT 1") } }
            #expect(!"\(cluster.address)".contains("password"))
            #expect(try select(cluster, "SELECT count(*) AS value FROM pg_settings WHERE name = 'listen_addresses' AND setting = ''") == 1)
        }
    }

    @Test func twoPlatformsOnOneDataDirectoryRefuseEachOther() async throws {
        try await withDataDirectory { directory in
            let cluster = try start(directory)
            defer { _ = try? cluster.stop() }
            do {
                _ = try start(directory)
                Issue.record("a second platform started on the same data directory")
            } catch let held as FileLock.Held {
                #expect(held.holder == getpid())
                #expect("\(held)" == "\(directory)/lock is locked by process \(getpid())")
            }
        }
    }

    @Test func aKilledServerRecoversAtTheNextStart() async throws {
        try await withDataDirectory { directory in
            var options = fast
            options.isDurable = true
            // One platform, which restarts its server.
            let lock = try FileLock(path: directory + "/lock")
            let cluster = try start(directory, options, lock: lock)
            let connection = Connection(cluster.address, logger: logger)
            try connection.transaction(as: .owner) { try $0.execute("CREATE TABLE note AS SELECT 7 AS value") }
            cluster.process.signal(SIGKILL)
            #expect(try cluster.process.waitBlocking(timeout: .seconds(10))?.ending == .signalled(SIGKILL))
            let again = try start(directory, options, lock: lock)
            defer { _ = try? again.stop() }
            // The old connection finds the new server by itself.
            let value = try connection.transaction(as: .owner) {
                try $0.queryOne("SELECT value FROM note", decode: { try $0["value"] as Int })
            }
            #expect(value == 7)
        }
    }

    @Test func aServerThatOutlivedItsPlatformIsStoppedByTheNext() async throws {
        try await withDataDirectory { directory in
            // As if the kernel's signal had been lost: the server is there, and the lock is the next platform's.
            let lock = try FileLock(path: directory + "/lock")
            let orphan = try start(directory, lock: lock).process
            let cluster = try start(directory, lock: lock)
            defer { _ = try? cluster.stop() }
            #expect(cluster.process.pid != orphan.pid)
            #expect(try orphan.poll()?.ending == .exited(code: 0))
            #expect(try select(cluster) == 1)
        }
    }

    @Test func aKilledPlatformLeavesNothingThatTheNextStartDoesNotCleanUp() async throws {
        try await withDataDirectory { directory in
            let host = try Host(directory)
            #expect(throws: FileLock.Held.self) { try start(directory) }
            try host.kill()
            let cluster = try start(directory)
            defer { _ = try? cluster.stop() }
            #expect(try select(cluster) == 1)
            // Gone, or a zombie whose new parent doesn't care.
            #expect(realpath("/proc/\(host.server)/cwd", nil) == nil)
        }
    }

    @Test func whatHalfAnInitialisationLeftIsSweptAway() async throws {
        try await withDataDirectory { directory in
            try FileManager.default.createDirectory(atPath: directory + "/postgres.new/base", withIntermediateDirectories: true)
            try "15\n".write(toFile: directory + "/postgres.new/PG_VERSION", atomically: false, encoding: .utf8)
            try "stale".write(toFile: directory + "/postgres.password", atomically: false, encoding: .utf8)
            let cluster = try start(directory)
            defer { _ = try? cluster.stop() }
            #expect(try select(cluster) == 1)
            #expect(!FileManager.default.fileExists(atPath: directory + "/postgres.new"))
            #expect(!FileManager.default.fileExists(atPath: directory + "/postgres.password"))
        }
    }

    @Test func aClusterOfAnotherMajorIsRefusedWithTheRemedy() async throws {
        try await withDataDirectory { directory in
            try start(directory).stop()
            try "9\n".write(toFile: directory + "/postgres/PG_VERSION", atomically: false, encoding: .utf8)
            do {
                _ = try start(directory)
                Issue.record("a cluster of another major version was started")
            } catch let error as ClusterError {
                guard case .noServer(9, let found) = error else { throw error }
                #expect(!found.isEmpty)
                #expect("\(error)".contains("apt-get install postgresql-9"))
                #expect("\(error)".contains("pg_upgrade"))
            }
        }
    }

    @Test func aMissingPasswordFileIsNamed() async throws {
        try await withDataDirectory { directory in
            try start(directory).stop()
            try FileManager.default.removeItem(atPath: directory + "/postgres.secret")
            #expect(throws: ClusterError.secretMissing(path: directory + "/postgres.secret")) { try start(directory) }
        }
    }

    @Test func aServerThatCannotStartSaysWhy() async throws {
        try await withDataDirectory { directory in
            var options = fast
            options.serverSettings["shared_preload_libraries"] = "no_such_library"
            do {
                _ = try start(directory, options)
                Issue.record("the server started without its library")
            } catch let error as ClusterError {
                #expect("\(error)".contains("no_such_library"))
            }
        }
    }

    @Test func aLongPathStillHasASocket() async throws {
        let parent = "/tmp/slipway-" + String(repeating: "l", count: 60) + "/" + String(repeating: "o", count: 60)
        defer { try? FileManager.default.removeItem(atPath: "/tmp/slipway-" + String(repeating: "l", count: 60)) }
        try await withDataDirectory(under: parent) { directory in
            let cluster = try start(directory)
            #expect(try select(cluster) == 1)
            let socketDirectory = try #require(cluster.address.parameters["host"])
            #expect(socketDirectory.hasPrefix("/tmp/slipway-\(geteuid())-"))
            try cluster.stop()
            #expect(!FileManager.default.fileExists(atPath: socketDirectory))
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func aFolderThatTheServersUserCannotEnterIsNamed() async throws {
        try await withDataDirectory { directory in
            let closed = directory + "/closed", inside = closed + "/data"
            try FileManager.default.createDirectory(atPath: inside, withIntermediateDirectories: true)
            chmod(closed, 0o700)
            do {
                _ = try start(inside)
                Issue.record("the server's user came through a closed folder")
            } catch let error as ClusterError {
                guard case .folderClosed(closed, _) = error else { throw error }
            }
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func anOrdinaryUserRunsAClusterToo() async throws {
        try await withDataDirectory { directory in
            let nobody = ChildProcess.Command.User(uid: 65_534, gid: 65_534)
            chown(directory, nobody.uid, nobody.gid)
            let host = try Host(directory, as: nobody)
            #expect(try host.end()?.ending == .exited(code: 0))
        }
    }
}
