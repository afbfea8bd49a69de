package import SlipwayDomain
package import SlipwayPostgres

/// A version that was accepted: importing it is a job's work.
package struct AcceptedVersion: Hashable, Sendable {
    package let number: Int
    package let job: JobID
}

/// What makes a new version of a data set.
package struct NewVersion: Sendable {
    package var dataset: DatasetID
    package var mode: VersionMode
    /// The version to build on; nil with a mode other than `new`: the latest one that is ready.
    package var base: Int?
    /// `auto`, `image-folder`, `csv`.
    package var format: String
    /// As the request said it, with its parameters (`text/csv; charset=gbk`).
    package var mediaType: String
    /// A table's label column.
    package var target: String?
    package var requestID: String

    package init(
        dataset: DatasetID, mode: VersionMode, base: Int? = nil, format: String = "auto", mediaType: String,
        target: String? = nil, requestID: String
    ) {
        self.dataset = dataset
        self.mode = mode
        self.base = base
        self.format = format
        self.mediaType = mediaType
        self.target = target
        self.requestID = requestID
    }
}

/// One change of an annotation: nil takes the label away.
package struct Relabelling: Codable, Hashable, Sendable {
    package struct Annotation: Codable, Hashable, Sendable {
        package var label: String
        package init(label: String) { self.label = label }
    }

    package var item: String
    package var annotation: Annotation?

    package init(item: String, annotation: Annotation?) {
        self.item = item
        self.annotation = annotation
    }
}

/// As the data set's organisation.
extension Transaction {
    /// Takes an upload: the version's row, the reference to the bytes and the job that imports them, in one transaction.
    ///
    /// - Parameter place: gives the staged file its name, `BlobStore.place`.
    /// - Errors: `StoreError.notFound` for the data set; a `Problem` that names the parameter `base`.
    package func acceptUpload(
        _ upload: Digest, bytes: Int, as version: NewVersion, place: () throws -> Void
    ) throws -> AcceptedVersion {
        let (number, owner, base) = try nextVersion(version)
        try publish(upload, bytes: bytes, place: place)
        try execute(
            """
            INSERT INTO dataset_version (dataset_id, number, organisation_id, mode, base, format, media_type, upload, target)
            VALUES (\(version.dataset), \(number), \(owner.organisation), \(version.mode), \(base), \(version.format),
                    \(version.mediaType), \(upload), \(version.target))
            """)
        return try enqueueImport(JobWork.importVersion, VersionWork(dataset: version.dataset, version: number), owner, version.requestID)
    }

    /// Takes new annotations for the items of a version, as the next version.
    ///
    /// - Errors: `StoreError.notFound` for the data set or the base.
    package func acceptRelabelling(
        _ changes: [Relabelling], of dataset: DatasetID, base: Int, requestID: String
    ) throws -> AcceptedVersion {
        let version = NewVersion(dataset: dataset, mode: .relabel, base: base, mediaType: "", requestID: requestID)
        let (number, owner, _) = try nextVersion(version)
        try execute(
            """
            INSERT INTO dataset_version (dataset_id, number, organisation_id, mode, base, format, media_type, relabelling, target, columns)
            SELECT dataset_id, \(number), organisation_id, 'relabel', number, format, media_type, \(json: changes), target, columns
            FROM dataset_version WHERE dataset_id = \(dataset) AND number = \(base)
            """)
        return try enqueueImport(JobWork.relabelVersion, VersionWork(dataset: dataset, version: number), owner, requestID)
    }

    private typealias Owner = (organisation: OrganisationID, project: ProjectID)

    /// Takes the next number. The data set's row is locked until the end of the transaction, so numbers and jobs have one order.
    private func nextVersion(_ version: NewVersion) throws -> (number: Int, owner: Owner, base: Int?) {
        let found: (Int, Owner, Int?)? = try queryFirst(
            """
            UPDATE dataset SET next_version = next_version + 1 WHERE id = \(version.dataset)
            RETURNING next_version - 1 AS number, organisation_id, project_id, latest_version
            """,
            decode: { (try $0["number"], (try $0["organisation_id"], try $0["project_id"]), try $0["latest_version"]) })
        guard let (number, owner, latest) = found else { throw StoreError.notFound("data set") }
        return (number, owner, try base(of: version, latest: latest))
    }

    /// The version that a new one builds on; nil for one that stands alone.
    ///
    /// - Errors: `Problem` 422 that names the parameter, for an upload; `StoreError.notFound` for new labels.
    package func base(of version: NewVersion, latest: Int?) throws -> Int? {
        guard version.mode != .new else { return nil }
        guard let base = version.base ?? latest else { throw Problem.unknownBase(version.base) }
        let isReady = try execute(
            """
            SELECT FROM dataset_version WHERE dataset_id = \(version.dataset) AND number = \(base) AND status = 'ready'
            """) == 1
        guard isReady else { throw version.mode == .relabel ? StoreError.notFound("data set version") : Problem.unknownBase(base) }
        return base
    }

    private func enqueueImport(
        _ work: (VersionWork) -> JobWork, _ version: VersionWork, _ owner: Owner, _ requestID: String
    ) throws -> AcceptedVersion {
        let job = try enqueue(
            work(version), organisation: owner.organisation, project: owner.project, serialKey: "dataset:\(version.dataset)",
            requestID: requestID)
        return AcceptedVersion(number: version.version, job: job)
    }
}

extension Problem {
    fileprivate static func unknownBase(_ number: Int?) -> Problem {
        let detail = number.map { "the data set has no version \($0) that is ready" } ?? "the data set has no version yet to build on"
        return Problem(
            422, "base-unknown", title: "There is no such base version", detail: detail,
            errors: [.init(parameter: "base", code: "base-unknown", detail: detail)])
    }
}
