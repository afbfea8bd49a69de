internal import Hummingbird
internal import NIOCore
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore
internal import SlipwayTasks

/// New versions of a data set: from an uploaded file, or by new labels for the items of another version.
struct UploadRoutes {
    let database: Database
    let blobs: BlobStore
    let metrics: Metrics

    struct Accepted: Sendable {
        let dataset: DatasetID
        let version: AcceptedVersion
    }

    static let accepted = View<Accepted>("AcceptedVersion", [
        .always("version", .integer(1...Int.max)) { .integer($0.version.number) },
        .always("job", .identifier) { .text($0.version.job) },
    ])

    static let mediaTypes = [
        "application/zip", "application/x-zip-compressed", "text/csv", "text/tab-separated-values", "application/octet-stream",
    ]

    private static let relabelling = Schema.array(
        .object([
            .required("item", .identifier),
            .required("annotation", .nullable(.object([.required("label", .text(maximum: 1000))])), "null takes the label away"),
        ]), count: 1...100_000)

    var routes: [Route] {
        [
            Route(
                .post, "/v1/datasets/{dataset}/versions", .scope(.write),
                "Upload a file as the next version: the body is the file itself",
                query: [
                    QueryParameter(
                        name: "format", schema: .choice(["auto", "image-folder", "csv"]), note: "of the file; `auto` by default"),
                    QueryParameter(
                        name: "base", schema: .integer(1...Int(Int32.max)), note: "the version to build on; the latest by default"),
                    QueryParameter(name: "mode", schema: .choice(["append", "replace"]), note: "how to build on the base"),
                    QueryParameter(name: "target", schema: .name, note: "a table's label column; the last one by default"),
                    QueryParameter(name: "encoding", schema: .name, note: "a table's text encoding, where it isn't UTF-8"),
                ],
                body: .stream(Self.mediaTypes), status: .accepted, content: .json(Self.accepted.reference), isIdempotent: true,
                handle: upload),
            Route(
                .post, "/v1/datasets/{dataset}/versions/{version}/annotations", .scope(.write),
                "Label items anew: the next version has the given annotations",
                body: .json(Self.relabelling, limit: 16 << 20), status: .accepted, content: .json(Self.accepted.reference),
                isIdempotent: true,
                handle: relabel),
        ]
    }

    /// The bytes go to the object store as they come, then one transaction makes them a version. A client that goes away
    /// leaves nothing: what is staged is removed with its writer.
    func upload(_ call: Call) async throws -> Response {
        let dataset: DatasetID = try call.identifier("dataset", of: "data set")
        var mediaType = try call.requireMediaType(Self.mediaTypes)
        let given = call.request.headers[.contentType] ?? mediaType
        if let encoding = call.query[text: "encoding"] {
            mediaType += "; charset=\(encoding)"
        } else if let parameters = given.firstIndex(of: ";") {
            mediaType += given[parameters...].prefix(100)
        }
        let format = call.query[text: "format"] ?? "auto", target = call.query[text: "target"]
        let version = NewVersion(
            dataset: dataset,
            mode: call.query[text: "mode"].flatMap(VersionMode.init) ?? (call.query[integer: "base"] == nil ? .new : .append),
            base: call.query[integer: "base"], format: format, mediaType: mediaType, target: target,
            requestID: call.id)
        // Before ten gigabytes are read for nothing.
        let task = try await database.transaction(as: call.role) { transaction in
            let dataset = try transaction.dataset(dataset)
            try checkUpload(
                format: format, target: target, encoding: call.query[text: "encoding"], charset: call.charset, for: dataset.task)
            _ = try transaction.base(of: version, latest: dataset.latestVersion)
            return dataset.task
        }

        let staged = try await call.stage(in: blobs) { try FileSignature.check($0, for: task) } whenEmpty: { FileSignature.emptiness(for: task) }
        metrics.uploaded(bytes: staged.bytes)
        let blobs = blobs
        return try await call.create("dataset-version.upload", body: staged.digest, in: database) { transaction in
            let accepted = try transaction.acceptUpload(staged.digest, bytes: staged.bytes, as: version) { try blobs.place([staged]) }
            return Created(
                object: "dataset \(dataset) version \(accepted.number)", location: "/v1/datasets/\(dataset)/versions/\(accepted.number)",
                output: Self.accepted.output(Accepted(dataset: dataset, version: accepted)))
        }
    }

    func relabel(_ call: Call) async throws -> Response {
        let (dataset, base) = try call.datasetVersion()
        let (body, digest) = try await call.json()
        guard case .array(let elements) = body else { preconditionFailure("the schema wants an array") }
        let changes = elements.map { element in
            Relabelling(
                item: element["item"]?.stringValue ?? "",
                annotation: element["annotation"]?["label"]?.stringValue.map(Relabelling.Annotation.init(label:)))
        }
        try Self.check(changes, for: try await database.transaction(as: call.role) { try $0.dataset(dataset).task })
        return try await call.create("dataset-version.relabel", body: digest, in: database) { transaction in
            guard try transaction.datasetVersion(base, of: dataset).status == .ready else {
                throw Problem(
                    422, "dataset-not-ready", title: "The version can't be labelled anew",
                    detail: "version \(base) of the data set isn't ready")
            }
            let accepted = try transaction.acceptRelabelling(changes, of: dataset, base: base, requestID: call.id)
            return Created(
                object: "dataset \(dataset) version \(accepted.number)", location: "/v1/datasets/\(dataset)/versions/\(accepted.number)",
                output: Self.accepted.output(Accepted(dataset: dataset, version: accepted)))
        }
    }
}

