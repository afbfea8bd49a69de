internal import Foundation
package import SlipwayDomain
package import SlipwayPostgres

/// What a worker needs to know to import a version.
package struct VersionPlan: Sendable {
    package let task: LearningTask
    package let status: VersionStatus
    package let mode: VersionMode
    package let base: Int?
    package let format: String
    package let mediaType: String
    package let upload: Digest?
    package let target: String?
    package let relabelling: [Relabelling]?
    /// Of the base.
    package let baseProfile: DatasetProfile?

    init(_ row: Row) throws {
        task = try row["task"]
        status = try row["status"]
        mode = try row["mode"]
        base = try row["base"]
        format = try row["format"]
        mediaType = try row["media_type"]
        upload = try row["upload"]
        target = try row["target"]
        relabelling = try row.json("relabelling")
        baseProfile = try row.json("base_profile")
    }
}

/// Annotations for items that the base doesn't have.
package struct UnknownItems: Error, Hashable, Sendable {
    package let items: [String]
}

/// As the data set's organisation.
extension Transaction {
    package func versionPlan(_ version: VersionWork) throws -> VersionPlan {
        let plan = try queryFirst(
            """
            SELECT dataset.task, version.status, version.mode, version.base, version.format, version.media_type, version.upload,
                coalesce(version.target, base.target) AS target, version.relabelling, base.profile AS base_profile
            FROM dataset_version version JOIN dataset ON dataset.id = version.dataset_id
            LEFT JOIN dataset_version base ON base.dataset_id = version.dataset_id AND base.number = version.base
            WHERE version.dataset_id = \(version.dataset) AND version.number = \(version.version)
            """,
            decode: VersionPlan.init)
        guard let plan else { throw StoreError.notFound("data set version") }
        return plan
    }

    // MARK: The end of an import

    /// Makes the items of an upload those of the version, by its mode, and the version ready.
    ///
    /// - Parameters:
    ///   - items: writes the imported items, one after the other.
    ///   - rejected: writes what was rejected.
    package func finishImport(
        of version: VersionWork, _ plan: VersionPlan, summary: ImportSummary,
        items: ((ImportedItem) throws -> Void) throws -> Void, rejected: ((RejectedItem) throws -> Void) throws -> Void
    ) throws {
        let organisation = try self.organisation(of: version.dataset)
        try stage(items)
        try rejectTwins(in: version, organisation)
        let hasNames = plan.task.items.hasNames
        // Without names to go by, what is new replaces all.
        let replacesAll = plan.mode == .new || (plan.mode == .replace && !hasNames)
        try rebase(version, on: replacesAll ? nil : plan.base)
        if hasNames {
            switch plan.mode {
            case .append: try rejectKnownNames(in: version, organisation)
            case .replace: try dropReplaced(in: version)
            case .new, .relabel: break
            }
        }
        try execute(
            """
            WITH added AS (
                INSERT INTO item (organisation_id, dataset_id, name, born, split_hash, blob, media_type, bytes, width, height, row)
                SELECT \(organisation), \(version.dataset), name, \(version.version), split_hash, blob, media_type, bytes, width, height,
                    row
                FROM incoming ORDER BY position
                RETURNING id, name
            )
            INSERT INTO annotation (organisation_id, dataset_id, item_id, born, value)
            SELECT \(organisation), \(version.dataset), added.id, \(version.version), jsonb_build_object('label', incoming.label)
            FROM added JOIN incoming USING (name) WHERE incoming.label IS NOT NULL ORDER BY added.id
            """)
        try insertRejected(in: version, organisation, rejected)
        let profile = replacesAll ? summary.profile : summary.profile.merged(after: plan.baseProfile)
        try finish(version, plan.task, profile: profile, format: summary.format, warnings: summary.warnings)
    }

    /// Applies new annotations to the base's items as the version, and makes it ready.
    ///
    /// - Errors: `UnknownItems`.
    package func finishRelabelling(of version: VersionWork, _ plan: VersionPlan) throws {
        let organisation = try self.organisation(of: version.dataset)
        try rebase(version, on: plan.base)
        let changes = Dictionary((plan.relabelling ?? []).map { ($0.item, $0.annotation) }, uniquingKeysWith: { _, last in last })
        let known = changes.compactMap { item, annotation in Int64(item).map { (item: $0, label: annotation?.label) } }
            .sorted { $0.item < $1.item }
        try execute("CREATE TEMPORARY TABLE relabelled (asked bigint NOT NULL, id bigint NOT NULL, label text) ON COMMIT DROP")
        let asked: [Int64] = try query(
            """
            INSERT INTO relabelled
            SELECT change.item, item.id, change.label
            FROM unnest(\(known.map(\.item))::bigint[], \(known.map(\.label))::text[]) change(item, label)
            LEFT JOIN reborn ON reborn.original = change.item
            JOIN item ON item.id = coalesce(reborn.copy, change.item) AND item.dataset_id = \(version.dataset) AND item.died IS NULL
            RETURNING asked
            """,
            decode: { try $0["asked"] })
        let unknown = Set(changes.keys).subtracting(asked.map { String($0) })
        guard unknown.isEmpty else { throw UnknownItems(items: unknown.sorted()) }
        try execute(all: [
            "DELETE FROM annotation USING relabelled WHERE item_id = relabelled.id AND born = \(version.version)",
            """
            UPDATE annotation SET died = \(version.version) FROM relabelled
            WHERE item_id = relabelled.id AND died IS NULL AND born < \(version.version)
            """,
            """
            INSERT INTO annotation (organisation_id, dataset_id, item_id, born, value)
            SELECT \(organisation), \(version.dataset), id, \(version.version), jsonb_build_object('label', label)
            FROM relabelled WHERE label IS NOT NULL ORDER BY id
            """,
        ])
        guard let profile = plan.baseProfile else { throw StoreError.notFound("data set version") }
        try finish(version, plan.task, profile: profile, format: plan.format, warnings: [])
    }

