internal import KeelData
package import SlipwayDomain

/// A table's rows as predict takes them: objects with the text as it stands in the file.
package struct TableInputs: ~Copyable {
    private var reader: TableReader
    private var record = TableRecord()

    /// - Errors: `Problem`.
    package init(path: String, encoding: String?) throws(Problem) {
        do {
            let declared: TextEncoding? = if let encoding { try TextEncoding(named: encoding) } else { nil }
            reader = try TableReader(.file(path: path), encoding: declared)
        } catch {
            throw Self.problem(error)
        }
    }

    /// Up to `count` more rows; none at the end.
    package mutating func next(_ count: Int) throws(Problem) -> [JSON] {
        var rows: [JSON] = []
        do {
            while rows.count < count, try reader.next(into: &record) {
                var row: [String: JSON] = [:]
                for (index, name) in reader.columns.enumerated() { row[name] = .string(record[index]) }
                rows.append(.object(row))
            }
        } catch {
            throw Self.problem(error)
        }
        return rows
    }

    private static func problem(_ error: TableError) -> Problem {
        Problem(422, error.code, title: "The table can't be read", detail: error.description)
    }
}
