import Foundation
import SlipwayPostgres
import SlipwayStore
import SlipwayTestSupport
import Testing

private let roles = """
    DO $$ BEGIN CREATE ROLE slipway_app; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
    DO $$ BEGIN CREATE ROLE slipway_system; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
    """
private let tenants = """
    CREATE TABLE note (organisation_id uuid NOT NULL, text text);
    ALTER TABLE note ENABLE ROW LEVEL SECURITY;
    ALTER TABLE note FORCE ROW LEVEL SECURITY
    """

/// A folder of migrations that goes with the test.
@discardableResult
private func withMigrations<R: Sendable>(_ files: [String: String], _ body: (String) async throws -> R) async throws -> R {
    let directory = "/tmp/slipway-migrations-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try write(files, to: directory)
    return try await body(directory)
}

private func write(_ files: [String: String], to directory: String) throws {
    for (name, sql) in files { try sql.write(toFile: directory + "/" + name, atomically: false, encoding: .utf8) }
}

/// Runs the migrations on a thread of their own; the names of those that were applied.
private func apply(_ directory: String, to database: Database) async throws -> [String] {
    let address = database.address
    return try await onThread {
        let connection = Connection(address, logger: try TestCluster.shared.get().logger)
        defer { connection.close() }
        return try Migrations(directory: directory).apply(on: connection).map(\.name)
    }
}

private func error<R>(_ body: () async throws -> R) async -> MigrationError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? MigrationError
    }
}

@Suite struct MigrationTests {
    @Test func migrationsAreAppliedOnceInOrder() async throws {
        try await withMigrations(["0001_roles.sql": roles, "0002_note.sql": tenants, "README.md": "no migration"]) { directory in
            try await withEmptyDatabase { database in
                #expect(try await apply(directory, to: database) == ["0001_roles.sql", "0002_note.sql"])
                #expect(try await apply(directory, to: database) == [])
                try write(["0003_more.sql": "ALTER TABLE note ADD at timestamptz"], to: directory)
                #expect(try await apply(directory, to: database) == ["0003_more.sql"])
            }
        }
    }

