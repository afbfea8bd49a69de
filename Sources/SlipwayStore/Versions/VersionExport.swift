package import SlipwayDomain
package import SlipwayPostgres

/// The items of a version as an experiment sees them.
package struct LabelledVersion: Sendable {
    package let dataset: DatasetID
    package let version: Int
    /// Of the experiment's target: counts and classes are those of its labels.
    package let profile: DatasetProfile
    /// Where the label column stands, and the target, if they are different columns.
    let labelColumn: Int?
    let targetColumn: Int?
}

/// As the data set's organisation.
extension Transaction {
    /// The profile of a version for a target; nil: the version's own label column.
    ///
    /// - Errors: `StoreError.notFound` for the version; a `Problem` when it has no such column.
    package func labelledVersion(
        _ version: Int, of dataset: DatasetID, target: String?, task: LearningTask
    ) throws -> LabelledVersion {
        let found: DatasetProfile?? = try queryFirst(
            "SELECT profile FROM dataset_version WHERE dataset_id = \(dataset) AND number = \(version) AND status = 'ready'",
            decode: { try $0.json("profile") })
        guard var profile = found ?? nil else { throw StoreError.notFound("data set version") }
        let columns = profile.columns ?? []
        let labelColumn = columns.firstIndex { $0.name == profile.target }
        guard let target, target != profile.target else {
            return LabelledVersion(dataset: dataset, version: version, profile: profile, labelColumn: labelColumn, targetColumn: nil)
        }
        guard let column = columns.firstIndex(where: { $0.name == target }) else {
            throw Problem(
                422, "train-no-label-column", title: "There is no such target column",
                detail: "the data set version has no column '\(target)'",
                errors: [.init(pointer: "/target", code: "train-no-label-column", detail: "there is no such column")])
        }
        profile.target = target
        guard task.isClassification else {
            // What can't be read as a number is among the column's missing values.
            profile.unlabelled = columns[column].missing
            profile.classes = []
            // A label column of words labels nothing here, but says something of its row.
            let isLabelled = labelColumn.map { columns[$0].type == .number } ?? false
            return LabelledVersion(
                dataset: dataset, version: version, profile: profile, labelColumn: isLabelled ? labelColumn : nil, targetColumn: column)
        }
        profile.classes = try query(
            """
            SELECT label, count(*) AS items
            FROM (SELECT btrim(row ->> \(column)::int, \(Self.spaces)) AS label
                  FROM item WHERE \(sql: Self.lives(in: version, of: dataset))) AS field
            WHERE label IS NOT NULL GROUP BY label ORDER BY label COLLATE "C"
            """,
            decode: { ClassCount(name: try $0["label"], count: try $0["items"]) })
        profile.unlabelled = profile.items - profile.classes.reduce(0) { $0 + $1.count }
        return LabelledVersion(dataset: dataset, version: version, profile: profile, labelColumn: labelColumn, targetColumn: column)
    }

    /// What import takes away around a label.
    private static var spaces: String { " \t\n\u{0B}\u{0C}\r" }

    private static func lives(in version: Int, of dataset: DatasetID) -> SQL {
        "item.dataset_id = \(dataset) AND item.born <= \(version) AND (item.died IS NULL OR item.died > \(version))"
    }

    /// Hands over each labelled item in the order of the ids, in constant memory; returns how many were left out because
    /// they have no label.
    ///
    /// - Parameter path: where the bytes of a picture lie.
    package func forEachLabelledItem(
        of labelled: LabelledVersion, path: (Digest) -> String, _ body: (DataItem) throws -> Void
    ) throws -> Int {
        let version = labelled.version
        var unlabelled = 0
        try forEachRow(
            of: """
                SELECT item.id, item.name, item.split_hash, item.blob, item.row, annotation.label
                FROM item LEFT JOIN annotation ON annotation.item_id = item.id AND annotation.born <= \(version)
                    AND (annotation.died IS NULL OR annotation.died > \(version))
                WHERE \(sql: Self.lives(in: version, of: labelled.dataset)) ORDER BY item.id
                """
        ) { row in
            let annotation: String? = try row["label"]
            var fields: [String?]? = try row.json("row")
            // What a table's rows were labelled with replaces what stood in the label column.
            if let column = labelled.labelColumn, fields?.indices.contains(column) == true { fields?[column] = annotation }
            let field: String? = labelled.targetColumn.flatMap { fields?[$0] ?? nil }
            let label = labelled.targetColumn == nil ? annotation : field.map { $0.trimmed(of: Self.spaces) }
            guard let label else { return unlabelled += 1 }
            let blob: Digest? = try row["blob"]
            try body(
                DataItem(
                    id: try row["id"], name: try row["name"], splitHash: try row["split_hash"], label: label, path: blob.map(path),
                    row: fields))
        }
        return unlabelled
    }
}

extension String {
    /// The text without these characters at its ends, scalar by scalar as PostgreSQL's `btrim`.
    fileprivate func trimmed(of characters: String) -> String {
        let scalars = unicodeScalars
        func isInner(_ scalar: Unicode.Scalar) -> Bool { !characters.unicodeScalars.contains(scalar) }
        guard let first = scalars.firstIndex(where: isInner), let last = scalars.lastIndex(where: isInner) else { return "" }
        return String(scalars[first...last])
    }
}
