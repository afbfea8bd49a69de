public import Keel

/// A whole table in memory, whose columns become tensors. For tables that don't fit there is `TableReader`.
public struct Table: Sendable {
    public let columns: [String]
    public let rows: Int
    /// Each column's fields.
    private var fields: [String: [String]] = [:]

    /// - Errors: `TableError`.
    public init(reading path: String, limits: TableLimits = TableLimits()) throws(TableError) {
        try self.init(.file(path: path), limits: limits)
    }

    /// - Errors: `TableError`.
    public init(_ source: TableSource, limits: TableLimits = TableLimits()) throws(TableError) {
        var reader = try TableReader(source, limits: limits), record = TableRecord()
        var fields = [[String]](repeating: [], count: reader.columns.count)
        while try reader.next(into: &record) { for place in fields.indices { fields[place].append(record[place]) } }
        columns = reader.columns
        rows = reader.rows
        for (name, column) in zip(columns, fields) { self.fields[name] = column }
    }

    /// Columns of numbers, side by side: `[rows, columns]` float32, NaN where there is none.
    ///
    /// - Errors: `TensorError.argument` for a column that isn't there.
    public func numbers(_ columns: some Collection<String>) throws(TensorError) -> Tensor {
        var numbers: [Float] = []
        for name in columns { numbers += try column(name).map { TableValue.number($0).map { Float($0) } ?? .nan } }
        return try Tensor(numbers, [columns.count, rows]).transposed().contiguous()
    }

    /// A column of categories: `codes [rows]` int64, each field's place among `names`, which are in order.
    ///
    /// - Errors: `TensorError.argument` for a column that isn't there.
    public func categories(_ name: String) throws(TensorError) -> (codes: Tensor, names: [String]) {
        let values = try column(name).map(TableValue.category), names = Set(values).sorted()
        let places = Dictionary(uniqueKeysWithValues: zip(names, names.indices))
        return (try Tensor(values.compactMap { places[$0] }), names)
    }

    private func column(_ name: String) throws(TensorError) -> [String] {
        guard let column = fields[name] else {
            throw TensorError(.argument(primitive: "Table", name: "column", given: name, allowed: columns.joined(separator: ", ")))
        }
        return column
    }
}
