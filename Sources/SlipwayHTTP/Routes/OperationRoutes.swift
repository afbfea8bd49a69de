internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import SlipwayBlobs
internal import SlipwayPostgres
internal import SlipwayStore

/// What those who run the platform ask: is it alive, is it ready, what does it do, what can it do.
struct OperationRoutes {
    let database: Database
    let blobs: BlobStore
    let serve: ServeClient
    let metrics: Metrics
    let logger: Logger
    private let recent = RecentChecks()

    init(database: Database, blobs: BlobStore, serve: ServeClient, metrics: Metrics, logger: Logger) {
        self.database = database
        self.blobs = blobs
        self.serve = serve
        self.metrics = metrics
        self.logger = logger
    }

    fileprivate struct Check: Sendable {
        let name: String
        /// Nil: all is well. Anyone may read it, so it says nothing of the inside.
        let fault: String?
    }

    var routes: [Route] {
        [
            Route(
                .get, "/healthz", .open, "Whether the process answers",
                content: .json(.object([.required("status", .choice(["ok"]))])), handle: health),
            Route(
                .get, "/readyz", .open, "Whether everything that requests need is there (503 when it isn't)",
                content: .json(
                    .object([
                        .required("status", .choice(["ready", "not-ready"])),
                        .required("checks", .map(.object([.required("ok", .boolean), .optional("detail", .string)]))),
                    ])), handle: readiness),
            Route(.get, "/metrics", .metrics, "Prometheus metrics", content: .text("text/plain"), handle: scrape),
        ]
    }

    func health(_ call: Call) async throws -> Response { .json(.object([("status", .string("ok"))])) }

    func readiness(_ call: Call) async throws -> Response {
        let checks = await recent.value(for: call.limits.readinessMemory) { await allChecks() }
        let isReady = checks.allSatisfy { $0.fault == nil }
        let output = Output.object([
            ("status", .string(isReady ? "ready" : "not-ready")),
            (
                "checks",
                .object(
                    checks.map { ($0.name, .object([("ok", .bool($0.fault == nil)), ("detail", $0.fault.map(Output.string))])) })
            ),
        ])
        return .json(output, status: isReady ? .ok : .serviceUnavailable)
    }

    private func allChecks() async -> [Check] {
        async let database = check("database") { try await $0.databaseFault() }
        async let storage = check("storage") { try $0.storageFault() }
        async let serving = check("serve") { await $0.serve.isReachable() ? nil : "the serving process can't be reached" }
        return await [database, storage, serving]
    }

    private func check(_ name: String, _ fault: @Sendable (Self) async throws -> String?) async -> Check {
        do {
            return Check(name: name, fault: try await fault(self))
        } catch {
            logger.warning("not ready", metadata: ["check": .string(name), "error": "\(error)"])
            return Check(name: name, fault: "can't be used; the log says why")
        }
    }

    private func databaseFault() async throws -> String? {
        _ = try await database.transaction(as: .system, options: TransactionOptions(isReadOnly: true, statementTimeout: .seconds(2))) {
            try $0.execute("SELECT 1")
        }
        return nil
    }

    private func storageFault() throws -> String? {
        do {
            try blobs.checkFreeSpace()
            return nil
        } catch BlobError.diskFull {
            return "less than \(Int(blobs.minimumFreeShare * 100)) % of the object store's disk is free: uploads are refused"
        }
    }

    func scrape(_ call: Call) async throws -> Response {
        var jobs: [JobCount]?
        do {
            jobs = try await database.transaction(as: .system, options: TransactionOptions(isReadOnly: true)) { try $0.jobCounts() }
        } catch {
            logger.warning("no job metrics", metadata: ["error": "\(error)"])
        }
        let text = metrics.text(jobs: jobs, freeBytes: try blobs.space().freeBytes)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

/// What was found a moment ago: anyone may ask, and as often as they like.
private actor RecentChecks {
    private var latest: (checks: Task<[OperationRoutes.Check], Never>, at: ContinuousClock.Instant)?

    func value(
        for time: Duration, _ look: @escaping @Sendable () async -> [OperationRoutes.Check]
    ) async -> [OperationRoutes.Check] {
        if let latest, ContinuousClock.now - latest.at < time { return await latest.checks.value }
        // A task of its own: others wait for it, too, and must not be interrupted with the first.
        let checks = Task { await look() }
        latest = (checks, .now)
        return await checks.value
    }
}
