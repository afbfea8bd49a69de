import Foundation
import Logging
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import SlipwaySystem

/// A PostgreSQL server of the user's: whether it answers, what its role may do, and what the schema is. Nothing is changed.
struct DatabaseCheckup: Sendable {
    /// The oldest major version with all that the migrations use: keys that set one of their columns to null.
    static let oldestMajor = 15

    let address: PostgresAddress
    let migrations: Migrations

    /// On a thread of its own, because the connection blocks.
    func checks() async -> [Checkup.Check] {
        await withCheckedContinuation { continuation in
            _ = OSThread(name: "database-checkup") { continuation.resume(returning: look()) }
        }
    }

    private func look() -> [Checkup.Check] {
        var settings = SessionSettings()
        settings.connectTimeout = .seconds(3)
        let connection = Connection(address, settings: settings, logger: Logger(label: "doctor"))
        defer { connection.close() }
        do {
            let number = try connection.serverVersion()
            let version = "PostgreSQL \(number / 10_000).\(number % 10_000), \(address)"
            guard number / 10_000 >= Self.oldestMajor else {
                return [.bad("postgres", version, remedy: "Slipway needs PostgreSQL \(Self.oldestMajor) or newer")]
            }
            return [.good("postgres", version), try rights(connection), schema(connection)]
        } catch {
            return [
                .bad(
                    "postgres", "\(address): \(error)",
                    remedy: "correct SLIPWAY_DATABASE_URL, start the server, or let its pg_hba.conf admit this user; psql with "
                        + "the same URL must connect")
            ]
        }
    }

    // MARK: Rights

    struct Rights: Equatable {
        var user, database: String
        var isSuperuser, makesRoles, hasRoles, mayCreate: Bool

        /// Whether migrations can run: roles are made by the first only.
        var check: Checkup.Check {
            if isSuperuser {
                return .doubtful(
                    "rights", "\(user) is a superuser, and api, worker and serve log in as it too",
                    remedy: "use a role of its own: CREATE ROLE slipway LOGIN CREATEROLE PASSWORD '...'; "
                        + "ALTER DATABASE \(database.sqlQuoted) OWNER TO slipway")
            }
            if !hasRoles, !makesRoles {
                return .bad(
                    "rights", "\(user) may not make the roles slipway_app and slipway_system",
                    remedy: "as a superuser: ALTER ROLE \(user.sqlQuoted) CREATEROLE")
            }
            if !mayCreate {
                return .bad(
                    "rights", "\(user) may not make tables in \(database)",
                    remedy: "as a superuser: ALTER DATABASE \(database.sqlQuoted) OWNER TO \(user.sqlQuoted)")
            }
            return .good("rights", "\(user) may migrate \(database)")
        }
    }

    private func rights(_ connection: Connection) throws -> Checkup.Check {
        try connection.transaction(as: .owner, options: TransactionOptions(isReadOnly: true)) { transaction in
            try transaction.queryOne(
                """
                SELECT current_user::text AS name, current_database()::text AS database, rolsuper, rolcreaterole,
                       has_schema_privilege('public', 'CREATE') AS may_create,
                       (SELECT count(*) = 2 FROM pg_roles AS ours WHERE ours.rolname IN ('slipway_app', 'slipway_system')
                            AND pg_has_role(current_user, ours.oid, 'MEMBER')) AS has_roles
                FROM pg_roles WHERE rolname = current_user
                """,
                decode: { row in
                    try Rights(
                        user: row["name"], database: row["database"], isSuperuser: row["rolsuper"], makesRoles: row["rolcreaterole"],
                        hasRoles: row["has_roles"], mayCreate: row["may_create"])
                })
        }.check
    }

    // MARK: Migrations

    private func schema(_ connection: Connection) -> Checkup.Check {
        do {
            try migrations.verify(on: connection)
            return .good("migrations", "all \(migrations.list.count) are applied, and row security holds")
        } catch MigrationError.pending(let name) where name == migrations.list.first?.name {
            return .good("migrations", "none is applied yet; `slipway up` does it")
        } catch let error as MigrationError {
            return .bad("migrations", "\(error)", remedy: Self.remedy(for: error))
        } catch {
            return .bad(
                "migrations", "\(error)", remedy: "connect as the role that owns the schema, or let it read schema_migration")
        }
    }

    static func remedy(for error: MigrationError) -> String {
        switch error {
        case .pending, .roleMissing: "run `slipway migrate` with a role that has CREATEROLE and owns the database"
        case .newerSchema: "install the newer Slipway, or restore the database's backup from before"
        case .edited, .unknown, .gap: "use the Slipway whose migrations this database has, or another database"
        case .rolePrivileged(let role, _):
            "as a superuser: ALTER ROLE \(role) NOSUPERUSER NOBYPASSRLS NOCREATEROLE; REVOKE its memberships, REASSIGN what it owns"
        case .tableUnprotected(let table): "ALTER TABLE \(table) ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        case .unreadable, .none, .badName, .duplicateNumber, .failed, .endsTransaction: "install Slipway anew"
        }
    }
}

extension String {
    /// As an identifier of SQL.
    fileprivate var sqlQuoted: String { "\"" + replacing("\"", with: "\"\"") + "\"" }
}
