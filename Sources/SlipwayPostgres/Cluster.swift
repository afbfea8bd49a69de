internal import Foundation
package import Logging
package import SlipwaySystem

/// The private PostgreSQL cluster of one data directory: a server of our own that only we can reach.
///
/// Everything here blocks, for a supervisor's main thread. What lies in the data directory:
///
///     lock               held by the platform that runs on it
///     postgres/          the cluster, of the cluster's user
///     postgres.secret    the owner's password
///     postgres.log       what the server says
///     run/               the socket, unless its path would be too long
package final class Cluster {
    package struct Options: Sendable {
        package var maximumConnections = 100
        package var sharedBuffersMegabytes = 128
        /// False gives up the data of a crash for speed: tests.
        package var isDurable = true
        package var startTimeout = Duration.seconds(60)
        package var stopTimeout = Duration.seconds(60)
        package var serverSettings: [String: String] = [:]

        package init() {}
    }

    package static let owner = "slipway"
    package static let database = "slipway"

    package let address: PostgresAddress
    /// The server's process, to be watched: it ends by itself only when it fails.
    package let process: ChildProcess
    private let socketFolder: SocketFolder
    private let options: Options
    private let lock: FileLock

    /// Makes the data directory if there is none, with a mode that lets others through, such as the server's user, and shows them
    /// nothing, whatever the umask.
    package static func makeDataDirectory(_ path: String) throws {
        do {
            let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        } catch {
            throw SystemError("making \(path)", code: EACCES)
        }
        if mkdir(path, 0o711) == 0 {
            guard chmod(path, 0o711) == 0 else { throw SystemError("making \(path)") }
        } else if errno != EEXIST {
            throw SystemError("making \(path)")
        }
    }

    /// Starts the server and returns when it takes connections; makes the cluster first if there is none.
    ///
    /// What an earlier platform left behind when it was killed is stopped and removed: the lock says that it's gone.
    ///
    /// - Parameters:
    ///   - dataDirectory: The absolute path of a folder that the server's user can enter.
    ///   - lock: That of the data directory, held as long as the cluster runs.
    /// - Errors: `ClusterError`, `PostgresError`, `SystemError`.
    package static func start(
        in dataDirectory: String, lock: FileLock, options: Options = Options(), logger: Logger
    ) throws -> Cluster {
        let files = try ClusterFiles(dataDirectory: dataDirectory)
        let started = ContinuousClock.now
        try files.stopLeftOver(timeout: options.stopTimeout)
        let isNew = !files.exists(files.cluster)
        let binaries = try ServerBinaries.find(major: isNew ? nil : try files.majorVersion())
        let secret = try files.secret(isNew: isNew)
        if isNew { try files.initialise(with: binaries, secret: secret, isDurable: options.isDurable) }

        let socketFolder = try files.makeSocketFolder()
        let process = try files.startServer(binaries, socketDirectory: socketFolder.path, options: options)
        let address = PostgresAddress(socketDirectory: socketFolder.path, user: owner, password: secret, database: database)
        let cluster = Cluster(address: address, process: process, socketFolder: socketFolder, options: options, lock: lock)
        do {
            try files.waitUntilReady(process, timeout: options.startTimeout)
            try createDatabase(address, logger: logger)
        } catch {
            // The first error is the one to tell.
            _ = try? cluster.stop()
            throw error
        }
        logger.info(
            "PostgreSQL \(binaries.major) is running",
            metadata: ["pid": "\(process.pid)", "new": "\(isNew)", "duration": "\(ContinuousClock.now - started)"])
        return cluster
    }

    /// Where the cluster of a data directory answers when another process runs it.
    package static func runningAddress(in dataDirectory: String) throws -> PostgresAddress {
        let files = try ClusterFiles(dataDirectory: dataDirectory)
        return PostgresAddress(
            socketDirectory: try files.makeSocketFolder().path, user: owner, password: try files.secret(isNew: false), database: database)
    }

    private init(address: PostgresAddress, process: ChildProcess, socketFolder: SocketFolder, options: Options, lock: FileLock) {
        self.address = address
        self.process = process
        self.socketFolder = socketFolder
        self.options = options
        self.lock = lock
    }

    /// Stops the server: open transactions are rolled back, everything is written, nothing needs recovery at the next start.
    @discardableResult
    package func stop() throws -> ChildProcess.Exit {
        for (signal, patience) in [(SIGINT, options.stopTimeout), (SIGQUIT, .seconds(10))] {
            process.signal(signal)
            guard let exit = try process.waitBlocking(timeout: patience) else { continue }
            socketFolder.remove()
            return exit
        }
        throw ClusterError.staysAlive(pid: process.pid)
    }

    private static func createDatabase(_ address: PostgresAddress, logger: Logger) throws {
        let connection = Connection(address.with(database: "postgres"), logger: logger)
        defer { connection.close() }
        let exists = try connection.transaction(as: .owner) { transaction in
            try transaction.queryOne(
                "SELECT EXISTS (SELECT FROM pg_database WHERE datname = \(database)) AS found", decode: { try $0["found"] as Bool })
        }
        if !exists { try connection.execute(outsideTransaction: "CREATE DATABASE \(identifier: database)") }
    }
}

