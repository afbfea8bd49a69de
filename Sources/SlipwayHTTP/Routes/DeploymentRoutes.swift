internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// Named endpoints and their revisions. `PredictRoutes` answers at them.
struct DeploymentRoutes {
    let database: Database
    let known: KnownDeployments

    static let view = View<DeploymentRecord>("Deployment", [
        .always("id", .identifier) { .text($0.id) },
        .always("project", .identifier) { .text($0.project) },
        .always("name", .name) { .string($0.name) },
        .always("status", .choice(["deploying", "ready", "failed", "stopped"])) { .string($0.status.rawValue) },
        .always("revision", .nullable(.integer(1...Int.max))) { $0.revision.map(Output.integer) ?? .null },
        .always("traffic", .array(.object([
            .required("revision", .integer(1...Int.max)), .required("model_version", .identifier), .required("share", .number(0...1)),
        ]))) { deployment in
            .array(deployment.revisions.filter { $0.number == deployment.revision }.map {
                .object([("revision", .integer($0.number)), ("model_version", .text($0.modelVersion)), ("share", .number(1))])
            })
        },
        .always("url", .string) { .string("/v1/deployments/\($0.id)/predict") },
        .always("revisions", .array(.object([
            .required("revision", .integer(1...Int.max)), .required("model_version", .identifier),
            .required("status", .choice(["deploying", "ready", "failed", "retired"])), .optional("problem", .reference("Problem")),
            .required("created_at", .time),
        ]))) {
            .array($0.revisions.map {
                .object([
                    ("revision", .integer($0.number)), ("model_version", .text($0.modelVersion)), ("status", .string($0.status.rawValue)),
                    ("problem", $0.problem.map { .raw($0.text) }), ("created_at", .time($0.createdAt)),
                ])
            })
        },
        .sometimes("problem", .reference("Problem")) { $0.problem.map { .raw($0.text) } },
        .always("created_at", .time) { .time($0.createdAt) },
    ])

    private static let path = "/v1/deployments/{deployment}"

    var routes: [Route] {
        [
            Route(.get, "/v1/projects/{project}/deployments", .scope(.read), "List a project's deployments", query: QueryParameter.page,
                content: .list(Self.view.reference), handle: list),
            Route(.post, "/v1/projects/{project}/deployments", .scope(.write), "Deploy a model version under a name of its own",
                body: .json(.object([.required("name", .name), .required("model_version", .identifier)])),
                status: .accepted, content: .json(Self.view.reference), isIdempotent: true, handle: create),
            Route(.get, Self.path, .scope(.read), "Show a deployment", content: .json(Self.view.reference), handle: show),
            Route(
                .post, Self.path + "/revisions", .scope(.write),
                "Deploy another model version: it serves once it's warm, the old one until then",
                body: .json(.object([.required("model_version", .identifier)])),
                status: .accepted, content: .json(Self.view.reference), isIdempotent: true, handle: revise),
            Route(.post, Self.path + "/stop", .scope(.write), "Stop serving; a new revision starts it again", status: .accepted,
                content: .json(Self.view.reference), handle: stop),
            Route(
                .delete, Self.path, .scope(.write), "Delete a deployment; it stops serving", status: .noContent, content: .none,
                handle: delete),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: call.role) {
            try $0.deployments(in: project, after: position, limit: page.limit + 1)
        }
        return .json(page.output(records, Self.view) { CreationPosition(createdAt: $0.createdAt, id: $0.id.uuid) })
    }

    func create(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let (body, digest) = try await call.json()
        let name = body["name"]?.stringValue ?? ""
        return try await call.create("deployment.create", body: digest, in: database) { transaction in
            _ = try transaction.project(project)
            let version = try Self.modelVersion(in: body, transaction)
            let record = try transaction.createDeployment(in: project, named: name, of: version)
            return Created(object: "deployment \(record.id)", location: "/v1/deployments/\(record.id)", output: Self.view.output(record))
        }
    }

    func show(_ call: Call) async throws -> Response {
        let id: DeploymentID = try call.identifier("deployment", of: "deployment")
        return .json(Self.view.output(try await database.transaction(as: call.role) { try $0.deployment(id) }))
    }

    func revise(_ call: Call) async throws -> Response {
        let id: DeploymentID = try call.identifier("deployment", of: "deployment")
        let (body, digest) = try await call.json()
        return try await call.create("deployment.revise", body: digest, in: database) { transaction in
            _ = try transaction.deployment(id)
            let record = try transaction.addRevision(of: try Self.modelVersion(in: body, transaction), to: id)
            return Created(object: "deployment \(id)", location: "/v1/deployments/\(id)", output: Self.view.output(record))
        }
    }

    /// The version that a body names; one of another organisation is as unknown as one that isn't there.
    private static func modelVersion(in body: JSON, _ transaction: Transaction) throws -> ModelVersionID {
        do {
            guard let id = body["model_version"]?.stringValue.flatMap(ModelVersionID.init) else {
                throw StoreError.notFound("model version")
            }
            let version = try transaction.modelVersion(id)
            guard version.status == .ready else {
                throw Problem.invalidBody(
                    "/model_version", "model-version-not-ready",
                    version.status == .importing ? "the model is still being imported" : "the model couldn't be imported")
            }
            return id
        } catch is StoreError {
            throw Problem.invalidBody("/model_version", "model-version-unknown", "there is no model version of this id")
        }
    }

    func stop(_ call: Call) async throws -> Response {
        let id: DeploymentID = try call.identifier("deployment", of: "deployment")
        let audit = try call.audit("deployment.stop")
        let record = try await database.transaction(as: call.role) { transaction in
            let record = try transaction.stopDeployment(id)
            try transaction.record(audit, of: "deployment \(id)")
            return record
        }
        known.forget(id, of: try call.caller.organisation)
        return .json(Self.view.output(record), status: .accepted)
    }

    func delete(_ call: Call) async throws -> Response {
        let id: DeploymentID = try call.identifier("deployment", of: "deployment")
        let response = try await call.remove("deployment.delete", "deployment \(id)", in: database) { try $0.deleteDeployment(id) }
        known.forget(id, of: try call.caller.organisation)
        return response
    }
}
