import Foundation
import Logging
import SlipwayBlobs
import SlipwayClient
import SlipwayDomain
import SlipwayPostgres
import SlipwayServing
import SlipwayStore
import SlipwayTestSupport
import Synchronization
import Testing

/// The serve process on a socket of its own, with a deployment whose model answers at once.
private struct RunningServe: Sendable {
    let client: HTTPClient
    let deployment: DeploymentID

    final class Model: LoadedModel {
        func warmUp() {}
        func answer(_ request: PredictRequest, as version: ModelVersionID, isAbandoned: () -> Bool) -> Data { Data("{}".utf8) }
    }

    struct Answer: Sendable {
        let status: Int
        let code: String?
        let retryAfter: String?
    }

    func predict(_ deployment: DeploymentID, bytes: Int) async throws -> Answer {
        let picture = [UInt8](repeating: 0, count: bytes)
        let answer = try await client.send(
            .init("POST", "/predict/\(deployment)", headers: [("Content-Type", "image/png")], body: .bytes(picture), timeout: nil))
        let code = answer.status == 200 ? nil : try JSONReader.read(answer.body)["code"]?.stringValue
        return Answer(status: answer.status, code: code, retryAfter: answer[header: "Retry-After"])
    }
}

private func withRunningServe(
    _ configure: (inout ServeConfiguration) -> Void = { _ in }, isImported: Bool = false,
    load: @Sendable @escaping (ModelSource) throws -> any LoadedModel = { _ in RunningServe.Model() },
    _ body: @Sendable @escaping (RunningServe) async throws -> Void
) async throws {
    let folder = "/tmp/slipway-serve-\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = ServeConfiguration(socket: folder + "/serve.sock")
    configuration.endsWithStandardInput = false
    configure(&configuration)
    let blobs = try BlobStore(directory: folder + "/blobs", minimumFreeShare: 0)
    let client = try HTTPClient(base: "http://serve", unixSocket: configuration.socket)
    try await withTestDatabase { [configuration] database in
        let deployment = try await makeDeployment(in: database, blobs, isImported: isImported)
        var logger = Logger(label: "tests.serve")
        logger.logLevel = .critical
        let process = ServeProcess(configuration, database: database, blobs: blobs, logger: logger, load: load)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await process.run() }
            let serve = RunningServe(client: client, deployment: deployment)
            while (try? await client.send(.init("GET", "/healthz")))?.status != 200 { await Task.yield() }
            try await body(serve)
            group.cancelAll()
            // Cancelling is how a test ends its process.
            do { try await group.waitForAll() } catch {}
        }
    }
}

/// - Parameter isImported: whether its model was trained elsewhere; it has a file that is called like those of the models that are trained here.
private func makeDeployment(in database: Database, _ blobs: BlobStore, isImported: Bool) async throws -> DeploymentID {
    let organisation = try await database.transaction(as: .system) { try $0.createOrganisation(named: "o").id }
    let manifest = try await blobs.stage(Array("{}".utf8))
    if isImported {
        return try await database.transaction(as: .tenant(organisation)) { transaction in
            let project = try transaction.createProject(named: "p", description: "").id
            try transaction.publish(manifest.digest, bytes: manifest.bytes) { try blobs.place([manifest]) }
            let model = try transaction.queryOne(
                "INSERT INTO model (organisation_id, project_id, name) VALUES (\(organisation), \(project), 'm') RETURNING id"
            ) { try $0["id"] as ModelID }
            let version = try transaction.queryOne(
                """
                INSERT INTO model_version (organisation_id, model_id, number, classes, inputs, metrics, lineage)
                VALUES (\(organisation), \(model), 1, '[]', '{}', '{}', '{}') RETURNING id
                """
            ) { try $0["id"] as ModelVersionID }
            try transaction.execute(
                """
                INSERT INTO model_file (model_version_id, name, organisation_id, blob, bytes)
                VALUES (\(version), 'model.json', \(organisation), \(manifest.digest), \(manifest.bytes))
                """)
            return try transaction.createDeployment(in: project, named: "d", of: version).id
        }
    }
    return try await database.transaction(as: .tenant(organisation)) { transaction in
        let project = try transaction.createProject(named: "p", description: "").id
        let dataset = try transaction.createDataset(in: project, named: "d", task: .imageClassification, description: "").id
        let profile = DatasetProfile(items: 0, unlabelled: 0, classes: [])
        try transaction.execute("""
            INSERT INTO dataset_version (dataset_id, number, organisation_id, status, mode, format, media_type, items, unlabelled, rejected,
                classes, profile)
            VALUES (\(dataset), 1, \(organisation), 'ready', 'new', 'image-folder', 'application/zip', 0, 0, 0, '[]', \(json: profile))
            """)
        let experiment = try transaction.queryOne("""
            INSERT INTO experiment (organisation_id, project_id, name, dataset_id, version, task, objective, preset, seed, budget_trials,
                status, finished_at)
            VALUES (\(organisation), \(project), 'e', \(dataset), 1, 'image-classification', 'accuracy', 'fast', 0, 1, 'succeeded', now())
            RETURNING id
            """) { try $0["id"] as ExperimentID }
        let model = try transaction.queryOne("""
            INSERT INTO model (organisation_id, project_id, name, task) VALUES (\(organisation), \(project), 'm', 'image-classification')
            RETURNING id
            """) { try $0["id"] as ModelID }
        let version = try transaction.queryOne("""
            INSERT INTO model_version (organisation_id, model_id, number, experiment_id, task, classes, inputs, metrics, lineage)
            VALUES (\(organisation), \(model), 1, \(experiment), 'image-classification', '["x", "y"]', '{}', '{}', '{}') RETURNING id
            """) { try $0["id"] as ModelVersionID }
        return try transaction.createDeployment(in: project, named: "d", of: version).id
    }
}

