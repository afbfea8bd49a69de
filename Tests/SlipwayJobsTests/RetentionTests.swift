import Foundation
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Testing

@Suite struct RetentionTests {
    @Test func jobsThatEndedLongAgoAreForgottenInBatches() async throws {
        try await withSite { site in
            for _ in 0..<5 {
                try await site.enqueue()
                try await site.finish(try #require(try await site.lease()))
            }
            try await site.enqueue()
            let recent: JobID = try await site.value("SELECT max(id) AS value FROM job WHERE finished_at IS NOT NULL")
            try await site.database.transaction(as: .owner) {
                try $0.execute(
                    "UPDATE job SET finished_at = now() - interval '31 days' WHERE finished_at IS NOT NULL AND id <> \(recent)")
            }
            let forgotten = try await site.system { transaction in
                try (0..<3).map { _ in try transaction.forgetJobs(finishedBefore: 30 * 86400, limit: 3) }
            }
            #expect(forgotten == [3, 1, 0])
            // One that has just ended and one that waits.
            #expect(try await site.value("SELECT count(*) AS value FROM job") == 2)
        }
    }

    @Test func eventsOfExperimentsThatEndedLongAgoAreForgottenButHowTheyEnded() async throws {
        try await withSite { site in
            let dataset = try await site.makeDataset(.tabularClassification)
            let (organisation, project) = (site.organisation, site.project)
            try await site.database.transaction(as: .owner) { transaction in
                try transaction.execute(
                    """
                    INSERT INTO dataset_version (dataset_id, number, organisation_id, status, mode, format, media_type)
                    VALUES (\(dataset), 1, \(organisation), 'ready', 'new', 'csv', 'text/csv')
                    """)
                for (name, age) in [("old", 31), ("new", 1)] {
                    let id: ExperimentID = try transaction.queryOne(
                        """
                        INSERT INTO experiment (organisation_id, project_id, name, dataset_id, version, task, objective, preset, seed,
                            budget_trials, status, finished_at)
                        VALUES (\(organisation), \(project), \(name), \(dataset), 1, 'tabular-classification', 'accuracy', 'fast', 1,
                            1, 'succeeded', now() - make_interval(days => \(age))) RETURNING id
                        """, decode: { try $0["id"] })
                    for (sequence, kind) in ["status", "progress", "metric", "log", "status"].enumerated() {
                        try transaction.execute(
                            """
                            INSERT INTO experiment_event (experiment_id, sequence, organisation_id, kind, data)
                            VALUES (\(id), \(sequence + 1), \(organisation), \(kind), '{}')
                            """)
                    }
                }
            }
            let forgotten = try await site.system { transaction in
                try (0..<3).map { _ in try transaction.forgetEvents(finishedBefore: 30 * 86400, limit: 2) }
            }
            #expect(forgotten == [2, 1, 0])
            let left: String = try await site.value(
                """
                SELECT string_agg(name || sequence, ',' ORDER BY name DESC, sequence) AS value
                FROM experiment_event JOIN experiment ON experiment.id = experiment_id
                """)
            #expect(left == "old1,old5,new1,new2,new3,new4,new5")
        }
    }
}
