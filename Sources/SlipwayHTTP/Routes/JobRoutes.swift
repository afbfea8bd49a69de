internal import HTTPTypes
internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

struct JobRoutes {
    let database: Database

    static let job = View<JobRecord>("Job", [
        .always("id", .identifier) { .text($0.id) },
        .always("project", .identifier) { .text($0.project) },
        .always("kind", .string) { .string($0.kind) },
        .always("status", .choice(["queued", "running", "succeeded", "failed", "cancelled"])) { .string($0.state.rawValue) },
        .always("lane", .choice(JobLane.allCases.map(\.rawValue))) { .string($0.lane.rawValue) },
        .always("attempt", .count) { .integer($0.attempt) },
        .always("max_attempts", .count) { .integer($0.maxAttempts) },
        .always("progress", .number(0...1)) { .number($0.progress) },
        .sometimes("problem", .reference("Problem")) { $0.problem.map { .raw($0.text) } },
        .always("created_at", .time) { .time($0.createdAt) },
        .sometimes("started_at", .time) { $0.startedAt.map(Output.time) },
        .sometimes("finished_at", .time) { $0.finishedAt.map(Output.time) },
        .always("request_id", .string) { .string($0.requestID) },
    ])

    static let worker = View<WorkerRow>("Worker", [
        .always("id", .identifier) { .text($0.id) },
        .always("host", .string) { .string($0.host) },
        .always("build", .string) { .string($0.build) },
        .always("slots", .map(.count)) { .object($0.slots.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) }) },
        .always("started_at", .time) { .time($0.startedAt) },
        .always("last_seen_at", .time) { .time($0.lastSeenAt) },
    ])

    var routes: [Route] {
        [
            Route(.get, "/v1/jobs/{job}", .scope(.read), "Show a job", content: .json(Self.job.reference), handle: show),
            Route(
                .get, "/v1/jobs/{job}/log", .scope(.read), "What a job's last attempt wrote to its log",
                content: .text("text/plain"), handle: log),
            Route(
                .get, "/v1/workers", .scope(.platform), "List the workers of the platform", content: .list(Self.worker.reference),
                handle: workers),
        ]
    }

    private func id(_ call: Call) throws -> JobID {
        guard let id = call.parameters["job"].flatMap(JobID.init) else { throw Problem.notFound("job") }
        return id
    }

    func show(_ call: Call) async throws -> Response {
        let id = try id(call)
        return .json(Self.job.output(try await database.transaction(as: call.role) { try $0.job(id) }))
    }

    func log(_ call: Call) async throws -> Response {
        let id = try id(call)
        let text = try await database.transaction(as: call.role) { try $0.jobLog(id) }
        return Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8", .contentSecurityPolicy: "default-src 'none'; sandbox"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    func workers(_ call: Call) async throws -> Response {
        let workers = try await database.transaction(as: .system) { try $0.workers() }
        return .json(.object([("items", .array(workers.map(Self.worker.output)))]))
    }
}