/// The cluster's files and processes.
private struct ClusterFiles {
    /// Whom the server runs as, when we are root.
    struct User {
        let name: String
        let ids: ChildProcess.Command.User
    }

    let dataDirectory: String
    let cluster: String
    let user: User?

    private var unfinished: String { cluster + ".new" }
    private var secretFile: String { cluster + ".secret" }
    private var passwordFile: String { cluster + ".password" }
    private var log: String { cluster + ".log" }
    private var processFile: String { cluster + "/postmaster.pid" }

    init(dataDirectory: String) throws {
        precondition(dataDirectory.hasPrefix("/"), "a data directory's path is absolute")
        self.dataDirectory = dataDirectory
        cluster = dataDirectory + "/postgres"
        user = geteuid() == 0 ? try Self.unprivilegedUser() : nil
        if let user { try Self.checkIsOpen(dataDirectory, to: user) }
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    // MARK: Users and folders

    private static func unprivilegedUser() throws -> User {
        for name in ["postgres", "nobody"] {
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            var buffer = [CChar](repeating: 0, count: 16 * 1024)
            guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { continue }
            return User(name: name, ids: .init(uid: entry.pw_uid, gid: entry.pw_gid))
        }
        throw ClusterError.noUser
    }

    /// Each folder from the root down must let the user through.
    private static func checkIsOpen(_ path: String, to user: User) throws {
        guard let resolved = realpath(path, nil) else { throw SystemError("opening \(path)") }
        defer { free(resolved) }
        var folder = ""
        for component in [""] + String(cString: resolved).split(separator: "/").map(String.init) {
            folder = folder == "/" ? "/" + component : folder + "/" + component
            var status = stat()
            guard stat(folder, &status) == 0 else { throw SystemError("opening \(folder)") }
            let bit: mode_t = status.st_uid == user.ids.uid ? 0o100 : status.st_gid == user.ids.gid ? 0o010 : 0o001
            guard status.st_mode & bit != 0 else { throw ClusterError.folderClosed(path: folder, user: user.name) }
        }
    }

    private func makeFolder(_ path: String) throws {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemError("making \(path)") }
        try giveAway(path)
    }

    private func giveAway(_ path: String) throws {
        guard let user else { return }
        guard lchown(path, user.ids.uid, user.ids.gid) == 0 else { throw SystemError("giving \(path) to \(user.name)") }
    }

    /// The folder of the server's socket, made.
    func makeSocketFolder() throws -> SocketFolder {
        let folder = SocketFolder(of: dataDirectory)
        try folder.make(owner: user?.ids)
        return folder
    }

    // MARK: Making a cluster

    func majorVersion() throws -> Int {
        guard let text = try? String(contentsOfFile: cluster + "/PG_VERSION", encoding: .utf8),
            let major = Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
        else { throw ClusterError.damaged(path: cluster, reason: "it has no PG_VERSION") }
        return major
    }

