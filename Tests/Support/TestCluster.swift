internal import Foundation
package import Logging
package import SlipwayPostgres
internal import SlipwayStore
internal import SlipwaySystem
internal import Synchronization

/// A PostgreSQL cluster for this test process, started with the first test that needs it.
///
/// It lives in a temporary folder of its own, which is removed at exit. When the process is killed, the kernel stops the
/// cluster, and the next test process removes the folder.
package final class TestCluster: Sendable {
    package let address: PostgresAddress
    package let logger: Logger
    private let cluster: Mutex<Cluster>
    private let directory: String
    private let counter = Mutex(0)

    package static let shared = Result { try TestCluster() }

    private init() throws {
        var logger = Logger(label: "tests.postgres")
        logger.logLevel = .error
        self.logger = logger
        let directory = try Self.makeDirectory()
        var options = Cluster.Options()
        options.isDurable = false
        options.maximumConnections = 1000
        options.sharedBuffersMegabytes = 64
        let cluster = try Cluster.start(in: directory, lock: FileLock(path: directory + "/lock"), options: options, logger: logger)
        address = cluster.address
        self.cluster = Mutex(cluster)
        self.directory = directory

        // Roles and who is a member of them belong to the cluster, not to a database: made here, so that tests in parallel
        // don't race for it.
        _ = try migratedTemplate()
        atexit {
            // Without a test that used the cluster, this starts none: nobody would have registered it.
            if case .success(let cluster) = TestCluster.shared { cluster.remove() }
        }
    }

    private func remove() {
        cluster.withLock { cluster in
            cluster.process.signal(SIGQUIT)
            // What can't be removed now goes with the next run.
            _ = try? cluster.process.waitBlocking(timeout: .seconds(10))
            try? FileManager.default.removeItem(atPath: directory)
        }
    }

    /// `/tmp/slipway-tests-PID`, open to the cluster's user. Folders of processes that are gone are removed.
    private static func makeDirectory() throws -> String {
        let prefix = "slipway-tests-"
        for name in try FileManager.default.contentsOfDirectory(atPath: "/tmp") where name.hasPrefix(prefix) {
            guard let pid = pid_t(name.dropFirst(prefix.count)), kill(pid, 0) != 0, errno == ESRCH else { continue }
            // Another test process may be doing the same.
            try? FileManager.default.removeItem(atPath: "/tmp/\(name)")
        }
        let directory = "/tmp/\(prefix)\(getpid())"
        try? FileManager.default.removeItem(atPath: directory)
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
        return directory
    }

    /// A database that no other test uses, empty or copied from `template`.
    package func makeDatabase(template: String = "template0") throws -> PostgresAddress {
        let number = counter.withLock { count in
            count += 1
            return count
        }
        let name = "test_\(number)"
        try administer("CREATE DATABASE \(identifier: name) TEMPLATE \(identifier: template)")
        return address.with(database: name)
    }

    package func removeDatabase(_ address: PostgresAddress) throws {
        guard let name = address.database else { preconditionFailure("a test's database has a name") }
        try administer("DROP DATABASE \(identifier: name) WITH (FORCE)")
    }

    /// One at a time: two copies of one template at once are refused.
    private func administer(_ sql: SQL) throws {
        try cluster.withLock { _ in
            let connection = Connection(address.with(database: "postgres"), logger: logger)
            defer { connection.close() }
            try connection.execute(outsideTransaction: sql)
        }
    }

    private let migrated = Mutex<String?>(nil)

    /// The name of a database with all of `Migrations/` applied, which others are copied from.
    package func migratedTemplate() throws -> String {
        try migrated.withLock { name in
            if let name { return name }
            let template = try makeDatabase()
            let connection = Connection(template, logger: logger)
            defer { connection.close() }
            try Migrations(directory: Self.migrationsDirectory).apply(on: connection)
            guard let made = template.database else { preconditionFailure("a test's database has a name") }
            name = made
            return made
        }
    }

    /// `Migrations` of the checkout that this file is in.
    package static let migrationsDirectory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Migrations").path
}

/// Runs a test with a database of its own that has Slipway's schema.
package func withTestDatabase<R: Sendable>(
    connections: Int = 4, queueLimit: Int = 1000, settings: SessionSettings = SessionSettings(),
    _ body: (Database) async throws -> R
) async throws -> R {
    try await withDatabase(isMigrated: true, connections: connections, queueLimit: queueLimit, settings: settings, body)
}

/// Runs a test with an empty database of its own.
package func withEmptyDatabase<R: Sendable>(
    connections: Int = 4, settings: SessionSettings = SessionSettings(), _ body: (Database) async throws -> R
) async throws -> R {
    try await withDatabase(isMigrated: false, connections: connections, settings: settings, body)
}

private func withDatabase<R: Sendable>(
    isMigrated: Bool, connections: Int, queueLimit: Int = 1000, settings: SessionSettings, _ body: (Database) async throws -> R
) async throws -> R {
    // Starting the cluster and copying a database block, so they have a thread of their own.
    let (cluster, address) = try await onThread {
        let cluster = try TestCluster.shared.get()
        return (cluster, try isMigrated ? cluster.makeDatabase(template: cluster.migratedTemplate()) : cluster.makeDatabase())
    }
    let database = Database(address, connections: connections, queueLimit: queueLimit, settings: settings, logger: cluster.logger)
    let result: R
    do {
        result = try await body(database)
    } catch {
        await database.close()
        try await onThread { try cluster.removeDatabase(address) }
        throw error
    }
    await database.close()
    try await onThread { try cluster.removeDatabase(address) }
    return result
}

/// Runs what blocks on a thread of its own, not on Swift's cooperative pool.
package func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        _ = OSThread(name: "test") { continuation.resume(with: Result(catching: body)) }
    }
}
