internal import Foundation
internal import SlipwayDomain
package import SlipwayPostgres

/// One numbered SQL file, `NNNN_name.sql`.
package struct Migration: Sendable, Hashable {
    package let number: Int
    /// The file's name.
    package let name: String
    package let sql: String
    /// SHA-256 of the file's bytes.
    package let checksum: [UInt8]
}

/// Why the schema isn't what this binary needs, each with its remedy.
package enum MigrationError: Error, Sendable, Hashable {
    case unreadable(path: String, reason: String)
    case none(directory: String)
    case badName(String)
    case duplicateNumber(Int, String, String)
    case gap(missing: Int)
    case edited(String)
    case unknown(String)
    case newerSchema(database: Int, binary: Int)
    case pending(String)
    case failed(String, PostgresError)
    case endsTransaction(String)
    case roleMissing(String)
    case rolePrivileged(String, reason: String)
    case tableUnprotected(String)
}

extension MigrationError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "the migration \(path) can't be read: \(reason)"
        case .none(let directory): "there are no migrations in \(directory): is the installation complete?"
        case .badName(let name): "the migration \(name) should be named like 0001_name.sql"
        case .duplicateNumber(let number, let first, let second):
            "\(first) and \(second) are both migration \(number): renumber the newer one"
        case .gap(let missing): "migration \(missing) is missing: is the installation complete?"
        case .edited(let name):
            "the migration \(name) has been edited since it was applied. Restore it, and put the change into a new migration"
        case .unknown(let name): "the migration \(name) was applied to the database, but this installation doesn't have it"
        case .newerSchema(let database, let binary):
            """
            the database is at migration \(database), but this version of Slipway knows only \(binary). \
            Run the newer version that migrated it, or restore the backup from before
            """
        case .pending(let name): "the migration \(name) has not been applied: run `slipway migrate`"
        case .failed(let name, let error): "the migration \(name) failed, and nothing of it was kept: \(error)"
        case .endsTransaction(let name):
            "the migration \(name) contains COMMIT or ROLLBACK, but each is one transaction. "
                + "What stood before that has been kept: undo it by hand"
        case .roleMissing(let role): "the database role \(role) is missing: run `slipway migrate` as a user with CREATEROLE"
        case .rolePrivileged(let role, let reason):
            "the database role \(role) must not have this privilege, which defeats row security: \(reason)"
        case .tableUnprotected(let table):
            "the table \(table) has an organisation_id but no forced row security: "
                + "ALTER TABLE \(table) ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        }
    }
}