@Suite struct ServeProcessTests {
    /// Calls for a deployment that isn't there wait for it, and hold their bytes meanwhile.
    @Test(.timeLimit(.minutes(10))) func callsInFlightHaveABudgetAndGiveItBackWithTheirCaller() async throws {
        try await withRunningServe({
            $0.bodyBytes = 1_000_000
            $0.loadTime = .seconds(3600)
        }) { serve in
            try await withThrowingTaskGroup(of: RunningServe.Answer.self) { group in
                for _ in 0..<2 { group.addTask { try await serve.predict(DeploymentID(UUID()), bytes: 700_000) } }
                let refused = try #require(try await group.next())
                #expect(refused.status == 503)
                #expect(refused.code == "serve-busy")
                #expect(refused.retryAfter == "1")
                #expect(try await serve.predict(serve.deployment, bytes: 100_000).status == 200)
                // The other one closes its connection.
                group.cancelAll()
            }
            var answer: RunningServe.Answer
            repeat { answer = try await serve.predict(serve.deployment, bytes: 700_000) } while answer.code == "serve-busy"
            #expect(answer.status == 200)
        }
    }

    /// Calls wait until it is loaded.
    @Test(.timeLimit(.minutes(10)), arguments: [true, false]) func whoTrainedAModelIsSaidByItsRow(isImported: Bool) async throws {
        let sources = Sources()
        try await withRunningServe(isImported: isImported, load: { source in
            sources.all.withLock { $0.append(source) }
            return RunningServe.Model()
        }) { serve in
            let answer = try await serve.predict(serve.deployment, bytes: 10)
            #expect(answer.status == 200)
        }
        let found = sources.all.withLock { $0 }
        #expect(found.map(\.isImported) == [isImported])
        #expect(found.first?.files.keys.sorted() == (isImported ? ["model.json"] : []))
    }

    /// A stranger's file is no model of ours, whatever it is called.
    @Test func anImportedModelIsNeverReadAsOneOfOurs() throws {
        let error = #expect(throws: (any Error).self) { try PredictorModel(ModelSource(isImported: true, files: ["model.json": "/nonexistent"])) }
        #expect("\(try #require(error))".contains("model.onnx"))
    }

    /// What was made ready in the import's process is made ready here, and recursion may be as deep.
    @Test(.timeLimit(.minutes(10))) func modelsAreLoadedOnAStackAsLargeAsTheImports() async throws {
        let stack = Sources()
        try await withRunningServe(load: { _ in
            stack.bytes.store(Thread.current.stackSize, ordering: .relaxed)
            return RunningServe.Model()
        }) { serve in
            let answer = try await serve.predict(serve.deployment, bytes: 10)
            #expect(answer.status == 200)
        }
        #expect(stack.bytes.load(ordering: .relaxed) >= 512 << 20)
    }
}

/// What loading was seen to be given.
private final class Sources: Sendable {
    let all = Mutex<[ModelSource]>([])
    let bytes = Atomic(0)
}
