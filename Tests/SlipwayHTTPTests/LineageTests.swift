import Foundation
import SlipwayDomain
import SlipwayPostgres
import SlipwayStore
import Testing

@Suite struct LineageTests {
    /// The file is a stranger's, and may be one line of gigabytes.
    @Test func aFileOfAnImportedModelIsNoListOfItems() async throws {
        try await withRunningServer { server in
            let project = try #require(ProjectID(try await server.newProject())), (blobs, home) = (server.blobs, server.home)
            let file = try await blobs.stage(Array("{\"id\":0}\n".utf8))
            let version: ModelVersionID = try await server.database.transaction(as: .tenant(home)) { transaction in
                try transaction.publish(file.digest, bytes: file.bytes) { try blobs.place([file]) }
                let model: ModelID = try transaction.queryOne(
                    "INSERT INTO model (organisation_id, project_id, name) VALUES (\(home), \(project), 'm') RETURNING id", decode: { try $0["id"] })
                let version: ModelVersionID = try transaction.queryOne(
                    """
                    INSERT INTO model_version (organisation_id, model_id, number, classes, inputs, metrics, lineage)
                    VALUES (\(home), \(model), 1, '[]', '{}', '{}', '{}') RETURNING id
                    """,
                    decode: { try $0["id"] })
                try transaction.execute(
                    """
                    INSERT INTO model_file (model_version_id, name, organisation_id, blob, bytes)
                    VALUES (\(version), 'items.jsonl', \(home), \(file.digest), \(file.bytes))
                    """)
                return version
            }
            let answer = try await server.call("GET", "/v1/model-versions/\(version)/lineage")
            #expect(answer.status == 200)
            #expect(try answer.json["items"] == [])
        }
    }
}
