internal import Foundation
internal import Hummingbird
internal import Keel
internal import KeelKernels
package import Logging
internal import ServiceLifecycle
package import SlipwayBlobs
package import SlipwayPostgres
internal import SlipwaySystem

/// The process that holds the models: predict calls over a unix socket, deployments brought in line with the database.
package struct ServeProcess: Sendable {
    let configuration: ServeConfiguration
    let database: Database
    let blobs: BlobStore
    let logger: Logger
    let load: @Sendable (ModelSource) throws -> any LoadedModel

    /// - Parameter load: makes a model of what there is of a version.
    package init(
        _ configuration: ServeConfiguration, database: Database, blobs: BlobStore, logger: Logger,
        load: @escaping @Sendable (ModelSource) throws -> any LoadedModel
    ) {
        self.configuration = configuration
        self.database = database
        self.blobs = blobs
        self.logger = logger
        self.load = load
    }

    /// Serves until SIGTERM, SIGINT, or the end of standard input; then answers what is in flight and returns.
    package func run() async throws {
        try NumericLibraries.check()
        // A lane computes with one thread: calls that come together share the cores better than the parts of one call.
        let prepare = { @Sendable in keel_set_thread_count(1) }
        let live = LiveRevisions<ServedRevision>()
        let lanes = CallLanes(count: configuration.threads, queue: configuration.queue, prepare: prepare)
        defer { lanes.stop() }
        let loader = ModelLoader(prepare: prepare, load: load, trim: { MemoryPool.host.releaseCached() })
        let rollout = Rollout(
            database: database, blobs: blobs, live: live, loader: loader, lookTime: configuration.lookTime, logger: logger)
        let route = PredictRoute(
            configuration: configuration, live: live, lanes: lanes, budget: ByteBudget(bytes: configuration.bodyBytes), logger: logger)

        var services = ServiceGroupConfiguration(
            services: [rollout, application(route, live)] as [any Service], gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger)
        services.maximumGracefulShutdownDuration = configuration.drainTime
        let group = ServiceGroup(configuration: services)
        if configuration.endsWithStandardInput {
            whenParentIsGone { [logger] in
                logger.notice("the parent is gone")
                // From a thread, without a task to be the parent of this one.
                Task { await group.triggerGracefulShutdown() }
            }
        }
        try await group.run()
        await database.close()
    }

    private func application(_ route: PredictRoute, _ live: LiveRevisions<ServedRevision>) -> some Service {
        let router = Router(context: ServeContext.self)
        router.post("/predict/:deployment") { request, context in
            let deployment = context.parameters.get("deployment") ?? ""
            return await context.whileCalled { await route.answer(request, to: deployment) }
        }
        router.get("/healthz") { _, _ in "\(live.count) deployments\n" }
        let path = configuration.socket
        // What a killed process left; the supervisor runs one serve at a time.
        unlink(path)
        return Application(
            router: router,
            server: .http1(configuration: .init(additionalChannelHandlers: [CallerWatch()], idleTimeout: .seconds(120))),
            configuration: .init(
                address: .unixDomainSocket(path: path), backlog: 1024,
                availableConnectionsDelegate: .maximum(configuration.connections, logger: logger)),
            onServerRunning: { _ in chmod(path, 0o600) }, logger: logger)
    }
}
