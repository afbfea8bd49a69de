internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

struct DatasetRoutes {
    let database: Database

    static let view = View<DatasetRecord>("Dataset", [
        .always("id", .identifier) { .text($0.id) },
        .always("project", .identifier) { .text($0.project) },
        .always("name", .name) { .string($0.name) },
        .always("task", .choice(LearningTask.allCases.map(\.rawValue))) { .string($0.task.rawValue) },
        .always("description", .text(maximum: 10_000)) { .string($0.description) },
        .always("latest_version", .nullable(.integer(1...Int.max))) { $0.latestVersion.map(Output.integer) ?? .null },
        .always("created_at", .time) { .time($0.createdAt) },
    ])

    var routes: [Route] {
        [
            Route(.get, "/v1/projects/{project}/datasets", .scope(.read), "List a project's data sets", query: QueryParameter.page,
                content: .list(Self.view.reference), handle: list),
            Route(.post, "/v1/projects/{project}/datasets", .scope(.write), "Create a data set, without versions yet",
                body: .json(.object([
                    .required("name", .name), .required("task", .choice(LearningTask.allCases.map(\.rawValue))),
                    .optional("description", .text(maximum: 10_000)),
                ])),
                status: .created, content: .json(Self.view.reference), isIdempotent: true, handle: create),
            Route(.get, "/v1/datasets/{dataset}", .scope(.read), "Show a data set", content: .json(Self.view.reference), handle: show),
            Route(.delete, "/v1/datasets/{dataset}", .scope(.write), "Delete a data set that no experiment was made from",
                status: .noContent, content: .none, handle: delete),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: call.role) { try $0.datasets(in: project, after: position, limit: page.limit + 1) }
        return .json(page.output(records, Self.view) { CreationPosition(createdAt: $0.createdAt, id: $0.id.uuid) })
    }

    func create(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let (body, digest) = try await call.json()
        guard let task = body["task"]?.stringValue.flatMap(LearningTask.init) else { preconditionFailure("the schema knows the tasks") }
        let name = body["name"]?.stringValue ?? "", description = body["description"]?.stringValue ?? ""
        return try await call.create("dataset.create", body: digest, in: database) { transaction in
            let record = try transaction.createDataset(in: project, named: name, task: task, description: description)
            return Created(object: "dataset \(record.id)", location: "/v1/datasets/\(record.id)", output: Self.view.output(record))
        }
    }

    func show(_ call: Call) async throws -> Response {
        let id: DatasetID = try call.identifier("dataset", of: "data set")
        return .json(Self.view.output(try await database.transaction(as: call.role) { try $0.dataset(id) }))
    }

    func delete(_ call: Call) async throws -> Response {
        let id: DatasetID = try call.identifier("dataset", of: "data set")
        return try await call.remove("dataset.delete", "dataset \(id)", in: database) { try $0.deleteDataset(id) }
    }
}