/// The schema's history: forward only, never edited once merged.
package struct Migrations: Sendable {
    package let list: [Migration]

    /// The `*.sql` files of a directory, numbered from 1 without a gap.
    package init(directory: String) throws {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".sql") }.sorted()
        } catch {
            throw MigrationError.unreadable(path: directory, reason: error.localizedDescription)
        }
        var list: [Migration] = []
        for name in names {
            guard let number = Self.number(of: name) else { throw MigrationError.badName(name) }
            if let previous = list.last, previous.number == number { throw MigrationError.duplicateNumber(number, previous.name, name) }
            guard number == list.count + 1 else { throw MigrationError.gap(missing: list.count + 1) }
            let path = directory + "/" + name
            guard let data = FileManager.default.contents(atPath: path) else {
                throw MigrationError.unreadable(path: path, reason: "no access")
            }
            guard let sql = String(validating: data, as: UTF8.self) else {
                throw MigrationError.unreadable(path: path, reason: "it isn't UTF-8")
            }
            list.append(Migration(number: number, name: name, sql: sql, checksum: SHA256.digest(of: data).bytes))
        }
        guard !list.isEmpty else { throw MigrationError.none(directory: directory) }
        self.list = list
    }

    private static func number(of name: String) -> Int? {
        let digits = name.prefix { $0 != "_" }
        guard digits.utf8.count == 4, digits.utf8.allSatisfy({ (48...57).contains($0) }), name.dropFirst(5).count > 4 else { return nil }
        return Int(digits)
    }

    // MARK: Applying

    /// Applies what the database lacks, each migration in a transaction of its own, one process at a time; then verifies
    /// the roles and row security. Returns what was applied.
    @discardableResult
    package func apply(on connection: Connection) throws -> [Migration] {
        var applied: [Migration] = []
        while let migration = try applyNext(on: connection) { applied.append(migration) }
        try verify(on: connection)
        return applied
    }

    private func applyNext(on connection: Connection) throws -> Migration? {
        let options = TransactionOptions(statementTimeout: .zero, idleTimeout: .zero)
        return try connection.transaction(as: .owner, options: options) { transaction in
            // Another process may be migrating; the lock goes with the transaction. The number is arbitrary but fixed.
            try transaction.execute(script: "SET LOCAL lock_timeout = '5min'; SELECT pg_advisory_xact_lock(5410193862743)")
            try transaction.execute(
                """
                CREATE TABLE IF NOT EXISTS schema_migration (
                    number     integer     PRIMARY KEY,
                    name       text        NOT NULL,
                    checksum   bytea       NOT NULL CHECK (length(checksum) = 32),
                    applied_at timestamptz NOT NULL DEFAULT now())
                """)
            let applied = try check(transaction)
            guard let next = list.dropFirst(applied).first else { return nil }
            do {
                // A migration that ends the transaction by itself ends the savepoint too.
                try transaction.savepoint { try transaction.execute(script: next.sql) }
            } catch let error as PostgresError where error.sqlState == .noActiveTransaction {
                throw MigrationError.endsTransaction(next.name)
            } catch let error as PostgresError {
                throw MigrationError.failed(next.name, error)
            }
            try transaction.execute(
                "INSERT INTO schema_migration (number, name, checksum) VALUES (\(next.number), \(next.name), \(next.checksum))")
            return next
        }
    }

    /// How many have been applied; throws when they aren't the first of ours.
    private func check(_ transaction: Transaction) throws -> Int {
        struct Applied {
            let number: Int
            let name: String
            let checksum: [UInt8]
        }
        let applied = try transaction.query(
            "SELECT number, name, checksum FROM schema_migration ORDER BY number",
            decode: { try Applied(number: $0["number"], name: $0["name"], checksum: $0["checksum"]) })
        if let last = applied.last, last.number > list.count {
            throw MigrationError.newerSchema(database: last.number, binary: list.count)
        }
        for (applied, ours) in zip(applied, list) {
            guard applied.number == ours.number else { throw MigrationError.gap(missing: ours.number) }
            guard applied.name == ours.name else { throw MigrationError.unknown(applied.name) }
            guard applied.checksum == ours.checksum else { throw MigrationError.edited(ours.name) }
        }
        return applied.count
    }

    // MARK: The service role

    /// Lets `slipway_service` log in with a new password, and returns its address. On a cluster of one platform only.
    package static func openService(on connection: Connection, _ owner: PostgresAddress) throws -> PostgresAddress {
        var generator = SystemRandomNumberGenerator()
        let password = (0..<4).map { _ in String(generator.next(), radix: 36) }.joined()
        try connection.transaction(as: .owner) { try $0.execute("CALL open_service(\(password))") }
        return owner.with(user: "slipway_service", password: password)
    }

    // MARK: Verifying

    /// That all have been applied, and that row security can't be got round.
    package func verify(on connection: Connection) throws {
        try connection.transaction(as: .owner, options: TransactionOptions(isReadOnly: true)) { transaction in
            let exists = try transaction.queryOne(
                "SELECT to_regclass('schema_migration') IS NOT NULL AS found", decode: { try $0["found"] as Bool })
            let applied = exists ? try check(transaction) : 0
            if let next = list.dropFirst(applied).first { throw MigrationError.pending(next.name) }
            try Self.verifyIsolation(transaction)
        }
    }

    /// That the roles that transactions run as are subject to row security, and that every tenant's table has it.
    package static func verifyIsolation(_ transaction: Transaction) throws {
        for role in ["slipway_app", "slipway_system"] { try verify(role: role, transaction) }
        try verifyTables(transaction)
    }

    private static func verify(role: String, _ transaction: Transaction) throws {
        let found = try transaction.queryFirst(
            """
            SELECT rolsuper, rolbypassrls, rolcreaterole, pg_has_role(current_user, oid, 'MEMBER') AS settable
            FROM pg_roles WHERE rolname = \(role)
            """,
            decode: { row in
                (isSuperuser: try row["rolsuper"] as Bool, bypasses: try row["rolbypassrls"] as Bool,
                 makesRoles: try row["rolcreaterole"] as Bool, isSettable: try row["settable"] as Bool)
            })
        guard let found, found.isSettable else { throw MigrationError.roleMissing(role) }
        if found.isSuperuser { throw MigrationError.rolePrivileged(role, reason: "superuser") }
        if found.bypasses { throw MigrationError.rolePrivileged(role, reason: "BYPASSRLS") }
        if found.makesRoles { throw MigrationError.rolePrivileged(role, reason: "CREATEROLE") }
        let other = try transaction.query(
            """
            SELECT other.rolname FROM pg_roles AS other
            WHERE other.rolname <> \(role) AND pg_has_role(\(role), other.oid, 'MEMBER') ORDER BY 1 LIMIT 1
            """,
            decode: { try $0["rolname"] as String })
        if let other = other.first { throw MigrationError.rolePrivileged(role, reason: "member of \(other)") }
        let owned = try transaction.query(
            """
            SELECT class.oid::regclass::text AS name FROM pg_class AS class JOIN pg_roles AS owner ON owner.oid = class.relowner
            WHERE owner.rolname = \(role) AND class.relkind IN ('r', 'p', 'v', 'm', 'f') AND class.relpersistence <> 't' ORDER BY 1 LIMIT 1
            """,
            decode: { try $0["name"] as String })
        if let owned = owned.first { throw MigrationError.rolePrivileged(role, reason: "owner of \(owned)") }
    }

    private static func verifyTables(_ transaction: Transaction) throws {
        let unprotected = try transaction.query(
            """
            SELECT class.oid::regclass::text AS name FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
            WHERE attribute.attname = 'organisation_id' AND NOT attribute.attisdropped AND class.relkind IN ('r', 'p')
                AND class.relpersistence <> 't' AND NOT (class.relrowsecurity AND class.relforcerowsecurity) ORDER BY 1 LIMIT 1
            """,
            decode: { try $0["name"] as String })
        if let table = unprotected.first { throw MigrationError.tableUnprotected(table) }
    }
}
