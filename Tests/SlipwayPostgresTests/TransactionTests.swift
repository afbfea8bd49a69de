import Foundation
import SlipwayPostgres
import SlipwayTestSupport
import Testing

@Suite struct TransactionTests {
    @Test func interpolatedTextIsAValueAndNeverSQL() async throws {
        try await withEmptyDatabase { database in
            for text in ["'; DROP TABLE note; --", "\\'", "$1", "\"", "é 漢字 👩‍🚀", "", "a\nb\t\\."] {
                let answer = try await database.transaction(as: .owner) { transaction in
                    try transaction.queryOne("SELECT \(text) AS answer", decode: { try $0["answer"] as String })
                }
                #expect(answer == text)
            }
        }
    }
}
