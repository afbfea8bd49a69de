internal import Foundation
internal import KeelData
internal import SlipwayDomain

/// A table of separated values with a header. Each row is an item; its label is the target column's field.
struct TableImport {
    let plan: ImportPlan

    func run(_ emit: (TrainerEvent) throws -> Void) throws {
        do {
            try read(emit)
        } catch let error as TableError {
            throw error.problem
        }
    }

    private func read(_ emit: (TrainerEvent) throws -> Void) throws {
        let encoding = try plan.encoding.map { name throws(TableError) in try TextEncoding(named: name) }
        try refuseArchives()
        let limits = TableLimits(columns: plan.limits.tableColumns, fieldBytes: plan.limits.tableFieldBytes)
        var reader = try TableReader(.file(path: plan.upload), encoding: encoding, limits: limits)
        let layout = try Layout(header: reader.columns, plan: plan)
        var tally = Tally(layout: layout, isClassification: plan.task.isClassification)
        let size = try FileManager.default.attributesOfItem(atPath: plan.upload)[.size] as? Int ?? 0
        var progress = ImportProgress()
        var record = TableRecord()
        while try reader.next(into: &record) {
            guard let item = tally.item(from: record, number: reader.rows) else { continue }
            try emit(.item(item))
            try progress.report(reader.bytesRead, of: size, emit)
        }
        guard tally.items > 0 else { throw TableError.empty(hasHeader: true) }
        var warnings: [String] = []
        if encoding == nil, reader.encoding != .utf8 { warnings.append("The file was read as \(reader.encoding.name).") }
        if reader.columns.allSatisfy({ TableValue.number($0) != nil }) {
            warnings.append("The first line looks like data, but was read as the header.")
        }
        let (profile, notes) = tally.finish(base: plan.columns)
        try emit(.imported(ImportSummary(format: "csv", profile: profile, warnings: warnings + notes)))
    }

    /// A spreadsheet or zip sent as a table deserves a better answer than "not UTF-8".
    private func refuseArchives() throws {
        guard let handle = FileHandle(forReadingAtPath: plan.upload) else { return }
        defer { try? handle.close() }
        let head = Array(try handle.read(upToCount: 8) ?? Data())
        let found: String? =
            if head.starts(with: [0x50, 0x4B, 0x03, 0x04]) { "a zip archive or an Excel workbook" }
            else if head.starts(with: [0x89, 0x50, 0x4E, 0x47]) || head.starts(with: [0xFF, 0xD8, 0xFF]) { "a picture" }
            else if head.starts(with: Array("PAR1".utf8)) { "a Parquet file" }
            else if head.starts(with: [0x1F, 0x8B]) { "a gzip file" }
            else { nil }
        if let found {
            throw Problem(
                415, "media-type-mismatch", title: "The upload isn't a table",
                detail: "The upload is \(found); a table is sent as CSV text.")
        }
    }
}

extension TableImport {
    /// Which field of a record goes where.
    fileprivate struct Layout {
        /// The version's columns, in its order, and the field of the upload that each is read from.
        let columns: [String]
        let fields: [Int]
        /// The label's place among `columns`.
        let target: Int

        init(header: [String], plan: ImportPlan) throws {
            columns = plan.columns?.map(\.name) ?? header
            let places = Dictionary(uniqueKeysWithValues: header.enumerated().map { ($1, $0) })
            let absent = columns.filter { places[$0] == nil }
            let unknown = plan.columns == nil ? [] : Set(header).subtracting(columns).sorted()
            guard absent.isEmpty, unknown.isEmpty else {
                let code = "table-columns-differ"
                throw Problem(
                    422, code, title: "The columns aren't those of the base version",
                    detail: "Rows can be appended when the columns are the same."
                        + (absent.isEmpty ? "" : " Missing: \(absent.prefix(5).joined(separator: ", ")).")
                        + (unknown.isEmpty ? "" : " Unknown: \(unknown.prefix(5).joined(separator: ", "))."),
                    errors: absent.map { .init(column: $0, code: code, detail: "missing") }
                        + unknown.map { .init(column: $0, code: code, detail: "unknown") })
            }
            fields = columns.compactMap { places[$0] }
            let name = plan.target ?? columns[columns.count - 1]
            guard let target = columns.firstIndex(of: name) else {
                throw Problem(
                    422, "train-no-label-column", title: "The target column is missing",
                    detail: "The table has no column '\(name)'; it has \(columns.prefix(10).joined(separator: ", ")).",
                    errors: [.init(parameter: "target", column: name, code: "train-no-label-column", detail: "no such column")])
            }
            self.target = target
        }
    }

