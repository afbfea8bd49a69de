import Foundation
import Logging
import SlipwayBlobs
import SlipwayPostgres
import SlipwayStore
import SlipwaySystem

package struct SupervisorConfiguration: Sendable {
    /// A child process: this binary in another role.
    package struct Role: Sendable {
        package var name: String
        package var arguments: [String]

        package init(_ name: String, arguments: [String]) {
            self.name = name
            self.arguments = arguments
        }
    }

    package var dataDirectory: String
    /// A server of the user's; nil: the embedded cluster.
    package var databaseURL: String?
    package var migrationsFolder: String
    package var executable: String
    /// Started in this order; the first, which serves the others, is stopped last.
    package var roles: [Role]
    /// Settings for the children, beside the environment of this process.
    package var environment: [String: String] = [:]
    /// How long a child may take to drain.
    package var drainTime = Duration.seconds(20)
    package var logFileBytes = 64 << 20

    package init(dataDirectory: String, migrationsFolder: String, executable: String, roles: [Role]) {
        self.dataDirectory = dataDirectory
        self.migrationsFolder = migrationsFolder
        self.executable = executable
        self.roles = roles
    }
}

/// `slipway up`: the database, and the roles as child processes that are started again when they fall. It reads nothing that
/// a client sent, loads no model, and blocks on one thread: there is little in it that could fail.
package final class Supervisor {
    private let configuration: SupervisorConfiguration
    private let logger: Logger
    private let lock: FileLock
    private let signals: SignalPipe
    private var cluster: Cluster?
    /// The owner's, who migrates.
    private let address: PostgresAddress
    /// The children's, who can only become one of the two roles that transactions run as.
    private var serviceAddress: PostgresAddress
    private var children: [Child] = []
    private var clusterBackoff = RestartBackoff()

    /// Takes the data directory, starts the database, brings its schema up to date and cleans up after an earlier life.
    ///
    /// - Parameter writeKey: keeps the first administrator's key, once there is one.
    /// - Errors: `FileLock.Held` when a platform runs on this data directory; `ClusterError`, `MigrationError`, ...
    package init(
        _ configuration: SupervisorConfiguration, logger: Logger, writeKey: (String) throws -> Void
    ) throws {
        self.configuration = configuration
        self.logger = logger
        let directory = configuration.dataDirectory
        try Cluster.makeDataDirectory(directory)
        lock = try FileLock(path: directory + "/lock")
        signals = try SignalPipe()
        if let url = configuration.databaseURL {
            address = try PostgresAddress(url)
        } else {
            let cluster = try Cluster.start(in: directory, lock: lock, logger: logger)
            self.cluster = cluster
            address = cluster.address
        }
        serviceAddress = address
        do {
            try prepare(writeKey)
        } catch {
            // The first error is the one to tell.
            _ = try? cluster?.stop()
            throw error
        }
    }

    private func prepare(_ writeKey: (String) throws -> Void) throws {
        let directory = configuration.dataDirectory
        let connection = Connection(address, logger: logger)
        defer { connection.close() }
        let applied = try Migrations(directory: configuration.migrationsFolder).apply(on: connection)
        if !applied.isEmpty { logger.notice("migrated the database", metadata: ["migrations": "\(applied.map(\.name))"]) }
        // A cluster of our own is nobody else's, so the password may change at each start.
        if cluster != nil { serviceAddress = try Migrations.openService(on: connection, address) }
        // A key that can't be kept isn't made: the transaction goes with it.
        try connection.transaction(as: .system) { transaction in
            guard try transaction.firstOrganisation() == nil else { return }
            try writeKey(try transaction.createAdministratorKey().text)
        }
        if cluster == nil { try SocketFolder(of: directory).make() }
        for folder in ["/logs", "/jobs"] {
            try FileManager.default.createDirectory(
                atPath: directory + folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        unlink(directory + "/url")
        try BlobStore(directory: directory + "/blobs").clearStaging()
        Self.releaseDeadWorkers(connection, logger)
    }

    /// Workers whose process is gone, as far as it can be seen from here, don't keep their jobs until the leases run out.
    private static func releaseDeadWorkers(_ connection: Connection, _ logger: Logger) {
        do {
            let here = try ProcessIdentity.here
            try connection.transaction(as: .system) { transaction in
                for worker in try transaction.workersWithLeases(at: here) {
                    let process = ProcessIdentity(place: here, pid: worker.pid, startTime: worker.startTime)
                    if try process.isGone { try transaction.expireLeases(of: worker.id) }
                }
            }
        } catch {
            logger.warning("leases of dead workers are left to run out", metadata: ["error": "\(error)"])
        }
    }

    // MARK: The loop

    /// Runs the platform until SIGTERM or SIGINT, then stops it in order. A second signal makes it quick.
    package func run() throws {
        signals.install()
        for role in configuration.roles {
            children.append(
                try Child(role, log: RoleLog(configuration.dataDirectory + "/logs/\(role.name).log", limit: configuration.logFileBytes)))
        }
        logger.notice("the platform starts", metadata: ["data_dir": "\(configuration.dataDirectory)"])
        while !signals.hasCome {
            let now = ContinuousClock.now
            for child in children where child.process == nil && child.backoff.startAt <= now { start(child) }
            restartCluster(now)
            try wait(until: nextStart)
            for child in children { reap(child) }
        }
        logger.notice("the platform stops")
        stopAll()
        try cluster?.stop()
        unlink(configuration.dataDirectory + "/url")
        logger.notice("the platform has stopped")
    }

    /// When a fallen child is due; nil: nothing is.
    private var nextStart: ContinuousClock.Instant? {
        var due = children.filter { $0.process == nil }.map(\.backoff.startAt)
        if let cluster, (try? cluster.process.poll()) != nil { due.append(clusterBackoff.startAt) }
        return due.min()
    }

    /// Until a child ends, a signal comes, or the time.
    private func wait(until time: ContinuousClock.Instant?) throws {
        var list = [pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)]
        for child in children {
            if let process = child.process { list.append(pollfd(fd: process.exitDescriptor, events: Int16(POLLIN), revents: 0)) }
        }
        if let cluster, try cluster.process.poll() == nil {
            list.append(pollfd(fd: cluster.process.exitDescriptor, events: Int16(POLLIN), revents: 0))
        }
        var milliseconds: Int32 = 10_000
        if let time {
            milliseconds = Int32(clamping: max(0, ContinuousClock.now.duration(to: time).wholeMilliseconds + 1))
        }
        if poll(&list, nfds_t(list.count), min(milliseconds, 10_000)) < 0, errno != EINTR { throw SystemError("waiting for children") }
    }

    private func start(_ child: Child) {
        var environment = ProcessInfo.processInfo.environment.merging(configuration.environment) { _, setting in setting }
        environment["SLIPWAY_DATABASE_URL"] = serviceAddress.connectionString
        environment["SLIPWAY_DATA_DIR"] = configuration.dataDirectory
        do {
            try child.start(configuration.executable, environment)
            logger.info("started \(child.role.name)", metadata: ["pid": "\(child.process?.pid ?? 0)"])
        } catch {
            child.backoff.fell(at: .now)
            logger.error("can't start \(child.role.name)", metadata: ["error": "\(error)"])
        }
    }

    private func reap(_ child: Child) {
        guard let exit = child.poll() else { return }
        child.backoff.fell(at: .now)
        logger.warning(
            "\(child.role.name) has fallen and is started again",
            metadata: ["exit": "\(exit)", "pause": "\(child.backoff.pause)"])
        guard child.role.name == "worker" else { return }
        // A database that is away mustn't hold up the loop, which starts what has fallen.
        _ = OSThread(name: "dead-workers") { [address, logger] in
            let connection = Connection(address, logger: logger)
            defer { connection.close() }
            Self.releaseDeadWorkers(connection, logger)
        }
    }

    /// The server ends by itself only when it fails; the children wait for it and connect again.
    private func restartCluster(_ now: ContinuousClock.Instant) {
        guard let fallen = cluster, (try? fallen.process.poll()) != nil, clusterBackoff.startAt <= now else { return }
        do {
            logger.error("PostgreSQL has fallen and is started again")
            let started = try Cluster.start(in: configuration.dataDirectory, lock: lock, logger: logger)
            cluster = started
            clusterBackoff.started(at: now)
        } catch {
            clusterBackoff.fell(at: .now)
            logger.error("PostgreSQL can't be started", metadata: ["error": "\(error)", "pause": "\(clusterBackoff.pause)"])
        }
    }

    // MARK: The end

    /// The first role serves the others: it drains when they have ended.
    private func stopAll() {
        for group in [Array(children.dropFirst()), Array(children.prefix(1))] {
            for child in group { child.process?.signal(SIGTERM) }
            drain(group)
        }
    }

    private func drain(_ children: [Child]) {
        var deadline = ContinuousClock.now + configuration.drainTime + .seconds(10)
        while children.contains(where: { $0.process != nil }) {
            for child in children { _ = child.poll() }
            if signals.count > 1 { deadline = min(deadline, .now) }
            let left = ContinuousClock.now.duration(to: deadline)
            if left <= .zero { break }
            var list = children.compactMap(\.process).map { pollfd(fd: $0.exitDescriptor, events: Int16(POLLIN), revents: 0) }
            guard !list.isEmpty else { break }
            _ = Glibc.poll(&list, nfds_t(list.count), Int32(clamping: min(left.wholeMilliseconds + 1, 200)))
        }
        for child in children where child.process != nil {
            logger.warning("\(child.role.name) didn't end in time and is killed")
            child.process?.signalGroup(SIGKILL)
            _ = try? child.process?.waitBlocking(timeout: .seconds(5))
        }
    }
}

/// A role's process, its log and its history.
private final class Child {
    let role: SupervisorConfiguration.Role
    private let log: RoleLog
    private(set) var process: ChildProcess?
    private var input: Int32 = -1
    var backoff = RestartBackoff()

    init(_ role: SupervisorConfiguration.Role, log: RoleLog) {
        self.role = role
        self.log = log
    }

    deinit { if input >= 0 { close(input) } }

    func start(_ executable: String, _ environment: [String: String]) throws {
        var inputs: [Int32] = [-1, -1], outputs: [Int32] = [-1, -1]
        guard pipe(&inputs) == 0 else { throw SystemError("making a pipe") }
        defer { close(inputs[0]) }
        guard pipe(&outputs) == 0 else {
            close(inputs[1])
            throw SystemError("making a pipe")
        }
        defer { close(outputs[1]) }
        for end in inputs + outputs { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var command = ChildProcess.Command(executable, role.arguments, environment: environment)
        command.descriptors = [inputs[0], outputs[1], outputs[1]]
        command.fileModeMask = 0o077
        do {
            process = try ChildProcess.spawn(command)
        } catch {
            close(inputs[1])
            close(outputs[0])
            throw error
        }
        input = inputs[1]
        log.follow(outputs[0])
        backoff.started(at: .now)
    }

    /// How it ended, once.
    func poll() -> ChildProcess.Exit? {
        guard let process, let exit = try? process.poll() else { return nil }
        self.process = nil
        close(input)
        input = -1
        return exit
    }
}

/// When to start again what fell: at once at first, then with pauses that double, and at once again after a quiet minute.
package struct RestartBackoff {
    static let first = Duration.milliseconds(100), longest = Duration.seconds(10), quiet = Duration.seconds(60)

    package private(set) var startAt = ContinuousClock.now
    package private(set) var pause = Duration.zero
    private var startedAt = ContinuousClock.now

    package init() {}

    package mutating func started(at now: ContinuousClock.Instant) { startedAt = now }

    package mutating func fell(at now: ContinuousClock.Instant) {
        let wasQuiet = startedAt.duration(to: now) >= Self.quiet
        pause = pause == .zero || wasQuiet ? Self.first : min(pause * 2, Self.longest)
        startAt = now + pause
    }
}

enum Host {
    static var name: String {
        var bytes = [CChar](repeating: 0, count: 256)
        gethostname(&bytes, bytes.count - 1)
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