    @Test func manyProcessesMayMigrateAtOnce() async throws {
        try await withMigrations(["0001_roles.sql": roles, "0002_note.sql": tenants, "0003_slow.sql": "SELECT pg_sleep(0.05)"]) {
            directory in
            try await withEmptyDatabase { database in
                let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                    for _ in 0..<5 { group.addTask { try await apply(directory, to: database) } }
                    return try await group.reduce(into: [String]()) { $0 += $1 }
                }
                #expect(applied.sorted() == ["0001_roles.sql", "0002_note.sql", "0003_slow.sql"])
            }
        }
    }

    @Test func anEditedMigrationIsNamed() async throws {
        try await withMigrations(["0001_roles.sql": roles, "0002_note.sql": tenants]) { directory in
            try await withEmptyDatabase { database in
                _ = try await apply(directory, to: database)
                try write(["0002_note.sql": tenants + " "], to: directory)
                #expect(await error { try await apply(directory, to: database) } == .edited("0002_note.sql"))
                try FileManager.default.moveItem(atPath: directory + "/0002_note.sql", toPath: directory + "/0002_other.sql")
                #expect(await error { try await apply(directory, to: database) } == .unknown("0002_note.sql"))
            }
        }
    }

    @Test func aNewerSchemaIsRefused() async throws {
        try await withMigrations(["0001_roles.sql": roles, "0002_note.sql": tenants]) { directory in
            try await withEmptyDatabase { database in
                _ = try await apply(directory, to: database)
                try FileManager.default.removeItem(atPath: directory + "/0002_note.sql")
                let failure = await error { try await apply(directory, to: database) }
                #expect(failure == .newerSchema(database: 2, binary: 1))
                #expect(failure?.description.contains("Run the newer version") == true)
            }
        }
    }

    @Test func aFailedMigrationLeavesNothing() async throws {
        let broken = "CREATE TABLE half (id integer); SELECT 1/0"
        try await withMigrations(["0001_roles.sql": roles, "0002_broken.sql": broken]) { directory in
            try await withEmptyDatabase { database in
                guard case .failed("0002_broken.sql", let cause) = await error({ try await apply(directory, to: database) }) else {
                    Issue.record("a broken migration was applied")
                    return
                }
                #expect(cause.sqlState == SQLState(rawValue: "22012"))
                let (half, applied) = try await database.transaction(as: .owner) { transaction in
                    try transaction.queryOne(
                        "SELECT to_regclass('half')::text AS half, (SELECT count(*) FROM schema_migration) AS applied",
                        decode: { (try $0["half"] as String?, try $0["applied"] as Int) })
                }
                #expect(half == nil && applied == 1)
                // Not applied, so it may still be corrected.
                try write(["0002_broken.sql": "CREATE TABLE whole (id integer)"], to: directory)
                #expect(try await apply(directory, to: database) == ["0002_broken.sql"])
            }
        }
    }

    @Test func aMigrationThatEndsItsTransactionIsAnError() async throws {
        try await withMigrations(["0001_roles.sql": roles, "0002_commit.sql": "CREATE TABLE half (id integer); COMMIT"]) { directory in
            try await withEmptyDatabase { database in
                #expect(await error { try await apply(directory, to: database) } == .endsTransaction("0002_commit.sql"))
            }
        }
    }

    @Test(arguments: [
        (["0001_a.sql", "0003_c.sql"], MigrationError.gap(missing: 2)),
        (["0002_b.sql"], .gap(missing: 1)),
        (["0001_a.sql", "0001_b.sql"], .duplicateNumber(1, "0001_a.sql", "0001_b.sql")),
        (["1_a.sql"], .badName("1_a.sql")),
        (["0001.sql"], .badName("0001.sql")),
        (["0001_.sql"], .badName("0001_.sql")),
    ])
    func wronglyNumberedFilesAreRefused(files: [String], expected: MigrationError) async throws {
        try await withMigrations(Dictionary(uniqueKeysWithValues: files.map { ($0, "SELECT 1") })) { directory in
            #expect(throws: expected) { try Migrations(directory: directory) }
        }
    }

    @Test func aMissingFolderIsNamed() {
        #expect(performing: { try Migrations(directory: "/nonexistent") }, throws: { "\($0)".contains("/nonexistent") })
    }

    @Test func aTenantsTableWithoutForcedRowSecurityIsRefused() async throws {
        let careless = "CREATE TABLE open (organisation_id uuid); ALTER TABLE open ENABLE ROW LEVEL SECURITY"
        try await withMigrations(["0001_roles.sql": roles, "0002_note.sql": tenants, "0003_open.sql": careless]) { directory in
            try await withEmptyDatabase { database in
                #expect(await error { try await apply(directory, to: database) } == .tableUnprotected("open"))
            }
        }
    }

    /// Roles are the cluster's, so each change is rolled back before another test could see it.
    @Test(arguments: [
        ("ALTER ROLE slipway_app SUPERUSER", MigrationError.rolePrivileged("slipway_app", reason: "superuser")),
        ("ALTER ROLE slipway_system BYPASSRLS", .rolePrivileged("slipway_system", reason: "BYPASSRLS")),
        ("GRANT slipway_system TO slipway_app", .rolePrivileged("slipway_app", reason: "member of slipway_system")),
        ("CREATE TABLE mine (id integer); ALTER TABLE mine OWNER TO slipway_app", .rolePrivileged("slipway_app", reason: "owner of mine")),
        ("ALTER ROLE slipway_app RENAME TO slipway_gone", .roleMissing("slipway_app")),
    ])
    func aRoleThatCouldGetRoundRowSecurityIsRefused(script: String, expected: MigrationError) async throws {
        try await withEmptyDatabase { database in
            let failure = await error {
                try await database.transaction(as: .owner) { transaction in
                    // Two changes of one role at once fail: one at a time.
                    try transaction.execute("LOCK TABLE pg_authid, pg_auth_members IN EXCLUSIVE MODE")
                    try transaction.execute(script: script)
                    try Migrations.verifyIsolation(transaction)
                }
            }
            #expect(failure == expected)
        }
    }

    /// As on a server of the user's own, where we are no superuser.
    @Test func anOrdinaryOwnerMigratesAndSwitchesRoles() async throws {
        let grants = "GRANT slipway_app, slipway_system TO current_user"
        try await withMigrations(["0001_roles.sql": roles, "0002_grants.sql": grants, "0003_note.sql": tenants]) { directory in
            try await withEmptyDatabase { database in
                let name = "owner_\(UUID().uuidString.prefix(8).lowercased())"
                try await database.transaction(as: .owner) { transaction in
                    try transaction.execute("CREATE ROLE \(identifier: name) LOGIN CREATEROLE PASSWORD 'secret'")
                    try transaction.execute("GRANT ALL ON SCHEMA public TO \(identifier: name)")
                }
                let address = try PostgresAddress(
                    database.address.connectionString.replacing(/user='\w+'/, with: "user='\(name)'")
                        .replacing(/password='\w+'/, with: "password='secret'"))
                let owned = Database(address, connections: 1, logger: try await onThread { try TestCluster.shared.get().logger })
                #expect(try await apply(directory, to: owned).count == 3)
                let answers = try await owned.transaction(as: .app(organisation: UUID())) { transaction in
                    try transaction.queryOne(
                        "SELECT current_user AS role, session_user AS login",
                        decode: { [try $0["role"], try $0["login"]] as [String] })
                }
                #expect(answers == ["slipway_app", name])
                await owned.close()
                try await database.transaction(as: .owner) { try $0.execute(script: "DROP OWNED BY \(name); DROP ROLE \(name)") }
            }
        }
    }

    @Test func aDatabaseThatWasNeverMigratedSaysSo() async throws {
        try await withMigrations(["0001_roles.sql": roles]) { directory in
            try await withEmptyDatabase { database in
                let address = database.address
                let failure = await error {
                    try await onThread {
                        let connection = Connection(address, logger: try TestCluster.shared.get().logger)
                        defer { connection.close() }
                        try Migrations(directory: directory).verify(on: connection)
                    }
                }
                #expect(failure == .pending("0001_roles.sql"))
            }
        }
    }
}