    /// Ends an import that can't succeed. The version stays readable by its number; its upload may be collected, and is
    /// returned. A version that was deleted meanwhile is no error.
    package func failVersion(_ version: VersionWork, with problem: Problem) throws -> Digest? {
        let upload: Digest?? = try queryFirst(
            """
            SELECT upload FROM dataset_version
            WHERE dataset_id = \(version.dataset) AND number = \(version.version) AND status = 'importing' FOR UPDATE
            """,
            decode: { try $0["upload"] })
        try execute(
            """
            UPDATE dataset_version SET status = 'failed', problem = \(json: problem), upload = NULL, relabelling = NULL,
                finished_at = now()
            WHERE dataset_id = \(version.dataset) AND number = \(version.version) AND status = 'importing'
            """)
        return upload ?? nil
    }

    // MARK: Which items live in the version

    /// Makes what lives in `base` what is alive now (`died IS NULL`), for `version` to change further; nil: nothing lives.
    ///
    /// Where the base isn't the newest version: what was born after it dies; what died after it is born again, as a copy of
    /// the row. The temporary table `reborn` maps those items to their copies.
    private func rebase(_ version: VersionWork, on base: Int?) throws {
        let (dataset, number) = (version.dataset, version.version)
        let base = base ?? 0
        try execute("CREATE TEMPORARY TABLE reborn (original bigint PRIMARY KEY, copy bigint NOT NULL) ON COMMIT DROP")
        try execute(all: [
            "UPDATE annotation SET died = \(number) WHERE dataset_id = \(dataset) AND died IS NULL AND born > \(base)",
            "UPDATE item SET died = \(number) WHERE dataset_id = \(dataset) AND died IS NULL AND born > \(base)",
        ])
        guard base > 0 else { return }
        try execute(
            """
            INSERT INTO reborn SELECT id, nextval('item_id_seq') FROM item
            WHERE dataset_id = \(dataset) AND born <= \(base) AND died > \(base) ORDER BY id
            """)
        // Annotations first: the copies of items bring theirs along, and live items get back those that they had.
        try execute(all: [
            """
            INSERT INTO item (id, organisation_id, dataset_id, name, born, split_hash, blob, media_type, bytes, width, height, row)
            SELECT copy, organisation_id, dataset_id, name, \(number), split_hash, blob, media_type, bytes, width, height, row
            FROM reborn JOIN item ON item.id = original ORDER BY copy
            """,
            """
            INSERT INTO annotation (organisation_id, dataset_id, item_id, born, value)
            SELECT organisation_id, dataset_id, coalesce(copy, item_id), \(number), value
            FROM annotation LEFT JOIN reborn ON original = item_id
            WHERE dataset_id = \(dataset) AND born <= \(base) AND died > \(base)
            ORDER BY annotation.id
            """,
        ])
    }

    /// The upload's items, in a temporary table.
    private func stage(_ items: ((ImportedItem) throws -> Void) throws -> Void) throws {
        try execute(
            """
            CREATE TEMPORARY TABLE incoming (
                position bigint NOT NULL, name text NOT NULL, split_hash bigint NOT NULL, label text, blob bytea, media_type text,
                bytes bigint, width integer, height integer, row jsonb) ON COMMIT DROP
            """)
        var position: Int64 = 0
        let json = JSONEncoder.ordered()
        let columns = ["position", "name", "split_hash", "label", "blob", "media_type", "bytes", "width", "height", "row"]
        try copy(into: "incoming", columns: columns) { writer in
            try items { item in
                position += 1
                let fields = try item.row.map { try json.text(of: $0) }
                try writer.row(
                    position, item.name, item.splitHash, item.label, item.sha256.flatMap { Digest($0) }, item.mediaType,
                    item.bytes, item.width, item.height, fields)
            }
        }
        try execute("ANALYZE incoming")
    }

    /// A name that comes twice in one upload keeps its first item.
    private func rejectTwins(in version: VersionWork, _ organisation: OrganisationID) throws {
        try execute(
            """
            WITH twin AS (
                DELETE FROM incoming later USING (
                    SELECT position, row_number() OVER (PARTITION BY name ORDER BY position) AS place FROM incoming) numbered
                WHERE later.position = numbered.position AND place > 1 RETURNING later.name
            )
            \(sql: Self.rejectDuplicates(from: "twin", version, organisation, because: "the upload has this name twice"))
            """)
    }

