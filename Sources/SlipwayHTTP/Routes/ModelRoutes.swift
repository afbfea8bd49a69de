internal import HTTPTypes
internal import Hummingbird
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// Models, their versions, what they learned from, and their files.
struct ModelRoutes {
    let database: Database
    let blobs: BlobStore

    static let model = View<ModelRecord>("Model", [
        .always("id", .identifier) { .text($0.id) },
        .always("project", .identifier) { .text($0.project) },
        .always("name", .name) { .string($0.name) },
        .always("task", .nullable(.string)) { $0.task.map { .string($0.rawValue) } ?? .null },
        .always("latest_version", .nullable(.identifier)) { $0.versions.first.map { .text($0.id) } ?? .null },
        .always("versions", .array(.object([
            .required("id", .identifier), .required("version", .count), .required("metrics", .anyObject), .required("created_at", .time),
        ]))) {
            .array($0.versions.map {
                .object([
                    ("id", .text($0.id)), ("version", .integer($0.number)), ("metrics", .raw($0.metrics.text)),
                    ("created_at", .time($0.createdAt)),
                ])
            })
        },
        .always("created_at", .time) { .time($0.createdAt) },
    ])

    static let version = View<ModelVersionRecord>("ModelVersion", [
        .always("id", .identifier) { .text($0.id) },
        .always("model", .identifier) { .text($0.model) },
        .always("version", .integer(1...Int.max)) { .integer($0.number) },
        .always("status", .choice(["importing", "ready", "failed"])) { .string($0.status.rawValue) },
        .sometimes("experiment", .identifier) { $0.experiment.map { .text($0) } },
        .always("task", .nullable(.string)) { $0.task.map { .string($0.rawValue) } ?? .null },
        .always("classes", .names) { .raw($0.classes.text) },
        .always("inputs", .any) { .raw($0.inputs.text) },
        .sometimes("outputs", .any) { $0.outputs.map { .raw($0.text) } },
        .always("metrics", .anyObject) { .raw($0.metrics.text) },
        .always("files", .array(.object([.required("name", .string), .required("bytes", .count), .required("sha256", .string)]))) {
            .array($0.files.map { .object([("name", .string($0.name)), ("bytes", .integer($0.bytes)), ("sha256", .text($0.blob))]) })
        },
        .sometimes("problem", .reference("Problem")) { $0.problem.map { .raw($0.text) } },
        .always("created_at", .time) { .time($0.createdAt) },
    ])

