import Foundation
import Logging
import SlipwayPostgres
import SlipwayStore
import SlipwaySystem

/// The database as the machine's administrator gets at it: the user's server, the cluster of a platform that runs, or the
/// cluster started for this one command.
struct DatabaseAccess {
    let configuration: Configuration
    let logger: Logger

    private var directory: String { configuration[Settings.dataDirectory] }

    /// With the cluster made if there is none yet.
    func making<Value>(_ body: (Connection) throws -> Value) throws -> Value {
        if let text = configuration[Settings.databaseURL] { return try connected(to: PostgresAddress(text), body) }
        try Cluster.makeDataDirectory(directory)
        return try withCluster(in: directory, body)
    }

    /// With a platform's database as it is. Nothing is made: neither a folder, nor a cluster, nor a schema.
    ///
    /// - Errors: `Failure.message` where there is no platform, `MigrationError` where its schema isn't this binary's.
    func ofPlatform<Value>(_ body: (Connection) throws -> Value) throws -> Value {
        let migrations = try Migrations(directory: ShareFolder(configuration).migrations)
        func verified(_ connection: Connection) throws -> Value {
            try migrations.verify(on: connection)
            return try body(connection)
        }
        if let text = configuration[Settings.databaseURL] { return try connected(to: PostgresAddress(text), verified) }
        try checkPlatform(has: directory + "/postgres")
        return try withCluster(in: directory, verified)
    }

    /// Fails with the remedy where a platform's files aren't, or aren't this user's.
    func checkPlatform(has path: String) throws(Failure) {
        guard access(path, F_OK) != 0 || access(directory, W_OK | X_OK) != 0 else { return }
        guard errno == EACCES else {
            throw .message(
                "no platform has run in \(directory): name its data directory with --data-dir, or make one with "
                    + "`slipway up --data-dir \(directory.shellQuoted)`")
        }
        throw .message("\(directory) belongs to another user: run this as the one that the platform runs as, or as root")
    }

    private func withCluster<Value>(in directory: String, _ body: (Connection) throws -> Value) throws -> Value {
        do {
            let lock = try FileLock(path: directory + "/lock")
            let cluster = try Cluster.start(in: directory, lock: lock, logger: logger)
            let result = Result { try connected(to: cluster.address, body) }
            try cluster.stop()
            return try result.get()
        } catch is FileLock.Held {
            return try connected(to: Cluster.runningAddress(in: directory), body)
        }
    }

    private func connected<Value>(to address: PostgresAddress, _ body: (Connection) throws -> Value) throws -> Value {
        let connection = Connection(address, logger: logger)
        defer { connection.close() }
        return try body(connection)
    }
}
