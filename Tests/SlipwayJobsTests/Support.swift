import Foundation
import Logging
import SlipwayBlobs
import SlipwayDomain
import SlipwayJobs
import SlipwayPostgres
import SlipwayStore
import SlipwayTestSupport
import Testing

/// An organisation with a project, in a database of its own, and a data directory.
struct Site: Sendable {
    let database: Database
    let blobs: BlobStore
    let folder: String
    let organisation: OrganisationID
    let project: ProjectID

    func tenant<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        try await database.transaction(as: .tenant(organisation), body)
    }

    func system<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        try await database.transaction(as: .system, body)
    }

    func makeProject(_ name: String) async throws -> ProjectID {
        try await tenant { [organisation] transaction in
            try transaction.queryOne(
                "INSERT INTO project (organisation_id, name) VALUES (\(organisation), \(name)) RETURNING id", decode: { try $0["id"] })
        }
    }

    func makeDataset(_ task: LearningTask) async throws -> DatasetID {
        try await tenant { [organisation, project] transaction in
            try transaction.queryOne(
                """
                INSERT INTO dataset (organisation_id, project_id, name, task)
                VALUES (\(organisation), \(project), \(UUID().uuidString), \(task)) RETURNING id
                """,
                decode: { try $0["id"] })
        }
    }

    /// A job that nothing is done with.
    @discardableResult
    func enqueue(in project: ProjectID? = nil, serialKey: String? = nil, priority: Int = 0) async throws -> JobID {
        let target = project ?? self.project
        return try await tenant { [organisation] transaction in
            try transaction.enqueue(
                .importVersion(VersionWork(dataset: DatasetID(UUID()), version: 1)), organisation: organisation, project: target,
                serialKey: serialKey, priority: priority, requestID: "test")
        }
    }

    func lease(seconds: Double = 30) async throws -> LeasedJob? {
        try await system { try $0.leaseJob(in: .data, for: WorkerID(UUID()), seconds: seconds) }
    }

    func finish(_ job: LeasedJob, as end: AttemptEnd = .succeeded) async throws {
        try await tenant { transaction in
            try transaction.renew(job.lease, seconds: 30)
            try transaction.finish(job.lease, as: end, log: "")
        }
    }

    func value<Value: PostgresDecodable & Sendable>(_ sql: SQL) async throws -> Value {
        try await database.transaction(as: .tenant(organisation)) { try $0.queryOne(sql, decode: { try $0["value"] }) }
    }
}

func withSite(connections: Int = 8, _ body: (Site) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "slipway-jobs-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await withTestDatabase(connections: connections) { database in
        let organisation = try await database.transaction(as: .system) {
            try $0.queryOne("INSERT INTO organisation (name) VALUES ('test') RETURNING id", decode: { try $0["id"] as OrganisationID })
        }
        let project = try await database.transaction(as: .tenant(organisation)) {
            try $0.queryOne(
                "INSERT INTO project (organisation_id, name) VALUES (\(organisation), 'first') RETURNING id",
                decode: { try $0["id"] as ProjectID })
        }
        try await body(
            Site(
                database: database, blobs: try BlobStore(directory: folder + "/blobs", minimumFreeShare: 0), folder: folder,
                organisation: organisation, project: project))
    }
}

/// Waits for something that another process or task does, up to a limit that only a failure reaches.
func require(_ condition: () async throws -> Bool, at location: SourceLocation = #_sourceLocation) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record("it didn't happen within two minutes", sourceLocation: location)
}