    private func rejectKnownNames(in version: VersionWork, _ organisation: OrganisationID) throws {
        try execute(
            """
            WITH known AS (
                DELETE FROM incoming USING item
                WHERE item.dataset_id = \(version.dataset) AND item.died IS NULL AND item.name = incoming.name RETURNING incoming.name
            )
            \(sql: Self.rejectDuplicates(from: "known", version, organisation, because: "the base version has an item of this name"))
            """)
    }

    private static func rejectDuplicates(
        from source: SQL, _ version: VersionWork, _ organisation: OrganisationID, because reason: String
    ) -> SQL {
        """
        INSERT INTO rejected_item (organisation_id, dataset_id, version, name, code, reason)
        SELECT \(organisation), \(version.dataset), \(version.version), name, 'duplicate-item', \(reason) FROM \(sql: source) ORDER BY name
        """
    }

    /// Items of the base whose names come again die; a copy that was born for this version never was.
    private func dropReplaced(in version: VersionWork) throws {
        try execute("CREATE TEMPORARY TABLE replaced (id bigint NOT NULL) ON COMMIT DROP")
        try execute(
            """
            INSERT INTO replaced SELECT item.id FROM item JOIN incoming USING (name)
            WHERE item.dataset_id = \(version.dataset) AND item.died IS NULL
            """)
        try execute(all: [
            "DELETE FROM item USING replaced WHERE item.id = replaced.id AND item.born = \(version.version)",
            "DELETE FROM annotation USING replaced WHERE item_id = replaced.id AND annotation.born = \(version.version)",
            "UPDATE annotation SET died = \(version.version) FROM replaced WHERE item_id = replaced.id AND annotation.died IS NULL",
            "UPDATE item SET died = \(version.version) FROM replaced WHERE item.id = replaced.id",
        ])
    }

    private func insertRejected(
        in version: VersionWork, _ organisation: OrganisationID, _ rejected: ((RejectedItem) throws -> Void) throws -> Void
    ) throws {
        let columns = ["organisation_id", "dataset_id", "version", "name", "code", "reason", "line", "column"]
        try insertMany(into: "rejected_item", columns: columns) { writer in
            try rejected { item in
                try writer.row(
                    organisation, version.dataset, version.version, item.name, item.code, item.reason, item.line, item.column)
            }
        }
    }

    // MARK: Counts

    /// Counts what lives in the version and makes it ready.
    private func finish(_ version: VersionWork, _ task: LearningTask, profile: DatasetProfile, format: String, warnings: [String]) throws {
        let (dataset, number) = (version.dataset, version.version)
        var profile = profile
        let items: Int = try queryOne(
            "SELECT count(*) AS items FROM item WHERE dataset_id = \(dataset) AND died IS NULL", decode: { try $0["items"] })
        let labelled: Int = try queryOne(
            "SELECT count(*) AS items FROM annotation WHERE dataset_id = \(dataset) AND died IS NULL", decode: { try $0["items"] })
        profile.items = items
        profile.unlabelled = items - labelled
        profile.classes = try query(
            """
            SELECT label, count(*) AS items FROM annotation
            WHERE dataset_id = \(dataset) AND died IS NULL AND \(task.isClassification) GROUP BY label ORDER BY label COLLATE "C"
            """,
            decode: { ClassCount(name: try $0["label"], count: try $0["items"]) })
        if profile.medianWidth != nil {
            let medians: (Int?, Int?) = try queryOne(
                """
                SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY width) AS width,
                    percentile_disc(0.5) WITHIN GROUP (ORDER BY height) AS height
                FROM item WHERE dataset_id = \(dataset) AND died IS NULL
                """,
                decode: { (try $0["width"], try $0["height"]) })
            (profile.medianWidth, profile.medianHeight) = medians
        }
        try execute(
            """
            UPDATE dataset_version SET status = 'ready', finished_at = now(), upload = NULL, relabelling = NULL, format = \(format),
                items = \(items), unlabelled = \(items - labelled), classes = \(json: profile.classes), profile = \(json: profile),
                target = \(profile.target), columns = \(json: profile.columns), warnings = \(json: warnings),
                rejected = (SELECT count(*) FROM rejected_item WHERE dataset_id = \(dataset) AND version = \(number))
            WHERE dataset_id = \(dataset) AND number = \(number)
            """)
        try execute("UPDATE dataset SET latest_version = greatest(latest_version, \(number)) WHERE id = \(dataset)")
    }

    private func organisation(of dataset: DatasetID) throws -> OrganisationID {
        let found: OrganisationID? = try queryFirst(
            "SELECT organisation_id FROM dataset WHERE id = \(dataset)", decode: { try $0["organisation_id"] })
        guard let found else { throw StoreError.notFound("data set") }
        return found
    }
}