    fileprivate struct Tally {
        let layout: Layout
        let isClassification: Bool
        private(set) var items = 0
        private var summaries: [ColumnSummary]
        private var labels: [String: Int] = [:]
        private var unlabelled = 0, emptyRows = 0
        private var rows = DistinctCounter(capacity: 1 << 20)
        private var duplicates = 0

        /// More different labels than this are a mistake, and aren't counted one by one.
        private static let maximumLabels = 20_000

        init(layout: Layout, isClassification: Bool) {
            self.layout = layout
            self.isClassification = isClassification
            summaries = layout.columns.map { _ in ColumnSummary(columns: layout.columns.count) }
        }

        /// The item that a row is; nil for a row without any value.
        mutating func item(from record: TableRecord, number: Int) -> ImportedItem? {
            var row: [String?] = []
            row.reserveCapacity(layout.fields.count)
            var canonical: [UInt8] = []
            for field in layout.fields {
                let text = record[field]
                let isMissing = TableValue.isMissing(text)
                row.append(isMissing ? nil : text)
                // Twins are equal up to spaces around values and the spelling of missing ones.
                if !isMissing { canonical += TableValue.category(text).utf8 }
                canonical.append(isMissing ? 0xFE : 0xFF)
            }
            guard row.contains(where: { $0 != nil }) else {
                emptyRows += 1
                return nil
            }
            for (column, field) in layout.fields.enumerated() { summaries[column].add(record, field: field) }
            let digest = SHA256.digest(of: canonical)
            items += 1
            if rows.add(UInt64(bitPattern: digest.splitHash)) { duplicates += rows.share }
            let label = row[layout.target].flatMap { Label.text($0, isClassification: isClassification) }
            if let label {
                if isClassification, labels.count < Self.maximumLabels || labels[label] != nil {
                    labels[label, default: 0] += 1
                }
            } else {
                unlabelled += 1
            }
            return ImportedItem(name: "row \(number)", splitHash: digest.splitHash, label: label, row: row)
        }

        /// The profile of all rows, and what the user should know of them.
        ///
        /// - Parameter base: columns whose types are settled, because rows are appended to them.
        func finish(base: [ColumnProfile]?) -> (DatasetProfile, warnings: [String]) {
            var warnings: [String] = []
            if unlabelled > 0 {
                let lack = isClassification ? "is missing" : "has no number"
                warnings.append(
                    "The column '\(layout.columns[layout.target])' \(lack) in \(unlabelled) of \(items) rows; "
                        + "such rows are left out of training when it is the target.")
            }
            if duplicates > 0 {
                warnings.append("\(duplicates) of \(items) rows repeat another row; copies stay on one side of the split.")
            }
            if emptyRows > 0 { warnings.append("\(emptyRows) rows without any value were left out.") }
            let columns = zip(layout.columns, summaries).enumerated().map { index, column in
                let (name, summary) = column
                let kind = base.map { ColumnKind($0[index].type) } ?? summary.kind
                let unreadable = summary.unreadable(as: kind)
                if kind == .number, summary.infinite > 0, let line = summary.firstInfiniteLine {
                    warnings.append(
                        "\(summary.infinite) values of '\(name)' aren't finite numbers (the first on line \(line)) and count as missing."
                    )
                }
                let others = kind == .number ? unreadable - summary.infinite : unreadable
                if others > 0 {
                    warnings.append("\(others) values of '\(name)' can't be read as a \(kind.rawValue) and count as missing.")
                }
                if summary.present == 0 { warnings.append("The column '\(name)' has no values.") }
                if summary.hasOddNumbers {
                    warnings.append("The column '\(name)' looks like numbers in another notation; write them like 1234.5.")
                }
                let range = kind == .number ? summary.numbers : kind == .date ? summary.dates : nil
                return ColumnProfile(
                    name: name, type: ColumnType(kind), missing: summary.missing + unreadable, distinct: summary.distinct,
                    minimum: range.flatMap { $0.count > 0 ? $0.minimum : nil },
                    maximum: range.flatMap { $0.count > 0 ? $0.maximum : nil },
                    // Differences of the very largest numbers overflow.
                    mean: range.flatMap { $0.count > 0 && $0.mean.isFinite ? $0.mean : nil },
                    top: summary.top(20).map { ColumnProfile.Value(value: $0.value, count: $0.count) },
                    isIdentifier: index != layout.target && summary.isIdentifier(named: name))
            }
            let profile = DatasetProfile(
                items: items, unlabelled: unlabelled,
                classes: labels.map { ClassCount(name: $0.key, count: $0.value) }.sorted {
                    $0.name.unicodeScalars.lexicographicallyPrecedes($1.name.unicodeScalars)
                },
                columns: columns, target: layout.columns[layout.target], duplicateRows: duplicates)
            return (profile, warnings)
        }
    }
}

extension ColumnKind {
    fileprivate init(_ type: ColumnType) {
        self =
            switch type {
            case .number: .number
            case .category: .category
            case .boolean: .boolean
            case .date: .date
            case .text: .text
            }
    }
}

extension ColumnType {
    fileprivate init(_ kind: ColumnKind) {
        self =
            switch kind {
            case .number: .number
            case .category: .category
            case .boolean: .boolean
            case .date: .date
            case .text: .text
            }
    }
}

extension TableError {
    /// The document that an import fails with.
    var problem: Problem {
        var places: [Problem.Place] = []
        switch self {
        case .ragged(_, let lines):
            places = lines.map { .init(row: $0.line, code: code, detail: "\($0.fields) fields") }
        case .duplicateColumn(let name): places = [.init(column: name, code: code, detail: description)]
        default:
            if let line { places = [.init(row: line, code: code, detail: description)] }
        }
        return Problem(422, code, title: "The table can't be used", detail: description, errors: places)
    }
}
