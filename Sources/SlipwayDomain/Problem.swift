/// What went wrong, as clients see it: an RFC 9457 document. The same document is an HTTP error's body and the
/// `problem` of a failed import, experiment or deployment.
package struct Problem: Error, Codable, Hashable, Sendable {
    /// One place at fault. `pointer` is a JSON pointer into the request, `entry` a name in an archive,
    /// `row` a line of a table (the header is line 1), `column` a column's name.
    package struct Place: Codable, Hashable, Sendable {
        package var pointer: String?
        package var parameter: String?
        package var entry: String?
        package var row: Int?
        package var column: String?
        package var code: String
        package var detail: String

        package init(
            pointer: String? = nil, parameter: String? = nil, entry: String? = nil, row: Int? = nil,
            column: String? = nil, code: String, detail: String
        ) {
            self.pointer = pointer
            self.parameter = parameter
            self.entry = entry
            self.row = row
            self.column = column
            self.code = code
            self.detail = detail
        }
    }

    package var type: String
    package var title: String
    package var status: Int
    /// Stable and meant for programs, such as `archive-path-escape`.
    package var code: String
    package var detail: String
    package var errors: [Place]
    package var requestID: String?

    /// `type` follows from the code.
    package init(
        _ status: Int, _ code: String, title: String, detail: String, errors: [Place] = [], requestID: String? = nil
    ) {
        type = "urn:slipway:problem:\(code)"
        self.title = title
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.requestID = requestID
    }

    enum CodingKeys: String, CodingKey {
        case type, title, status, code, detail, errors
        case requestID = "request_id"
    }
}
