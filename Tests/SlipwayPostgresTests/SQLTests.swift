import Foundation
import SlipwayPostgres
import SlipwayTestSupport
import Testing

@Suite struct SQLTests {
    @Test func fragmentsKeepTheirParametersInOrder() {
        let filter: SQL = "b = \(2) AND c = \("three")"
        let sql: SQL = "SELECT a FROM t WHERE a = \(1) AND \(sql: filter) LIMIT \(4)"
        #expect(sql.text == "SELECT a FROM t WHERE a = $1 AND b = $2 AND c = $3 LIMIT $4")
        #expect(sql.parameters == [.text("1"), .text("2"), .text("three"), .text("4")])
    }

    @Test func fragmentsAreJoinedWithASeparator() {
        let conditions: [SQL] = ["a = \(1)", "b IS NULL", "c = \(3)"]
        let sql = conditions.joined(by: " AND ")
        #expect(sql.text == "a = $1 AND b IS NULL AND c = $2")
        #expect([SQL]().joined(by: ", ").text == "")
    }

    @Test func anIdentifierIsQuoted() {
        let sql: SQL = "SELECT \(identifier: "a\"; DROP TABLE t; --\0")"
        #expect(sql.text == "SELECT \"a\"\"; DROP TABLE t; --\"")
    }

    @Test func interpolatedTextIsAValueAndNeverSQL() async throws {
        try await withEmptyDatabase { database in
            for text in ["'; DROP TABLE note; --", "\\'", "$1", "\"", "é 漢字 👩‍🚀", "", "a\nb\t\\.", "{\"a\",NULL}"] {
                let answers = try await database.transaction(as: .owner) { transaction in
                    try transaction.queryOne(
                        "SELECT \(text) AS answer, \([text, "NULL"])::text[] AS list",
                        decode: { ([try $0["answer"]] as [String]) + (try $0["list"] as [String]) })
                }
                #expect(answers == [text, text, "NULL"])
            }
        }
    }

    @Test func aZeroByteIsRefusedInsteadOfCuttingTheText() async throws {
        try await withEmptyDatabase { database in
            await #expect(performing: {
                try await database.transaction(as: .owner) { try $0.execute("SELECT \("before\0after")") }
            }, throws: { ($0 as? PostgresError)?.sqlState == .invalidText })
            let count = try await database.transaction(as: .owner) { try $0.execute("SELECT 1") }
            #expect(count == 1)
        }
    }
}
