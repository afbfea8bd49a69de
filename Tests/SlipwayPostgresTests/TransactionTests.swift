import Foundation
import SlipwayPostgres
import SlipwayTestSupport
import Testing

private struct Abandoned: Error {}

extension Database {
    fileprivate func script(_ script: String) async throws {
        try await transaction(as: .owner) { try $0.execute(script: script) }
    }

    fileprivate func count(_ sql: SQL, as role: Role = .owner) async throws -> Int {
        try await transaction(as: role) { try $0.queryOne(sql, decode: { try $0["count"] }) }
    }
}

private func error<R>(_ body: () async throws -> R) async -> PostgresError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}

@Suite struct TransactionTests {
    @Test func whatThrowsIsRolledBack() async throws {
        try await withEmptyDatabase(connections: 1) { database in
            try await database.script("CREATE TABLE note (text text)")
            await #expect(throws: Abandoned.self) {
                try await database.transaction(as: .owner) { transaction in
                    try transaction.execute("INSERT INTO note VALUES ('a')")
                    throw Abandoned()
                }
            }
            #expect(try await database.count("SELECT count(*) FROM note") == 0)
        }
    }

    @Test func aTransactionWithASwallowedErrorIsNotReportedAsCommitted() async throws {
        try await withEmptyDatabase { database in
            try await database.script("CREATE TABLE note (text text)")
            let failure = await error {
                try await database.transaction(as: .owner) { transaction in
                    try transaction.execute("INSERT INTO note VALUES ('a')")
                    _ = try? transaction.execute("SELECT 1/0")
                }
            }
            #expect(failure?.sqlState == .inFailedTransaction)
            #expect(try await database.count("SELECT count(*) FROM note") == 0)
        }
    }

    @Test func aSavepointUndoesItsPartOnly() async throws {
        try await withEmptyDatabase { database in
            try await database.script("CREATE TABLE note (text text PRIMARY KEY)")
            try await database.transaction(as: .owner) { transaction in
                try transaction.execute("INSERT INTO note VALUES ('a')")
                do {
                    try transaction.savepoint { try transaction.execute("INSERT INTO note VALUES ('a')") }
                    Issue.record("the second row of one key was taken")
                } catch let error as PostgresError where error.violation == .unique("note_pkey") {}
                try transaction.savepoint { try transaction.execute("INSERT INTO note VALUES ('b')") }
            }
            #expect(try await database.count("SELECT count(*) FROM note") == 2)
        }
    }

    @Test func brokenConstraintsAreNamed() async throws {
        try await withEmptyDatabase { database in
            try await database.script(
                """
                CREATE TABLE parent (id integer CONSTRAINT parent_key PRIMARY KEY);
                CREATE TABLE child (id integer NOT NULL CONSTRAINT child_small CHECK (id < 10), parent integer CONSTRAINT child_parent REFERENCES parent);
                INSERT INTO parent VALUES (1)
                """)
            let expected: [(SQL, Violation)] = [
                ("INSERT INTO parent VALUES (1)", .unique("parent_key")),
                ("INSERT INTO child VALUES (11, 1)", .check("child_small")),
                ("INSERT INTO child VALUES (1, 2)", .foreignKey("child_parent")),
                ("INSERT INTO child VALUES (NULL, 1)", .notNull(column: "id")),
            ]
            for (sql, violation) in expected {
                let failure = await error { try await database.transaction(as: .owner) { try $0.execute(sql) } }
                #expect(failure?.violation == violation)
            }
        }
    }

    @Test func rowCountsAndMissingRowsAreTold() async throws {
        try await withEmptyDatabase { database in
            try await database.transaction(as: .owner) { transaction in
                try transaction.execute("CREATE TABLE note (id integer)")
                #expect(
                    try transaction.execute(all: (0..<1000).map { "INSERT INTO note VALUES (\($0))" })
                        == Array(repeating: 1, count: 1000))
                #expect(try transaction.execute("UPDATE note SET id = id WHERE id < \(10)") == 10)
                let id: (Row) throws -> Int = { try $0["id"] }
                #expect(try transaction.queryFirst("SELECT id FROM note WHERE id = \(-1)", decode: id) == nil)
                #expect(throws: PostgresError.noRow) {
                    try transaction.queryOne("SELECT id FROM note WHERE id = \(-1)", decode: id)
                }
                #expect(throws: PostgresError.moreThanOneRow(count: 10)) {
                    try transaction.queryOne("SELECT id FROM note WHERE id < \(10)", decode: id)
                }
            }
        }
    }

    // MARK: Roles and settings

    private static let tenants = """
        CREATE TABLE note (organisation_id uuid NOT NULL, text text);
        ALTER TABLE note ENABLE ROW LEVEL SECURITY;
        ALTER TABLE note FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON note TO slipway_app USING (organisation_id = nullif(current_setting('slipway.organisation', true), '')::uuid);
        GRANT SELECT, INSERT ON note TO slipway_app
        """

    @Test func roleAndOrganisationNeverLeakIntoAnotherTransaction() async throws {
        try await withEmptyDatabase(connections: 2) { database in
            try await database.script(Self.tenants)
            let organisations = (0..<8).map { _ in UUID() }
            for organisation in organisations {
                try await database.transaction(as: .app(organisation: organisation)) { transaction in
                    try transaction.execute("INSERT INTO note VALUES (\(organisation), \(organisation.uuidString))")
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for round in 0..<200 {
                    let organisation = organisations[round % organisations.count]
                    group.addTask {
                        if round % 5 == 4 {
                            // A transaction that fails half-way, and one that breaks the rules.
                            _ = try? await database.transaction(as: .app(organisation: organisation), attempts: 1) { transaction in
                                try transaction.execute("SELECT set_config('slipway.organisation', \(UUID().uuidString), false)")
                                if round % 2 == 0 { try transaction.execute("SELECT 1/0") }
                            }
                        }
                        let seen = try await database.transaction(as: .app(organisation: organisation)) { transaction in
                            try transaction.query(
                                "SELECT text, current_user AS role FROM note",
                                decode: { [try $0["text"], try $0["role"]] as [String] })
                        }
                        #expect(seen == [[organisation.uuidString, "slipway_app"]])
                        let (role, setting) = try await database.transaction(as: .system) { transaction in
                            try transaction.queryOne(
                                "SELECT current_user AS role, current_setting('slipway.organisation', true) AS setting",
                                decode: { (try $0["role"] as String, try $0["setting"] as String) })
                        }
                        #expect(role == "slipway_system" && setting == "")
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aSettingOfTheSessionIsTakenBack() async throws {
        try await withEmptyDatabase(connections: 1) { database in
            try await database.script("SET statement_timeout = '1h'; SET TimeZone = 'Asia/Tokyo'; SET search_path = pg_catalog")
            let settings = try await database.transaction(as: .owner) { transaction in
                try transaction.queryOne(
                    "SELECT current_setting('statement_timeout') AS a, current_setting('TimeZone') AS b, current_setting('search_path') AS c",
                    decode: { [try $0["a"], try $0["b"], try $0["c"]] as [String] })
            }
            #expect(settings == ["30s", "UTC", "\"$user\", public"])
        }
    }

    @Test func aTenantInsertsManyRowsUnderRowSecurity() async throws {
        try await withEmptyDatabase { database in
            try await database.script(Self.tenants)
            let organisation = UUID(), other = UUID()
            let count = try await database.transaction(as: .app(organisation: organisation)) { transaction in
                try transaction.insertMany(into: "note", columns: ["organisation_id", "text"]) { writer in
                    for index in 0..<1000 { try writer.row(organisation, "note \(index)") }
                }
            }
            #expect(count == 1000)
            let failure = await error {
                try await database.transaction(as: .app(organisation: organisation)) { transaction in
                    try transaction.insertMany(into: "note", columns: ["organisation_id", "text"]) { try $0.row(other, "someone else's") }
                }
            }
            #expect(failure?.sqlState == .insufficientPrivilege)
            #expect(try await database.count("SELECT count(*) FROM note", as: .app(organisation: organisation)) == 1000)
        }
    }

    // MARK: Many

    @Test func aHundredTasksShareFourConnections() async throws {
        try await withEmptyDatabase(connections: 4) { database in
            try await database.script("CREATE TABLE counter AS SELECT 0 AS value")
            let backends = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        try await database.transaction(as: .owner) { transaction in
                            try transaction.execute("UPDATE counter SET value = value + 1")
                            return try transaction.queryOne("SELECT pg_backend_pid() AS pid", decode: { try $0["pid"] })
                        }
                    }
                }
                return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(backends.count <= 4)
            #expect(try await database.count("SELECT value AS count FROM counter") == 100)
        }
    }

    @Test func aHundredThousandRowsAreCopiedInAndStreamedOut() async throws {
        try await withEmptyDatabase { database in
            let (copied, sum, rows) = try await database.transaction(as: .owner) { transaction in
                try transaction.execute("CREATE TABLE item (id integer, name text)")
                let copied = try transaction.copy(into: "item", columns: ["id", "name"]) { writer in
                    for id in 0..<100_000 { try writer.row(id, id % 3 == 0 ? nil : "tab\there \\ \(id)") }
                }
                var sum = 0, rows = 0
                try transaction.forEachRow(of: "SELECT id, name FROM item WHERE id >= \(0)") { row in
                    let id: Int = try row["id"]
                    #expect(try row["name"] == (id % 3 == 0 ? nil : "tab\there \\ \(id)"))
                    sum += id
                    rows += 1
                }
                return (copied, sum, rows)
            }
            #expect(copied == 100_000 && rows == 100_000 && sum == 4_999_950_000)
        }
    }

    @Test func anAbandonedCopyOrStreamLeavesNothingAndBreaksNothing() async throws {
        try await withEmptyDatabase(connections: 1) { database in
            try await database.script("CREATE TABLE item (id integer)")
            await #expect(throws: Abandoned.self) {
                try await database.transaction(as: .owner) { transaction in
                    try transaction.copy(into: "item", columns: ["id"]) { writer in
                        for id in 0..<50_000 { try writer.row(id) }
                        throw Abandoned()
                    }
                }
            }
            await #expect(throws: Abandoned.self) {
                try await database.transaction(as: .owner) { transaction in
                    try transaction.forEachRow(of: "SELECT generate_series(1, 1000000000) AS id") { _ in throw Abandoned() }
                }
            }
            let failure = await error {
                try await database.transaction(as: .owner) { try $0.copy(into: "item", columns: ["id"]) { try $0.row("not a number") } }
            }
            #expect(failure?.sqlState == .invalidTextRepresentation)
            #expect(try await database.count("SELECT count(*) FROM item") == 0)
        }
    }

    @Test func preparedStatementsAreBounded() async throws {
        var settings = SessionSettings()
        settings.preparedStatements = 8
        try await withEmptyDatabase(connections: 1, settings: settings) { database in
            for number in 0..<50 {
                let name = "column_\(number)"
                let answer = try await database.transaction(as: .owner) { transaction in
                    try transaction.queryOne("SELECT \(number)::integer AS \(identifier: name)", decode: { try $0[name] as Int })
                }
                #expect(answer == number)
            }
            #expect(try await database.count("SELECT count(*) FROM pg_prepared_statements") <= 10)
        }
    }

    @Test func aTableMayChangeUnderAPreparedStatement() async throws {
        try await withEmptyDatabase(connections: 1) { database in
            try await database.script("CREATE TABLE note AS SELECT 1 AS id")
            let select: @Sendable (Transaction) throws -> [String] = { try $0.query("SELECT * FROM note", decode: { try $0["id"] }) }
            #expect(try await database.transaction(as: .owner, select) == ["1"])
            try await database.script("ALTER TABLE note ALTER id TYPE text USING 'one'")
            #expect(try await database.transaction(as: .owner, select) == ["one"])
        }
    }

    // MARK: Time-outs, cancellation, conflicts

    @Test func aStatementThatTakesTooLongFails() async throws {
        try await withEmptyDatabase { database in
            let options = TransactionOptions(statementTimeout: .milliseconds(50))
            let failure = await error {
                try await database.transaction(as: .owner, options: options) { try $0.execute("SELECT pg_sleep(60)") }
            }
            #expect(failure?.sqlState == .queryCanceled)
        }
    }

    @Test func aCancelledTaskCancelsItsStatement() async throws {
        try await withEmptyDatabase(connections: 1) { database in
            let (started, starting) = AsyncStream.makeStream(of: Void.self)
            let sleeper = Task {
                try await database.transaction(as: .owner) { transaction in
                    try transaction.execute("SELECT 1")
                    starting.yield()
                    try transaction.execute("SELECT pg_sleep(3600)")
                }
            }
            for await _ in started { break }
            let queued = Task { try await database.transaction(as: .owner) { try $0.execute("SELECT 2") } }
            queued.cancel()
            await #expect(throws: CancellationError.self) { try await queued.value }
            let clock = ContinuousClock(), start = clock.now
            sleeper.cancel()
            await #expect(throws: CancellationError.self) { try await sleeper.value }
            #expect(clock.now - start < .seconds(10))
            let count = try await database.transaction(as: .owner) { try $0.execute("SELECT 3") }
            #expect(count == 1)
        }
    }

    @Test func aTransactionRunsAgainAfterADeadlock() async throws {
        try await withEmptyDatabase(connections: 2) { database in
            try await database.script(
                "CREATE TABLE note AS SELECT generate_series(1, 2) AS id, 0 AS value; ALTER TABLE note ADD PRIMARY KEY (id)")
            // Both hold one row before either asks for the other's.
            let held = Counter(), runs = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (first, second) in [(1, 2), (2, 1)] {
                    group.addTask {
                        try await database.transaction(as: .owner) { transaction in
                            runs.increment()
                            try transaction.execute("SET LOCAL deadlock_timeout = '50ms'")
                            try transaction.execute("UPDATE note SET value = value + 1 WHERE id = \(first)")
                            held.increment()
                            while held.value < 2 { try transaction.execute("SELECT pg_sleep(0.001)") }
                            try transaction.execute("UPDATE note SET value = value + 1 WHERE id = \(second)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(runs.value == 3)
            #expect(try await database.count("SELECT sum(value) AS count FROM note") == 4)
        }
    }

    @Test func aTransactionRunsAgainAfterASerializationFailure() async throws {
        try await withEmptyDatabase(connections: 2) { database in
            try await database.script("CREATE TABLE note AS SELECT 0 AS value")
            let options = TransactionOptions(isolation: .serializable)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await database.transaction(as: .owner, options: options, attempts: 100) { transaction in
                            let value = try transaction.queryOne("SELECT value FROM note", decode: { try $0["value"] as Int })
                            try transaction.execute("UPDATE note SET value = \(value + 1)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await database.count("SELECT value AS count FROM note") == 4)
        }
    }

    // MARK: Lost connections and closing

    @Test func aConnectionThatDiedWhileIdleIsReplacedUnseen() async throws {
        try await withEmptyDatabase(connections: 2) { database in
            let pid: @Sendable (Transaction) throws -> Int = {
                try $0.queryOne("SELECT pg_backend_pid() AS pid", decode: { try $0["pid"] })
            }
            let runs = Counter()
            let first = try await database.transaction(as: .owner, pid)
            try await database.script(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            let second = try await database.transaction(as: .owner) { transaction in
                runs.increment()
                return try pid(transaction)
            }
            _ = (first, second)
            #expect(runs.value == 1)
        }
    }

    @Test func aTransactionRunsAgainWhenItsConnectionIsLost() async throws {
        try await withEmptyDatabase(connections: 1) { database in
            try await database.script("CREATE TABLE note (text text)")
            let runs = Counter()
            try await database.transaction(as: .owner) { transaction in
                let run = runs.increment()
                try transaction.execute("INSERT INTO note VALUES ('a')")
                if run == 1 { try transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())") }
            }
            #expect(runs.value == 2)
            #expect(try await database.count("SELECT count(*) FROM note") == 1)
        }
    }

    @Test func closingLetsRunningTransactionsFinish() async throws {
        try await withEmptyDatabase { database in
            try await database.script("CREATE TABLE note (text text)")
            let (started, starting) = AsyncStream.makeStream(of: Void.self)
            async let slow: Int = database.transaction(as: .owner) { transaction in
                starting.yield()
                try transaction.execute("SELECT pg_sleep(0.2)")
                return try transaction.execute("INSERT INTO note VALUES ('a')")
            }
            for await _ in started { break }
            await database.close()
            #expect(try await slow == 1)
            #expect(await error { try await database.transaction(as: .owner) { try $0.execute("SELECT 1") } } == .closed)
        }
    }

    @Test func aTransactionThatWaitsTooLongForAConnectionFails() async throws {
        let cluster = try await onThread { try TestCluster.shared.get() }
        let database = Database(cluster.address, connections: 1, queueLimit: 1, queueTimeout: .seconds(1), logger: cluster.logger)
        let (started, starting) = AsyncStream.makeStream(of: Void.self)
        let release = DispatchSemaphore(value: 0)
        async let holder: Int = database.transaction(as: .owner) { transaction in
            starting.yield()
            release.wait()
            return try transaction.execute("SELECT 1")
        }
        for await _ in started { break }
        let failures = await withTaskGroup(of: PostgresError?.self) { group in
            for _ in 0..<2 { group.addTask { await error { try await database.transaction(as: .owner) { try $0.execute("SELECT 1") } } } }
            // One is refused, so the other waits in the queue now.
            var failures = [await group.next() ?? nil]
            try? await Task.sleep(for: .seconds(1.1))
            release.signal()
            failures.append(await group.next() ?? nil)
            return failures
        }
        guard case .crowded = failures[0], case .busy = failures[1] else {
            Issue.record("expected crowded and busy, got \(failures)")
            return
        }
        #expect(try await holder == 1)
        await database.close()
    }

    @Test func atMostSoManyTransactionsWaitForAConnection() async throws {
        let cluster = try await onThread { try TestCluster.shared.get() }
        let database = Database(cluster.address, connections: 1, queueLimit: 2, logger: cluster.logger)
        let (started, starting) = AsyncStream.makeStream(of: Void.self)
        let release = DispatchSemaphore(value: 0)
        async let holder: Int = database.transaction(as: .owner) { transaction in
            starting.yield()
            release.wait()
            return try transaction.execute("SELECT 1")
        }
        for await _ in started { break }
        // Of six, two wait, and those that are refused don't wait for the one that holds the connection.
        let outcomes = await withTaskGroup(of: PostgresError?.self) { group in
            for _ in 0..<6 {
                group.addTask { await error { try await database.transaction(as: .owner) { try $0.execute("SELECT 1") } } }
            }
            var outcomes: [PostgresError?] = []
            for await outcome in group {
                outcomes.append(outcome)
                if outcomes.count == 4 { release.signal() }
            }
            return outcomes
        }
        #expect(outcomes == [.crowded(waiting: 2), .crowded(waiting: 2), .crowded(waiting: 2), .crowded(waiting: 2), nil, nil])
        #expect(try await holder == 1)
        await database.close()
    }

    @Test func aWrongPasswordFailsAtOnceAndAnAbsentServerAfterAWhile() async throws {
        let cluster = try await onThread { try TestCluster.shared.get() }
        var settings = SessionSettings()
        settings.connectTimeout = .milliseconds(300)
        let address = try PostgresAddress(cluster.address.connectionString.replacing("password='", with: "password='x"))
        let wrong = Database(address, settings: settings, logger: cluster.logger)
        let refusal = await error { try await wrong.transaction(as: .owner) { try $0.execute("SELECT 1") } }
        guard case .unavailable(let reason) = refusal else {
            Issue.record("expected unavailable, got \(String(describing: refusal))")
            return
        }
        #expect(reason.contains("password"))
        let nowhere = Database(
            PostgresAddress(socketDirectory: "/nonexistent", user: "a", password: "b", database: "c"), settings: settings,
            logger: cluster.logger)
        guard case .unavailable = await error({ try await nowhere.transaction(as: .owner) { try $0.execute("SELECT 1") } }) else {
            Issue.record("expected unavailable")
            return
        }
        await wrong.close()
        await nowhere.close()
    }
}
