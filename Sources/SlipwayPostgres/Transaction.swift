package import Foundation
internal import SlipwaySystem

/// On whose behalf a transaction runs: the database role, and for a tenant the organisation that row security lets through.
package enum Role: Sendable, Hashable {
    /// Tenant work, as `slipway_app`.
    case app(organisation: UUID)
    /// Claims, sweeps, key look-up and garbage collection, as `slipway_system`.
    case system
    /// The login user itself: migrations only.
    case owner

    var name: String {
        switch self {
        case .app: "slipway_app"
        case .system: "slipway_system"
        case .owner: "none"
        }
    }

    var organisation: String {
        if case .app(let organisation) = self { organisation.uuidString.lowercased() } else { "" }
    }
}

package struct TransactionOptions: Sendable {
    package enum Isolation: Sendable { case readCommitted, serializable }

    package var isolation = Isolation.readCommitted
    package var isReadOnly = false
    /// Of each statement, instead of the session's; zero is none.
    package var statementTimeout: Duration?
    /// How long the transaction may wait for the client between statements (or for the rows of a COPY); zero is for ever.
    package var idleTimeout: Duration?

    package init(
        isolation: Isolation = .readCommitted, isReadOnly: Bool = false, statementTimeout: Duration? = nil, idleTimeout: Duration? = nil
    ) {
        self.isolation = isolation
        self.isReadOnly = isReadOnly
        self.statementTimeout = statementTimeout
        self.idleTimeout = idleTimeout
    }

    var begin: SQL {
        let level: SQL = switch isolation {
        case .readCommitted: "READ COMMITTED"
        case .serializable: "SERIALIZABLE"
        }
        return "BEGIN ISOLATION LEVEL \(sql: level)\(sql: isReadOnly ? " READ ONLY" : " READ WRITE")"
    }

    /// All that a transaction sets is local to it, in one statement.
    func settings(for role: Role) -> SQL {
        var settings: SQL = """
            SELECT set_config('role', \(role.name), true), set_config('slipway.organisation', \(role.organisation), true)
            """
        let timeouts: [(SQL, Duration?)] = [
            ("statement_timeout", statementTimeout), ("idle_in_transaction_session_timeout", idleTimeout),
        ]
        for case (let name, let timeout?) in timeouts {
            settings = "\(sql: settings), set_config('\(sql: name)', \(String(timeout.wholeMilliseconds)), true)"
        }
        return settings
    }
}