    /// The owner's password; made before the cluster, so that no cluster is ever without.
    func secret(isNew: Bool) throws -> String {
        if let text = try? String(contentsOfFile: secretFile, encoding: .utf8) {
            let secret = text.trimmingCharacters(in: .whitespacesAndNewlines)
            if !secret.isEmpty { return secret }
        }
        guard isNew else { throw ClusterError.secretMissing(path: secretFile) }
        var generator = SystemRandomNumberGenerator()
        let secret = hexadecimal((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        try File.writeDurably((secret + "\n").utf8, to: secretFile)
        return secret
    }

    /// Into a folder of another name, which gets its own when all is on the disk: half a cluster is never taken for one.
    func initialise(with binaries: ServerBinaries, secret: String, isDurable: Bool) throws {
        try? FileManager.default.removeItem(atPath: unfinished)
        try makeFolder(unfinished)
        try File.writeDurably((secret + "\n").utf8, to: passwordFile)
        try giveAway(passwordFile)
        defer { unlink(passwordFile) }
        let arguments = [
            "--pgdata=\(unfinished)", "--username=\(Cluster.owner)", "--pwfile=\(passwordFile)", "--auth=scram-sha-256", "--encoding=UTF8",
            "--no-instructions", "--no-sync",
        ]
        let failure = try run(binaries.path("initdb"), arguments + ["--locale=C.UTF-8"])
        if failure != nil {
            // Not every system has C.UTF-8; C sorts alike.
            try? FileManager.default.removeItem(atPath: unfinished)
            try makeFolder(unfinished)
            if let output = try run(binaries.path("initdb"), arguments + ["--locale=C"]) { throw ClusterError.initdbFailed(output: output) }
        }
        if isDurable { try File.synchroniseFileSystem(of: unfinished) }
        guard rename(unfinished, cluster) == 0 else { throw SystemError("renaming \(unfinished)") }
        try File.synchroniseFolder(dataDirectory)
    }

    /// What the program said, if it failed.
    private func run(_ program: String, _ arguments: [String]) throws -> String? {
        let (exit, output) = try ChildProcess.run(command(program, arguments), withErrors: true)
        return exit.ending.isSuccess ? nil : output.trimmingCharacters(in: .whitespacesAndNewlines) + " (\(exit))"
    }

    private func command(_ program: String, _ arguments: [String]) -> ChildProcess.Command {
        // Nothing of PG* or the locale comes in from outside; the server's messages are read by us.
        let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"]
        var command = ChildProcess.Command(program, arguments, environment: environment)
        command.user = user?.ids
        command.directory = "/"
        command.fileModeMask = 0o077
        return command
    }

    // MARK: Running

    func startServer(_ binaries: ServerBinaries, socketDirectory: String, options: Cluster.Options) throws -> ChildProcess {
        var settings = [
            "listen_addresses": "",
            // A list of quoted names.
            "unix_socket_directories": SQL.quoted(socketDirectory),
            "unix_socket_permissions": "0700",
            "port": "5432",
            "max_connections": String(options.maximumConnections),
            "shared_buffers": "\(options.sharedBuffersMegabytes)MB",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC", "log_timezone": "UTC", "lc_messages": "C",
            "logging_collector": "off", "log_destination": "stderr", "log_checkpoints": "off",
            "log_line_prefix": "%m [%p] ",
            // A statement's text may hold what doesn't belong in a log.
            "log_min_error_statement": "panic", "log_parameter_max_length_on_error": "0",
            // Short transactions only: compiling them costs more than it gains.
            "jit": "off",
            "cluster_name": "slipway",
        ]
        if !options.isDurable { settings.merge(["fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"]) { $1 } }
        settings.merge(options.serverSettings) { $1 }

        let log = try openLog()
        defer { close(log) }
        var command = command(
            binaries.path("postgres"), ["-D", cluster] + settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] })
        command.descriptors = [nil, log, log]
        // A fast shutdown when we are killed, instead of a crash.
        command.deathSignal = SIGINT
        command.killsGroupAtEnd = false
        return try ChildProcess.spawn(command)
    }

