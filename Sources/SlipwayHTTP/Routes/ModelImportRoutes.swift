internal import Hummingbird
internal import NIOCore
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore
internal import SlipwayTasks

/// Models that were trained elsewhere.
struct ModelImportRoutes {
    let database: Database
    let blobs: BlobStore
    let metrics: Metrics

    static let accepted = View<AcceptedModel>("AcceptedModel", [
        .always("model", .identifier) { .text($0.model) },
        .always("model_version", .identifier) { .text($0.version) },
        .always("version", .integer(1...Int.max)) { .integer($0.number) },
        .always("job", .identifier) { .text($0.job) },
    ])

    private static let mediaTypes = [
        "application/octet-stream", "application/onnx", "application/x-onnx", "application/zip", "application/x-zip-compressed",
    ]

    var routes: [Route] {
        [
            Route(
                .post, "/v1/projects/{project}/models/import", .scope(.write),
                "Bring a model: the body is an ONNX file, a zip with one and its external data beside it, or a network's weights as safetensors",
                query: [
                    QueryParameter(name: "name", schema: .name, note: "of the model, which gets a version; `imported` by default"),
                    QueryParameter(name: "network", schema: .name, note: "of the library's, whose weights the body is, by the names that it has for them"),
                    QueryParameter(name: "classes", schema: .integer(1...1_000_000), note: "of that network; as many as it was published with by default"),
                ],
                body: .stream(Self.mediaTypes), status: .accepted, content: .json(Self.accepted.reference), isIdempotent: true,
                handle: bring)
        ]
    }

    /// As an upload of data: the bytes go to the object store as they come, then one transaction makes them a version, which a worker imports.
    func bring(_ call: Call) async throws -> Response {
        let project: ProjectID = try call.identifier("project", of: "project")
        let mediaType = try call.requireMediaType(Self.mediaTypes)
        let name = call.query[text: "name"] ?? "imported"
        let network = call.query[text: "network"].map { NetworkChoice(name: $0, classes: call.query[integer: "classes"]) }
        if let network {
            try network.check()
        } else if call.query[integer: "classes"] != nil {
            throw Problem.invalidParameter("classes", "parameter-unknown", "is of a network, and none is named")
        }
        _ = try await database.transaction(as: call.role) { try $0.project(project) }

        let staged = try await call.stage(in: blobs, check: network == nil ? FileSignature.checkModel : FileSignature.checkWeights) {
            Problem(422, "model-empty", title: "The file is empty", detail: "the upload has no bytes")
        }
        metrics.uploaded(bytes: staged.bytes)
        let blobs = blobs
        return try await call.create("model.import", body: staged.digest, in: database) { transaction in
            let accepted = try transaction.acceptModel(
                staged.digest, bytes: staged.bytes, mediaType: mediaType, network: network, named: name, in: project, requestID: call.id
            ) { try blobs.place([staged]) }
            return Created(
                object: "model version \(accepted.version)", location: "/v1/model-versions/\(accepted.version)",
                output: Self.accepted.output(accepted))
        }
    }
}
