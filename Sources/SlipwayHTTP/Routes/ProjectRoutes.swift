internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

struct ProjectRoutes {
    let database: Database

    static let view = View<ProjectRecord>("Project", [
        .always("id", .identifier) { .text($0.id) },
        .always("name", .name) { .string($0.name) },
        .always("description", .text(maximum: 10_000)) { .string($0.description) },
        .always("created_at", .time) { .time($0.createdAt) },
    ])

    var routes: [Route] {
        [
            Route(
                .get, "/v1/projects", .scope(.read), "List projects", query: QueryParameter.page,
                content: .list(Self.view.reference), handle: list),
            Route(
                .post, "/v1/projects", .scope(.write), "Create a project",
                body: .json(.object([.required("name", .name), .optional("description", .text(maximum: 10_000))])),
                status: .created, content: .json(Self.view.reference), isIdempotent: true, handle: create),
            Route(
                .get, "/v1/projects/{project}", .scope(.read), "Show a project", content: .json(Self.view.reference), handle: show),
            Route(
                .delete, "/v1/projects/{project}", .scope(.write), "Delete an empty project", status: .noContent, content: .none,
                handle: delete),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: call.role) { try $0.projects(after: position, limit: page.limit + 1) }
        return .json(page.output(records, Self.view) { CreationPosition(createdAt: $0.createdAt, id: $0.id.uuid) })
    }

    func create(_ call: Call) async throws -> Response {
        let (body, digest) = try await call.json()
        let name = body["name"]?.stringValue ?? "", description = body["description"]?.stringValue ?? ""
        return try await call.create("project.create", body: digest, in: database) { transaction in
            let record = try transaction.createProject(named: name, description: description)
            return Created(object: "project \(record.id)", location: "/v1/projects/\(record.id)", output: Self.view.output(record))
        }
    }

    func show(_ call: Call) async throws -> Response {
        let id: ProjectID = try call.identifier("project", of: "project")
        return .json(Self.view.output(try await database.transaction(as: call.role) { try $0.project(id) }))
    }

    func delete(_ call: Call) async throws -> Response {
        let id: ProjectID = try call.identifier("project", of: "project")
        return try await call.remove("project.delete", "project \(id)", in: database) { try $0.deleteProject(id) }
    }
}

extension Call {
    /// Removes in one transaction with the audit entry.
    func remove(_ action: String, _ object: String, in database: Database, _ body: @escaping @Sendable (Transaction) throws -> Void)
        async throws -> Response
    {
        let audit = try audit(action)
        // Millions of rows go with a data set.
        let options = TransactionOptions(statementTimeout: .seconds(600))
        try await database.transaction(as: role, options: options) { transaction in
            try body(transaction)
            try transaction.record(audit, of: object)
        }
        return .noContent
    }
}
