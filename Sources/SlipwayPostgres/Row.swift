internal import CPostgres

/// What a statement gave back. Rows keep it alive.
final class QueryResult {
    private let handle: OpaquePointer
    private lazy var columns = makeColumns()

    init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { PQclear(handle) }

    var status: ExecStatusType { PQresultStatus(handle) }

    var isSuccess: Bool {
        switch status {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE, PGRES_EMPTY_QUERY: true
        default: false
        }
    }

    /// `SELECT 5`, `COMMIT`, ...
    var tag: String { String(cString: PQcmdStatus(handle)) }
    var affectedRows: Int { Int(String(cString: PQcmdTuples(handle))) ?? 0 }
    var rowCount: Int { Int(PQntuples(handle)) }
    var rows: some Sequence<Row> { (0..<rowCount).lazy.map { Row(result: self, index: Int32($0)) } }

    /// `PG_DIAG_...` of libpq: letters, which Swift doesn't import.
    enum ErrorField: Int32 {
        case state = 67  // C
        case severity = 86  // V, the one that isn't translated
        case message = 77  // M
        case detail = 68  // D
        case hint = 72  // H
        case position = 80  // P
        case schema = 115  // s
        case table = 116  // t
        case column = 99  // c
        case constraint = 110  // n
        case source = 82  // R, the function
    }

    func field(_ field: ErrorField) -> String? { PQresultErrorField(handle, field.rawValue).map { String(cString: $0) } }

    private func makeColumns() -> [String: Int32] {
        var columns: [String: Int32] = [:]
        // Of columns with one name the first is meant.
        for index in (0..<PQnfields(handle)).reversed() { columns[String(cString: PQfname(handle, index))] = index }
        return columns
    }

    func column(_ name: String) -> Int32? { columns[name] }
    var columnNames: [String] { (0..<PQnfields(handle)).map { String(cString: PQfname(handle, $0)) } }

    func isNull(_ row: Int32, _ column: Int32) -> Bool { PQgetisnull(handle, row, column) == 1 }

    func text(_ row: Int32, _ column: Int32) -> PostgresText {
        let length = Int(PQgetlength(handle, row, column))
        return PQgetvalue(handle, row, column).withMemoryRebound(to: UInt8.self, capacity: length) {
            PostgresText(bytes: UnsafeBufferPointer(start: $0, count: length))
        }
    }
}

/// One row of a result: `let name: String = try row["name"]`.
package struct Row {
    fileprivate let result: QueryResult
    fileprivate let index: Int32

    init(result: QueryResult, index: Int32) {
        self.result = result
        self.index = index
    }

    /// The value of a column. A NULL is an error unless an optional is asked for.
    package subscript<Value: PostgresDecodable>(_ column: String) -> Value {
        get throws(PostgresError) { try decode(column, as: Value.self) }
    }

    package func decode<Value: PostgresDecodable>(_ column: String, as type: Value.Type) throws(PostgresError) -> Value {
        let position = try position(of: column, expecting: "\(Value.self)")
        guard !result.isNull(index, position) else {
            guard let value = Value.postgresNull else {
                throw .decoding(column: column, expected: "\(Value.self)", found: "NULL")
            }
            return value
        }
        let text = result.text(index, position)
        guard let value = Value(postgresText: text) else {
            throw .decoding(column: column, expected: "\(Value.self)", found: String(text.string.prefix(100)))
        }
        return value
    }

    /// The value of a `json` or `jsonb` column. A NULL is an error unless an optional is asked for.
    package func json<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws(PostgresError) -> Value {
        let json = try decode(column, as: JSON?.self)
        guard json != nil || Value.self is any ExpressibleByNilLiteral.Type else {
            throw .decoding(column: column, expected: "JSON of \(Value.self)", found: "NULL")
        }
        do {
            return try (json ?? JSON(text: "null")).decode(type)
        } catch {
            throw .decoding(column: column, expected: "JSON of \(Value.self)", found: "\(error)")
        }
    }

    private func position(of column: String, expecting expected: String) throws(PostgresError) -> Int32 {
        guard let position = result.column(column) else {
            throw .decoding(column: column, expected: expected, found: "no such column (\(result.columnNames.joined(separator: ", ")))")
        }
        return position
    }
}
