import Foundation
import Logging
import SlipwayPostgres
import SlipwaySystem

/// The database as the machine's administrator gets at it: the user's server, the cluster of a platform that runs, or the
/// cluster started for this one command.
struct DatabaseAccess {
    let configuration: Configuration
    let logger: Logger

    func run<Value>(_ body: (Connection) throws -> Value) throws -> Value {
        if let text = configuration[Settings.databaseURL] { return try connected(to: PostgresAddress(text), body) }
        let directory = configuration[Settings.dataDirectory]
        try makeFolder(directory)
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
