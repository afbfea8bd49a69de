internal import Logging
internal import ServiceLifecycle
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// Brings what is in memory in line with the deployments in the database: loads, warms up, switches and unloads. Told by
/// `NOTIFY slipway_deployment`, and looking by itself in case a word was lost.
struct Rollout: Service {
    let database: Database
    let blobs: BlobStore
    let live: LiveRevisions<ServedRevision>
    let loader: ModelLoader
    let lookTime: Duration
    let logger: Logger

    func run() async throws {
        let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withGracefulShutdownHandler {
            await withTaskGroup { group in
                group.addTask { await listen(wake) }
                group.addTask { await tick(wake) }
                var failures: [DeploymentID: LoadFailure] = [:]
                wake.yield()
                for await _ in wakes {
                    do {
                        try await look(&failures)
                    } catch is CancellationError {
                        break
                    } catch {
                        // What is in memory goes on answering; the next look comes soon.
                        logger.warning("the deployments can't be read", metadata: ["error": "\(error)"])
                    }
                }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            wake.finish()
        }
    }

    private func listen(_ wake: AsyncStream<Void>.Continuation) async {
        while !Task.isCancelled {
            do {
                for await _ in try await database.listen(to: "slipway_deployment") { wake.yield() }
                return
            } catch is CancellationError {
                return
            } catch {
                logger.warning("can't listen for deployments", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: lookTime)
            }
        }
    }

    private func tick(_ wake: AsyncStream<Void>.Continuation) async {
        while (try? await Task.sleep(for: lookTime)) != nil { wake.yield() }
    }

    /// When a revision that once served can't be loaded, it is tried again: the disk may come back.
    private struct LoadFailure {
        var revision: Int
        var pause: Duration
        var next: ContinuousClock.Instant
    }

    private func look(_ failures: inout [DeploymentID: LoadFailure]) async throws {
        let wanted = try await database.transaction(as: .system, options: .init(isReadOnly: true)) {
            try $0.deploymentsToServe()
        }
        let ids = Set(wanted.map(\.id))
        for (id, revision) in live.all where !ids.contains(id) {
            live.publish(nil, for: id)
            logger.info("unloaded", metadata: ["deployment": "\(id)", "revision": "\(revision.number)"])
        }
        failures = failures.filter { ids.contains($0.key) }
        // What answered before a restart comes first, and of that what calls wait for just now.
        var left = wanted
        while !left.isEmpty {
            let awaited = live.awaited
            let deployment = left.remove(at: left.firstIndex { awaited.contains($0.id) } ?? 0)
            try await alone(deployment) { try await serve(deployment, &failures) }
        }
        for deployment in wanted {
            guard let next = deployment.next else { continue }
            try await alone(deployment) { try await bring(next, of: deployment) }
        }
    }

    /// One deployment's error doesn't keep the others from being loaded; the next look comes soon.
    private func alone(_ deployment: ServedDeployment, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error where !(error is CancellationError) {
            logger.warning("a deployment isn't brought in line", metadata: ["deployment": "\(deployment.id)", "error": "\(error)"])
        }
    }

    /// Loads the revision that serves, if it isn't there.
    private func serve(_ deployment: ServedDeployment, _ failures: inout [DeploymentID: LoadFailure]) async throws {
        guard let serving = deployment.serving, live.current(deployment.id)?.number != serving.number else { return }
        if let failure = failures[deployment.id], failure.revision == serving.number, .now < failure.next { return }
        do {
            live.publish(try await load(serving), for: deployment.id)
            failures[deployment.id] = nil
            if deployment.status == .failed { try await setAvailability(of: deployment, serving, nil) }
            log("loaded", deployment, serving)
        } catch let error where !(error is CancellationError) {
            let problem = problem(error, deployment, serving)
            live.fail(deployment.id, problem)
            let pause = min((failures[deployment.id]?.pause ?? .seconds(2)) * 2, .seconds(60))
            failures[deployment.id] = LoadFailure(revision: serving.number, pause: pause, next: .now + pause)
            try await setAvailability(of: deployment, serving, problem)
        }
    }

    /// Loads a new revision and switches to it. The calls get it first and the database is told then, so whoever reads that
    /// a revision is ready is answered by it; if the database says no, the calls get the old one back.
    private func bring(_ next: ServedDeployment.Revision, of deployment: ServedDeployment) async throws {
        let revision: ServedRevision
        do {
            revision = try await load(next)
        } catch let error where !(error is CancellationError) {
            let problem = problem(error, deployment, next)
            try await database.transaction(as: .tenant(deployment.organisation)) {
                try $0.failRevision(next.number, of: deployment.id, problem)
            }
            return live.fail(deployment.id, problem)
        }
        let before = live.publish(revision, for: deployment.id)
        do {
            let isSwitched = try await database.transaction(as: .tenant(deployment.organisation)) {
                try $0.switchDeployment(deployment.id, to: next.number)
            }
            guard !isSwitched else { return log("switched", deployment, next) }
        } catch {
            live.publish(before, for: deployment.id)
            throw error
        }
        live.publish(before, for: deployment.id)
        log("not needed any more", deployment, next)
    }

    private func load(_ revision: ServedDeployment.Revision) async throws -> ServedRevision {
        let version = try await database.transaction(as: .system, options: .init(isReadOnly: true)) {
            try $0.servedVersion(revision.modelVersion)
        }
        for file in version.files { try await blobs.verify(file.blob) }
        let paths = Dictionary(uniqueKeysWithValues: version.files.map { ($0.name, blobs.path(of: $0.blob)) })
        let model = try await loader.load(ModelSource(isImported: version.isImported, files: paths))
        return ServedRevision(
            number: revision.number, modelVersion: revision.modelVersion, model: model,
            released: { [loader] in loader.release() })
    }

    private func setAvailability(
        of deployment: ServedDeployment, _ revision: ServedDeployment.Revision, _ problem: Problem?
    ) async throws {
        try await database.transaction(as: .tenant(deployment.organisation)) {
            try $0.setAvailability(of: deployment.id, revision: revision.number, problem)
        }
    }

    /// The log gets the cause; the deployment's owner what concerns them.
    private func problem(_ error: any Error, _ deployment: ServedDeployment, _ revision: ServedDeployment.Revision) -> Problem {
        logger.error(
            "can't be loaded",
            metadata: ["deployment": "\(deployment.id)", "revision": "\(revision.number)", "error": "\(error)"])
        if let problem = error as? Problem { return problem }
        return Problem(
            500, "model-load-failed", title: "The model can't be loaded",
            detail: "Revision \(revision.number) can't be loaded from the object store; the log of the serve process says why.")
    }

    private func log(_ what: Logger.Message, _ deployment: ServedDeployment, _ revision: ServedDeployment.Revision) {
        logger.info(
            what,
            metadata: [
                "deployment": "\(deployment.id)", "revision": "\(revision.number)",
                "model_version": "\(revision.modelVersion)",
            ])
    }
}
