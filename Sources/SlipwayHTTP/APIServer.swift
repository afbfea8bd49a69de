internal import Hummingbird
package import Logging
internal import NIOCore
internal import ServiceLifecycle
package import SlipwayBlobs
internal import SlipwayDomain
package import SlipwayPostgres
internal import SlipwaySystem
package import SlipwayTasks
internal import UnixSignals

/// The api process: HTTP for clients. It decodes no upload and runs no model.
package struct APIServer: Sendable {
    private let configuration: APIConfiguration
    private let logger: Logger
    private let hub: EventHub
    private let sweep: AnswerSweep
    private let serve: ServeClient
    private let responder: Responder

    package init(
        configuration: APIConfiguration, database: Database, blobs: BlobStore, library: TemplateLibrary, logger: Logger
    ) {
        self.configuration = configuration
        self.logger = logger
        let metrics = Metrics()
        let authenticator = Authenticator(database, configuration.limits)
        hub = EventHub(database, heartbeat: configuration.limits.heartbeat, logger: logger)
        sweep = AnswerSweep(database: database, logger: logger)
        serve = ServeClient(path: configuration.servePath, limits: configuration.limits)
        let table = RouteTable.all(
            database: database, blobs: blobs, library: library, importLimits: configuration.importLimits, hub: hub, serve: serve,
            authenticator: authenticator, metrics: metrics, logger: logger)
        responder = Responder(table: table, configuration: configuration, authenticator: authenticator, metrics: metrics, logger: logger)
    }

    /// Serves until SIGTERM, SIGINT or, if configured, the end of standard input. Then requests in flight finish, within a
    /// bound, and event streams end.
    ///
    /// - Parameter onListening: gets the port, once connections are accepted.
    package func run(onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }) async throws {
        let limits = configuration.limits
        let application = Application(
            responder: responder,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [ConnectionGuard(limits, responder.table)],
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes,
                        maxHeaderFieldCount: limits.headerFields))),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: 1024,
                availableConnectionsDelegate: .maximum(limits.connections, logger: logger)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            logger: logger)
        // The last is shut down first: event streams end, and then the server waits for what is in flight.
        var configuration = ServiceGroupConfiguration(
            services: [application, sweep, hub] as [any Service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = limits.drainTime
        let group = ServiceGroup(configuration: configuration)
        if self.configuration.endsWithStandardInput {
            // From a thread, without a task to be the parent of this one.
            whenParentIsGone { Task { await group.triggerGracefulShutdown() } }
        }
        defer { serve.close() }
        try await group.run()
    }
}

extension RouteTable {
    /// Every route of the server, and `/openapi.json`, which describes them.
    static func all(
        database: Database, blobs: BlobStore, library: TemplateLibrary, importLimits: ImportLimits, hub: EventHub,
        serve: ServeClient, authenticator: Authenticator, metrics: Metrics, logger: Logger
    ) -> RouteTable {
        let deployments = KnownDeployments()
        let routes = [
            OrganisationRoutes(database: database, authenticator: authenticator).routes,
            ProjectRoutes(database: database).routes,
            CatalogueRoutes(library: library, limits: importLimits).routes,
            DatasetRoutes(database: database).routes,
            VersionRoutes(database: database).routes,
            UploadRoutes(database: database, blobs: blobs, metrics: metrics).routes,
            ItemRoutes(database: database, blobs: blobs).routes,
            ExperimentRoutes(database: database, library: library).routes,
            EventRoutes(database: database, hub: hub, authenticator: authenticator, metrics: metrics).routes,
            ModelRoutes(database: database, blobs: blobs).routes,
            ModelImportRoutes(database: database, blobs: blobs, metrics: metrics).routes,
            DeploymentRoutes(database: database, known: deployments).routes,
            PredictRoutes(database: database, serve: serve, metrics: metrics, known: deployments).routes,
            JobRoutes(database: database).routes,
            OperationRoutes(database: database, blobs: blobs, serve: serve, metrics: metrics, logger: logger).routes,
        ].flatMap(\.self)
        let document = Route(.get, "/openapi.json", .anyKey, "This description", content: .json(.anyObject)) { _ in
            preconditionFailure("described only")
        }
        let text = OpenAPI(routes: routes + [document], components: components).document.text
        return RouteTable(routes + [
            Route(.get, document.path, document.access, document.summary, content: document.content) { _ in .json(text: text, status: .ok) }
        ])
    }

    static var components: [Component] {
        [
            .problem, OrganisationRoutes.organisation.component, OrganisationRoutes.key.component, ProjectRoutes.view.component,
            DatasetRoutes.view.component, VersionRoutes.view.component, VersionRoutes.rejected.component, UploadRoutes.accepted.component,
            ItemRoutes.view.component, ExperimentRoutes.view.component, ExperimentRoutes.trial.component, ModelRoutes.model.component,
            ModelRoutes.version.component, ModelImportRoutes.accepted.component, DeploymentRoutes.view.component, JobRoutes.job.component, JobRoutes.worker.component,
        ]
    }
}
