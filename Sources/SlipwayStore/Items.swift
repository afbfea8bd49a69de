package import SlipwayDomain
package import SlipwayPostgres

/// An item as one version has it.
package struct ItemRecord: Sendable {
    package let id: Int64
    package let name: String
    package let blob: Digest?
    package let mediaType: String?
    package let bytes: Int?
    package let width: Int?
    package let height: Int?
    package let row: [String?]?
    /// Nil: unlabelled.
    package let annotation: RawJSON?
    /// Nil: unlabelled items are on no side.
    package let split: Split?

    init(_ row: Row) throws {
        id = try row["id"]
        name = try row["name"]
        blob = try row["blob"]
        mediaType = try row["media_type"]
        bytes = try row["bytes"]
        width = try row["width"]
        height = try row["height"]
        self.row = try row.json("row", as: [String?]?.self)
        annotation = try row["annotation"]
        split = try row["split"]
    }
}

extension Split: PostgresEncodable, PostgresDecodable {}

extension Transaction {
    /// The items of a version in the order of their ids. The split is `Split.sides`, said in SQL: a test holds them to
    /// each other.
    package func items(
        ofVersion version: Int, of dataset: DatasetRecord, label: String?, split: Split?, after id: Int64?, limit: Int
    ) throws -> [ItemRecord] {
        let group: SQL = dataset.task.isClassification ? "label" : "true"
        return try query("""
            WITH labelled AS (
                SELECT i.id, i.split_hash, a.id AS annotation, a.label
                FROM item AS i LEFT JOIN annotation AS a
                    ON a.item_id = i.id AND a.born <= \(version) AND (a.died IS NULL OR a.died > \(version))
                WHERE i.dataset_id = \(dataset.id) AND i.born <= \(version) AND (i.died IS NULL OR i.died > \(version))
            ), ranked AS (
                SELECT *, rank() OVER (PARTITION BY \(sql: group), annotation IS NULL ORDER BY split_hash) AS rank,
                       count(*) OVER (PARTITION BY \(sql: group), annotation IS NULL) AS count
                FROM labelled
            ), held AS (
                SELECT *, CASE WHEN count < 2 THEN 0 ELSE greatest(1, round(count * \(Split.testShare)::numeric)) END AS held FROM ranked
            ), sided AS (
                SELECT *, CASE WHEN annotation IS NULL THEN NULL
                               WHEN rank <= held AND max(rank) OVER (PARTITION BY \(sql: group), annotation IS NULL) > held THEN 'test'
                               ELSE 'train' END AS split
                FROM held
            ), page AS (
                SELECT id, annotation, split FROM sided
                WHERE id > \(id ?? 0) AND (\(label)::text IS NULL OR label = \(label)) AND (\(split)::text IS NULL OR split = \(split))
                ORDER BY id LIMIT \(limit)
            )
            SELECT i.id, i.name, i.blob, i.media_type, i.bytes, i.width, i.height, i.row, a.value AS annotation, page.split
            FROM page JOIN item AS i ON i.id = page.id LEFT JOIN annotation AS a ON a.id = page.annotation ORDER BY i.id
            """, decode: ItemRecord.init)
    }

    package func item(_ id: Int64, ofVersion version: Int, of dataset: DatasetID) throws -> ItemRecord {
        let item = try queryFirst("""
            SELECT i.id, i.name, i.blob, i.media_type, i.bytes, i.width, i.height, i.row, a.value AS annotation, NULL AS split
            FROM item AS i JOIN dataset_version AS v ON v.dataset_id = i.dataset_id AND v.number = \(version) AND v.status = 'ready'
            LEFT JOIN annotation AS a ON a.item_id = i.id AND a.born <= v.number AND (a.died IS NULL OR a.died > v.number)
            WHERE i.id = \(id) AND i.dataset_id = \(dataset) AND i.born <= v.number AND (i.died IS NULL OR i.died > v.number)
            """, decode: ItemRecord.init)
        guard let item else { throw StoreError.notFound("item") }
        return item
    }

    /// The names of a table's columns in the order in which rows have their fields.
    package func columnNames(ofVersion version: Int, of dataset: DatasetID) throws -> [String] {
        try queryFirst("""
            SELECT coalesce((SELECT array_agg(c ->> 'name' ORDER BY n) FROM jsonb_array_elements(columns) WITH ORDINALITY AS t (c, n)), '{}') AS names
            FROM dataset_version WHERE dataset_id = \(dataset) AND number = \(version)
            """) { try $0["names"] as [String] } ?? []
    }
}

extension Transaction {
    /// The labels of the items of a version by another column than its label column, in the model's class order.
    package func classCounts(ofColumn name: String, version: Int, of dataset: DatasetID, limit: Int) throws -> [ClassCount] {
        guard let index = try columnNames(ofVersion: version, of: dataset).firstIndex(of: name) else { return [] }
        return try query("""
            SELECT row ->> \(index)::int AS name, count(*) AS count FROM item
            WHERE dataset_id = \(dataset) AND born <= \(version) AND (died IS NULL OR died > \(version)) AND row ->> \(index)::int IS NOT NULL
            GROUP BY 1 LIMIT \(limit)
            """) { ClassCount(name: try $0["name"], count: try $0["count"]) }
            .sorted { $0.name.unicodeScalars.lexicographicallyPrecedes($1.name.unicodeScalars) }
    }
}
