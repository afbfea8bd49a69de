package import SlipwayDomain
package import SlipwayPostgres

/// A model version that was accepted: importing it is a job's work.
package struct AcceptedModel: Hashable, Sendable {
    package let model: ModelID
    package let version: ModelVersionID
    package let number: Int
    package let job: JobID
}

/// What a worker needs to know to import a model.
package struct ModelImportTask: Sendable {
    package let upload: Digest
    package let bytes: Int
}

/// Where an imported model comes from: the API's lineage.
package struct ImportLineage: Codable, Sendable {
    /// SHA-256 and bytes of what was uploaded.
    package var upload: String
    package var bytes: Int
    /// What the file says of its origin, and how the model runs here.
    package var facts: [String: SlipwayDomain.JSON]
    /// What imported it: name, version and SHA-256 of the executable.
    package var binary: String
}

/// As the project's organisation.
extension Transaction {
    /// Takes an upload as the next version of the model of this name: rows, the reference to the bytes, and the job that imports them, in one
    /// transaction.
    ///
    /// - Parameters:
    ///   - network: whose weights the upload is; nil where it is an ONNX model.
    ///   - place: gives the staged file its name, `BlobStore.place`.
    /// - Errors: `StoreError.notFound` for the project; `StoreError.nameTaken` by a model that was trained here.
    package func acceptModel(
        _ upload: Digest, bytes: Int, mediaType: String, network: NetworkChoice?, named name: String, in project: ProjectID, requestID: String,
        place: () throws -> Void
    ) throws -> AcceptedModel {
        _ = try self.project(project)
        try publish(upload, bytes: bytes, place: place)
        let line: (model: ModelID, organisation: OrganisationID, number: Int)? = try queryFirst(
            """
            INSERT INTO model (organisation_id, project_id, name, next_version)
            SELECT organisation_id, id, \(name), 2 FROM project WHERE id = \(project)
            ON CONFLICT (project_id, name) DO UPDATE SET next_version = model.next_version + 1 WHERE model.task IS NULL
            RETURNING id, organisation_id, next_version - 1 AS number
            """,
            decode: { (try $0["id"], try $0["organisation_id"], try $0["number"]) })
        guard let line else { throw StoreError.nameTaken("model", name: name) }
        let version: ModelVersionID = try queryOne(
            """
            INSERT INTO model_version
                (organisation_id, model_id, number, status, upload, media_type, classes, inputs, metrics, lineage)
            VALUES (\(line.organisation), \(line.model), \(line.number), 'importing', \(upload), \(mediaType), '[]', 'null', '{}', '{}')
            RETURNING id
            """,
            decode: { try $0["id"] })
        let job = try enqueue(
            .importModel(ModelImportWork(modelVersion: version, network: network)), organisation: line.organisation, project: project, requestID: requestID)
        return AcceptedModel(model: line.model, version: version, number: line.number, job: job)
    }

    /// Nil when there is nothing to be imported any more.
    package func modelImport(_ work: ModelImportWork) throws -> ModelImportTask? {
        try queryFirst(
            """
            SELECT upload, blob.bytes FROM model_version JOIN blob ON blob.sha256 = upload
            WHERE id = \(work.modelVersion) AND status = 'importing'
            """,
            decode: { ModelImportTask(upload: try $0["upload"], bytes: try $0["bytes"]) })
    }

    /// Makes the version ready, with its files. One that was deleted meanwhile is no error.
    package func finishModelImport(
        _ work: ModelImportWork, _ task: ModelImportTask, _ result: ModelImportResult, files: [NewModelFile], binary: String, place: () throws -> Void
    ) throws {
        try publish(files.map { ($0.digest, $0.bytes) }, place: place)
        let lineage = ImportLineage(upload: task.upload.description, bytes: task.bytes, facts: result.facts, binary: binary)
        let finished = try execute(
            """
            UPDATE model_version SET status = 'ready', upload = NULL, inputs = \(json: result.inputs), outputs = \(json: result.outputs),
                lineage = jsonb_build_object('import', \(json: lineage)::jsonb)
            WHERE id = \(work.modelVersion) AND status = 'importing'
            """)
        guard finished == 1 else { return }
        try execute(
            """
            INSERT INTO model_file (model_version_id, name, organisation_id, blob, bytes)
            SELECT id, file.name, organisation_id, file.blob, file.bytes
            FROM model_version, unnest(\(files.map(\.name))::text[], \(files.map(\.digest))::bytea[], \(files.map(\.bytes))::bigint[])
                AS file(name, blob, bytes)
            WHERE id = \(work.modelVersion)
            """)
    }

    /// Ends an import that can't succeed. The version stays readable; its upload may be collected, and is returned.
    package func failModelImport(_ work: ModelImportWork, with problem: Problem) throws -> Digest? {
        let upload: Digest?? = try queryFirst(
            "SELECT upload FROM model_version WHERE id = \(work.modelVersion) AND status = 'importing' FOR UPDATE",
            decode: { try $0["upload"] })
        try execute(
            """
            UPDATE model_version SET status = 'failed', problem = \(json: problem), upload = NULL
            WHERE id = \(work.modelVersion) AND status = 'importing'
            """)
        return upload ?? nil
    }
}
