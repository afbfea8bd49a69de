internal import CPostgres
internal import SlipwaySystem

/// Where a database is and who connects: libpq's connection parameters.
package struct PostgresAddress: Sendable, Hashable {
    package private(set) var parameters: [String: String]

    /// A `postgresql://` URL or a `key=value` connection string.
    package init(_ text: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            // libpq's message may quote the text, and with it the password.
            let reason = message == nil ? "out of memory" : "it can't be parsed as a URL or connection string"
            PQfreemem(message)
            throw .invalidAddress(reason)
        }
        defer { PQconninfoFree(options) }
        parameters = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { parameters[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
    }

    package init(socketDirectory: String, user: String, password: String, database: String) {
        parameters = ["host": socketDirectory, "user": user, "password": password, "dbname": database]
    }

    package var database: String? { parameters["dbname"] }

    package func with(database: String) -> PostgresAddress {
        var copy = self
        copy.parameters["dbname"] = database
        return copy
    }

    package func with(user: String, password: String) -> PostgresAddress {
        var copy = self
        copy.parameters["user"] = user
        copy.parameters["password"] = password
        return copy
    }

    /// The form for `SLIPWAY_DATABASE_URL` of a child process. It holds the password.
    package var connectionString: String {
        parameters.sorted { $0.key < $1.key }.map { key, value in
            "\(key)='\(value.replacing("\\", with: "\\\\").replacing("'", with: "\\'"))'"
        }.joined(separator: " ")
    }
}

/// Never shows the password.
extension PostgresAddress: CustomStringConvertible {
    package var description: String {
        ["host", "port", "dbname", "user"].compactMap { key in parameters[key].map { "\(key)=\($0)" } }.joined(separator: " ")
    }
}

/// What every session starts with, and falls back to after each transaction.
package struct SessionSettings: Sendable {
    package var applicationName = "slipway"
    package var statementTimeout = Duration.seconds(30)
    package var lockTimeout = Duration.seconds(10)
    package var idleInTransactionTimeout = Duration.seconds(60)
    /// How long to try to connect, with back-off, before a transaction fails with `unavailable`.
    package var connectTimeout = Duration.seconds(10)
    package var preparedStatements = 256

    package init() {}

    func parameters(for address: PostgresAddress) -> [String: String] {
        var parameters = address.parameters
        let options = [
            "TimeZone": "UTC", "DateStyle": "ISO", "IntervalStyle": "iso_8601", "bytea_output": "hex", "extra_float_digits": "1",
            "client_min_messages": "warning",
            "statement_timeout": String(statementTimeout.wholeMilliseconds),
            "lock_timeout": String(lockTimeout.wholeMilliseconds),
            "idle_in_transaction_session_timeout": String(idleInTransactionTimeout.wholeMilliseconds),
        ]
        let ours = options.sorted { $0.key < $1.key }.map { "-c \($0)=\($1)" }
        parameters["options"] = ([address.parameters["options"]].compactMap(\.self) + ours).joined(separator: " ")
        parameters["client_encoding"] = "UTF8"
        // A half-open TCP connection is noticed within half a minute.
        let defaults = [
            "application_name": applicationName, "connect_timeout": "5", "keepalives_idle": "15", "keepalives_interval": "5",
            "keepalives_count": "3", "tcp_user_timeout": "30000",
        ]
        return parameters.merging(defaults) { given, _ in given }
    }
}
