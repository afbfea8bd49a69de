/// What can go wrong between us and PostgreSQL.
package enum PostgresError: Error, Sendable, Hashable {
    /// The server refused a statement.
    case server(ServerError)
    /// No connection can be made.
    case unavailable(String)
    /// The connection broke before COMMIT: the transaction had no effect.
    case connectionLost(String)
    /// The connection broke during COMMIT: the transaction may or may not have had its effect.
    case outcomeUnknown(String)
    /// No connection of the pool came free in time.
    case busy(waited: Duration)
    /// As many transactions as may wait for a connection wait already.
    case crowded(waiting: Int)
    /// The database has been closed.
    case closed
    /// A statement that should give one row gave none.
    case noRow
    /// A statement that should give at most one row gave more.
    case moreThanOneRow(count: Int)
    /// A column's value isn't what the code expects.
    case decoding(column: String, expected: String, found: String)
    /// The connection's address isn't a PostgreSQL URL or connection string.
    case invalidAddress(String)

    package var serverError: ServerError? {
        if case .server(let error) = self { error } else { nil }
    }

    package var sqlState: SQLState? { serverError?.state }

    /// The constraint that the statement would have broken.
    package var violation: Violation? { serverError?.violation }

    /// Whether the same transaction may succeed when it's simply run again.
    package var isRetryable: Bool {
        if case .connectionLost = self { return true }
        guard let error = serverError else { return false }
        return error.state == .serializationFailure || error.state == .deadlockDetected || error.isStalePlan
    }
}

extension PostgresError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .server(let error): error.description
        case .unavailable(let reason): "PostgreSQL is not available: \(reason)"
        case .connectionLost(let reason): "the connection to PostgreSQL broke: \(reason)"
        case .outcomeUnknown(let reason): "the connection to PostgreSQL broke during COMMIT, the outcome is unknown: \(reason)"
        case .busy(let waited): "no database connection came free within \(waited)"
        case .crowded(let waiting): "\(waiting) transactions wait for a database connection already"
        case .closed: "the database has been closed"
        case .noRow: "the statement gave no row"
        case .moreThanOneRow(let count): "the statement gave \(count) rows instead of one"
        case .decoding(let column, let expected, let found): "column \(column) should be \(expected) but is \(found)"
        case .invalidAddress(let reason): "not a PostgreSQL address: \(reason)"
        }
    }
}

/// An error as PostgreSQL reports it.
package struct ServerError: Sendable, Hashable, CustomStringConvertible {
    package var state: SQLState
    package var severity: String
    package var message: String
    package var detail: String?
    package var hint: String?
    package var schema: String?
    package var table: String?
    package var column: String?
    package var constraint: String?
    /// The function of the server that reported it.
    package var source: String?
    /// Where in the statement, in characters from 1.
    package var position: Int?

    package var violation: Violation? {
        switch state {
        case .uniqueViolation: .unique(constraint ?? "")
        case .foreignKeyViolation: .foreignKey(constraint ?? "")
        case .checkViolation: .check(constraint ?? "")
        case .exclusionViolation: .exclusion(constraint ?? "")
        case .notNullViolation: .notNull(column: column ?? "")
        default: nil
        }
    }

    /// A prepared statement whose result changed its type because a table was altered meanwhile.
    var isStalePlan: Bool { state == .featureNotSupported && source == "RevalidateCachedQuery" || state == .invalidStatementName }

    package var description: String {
        let extra = [detail, hint].compactMap(\.self).map { " (\($0))" }.joined()
        let place = [table, column, constraint].compactMap(\.self).joined(separator: ".")
        return "\(message)\(extra) [\(state.rawValue)\(place.isEmpty ? "" : " " + place)]"
    }
}

/// A broken constraint, by name: `switch error.violation { case .unique("project_name_key"): ... }`.
package enum Violation: Sendable, Hashable {
    case unique(String)
    case foreignKey(String)
    case check(String)
    case exclusion(String)
    case notNull(column: String)
}

/// The five characters of appendix A of PostgreSQL's manual.
package struct SQLState: RawRepresentable, Sendable, Hashable {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    package static let uniqueViolation = SQLState(rawValue: "23505")
    package static let foreignKeyViolation = SQLState(rawValue: "23503")
    package static let checkViolation = SQLState(rawValue: "23514")
    package static let notNullViolation = SQLState(rawValue: "23502")
    package static let exclusionViolation = SQLState(rawValue: "23P01")
    package static let serializationFailure = SQLState(rawValue: "40001")
    package static let deadlockDetected = SQLState(rawValue: "40P01")
    package static let queryCanceled = SQLState(rawValue: "57014")
    package static let lockNotAvailable = SQLState(rawValue: "55P03")
    package static let insufficientPrivilege = SQLState(rawValue: "42501")
    package static let invalidText = SQLState(rawValue: "22021")
    package static let invalidTextRepresentation = SQLState(rawValue: "22P02")
    package static let featureNotSupported = SQLState(rawValue: "0A000")
    package static let invalidStatementName = SQLState(rawValue: "26000")
    package static let diskFull = SQLState(rawValue: "53100")
    package static let noActiveTransaction = SQLState(rawValue: "25P01")
    package static let inFailedTransaction = SQLState(rawValue: "25P02")
}
