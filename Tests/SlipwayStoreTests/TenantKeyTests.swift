import Foundation
import SlipwayPostgres
import SlipwayTestSupport
import Testing

/// That a row can't refer to another organisation's, whatever a query does.
@Suite struct TenantKeyTests {
    @Test func everyKeyBetweenTenantsTablesNamesTheOrganisation() async throws {
        try await withTestDatabase { database in
            let loose = try await database.transaction(as: .owner) { transaction in
                try transaction.query(
                    """
                    SELECT conname FROM pg_constraint AS key
                    WHERE contype = 'f' AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = conrelid AND attname = 'organisation_id')
                        AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = confrelid AND attname = 'organisation_id')
                        AND NOT EXISTS (SELECT FROM pg_attribute
                            WHERE attrelid = conrelid AND attnum = ANY (conkey) AND attname = 'organisation_id')
                    ORDER BY 1
                    """, decode: { try $0["conname"] as String })
            }
            // This one names the data set, which is of the organisation.
            #expect(loose == ["annotation_item_id_fkey"])
        }
    }

    @Test func theOwnerItselfCanMakeNoRowThatPointsAcross() async throws {
        try await withTestDatabase { database in
            let (mine, theirs) = (UUID(), UUID())
            let made = try await database.transaction(as: .owner) { transaction in
                for (id, name) in [(mine, "mine"), (theirs, "theirs")] {
                    try transaction.execute("INSERT INTO organisation (id, name) VALUES (\(id), \(name))")
                }
                let project = try transaction.queryOne(
                    "INSERT INTO project (organisation_id, name) VALUES (\(mine), 'p') RETURNING id", decode: { try $0["id"] as UUID })
                let datasets = try [1, 2].map { number in
                    try transaction.queryOne(
                        """
                        INSERT INTO dataset (organisation_id, project_id, name, task)
                        VALUES (\(mine), \(project), \("d\(number)"), 'tabular-regression') RETURNING id
                        """, decode: { try $0["id"] as UUID })
                }
                let item = try transaction.queryOne(
                    """
                    INSERT INTO item (organisation_id, dataset_id, name, born, split_hash, row)
                    VALUES (\(mine), \(datasets[0]), 'row 1', 1, 7, '[]') RETURNING id
                    """, decode: { try $0["id"] as Int64 })
                return (project: project, datasets: datasets, item: item)
            }
            let crossing: [(SQL, String)] = [
                ("INSERT INTO dataset (organisation_id, project_id, name, task) VALUES (\(theirs), \(made.project), 'x', 't')",
                 "dataset_project_id_fkey"),
                ("INSERT INTO deployment (organisation_id, project_id, name) VALUES (\(theirs), \(made.project), 'x')",
                 "deployment_project_id_fkey"),
                ("""
                 INSERT INTO item (organisation_id, dataset_id, name, born, split_hash, row)
                 VALUES (\(theirs), \(made.datasets[0]), 'x', 1, 7, '[]')
                 """, "item_dataset_id_fkey"),
                ("""
                 INSERT INTO annotation (organisation_id, dataset_id, item_id, born, value)
                 VALUES (\(mine), \(made.datasets[1]), \(made.item), 1, '{}')
                 """, "annotation_item_id_fkey"),
            ]
            for (sql, key) in crossing {
                await #expect(throws: PostgresError.self, "\(key)") {
                    do {
                        try await database.transaction(as: .owner) { try $0.execute(sql) }
                    } catch let error as PostgresError {
                        #expect(error.violation == .foreignKey(key))
                        throw error
                    }
                }
            }
        }
    }
}
