internal import HTTPTypes
internal import Hummingbird
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// Versions of a data set: what they hold and what was rejected. `UploadRoutes` makes them.
struct VersionRoutes {
    let database: Database

    static let view = View<DatasetVersionRecord>("DatasetVersion", [
        .always("dataset", .identifier) { .text($0.dataset) },
        .always("version", .integer(1...Int.max)) { .integer($0.number) },
        .always("status", .choice(["importing", "ready", "failed"])) { .string($0.status.rawValue) },
        .always("mode", .choice(["new", "append", "replace", "relabel"])) { .string($0.mode.rawValue) },
        .sometimes("base", .integer(1...Int.max)) { $0.base.map(Output.integer) },
        .always("format", .string) { .string($0.format) },
        .always("media_type", .string) { .string($0.mediaType) },
        .sometimes("target", .string) { $0.target.map(Output.string) },
        .always("items", .count) { .integer($0.items) },
        .always("unlabelled", .count) { .integer($0.unlabelled) },
        .always("classes", .array(.object([.required("name", .string), .required("count", .count)]))) { .raw($0.classes.text) },
        .always("rejected", .count) { .integer($0.rejected) },
        .sometimes("profile", .anyObject) { $0.profile.map { .raw($0.text) } },
        .always("warnings", .names) { .raw($0.warnings.text) },
        .sometimes("problem", .reference("Problem")) { $0.problem.map { .raw($0.text) } },
        .always("created_at", .time) { .time($0.createdAt) },
        .sometimes("finished_at", .time) { $0.finishedAt.map(Output.time) },
    ])

    static let rejected = View<RejectedItemRecord>("RejectedItem", [
        .always("name", .string) { .string($0.item.name) },
        .always("code", .string) { .string($0.item.code) },
        .always("reason", .string) { .string($0.item.reason) },
        .sometimes("line", .integer(1...Int.max)) { $0.item.line.map(Output.integer) },
        .sometimes("column", .string) { $0.item.column.map(Output.string) },
    ])

    private static let path = "/v1/datasets/{dataset}/versions/{version}"

    var routes: [Route] {
        [
            Route(.get, "/v1/datasets/{dataset}/versions", .scope(.read), "List the versions that are ready", query: QueryParameter.page,
                content: .list(Self.view.reference), handle: list),
            Route(
                .get, Self.path, .scope(.read), "Show a version, also one that failed", content: .json(Self.view.reference),
                handle: show),
            Route(
                .delete, Self.path, .scope(.write), "Delete a version that no experiment was made from", status: .noContent,
                content: .none,
                handle: delete),
            Route(.get, Self.path + "/rejected", .scope(.read), "List what the import left out, and why", query: QueryParameter.page,
                content: .list(Self.rejected.reference), handle: rejected),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let dataset: DatasetID = try call.identifier("dataset", of: "data set")
        let page = try PageRequest(call)
        let position: Int64? = try page.position()
        let records = try await database.transaction(as: call.role) {
            try $0.datasetVersions(of: dataset, after: position, limit: page.limit + 1)
        }
        return .json(page.output(records, Self.view) { Int64($0.number) })
    }

    func show(_ call: Call) async throws -> Response {
        let (dataset, number) = try call.datasetVersion()
        return .json(Self.view.output(try await database.transaction(as: call.role) { try $0.datasetVersion(number, of: dataset) }))
    }

    func rejected(_ call: Call) async throws -> Response {
        let (dataset, number) = try call.datasetVersion()
        let page = try PageRequest(call)
        let position: Int64? = try page.position()
        let records = try await database.transaction(as: call.role) {
            try $0.rejectedItems(ofVersion: number, of: dataset, after: position, limit: page.limit + 1)
        }
        return .json(page.output(records, Self.rejected, position: \.id))
    }

    func delete(_ call: Call) async throws -> Response {
        let (dataset, number) = try call.datasetVersion()
        return try await call.remove("dataset-version.delete", "dataset \(dataset) version \(number)", in: database) {
            try $0.deleteDatasetVersion(number, of: dataset)
        }
    }
}

extension Call {
    func datasetVersion() throws -> (DatasetID, Int) {
        (try identifier("dataset", of: "data set version"), try number("version", of: "data set version"))
    }
}