/// A transaction, for use on the thread and within the closure that it was handed to.
///
/// It begins with the first statement, in the same round trip.
package final class Transaction {
    private enum Phase { case notBegun, open, over }

    package let role: Role
    private let options: TransactionOptions
    private let connection: Connection
    private let cancellation: Cancellation
    private var phase = Phase.notBegun
    private var savepoints = 0

    init(on connection: Connection, as role: Role, options: TransactionOptions, cancellation: Cancellation) {
        self.connection = connection
        self.role = role
        self.options = options
        self.cancellation = cancellation
    }

    // MARK: Statements

    /// The rows, each decoded at once: `try query("SELECT ...", decode: LeasedJob.init)`.
    package func query<Value>(_ sql: SQL, decode: (Row) throws -> Value) throws -> [Value] {
        try run([sql])[0].rows.map(decode)
    }

    /// The first row, or nil. More than one is an error.
    package func queryFirst<Value>(_ sql: SQL, decode: (Row) throws -> Value) throws -> Value? {
        let values = try query(sql, decode: decode)
        guard values.count <= 1 else { throw PostgresError.moreThanOneRow(count: values.count) }
        return values.first
    }

    /// The one row there is.
    package func queryOne<Value>(_ sql: SQL, decode: (Row) throws -> Value) throws -> Value {
        guard let value = try queryFirst(sql, decode: decode) else { throw PostgresError.noRow }
        return value
    }

    /// The number of rows that were inserted, updated, deleted or selected.
    @discardableResult
    package func execute(_ sql: SQL) throws -> Int {
        try run([sql])[0].affectedRows
    }

    /// Statements that don't need each other's results, in one round trip; the row count of each.
    @discardableResult
    package func execute(all statements: [SQL]) throws -> [Int] {
        var counts: [Int] = []
        counts.reserveCapacity(statements.count)
        for start in stride(from: 0, to: statements.count, by: 256) {
            counts += try run(Array(statements[start..<min(start + 256, statements.count)])).map(\.affectedRows)
        }
        return counts
    }

    /// Hands over each row as it arrives: memory stays constant however many there are. No other statement can run meanwhile.
    package func forEachRow(of sql: SQL, _ body: (Row) throws -> Void) throws {
        let session = try begun()
        try cancellable { try session.stream(sql, body) }
    }

    /// Several statements of our own text without parameters, separated by semicolons: a migration.
    package func execute(script: String) throws {
        let session = try begun()
        _ = try cancellable { try session.run(script: script) }
    }

    /// Wakes those who listen on the channel, once the transaction has committed.
    package func notify(_ channel: String, _ payload: String = "") throws {
        try execute("SELECT pg_notify(\(channel), \(payload))")
    }

    /// A part that can fail and be undone without the rest.
    @discardableResult
    package func savepoint<R>(_ body: () throws -> R) throws -> R {
        let session = try begun()
        savepoints += 1
        let name = "savepoint_\(savepoints)"
        try session.run(script: "SAVEPOINT \(name)")
        do {
            let result = try body()
            try session.run(script: "RELEASE SAVEPOINT \(name)")
            return result
        } catch {
            // When the connection is gone, so is the whole transaction.
            if !session.isBroken { try session.run(script: "ROLLBACK TO SAVEPOINT \(name); RELEASE SAVEPOINT \(name)") }
            throw error
        }
    }

    /// Rows of a COPY, which go straight into the table. The server refuses that for a table with row security: see `insertMany`.
    @discardableResult
    package func copy(into table: String, columns: [String], _ body: (inout CopyWriter) throws -> Void) throws -> Int {
        let session = try begun()
        let names = columns.map(SQL.quoted).joined(separator: ", ")
        return try cancellable {
            try session.copyIn("COPY \(SQL.quoted(table)) (\(names)) FROM STDIN") { write in
                try withoutActuallyEscaping(write) { write in
                    var writer = CopyWriter(columns: columns.count, write)
                    try body(&writer)
                    try writer.flush()
                }
            }
        }
    }

    /// Many rows through a COPY into a temporary table and one INSERT, which row security, defaults and triggers apply to.
    @discardableResult
    package func insertMany(into table: String, columns: [String], _ body: (inout CopyWriter) throws -> Void) throws -> Int {
        let names = columns.map { "\(identifier: $0)" as SQL }.joined(by: ", ")
        try execute("CREATE TEMPORARY TABLE slipway_incoming ON COMMIT DROP AS SELECT \(sql: names) FROM \(identifier: table) WITH NO DATA")
        try copy(into: "slipway_incoming", columns: columns, body)
        let count = try execute("INSERT INTO \(identifier: table) (\(sql: names)) SELECT \(sql: names) FROM slipway_incoming")
        try execute("DROP TABLE slipway_incoming")
        return count
    }

    // MARK: Running

    private func run(_ statements: [SQL]) throws -> [QueryResult] {
        switch phase {
        case .over: preconditionFailure("a transaction is used after its closure has returned")
        case .open:
            let session = try connection.session()
            return try cancellable { try session.exchange(statements) }
        case .notBegun:
            let results = try begin(with: statements)
            phase = .open
            return results
        }
    }

    /// The session, within the transaction.
    private func begun() throws -> Session {
        if phase == .notBegun { _ = try run([]) }
        precondition(phase == .open, "a transaction is used after its closure has returned")
        return try connection.session()
    }

    /// A connection that has died while idle (the server was restarted) is replaced, because nothing has been done with it yet.
    private func begin(with statements: [SQL]) throws -> [QueryResult] {
        let prologue = [options.begin, options.settings(for: role)]
        let deadline = ContinuousClock.now + connection.settings.connectTimeout
        while true {
            let isReused = connection.hasSession
            let session = try connection.connected(until: deadline, cancellation)
            do {
                let results = try cancellable { try session.exchange(prologue + statements) }
                return Array(results.dropFirst(prologue.count))
            } catch PostgresError.connectionLost where isReused {
                connection.discard()
            } catch {
                phase = .open
                throw error
            }
        }
    }

    private func cancellable<R>(_ body: () throws -> R) throws -> R {
        try cancellation.check()
        do {
            return try body()
        } catch let error as PostgresError where error.sqlState == .queryCanceled {
            try cancellation.check()
            throw error
        }
    }

    // MARK: The end

    func commit() throws {
        defer { phase = .over }
        guard phase == .open else { return }
        let tag: String
        do {
            tag = try connection.session().end("COMMIT")
        } catch PostgresError.connectionLost(let reason) {
            throw PostgresError.outcomeUnknown(reason)
        }
        guard tag == "COMMIT" else {
            throw PostgresError.server(ServerError(
                state: .inFailedTransaction, severity: "ERROR", message: "the transaction was rolled back: a statement in it had failed"))
        }
    }

    func rollback() {
        defer { phase = .over }
        guard phase == .open, let session = try? connection.session() else { return }
        do {
            _ = try session.end("ROLLBACK")
        } catch {
            // The server rolls back when the connection closes.
            connection.discard()
        }
    }
}

/// The rows of a COPY in PostgreSQL's text format.
package struct CopyWriter {
    private var buffer: [UInt8] = []
    private let columns: Int
    private let write: (UnsafeRawBufferPointer) throws -> Void

    init(columns: Int, _ write: @escaping (UnsafeRawBufferPointer) throws -> Void) {
        self.columns = columns
        self.write = write
        buffer.reserveCapacity(80 * 1024)
    }

    /// One value for each column, in the order they were named.
    package mutating func row<each Value: PostgresEncodable>(_ values: repeat each Value) throws {
        var count = 0
        for value in repeat each values {
            if count > 0 { buffer.append(UInt8(ascii: "\t")) }
            try append(value.postgresParameter)
            count += 1
        }
        precondition(count == columns, "a row of COPY has \(count) values for \(columns) columns")
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= 64 * 1024 { try flush() }
    }

    mutating func flush() throws {
        try buffer.withUnsafeBytes { if !$0.isEmpty { try write($0) } }
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func append(_ parameter: Parameter) throws {
        guard let text = parameter.asText else {
            buffer.append(contentsOf: "\\N".utf8)
            return
        }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): buffer.append(contentsOf: [byte, byte])
            case UInt8(ascii: "\n"): buffer.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): buffer.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"): buffer.append(contentsOf: "\\t".utf8)
            default: buffer.append(byte)
            }
        }
    }
}
