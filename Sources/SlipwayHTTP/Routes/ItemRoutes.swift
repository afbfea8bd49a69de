internal import HTTPTypes
internal import Hummingbird
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// The items of a data set version, and their bytes.
struct ItemRoutes {
    let database: Database
    let blobs: BlobStore

    struct Shown: Sendable {
        let item: ItemRecord
        let columns: [String]
        let path: String
    }

    static let view = View<Shown>("Item", [
        .always("id", .identifier) { .text($0.item.id) },
        .always("name", .string) { .string($0.item.name) },
        .always("annotation", .nullable(.anyObject)) { $0.item.annotation.map { .raw($0.text) } ?? .null },
        .always("split", .nullable(.choice(["train", "test"]))) { $0.item.split.map { .string($0.rawValue) } ?? .null },
        .sometimes("media_type", .string) { $0.item.mediaType.map(Output.string) },
        .sometimes("bytes", .count) { $0.item.bytes.map(Output.integer) },
        .sometimes("width", .count) { $0.item.width.map(Output.integer) },
        .sometimes("height", .count) { $0.item.height.map(Output.integer) },
        .sometimes("row", .map(.nullable(.string))) { row($0) },
        .always("content", .string) { .string("\($0.path)/\($0.item.id)/content") },
    ])

    private static func row(_ shown: Shown) -> Output? {
        shown.item.row.map { fields in .object(zip(shown.columns, fields).map { ($0, $1.map(Output.string) ?? .null) }) }
    }

    private static let path = "/v1/datasets/{dataset}/versions/{version}/items"

    var routes: [Route] {
        [
            Route(.get, Self.path, .scope(.read), "List a version's items",
                query: QueryParameter.page + [
                    QueryParameter(name: "label", schema: .text(maximum: 1000), note: "only items of this label"),
                    QueryParameter(name: "split", schema: .choice(Split.allCases.map(\.rawValue)), note: "only items of this side"),
                ],
                content: .list(Self.view.reference), handle: list),
            Route(
                .get, Self.path + "/{item}/content", .scope(.read), "A picture's bytes, or a table's row", content: .bytes,
                handle: content),
        ]
    }

    func list(_ call: Call) async throws -> Response {
        let (dataset, number) = try call.datasetVersion()
        let page = try PageRequest(call)
        let position: Int64? = try page.position()
        let label = call.query[text: "label"], split = call.query[text: "split"].flatMap(Split.init)
        let path = "/v1/datasets/\(dataset)/versions/\(number)/items"
        let items = try await database.transaction(as: call.role) { transaction in
            let version = try transaction.datasetVersion(number, of: dataset)
            guard version.status == .ready else { return [Shown]() }
            let columns = try transaction.columnNames(ofVersion: number, of: dataset)
            return try transaction.items(
                ofVersion: number, of: try transaction.dataset(dataset), label: label, split: split, after: position, limit: page.limit + 1
            ).map { Shown(item: $0, columns: columns, path: path) }
        }
        return .json(page.output(items, Self.view, position: \.item.id))
    }

    func content(_ call: Call) async throws -> Response {
        let (dataset, number) = try call.datasetVersion()
        guard let id = call.parameters["item"].flatMap({ Int64($0) }) else { throw Problem.notFound("item") }
        let (item, columns) = try await database.transaction(as: call.role) { transaction in
            (try transaction.item(id, ofVersion: number, of: dataset), try transaction.columnNames(ofVersion: number, of: dataset))
        }
        guard let blob = item.blob else {
            let fields = zip(columns, item.row ?? []).map { ($0, $1.map(Output.string) ?? Output.null) }
            return .json(.object(fields))
        }
        return try await .blob(blob, from: blobs, mediaType: item.mediaType ?? "application/octet-stream", fileName: item.name)
    }
}

extension Response {
    /// A client's own bytes, streamed: as a download, and harmless where a browser shows it all the same.
    static func blob(_ digest: Digest, from blobs: BlobStore, mediaType: String, fileName: String) async throws -> Response {
        // A download that breaks off at its last byte would tell less.
        try await blobs.verify(digest)
        let reader = try await blobs.open(digest)
        return Response(
            status: .ok,
            headers: [
                .contentType: mediaType, .eTag: "\"\(digest.description.prefix(16))\"",
                .contentDisposition:
                    "attachment; filename*=UTF-8''\((fileName.split(separator: "/").last.map(String.init) ?? "item").percentEncoded)",
                .contentSecurityPolicy: "default-src 'none'; sandbox",
            ],
            body: .blob(reader, bytes: try await reader.size()))
    }
}

extension ResponseBody {
    static func blob(_ reader: BlobReader, bytes: Int) -> ResponseBody {
        ResponseBody(contentLength: bytes) { writer in
            for try await piece in reader.stream() { try await writer.write(ByteBuffer(bytes: piece)) }
            try await writer.finish(nil)
        }
    }
}