    var routes: [Route] {
        [
            Route(.get, "/v1/projects/{project}/models", .scope(.read), "List a project's models", query: QueryParameter.page,
                content: .list(Self.model.reference), handle: list),
            Route(
                .get, "/v1/models/{model}", .scope(.read), "Show a model with its versions", content: .json(Self.model.reference),
                handle: show),
            Route(
                .delete, "/v1/models/{model}", .scope(.write), "Delete a model of which no version serves", status: .noContent,
                content: .none,
                handle: delete),
            Route(.get, "/v1/model-versions/{version}", .scope(.read), "Show a model version", content: .json(Self.version.reference),
                handle: showVersion),
            Route(.delete, "/v1/model-versions/{version}", .scope(.write), "Delete a model version that doesn't serve", status: .noContent,
                content: .none, handle: deleteVersion),
            Route(
                .get, "/v1/model-versions/{version}/lineage", .scope(.read),
                "What a model version learned from: `items` is a page of the items",
                query: QueryParameter.page,
                content: .json(.object(Self.facts + [
                    .required("items", .array(.object([
                        .required("id", .identifier), .required("label", .string), .required("split", .string),
                    ]))),
                    .optional("next_cursor", .string),
                ])), handle: lineage),
            Route(
                .get, "/v1/model-versions/{version}/files/{name}", .scope(.read), "A file of a model version", content: .bytes,
                handle: file),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let page = try PageRequest(call)
        let position: CreationPosition? = try page.position()
        let records = try await database.transaction(as: call.role) { try $0.models(in: project, after: position, limit: page.limit + 1) }
        return .json(page.output(records, Self.model) { CreationPosition(createdAt: $0.createdAt, id: $0.id.uuid) })
    }

    func show(_ call: Call) async throws -> Response {
        let id: ModelID = try call.identifier("model", of: "model")
        return .json(Self.model.output(try await database.transaction(as: call.role) { try $0.model(id) }))
    }

    func delete(_ call: Call) async throws -> Response {
        let id: ModelID = try call.identifier("model", of: "model")
        return try await call.remove("model.delete", "model \(id)", in: database) { try $0.deleteModel(id) }
    }

    func showVersion(_ call: Call) async throws -> Response {
        let id: ModelVersionID = try call.identifier("version", of: "model version")
        return .json(Self.version.output(try await database.transaction(as: call.role) { try $0.modelVersion(id) }))
    }

    func deleteVersion(_ call: Call) async throws -> Response {
        let id: ModelVersionID = try call.identifier("version", of: "model version")
        return try await call.remove("model-version.delete", "model version \(id)", in: database) { try $0.deleteModelVersion(id) }
    }

    // MARK: Lineage

    /// `Lineage`, or `ImportLineage` under `import`, as it is stored.
    private static let facts: [Schema.Member] = [
        .optional("dataset", .identifier), .optional("dataset_name", .string), .optional("version", .integer(1...Int.max)),
        .optional("task", .choice(LearningTask.allCases.map(\.rawValue))), .optional("objective", .string), .optional("target", .string),
        .optional("experiment", .identifier), .optional("base", ExperimentRoutes.baseSchema, "the imported model that it goes on from"), .optional("template", .string, "of the best trial"),
        .optional("hyperparameters", .anyObject, "of the best trial"), .optional("seed", .integer(Int.min...Int.max)),
        .optional("trials", .array(.object([
            .required("trial", .identifier), .required("number", .count), .required("template", .string),
            .required("source", .string, "the template's YAML"), .required("hyperparameters", .anyObject), .required("seed", .count),
            .optional("score", .anyNumber),
        ])), "those that the model is made of, best first"),
        .optional("split", .string), .optional("threads", .count), .optional("binary", .string, "what trained it"),
        .optional("import", .object([
            .required("upload", .string, "its SHA-256"), .required("bytes", .count), .required("facts", .anyObject, "what the file says of its origin"),
            .required("binary", .string, "what imported it"),
        ]), "of a model that was trained elsewhere, instead of the others"),
    ]

    /// The facts as the evaluation recorded them, with a page of `items.jsonl`. The cursor is a place in that file.
    func lineage(_ call: Call) async throws -> Response {
        let id: ModelVersionID = try call.identifier("version", of: "model version")
        let page = try PageRequest(call)
        let position: Int64 = try page.position() ?? 0
        let record = try await database.transaction(as: call.role) { try $0.modelVersion(id) }
        var lines: [String] = []
        var next: Int64?
        // A file of an imported version is a stranger's, whatever it is called.
        if record.experiment != nil, let file = record.files.first(where: { $0.name == "items.jsonl" }) {
            (lines, next) = try await Self.lines(of: try await blobs.open(file.blob), from: Int(position), count: page.limit)
        }
        let facts = try JSONReader.read(Array(record.lineage.text.utf8))
        guard case .object(let members) = facts else { preconditionFailure("lineage is stored as an object") }
        return .json(.object(
            members.sorted { $0.key < $1.key }.filter { $0.key != "items" && $0.key != "next_cursor" }.map { ($0.key, .json($0.value)) } + [
                ("items", .array(lines.map(Output.raw))), ("next_cursor", next.map { .string(page.cursor(at: $0)) }),
            ]))
    }

    /// Whole lines from a place in the file, and the place behind them unless that is the file's end.
    private static func lines(of reader: BlobReader, from start: Int, count: Int) async throws -> ([String], next: Int64?) {
        let size = try await reader.size()
        guard (0...size).contains(start) else { throw Problem.invalidCursor }
        var lines: [String] = []
        var rest: [UInt8] = []
        var end = start
        for try await piece in reader.stream(start..<size, pieceBytes: 1 << 16) {
            rest += piece
            while lines.count < count, let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
                lines.append(String(decoding: rest[..<newline], as: UTF8.self))
                end += newline + 1
                rest.removeFirst(newline + 1)
            }
            if lines.count == count { break }
        }
        return (lines, end < size ? Int64(end) : nil)
    }

    // MARK: Files

    /// Names are compared with rows, never joined to a path.
    func file(_ call: Call) async throws -> Response {
        let id: ModelVersionID = try call.identifier("version", of: "model version")
        let name = call.parameters["name"] ?? ""
        guard let file = try await database.transaction(as: call.role, { try $0.modelFile(name, of: id) }) else {
            throw Problem.notFound("file")
        }
        var response = try await Response.blob(file.blob, from: blobs, mediaType: Self.mediaType(of: name), fileName: name)
        if name.hasSuffix(".html") {
            // Our own report, with what users called things in it: shown, but it can run nothing and reach nobody.
            response.headers[.contentSecurityPolicy] = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
            response.headers[.contentDisposition] = "inline"
        }
        return response
    }

    private static func mediaType(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "json": "application/json"
        case "jsonl": "application/jsonl"
        case "html": "text/html; charset=utf-8"
        default: "application/octet-stream"
        }
    }
}
