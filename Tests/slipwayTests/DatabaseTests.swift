import Foundation
import SlipwayDomain
import SlipwayPostgres
import SlipwayTestSupport
import Testing

/// `doctor`, `migrate` and `admin` on a server of the user's, and where there is nothing.
@Suite struct DatabaseTests {
    private func withDatabase(_ body: ([String: String], PostgresAddress) async throws -> Void) async throws {
        let cluster = try TestCluster.shared.get()
        let address = try cluster.makeDatabase()
        do {
            try await body(["SLIPWAY_DATABASE_URL": address.connectionString], address)
        } catch {
            try cluster.removeDatabase(address)
            throw error
        }
        try cluster.removeDatabase(address)
    }

    private func check(_ name: String, _ environment: [String: String]) async throws -> SlipwayDomain.JSON {
        let doctor = try await run(["doctor", "--json"], environment: environment)
        return try doctor.json["checks"]?.array.first { $0["name"]?.stringValue == name } ?? .null
    }

    @Test func aNewDatabaseIsToldFromAMigratedOne() async throws {
        try await withDatabase { environment, _ in
            #expect(try await check("postgres", environment)["found"]?.stringValue?.hasPrefix("PostgreSQL ") == true)
            #expect(try await check("migrations", environment)["found"]?.stringValue?.hasPrefix("none is applied") == true)
            let early = try await run(["admin", "organisations", "--json"], environment: environment)
            #expect(early.code == 1)
            #expect(try early.problem["detail"]?.stringValue?.contains("slipway migrate") == true, "\(early.errors)")

            let migrated = try await run(["migrate", "--json"], environment: environment)
            #expect(migrated.code == 0, "\(migrated.errors)")
            #expect(try migrated.json["applied"]?.array.isEmpty == false)
            let schema = try await check("migrations", environment)
            #expect(schema["state"] == "good" && schema["found"]?.stringValue?.hasPrefix("all ") == true, "\(schema)")
            let organisations = try await run(["admin", "organisations", "--json"], environment: environment)
            #expect(organisations.code == 0, "\(organisations.errors)")
            #expect(try organisations.json["items"] == [])
        }
    }

    @Test func whatTheRoleMayDoIsChecked() async throws {
        try await withDatabase { environment, address in
            // The tests' cluster has a superuser as its owner.
            #expect(try await check("rights", environment)["state"] == "doubtful")
            let name = "plain_\(address.database ?? "")"
            let cluster = try TestCluster.shared.get()
            let connection = Connection(address, logger: cluster.logger)
            try connection.execute(outsideTransaction: "CREATE ROLE \(identifier: name) LOGIN PASSWORD 'plain'")
            let plain = ["SLIPWAY_DATABASE_URL": address.with(user: name, password: "plain").connectionString]
            let rights = try await check("rights", plain)
            #expect(rights["state"] == "bad")
            #expect(rights["remedy"]?.stringValue?.contains("ALTER ROLE \"\(name)\" CREATEROLE") == true, "\(rights)")
            try connection.execute(outsideTransaction: "DROP ROLE \(identifier: name)")
            connection.close()
        }
    }

    @Test func aServerThatDoesNotAnswerIsNamedWithTheRemedy() async throws {
        let postgres = try await check("postgres", ["SLIPWAY_DATABASE_URL": "postgres://me:hunter2@127.0.0.1:1/none"])
        #expect(postgres["state"] == "bad")
        #expect(postgres["remedy"]?.stringValue?.contains("SLIPWAY_DATABASE_URL") == true)
        #expect(!"\(postgres)".contains("hunter2"))
    }

    @Test(arguments: ["new-key", "organisations"])
    func withoutAPlatformNothingIsMade(_ command: String) async throws {
        try await withTemporaryFolder { folder in
            for directory in [folder, folder + "/none"] {
                let outcome = try await run(["admin", command, "--data-dir", directory])
                #expect(outcome.code == 1)
                #expect(
                    outcome.errors.contains("no platform has run in \(directory)") && outcome.errors.contains("slipway up"),
                    "\(outcome.errors)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }
}