extension Call {
    /// The body's bytes, in the object store's staging folder.
    ///
    /// - Parameter check: looks at the first bytes, before the others are read.
    func stage(in blobs: BlobStore, check: ([UInt8]) throws -> Void, whenEmpty emptiness: () -> Problem) async throws -> StagedBlob {
        guard request.headers[.transferEncoding] != nil || request.headers[.contentLength] != nil else { throw Refusal.bodyMissing }
        let body = try stream(
            upTo: limits.uploadBytes,
            pace: .minimum(bytes: limits.uploadPaceBytes, window: limits.uploadPaceTime, total: limits.uploadTime))
        let writer = try await blobs.stage()
        var head: [UInt8] = []
        for try await piece in body {
            if head.count < FileSignature.length {
                head += piece.readableBytesView.prefix(FileSignature.length - head.count)
                if head.count == FileSignature.length { try check(head) }
            }
            try await writer.append(piece.readableBytesView)
        }
        guard !head.isEmpty else { throw emptiness() }
        if head.count < FileSignature.length { try check(head) }
        return try await writer.finish()
    }
}

extension UploadRoutes {
    /// - Errors: `Problem` 422 naming the first places at fault.
    private static func check(_ changes: [Relabelling], for task: LearningTask) throws(Problem) {
        var faults: [Problem.Place] = []
        var places: [String: Int] = [:]
        for (index, change) in changes.enumerated() where faults.count < 20 {
            if let first = places.updateValue(index, forKey: change.item) {
                faults.append(
                    .init(
                        pointer: "/\(index)/item", code: "item-repeated",
                        detail: "the item '\(change.item)' is named at /\(first)/item too"))
            }
            if let label = change.annotation?.label, let fault = Label.fault(in: label, for: task) {
                faults.append(.init(pointer: "/\(index)/annotation/label", code: fault.code, detail: fault.detail))
            }
        }
        guard let first = faults.first else { return }
        throw Problem(
            422, "labels-invalid", title: "These labels can't be given", detail: "\(first.pointer ?? ""): \(first.detail)", errors: faults)
    }
}

/// A look at a file's first bytes: what plainly isn't what the task takes is refused at once, the rest is import's to judge.
enum FileSignature {
    static let length = 8

    static func check(_ head: [UInt8], for task: LearningTask) throws {
        let found = kind(of: head)
        switch task.items {
        case .rows:
            if let found { throw mismatch("a table of separated values (text/csv)", "begins like \(found)") }
        case .pictures:
            guard head.starts(with: [0x50, 0x4B, 0x03, 0x04]) || head.starts(with: [0x50, 0x4B, 0x05, 0x06]) else {
                throw mismatch("a zip of pictures (application/zip)", found.map { "begins like \($0)" } ?? "doesn't begin like a zip")
            }
        }
    }

    /// A model is a zip, or nothing that is known to be something else.
    static func checkModel(_ head: [UInt8]) throws {
        if head.count > 1, head[0] == 0x80, (2...5).contains(head[1]) {
            throw Problem(
                415, "model-format-unsafe", title: "This format isn't taken", detail: "a pickle is a program: export the model to ONNX")
        }
        guard let found = kind(of: head), !head.starts(with: [0x50, 0x4B]) else { return }
        throw Problem(
            415, "media-type-mismatch", title: "The file isn't a model", detail: "an ONNX file or a zip is taken, and the body begins like \(found)")
    }

    /// Weights as safetensors begin with a number, which may look like anything; a zip, as torch saves it, they are not.
    static func checkWeights(_ head: [UInt8]) throws {
        guard head.starts(with: [0x50, 0x4B]) else { return }
        throw Problem(
            415, "model-format-unsafe", title: "This format isn't taken", detail: "weights are safetensors, and the body is a zip, which may hold programs")
    }

    static func emptiness(for task: LearningTask) -> Problem {
        let code = switch task.items {
        case .rows: "table-empty"
        case .pictures: "archive-empty"
        }
        return Problem(422, code, title: "The file is empty", detail: "the upload has no bytes")
    }

    private static func kind(of head: [UInt8]) -> String? {
        let signatures: [([UInt8], String)] = [
            ([0x50, 0x4B, 0x03, 0x04], "a zip"), ([0x50, 0x4B, 0x05, 0x06], "an empty zip"), ([0x1F, 0x8B], "a gzip"),
            ([0x89, 0x50, 0x4E, 0x47], "a PNG picture"), ([0xFF, 0xD8, 0xFF], "a JPEG picture"), ([0x25, 0x50, 0x44, 0x46], "a PDF"),
            ([0xD0, 0xCF, 0x11, 0xE0], "an old Office document"), ([0x37, 0x7A, 0xBC, 0xAF], "a 7z archive"),
            ([0x52, 0x61, 0x72, 0x21], "a RAR archive"), ([0x7F, 0x45, 0x4C, 0x46], "a program"),
        ]
        return signatures.first { head.starts(with: $0.0) }?.1
    }

    private static func mismatch(_ wanted: String, _ found: String) -> Problem {
        Problem(
            415, "media-type-mismatch", title: "The file isn't what this data set takes",
            detail: "the data set takes \(wanted), and the body \(found)")
    }
}