    private func openLog() throws -> Int32 {
        var status = stat()
        if stat(log, &status) == 0, status.st_size > 16 << 20, rename(log, log + ".1") != 0 { throw SystemError("renaming \(log)") }
        let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw SystemError("opening \(log)") }
        return descriptor
    }

    private var endOfLog: String {
        guard let file = FileHandle(forReadingAtPath: log), let size = try? file.seekToEnd() else { return "" }
        try? file.seek(toOffset: size > 4096 ? size - 4096 : 0)
        let text = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").suffix(8).joined(separator: "\n")
    }

    /// Waits for the word `ready` in the server's process file, told by the kernel when it changes.
    func waitUntilReady(_ process: ChildProcess, timeout: Duration) throws {
        let watcher = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        guard watcher >= 0 else { throw SystemError("watching \(cluster)") }
        defer { close(watcher) }
        guard inotify_add_watch(watcher, cluster, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE)) >= 0 else {
            throw SystemError("watching \(cluster)")
        }
        let deadline = ContinuousClock.now + timeout
        var events = [UInt8](repeating: 0, count: 4096)
        while true {
            if let lines = readProcessFile(), lines.first == String(process.pid), lines.count >= 8, lines[7].hasPrefix("ready") { return }
            if let exit = try process.poll() {
                throw ClusterError.startFailed(reason: "its process ended with \(exit)", log: endOfLog)
            }
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw ClusterError.startFailed(reason: "it isn't ready after \(timeout)", log: endOfLog) }
            var requests = [
                pollfd(fd: watcher, events: Int16(POLLIN), revents: 0),
                pollfd(fd: process.exitDescriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&requests, 2, Int32(clamping: left.wholeMilliseconds + 1)) >= 0 || errno == EINTR else {
                throw SystemError("watching \(cluster)")
            }
            while read(watcher, &events, events.count) > 0 {}
        }
    }

    private func readProcessFile() -> [String]? {
        guard let text = try? String(contentsOfFile: processFile, encoding: .utf8) else { return nil }
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
    }

    // MARK: What was left behind

    /// A server whose platform was killed may still be shutting down, or live on. We hold the lock, so it's nobody's.
    func stopLeftOver(timeout: Duration) throws {
        if let pid = readProcessFile()?.first.flatMap({ pid_t($0) }), isServer(pid) { try stopServer(pid, timeout: timeout) }
        waitForOrphans()
    }

    private func stopServer(_ pid: pid_t, timeout: Duration) throws {
        for (signal, patience) in [(SIGINT, timeout), (SIGQUIT, .seconds(10)), (SIGKILL, .seconds(10))] {
            kill(pid, signal)
            if try waitForEnd(ofProcess: pid, timeout: patience) { return }
        }
        throw ClusterError.staysAlive(pid: pid)
    }

    /// The children of a server that was killed notice it and end, a moment later: until then no other server starts, because
    /// they hold its shared memory. What holds it longer is for the new server to judge. One that stopped in order has left
    /// neither process file nor children.
    private func waitForOrphans() {
        guard let line = readProcessFile()?.dropFirst(6).first else { return }
        // The memory's key and id, each written as an unsigned long.
        let numbers = line.split(separator: " ").compactMap { UInt($0).map { Int32(truncatingIfNeeded: $0) } }
        guard numbers.count == 2 else { return }
        let deadline = ContinuousClock.now + .seconds(10)
        var memory = shmid_ds()
        while shmctl(numbers[1], IPC_STAT, &memory) == 0, memory.shm_perm.__key == numbers[0], memory.shm_nattch > 0,
            ContinuousClock.now < deadline
        {
            usleep(10_000)
        }
    }

    /// The process with that id may be another by now. PostgreSQL's server works in its own data directory.
    private func isServer(_ pid: pid_t) -> Bool {
        guard pid > 0, let place = realpath("/proc/\(pid)/cwd", nil) else { return false }
        defer { free(place) }
        guard let ours = realpath(cluster, nil) else { return false }
        defer { free(ours) }
        return strcmp(place, ours) == 0
    }
}
