internal import CPostgres
internal import Foundation
internal import Logging
internal import Synchronization

/// One libpq connection, blocking, used by one thread. Not shared and not reconnected: `Connection` does that.
final class Session {
    private let handle: OpaquePointer
    private var statements: StatementCache
    /// Set before the statements are sent, for whoever cancels them from another thread.
    let cancelHandle: CancelHandle

    init(_ address: PostgresAddress, settings: SessionSettings, logger: Logger) throws(PostgresError) {
        guard let handle = Self.withParameters(of: address, settings, { PQconnectdbParams($0, $1, 0) }) else {
            throw .unavailable("out of memory")
        }
        guard PQstatus(handle) == CONNECTION_OK, let cancel = PQgetCancel(handle) else {
            let reason = Self.message(of: handle)
            PQfinish(handle)
            throw .unavailable(reason)
        }
        self.handle = handle
        statements = StatementCache(capacity: settings.preparedStatements)
        cancelHandle = CancelHandle(cancel)
        noticeLogger = NoticeLogger(logger)
        PQsetNoticeReceiver(handle, { logger, result in
            guard let logger, let result else { return }
            Unmanaged<NoticeLogger>.fromOpaque(logger).takeUnretainedValue().log(result)
        }, Unmanaged.passUnretained(noticeLogger).toOpaque())
    }

    private let noticeLogger: NoticeLogger

    /// Whether the server is up and takes connections; it may still refuse this one.
    static func isAccepting(_ address: PostgresAddress, settings: SessionSettings) -> Bool {
        withParameters(of: address, settings) { PQpingParams($0, $1, 0) } == PQPING_OK
    }

    private static func withParameters<R>(
        of address: PostgresAddress, _ settings: SessionSettings,
        _ body: (UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>) -> R
    ) -> R {
        let parameters = settings.parameters(for: address).map { (strdup($0), strdup($1)) }
        defer {
            for (key, value) in parameters {
                free(key)
                free(value)
            }
        }
        return body(parameters.map { UnsafePointer($0.0) } + [nil], parameters.map { UnsafePointer($0.1) } + [nil])
    }

    deinit { PQfinish(handle) }

    /// Whether the settings of a past transaction could not be taken back.
    private var isSpent = false

    /// Whether another transaction may use it.
    var isReusable: Bool { !isBroken && !isSpent && isIdle && !cancelHandle.wasUsed.load(ordering: .sequentiallyConsistent) }
    var isBroken: Bool { PQstatus(handle) != CONNECTION_OK }
    private var isIdle: Bool { PQtransactionStatus(handle) == PQTRANS_IDLE }
    var socket: Int32 { PQsocket(handle) }
    var serverVersion: Int { Int(PQserverVersion(handle)) }

    fileprivate static func message(of handle: OpaquePointer) -> String {
        String(cString: PQerrorMessage(handle)).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private var failure: PostgresError { .connectionLost(Self.message(of: handle)) }

    // MARK: Statements

    /// Runs all in one round trip, preparing those that are new. The first error ends the sequence and is thrown.
    func exchange(_ list: [SQL]) throws(PostgresError) -> [QueryResult] {
        if list.count == 1, let name = statements.name(for: list[0].text) {
            return [try execute(prepared: name, list[0].parameters)]
        }
        guard PQenterPipelineMode(handle) == 1 else { throw failure }
        var sent: [Sent] = []
        var refused: PostgresError?
        do throws(PostgresError) {
            for sql in list { try send(sql, noting: &sent) }
        } catch {
            // A parameter that can't be sent; what went out before must still be answered.
            refused = error
        }
        guard PQpipelineSync(handle) == 1 else { throw failure }
        let (results, failed) = try receive(sent)
        guard PQexitPipelineMode(handle) == 1 else { throw failure }
        if let error = failed ?? refused { throw error }
        return results
    }

    private enum Sent {
        case preparation(text: String, name: String)
        case removal
        case execution
    }

    private func send(_ sql: SQL, noting sent: inout [Sent]) throws(PostgresError) {
        let text = sql.text
        let name: String
        if let known = statements.name(for: text) {
            name = known
        } else if let pending = sent.lazy.compactMap({ if case .preparation(text, let name) = $0 { name } else { nil } }).first {
            name = pending
        } else {
            if let evicted = statements.evictIfFull() {
                guard PQsendQueryParams(handle, "DEALLOCATE \(evicted)", 0, nil, nil, nil, nil, 0) == 1 else { throw failure }
                sent.append(.removal)
            }
            name = statements.nextName()
            try Self.checkText(text)
            guard PQsendPrepare(handle, name, text, 0, nil) == 1 else { throw failure }
            sent.append(.preparation(text: text, name: name))
        }
        let isSent = try withParameters(sql.parameters) { PQsendQueryPrepared(handle, name, $0, $1, $2, $3, 0) }
        guard isSent == 1 else { throw failure }
        sent.append(.execution)
    }

    private func receive(_ sent: [Sent]) throws(PostgresError) -> ([QueryResult], PostgresError?) {
        var results: [QueryResult] = []
        var failed: PostgresError?
        for command in sent {
            while let raw = PQgetResult(handle) {
                let result = QueryResult(raw)
                switch result.status {
                case PGRES_COMMAND_OK, PGRES_TUPLES_OK:
                    switch command {
                    case .preparation(let text, let name): statements.insert(text, name: name)
                    case .removal: break
                    case .execution: results.append(result)
                    }
                case PGRES_PIPELINE_ABORTED: break
                default: failed = failed ?? error(in: result)
                }
                if isBroken { throw failed?.asLoss ?? failure }
            }
            if isBroken { throw failed?.asLoss ?? failure }
        }
        guard let end = PQgetResult(handle) else { throw failure }
        guard PQresultStatus(end) == PGRES_PIPELINE_SYNC else {
            PQclear(end)
            throw failure
        }
        PQclear(end)
        return (results, failed)
    }

    private func execute(prepared name: String, _ parameters: [Parameter]) throws(PostgresError) -> QueryResult {
        let raw = try withParameters(parameters) { PQexecPrepared(handle, name, $0, $1, $2, $3, 0) }
        guard let raw else { throw failure }
        return try check(QueryResult(raw))
    }

    /// Statements of our own text without parameters, by the simple protocol: all in one round trip, the first result is given.
    @discardableResult
    func run(script: String) throws(PostgresError) -> QueryResult? {
        try Self.checkText(script)
        guard PQsendQuery(handle, script) == 1 else { throw failure }
        var first: QueryResult?
        var failed: PostgresError?
        while let raw = PQgetResult(handle) {
            let result = QueryResult(raw)
            if result.isSuccess { first = first ?? result } else { failed = failed ?? error(in: result) }
        }
        if isBroken { throw failed?.asLoss ?? failure }
        if let failed { throw failed }
        return first
    }

    /// Ends the transaction, and takes back whatever was set for the session against all rules. Returns what was done:
    /// `COMMIT` or `ROLLBACK`.
    func end(_ command: String) throws(PostgresError) -> String {
        guard PQsendQuery(handle, "\(command); RESET ALL") == 1 else { throw failure }
        var tag: String?
        var failed: PostgresError?
        while let raw = PQgetResult(handle) {
            let result = QueryResult(raw)
            if result.isSuccess { tag = tag ?? result.tag } else { failed = error(in: result) }
        }
        if let tag {
            isSpent = isSpent || failed != nil
            return tag
        }
        if isBroken { throw failed?.asLoss ?? failure }
        throw failed ?? failure
    }

    /// Hands each row to `body` as it arrives; memory doesn't grow with their number.
    func stream(_ sql: SQL, _ body: (Row) throws -> Void) throws {
        let text = sql.text
        try prepare(text)
        guard let name = statements.name(for: text) else { preconditionFailure("a statement was prepared just now") }
        let isSent = try withParameters(sql.parameters) { PQsendQueryPrepared(handle, name, $0, $1, $2, $3, 0) }
        guard isSent == 1, PQsetSingleRowMode(handle) == 1 else { throw failure }
        var failed: (any Error)?
        while let raw = PQgetResult(handle) {
            // After an error, what still comes must be read before the connection can be used again.
            let result = QueryResult(raw)
            guard failed == nil else { continue }
            do {
                if !result.isSuccess { throw error(in: result) }
                for row in result.rows { try body(row) }
            } catch {
                failed = error
                if result.isSuccess { cancelHandle.cancel() }
            }
        }
        if isBroken { throw (failed as? PostgresError)?.asLoss ?? failure }
        if let failed { throw failed }
    }

    private func prepare(_ text: String) throws(PostgresError) {
        guard statements.name(for: text) == nil else { return }
        try Self.checkText(text)
        if let evicted = statements.evictIfFull() { try run(script: "DEALLOCATE \(evicted)") }
        let name = statements.nextName()
        guard let raw = PQprepare(handle, name, text, 0, nil) else { throw failure }
        _ = try check(QueryResult(raw))
        statements.insert(text, name: name)
    }

    // MARK: COPY

    /// `COPY ... FROM STDIN`, with the data that `body` writes. Returns the number of rows.
    func copyIn(_ command: String, _ body: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void) throws -> Int {
        try Self.checkText(command)
        guard let raw = PQexec(handle, command) else { throw failure }
        let start = QueryResult(raw)
        guard start.status == PGRES_COPY_IN else { throw error(in: start) }
        var failed: (any Error)?
        do {
            try body { data in
                let bytes = data.assumingMemoryBound(to: CChar.self).baseAddress
                guard PQputCopyData(handle, bytes, Int32(data.count)) == 1 else { throw failure }
            }
        } catch {
            failed = error
        }
        guard PQputCopyEnd(handle, failed == nil ? nil : "abandoned by the client") == 1 else { throw failed ?? failure }
        var rows = 0
        while let raw = PQgetResult(handle) {
            let result = QueryResult(raw)
            if result.isSuccess {
                rows = result.affectedRows
            } else if failed == nil || failed is PostgresError {
                failed = error(in: result)
            }
        }
        if isBroken { throw (failed as? PostgresError)?.asLoss ?? failure }
        if let failed { throw failed }
        return rows
    }

    // MARK: Notifications

    /// Reads what has arrived, without waiting.
    func notifications() throws(PostgresError) -> [(channel: String, payload: String)] {
        guard PQconsumeInput(handle) == 1 else { throw failure }
        var list: [(String, String)] = []
        while let raw = PQnotifies(handle) {
            list.append((String(cString: raw.pointee.relname), String(cString: raw.pointee.extra)))
            PQfreemem(raw)
        }
        return list
    }

    // MARK: Errors and parameters

    private func check(_ result: QueryResult) throws(PostgresError) -> QueryResult {
        if isBroken { throw result.isSuccess ? failure : error(in: result).asLoss }
        guard result.isSuccess else { throw error(in: result) }
        return result
    }

    private func error(in result: QueryResult) -> PostgresError {
        guard let state = result.field(.state) else { return failure }
        return .server(ServerError(
            state: SQLState(rawValue: state), severity: result.field(.severity) ?? "ERROR",
            message: result.field(.message) ?? "", detail: result.field(.detail),
            hint: result.field(.hint), schema: result.field(.schema), table: result.field(.table),
            column: result.field(.column), constraint: result.field(.constraint),
            source: result.field(.source), position: result.field(.position).flatMap { Int($0) }))
    }

    /// C strings end at a zero byte, which PostgreSQL couldn't store either: refused here as the server would.
    private static func checkText(_ text: String) throws(PostgresError) {
        guard text.utf8.contains(0) else { return }
        throw .server(ServerError(state: .invalidText, severity: "ERROR", message: "a text contains a zero byte"))
    }

    private func withParameters<R>(
        _ parameters: [Parameter],
        _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> R
    ) throws(PostgresError) -> R {
        var storage: [UInt8] = []
        var offsets: [Int?] = [], lengths: [Int32] = [], formats: [Int32] = []
        for parameter in parameters {
            switch parameter {
            case .null:
                offsets.append(nil)
                lengths.append(0)
                formats.append(0)
            case .text(let text):
                try Self.checkText(text)
                offsets.append(storage.count)
                storage.append(contentsOf: text.utf8)
                storage.append(0)
                lengths.append(0)
                formats.append(0)
            case .bytes(let bytes):
                offsets.append(storage.count)
                // libpq's length is 32 bits wide, as is the protocol's; the server allows 1 GiB.
                lengths.append(Int32(clamping: bytes.count))
                storage.append(contentsOf: bytes)
                storage.append(0)
                formats.append(1)
            }
        }
        return storage.withUnsafeBytes { buffer in
            let values = offsets.map { offset in
                offset.flatMap { buffer.baseAddress?.advanced(by: $0).assumingMemoryBound(to: CChar.self) }
            }
            return body(Int32(parameters.count), values, lengths, formats)
        }
    }
}

extension PostgresError {
    /// The error that the server sent before it ended the connection, as the loss that it is.
    fileprivate var asLoss: PostgresError {
        switch self {
        case .server(let error): .connectionLost(error.description)
        default: self
        }
    }
}

/// Names of prepared statements by their text, at most `capacity`, the least recently used go first.
struct StatementCache {
    private var entries: [String: (name: String, used: UInt64)] = [:]
    private var clock: UInt64 = 0
    private var names = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(8, capacity) }

    var count: Int { entries.count }

    mutating func name(for text: String) -> String? {
        guard let index = entries.index(forKey: text) else { return nil }
        clock += 1
        entries.values[index].used = clock
        return entries.values[index].name
    }

    mutating func nextName() -> String {
        names += 1
        return "s\(names)"
    }

    mutating func insert(_ text: String, name: String) {
        clock += 1
        entries[text] = (name, clock)
    }

    /// Makes room, and gives the name of the statement that has to be deallocated.
    mutating func evictIfFull() -> String? {
        guard entries.count >= capacity, let oldest = entries.min(by: { $0.value.used < $1.value.used }) else { return nil }
        entries[oldest.key] = nil
        return oldest.value.name
    }
}

/// Cancels what a session is doing, from any thread.
///
/// `@unchecked`: a `PGcancel` is immutable, and `PQcancel` may be called from any thread.
final class CancelHandle: @unchecked Sendable {
    private let handle: OpaquePointer
    /// A session that was sent a cancel isn't used for another transaction: the signal may still be under way.
    let wasUsed = Atomic(false)

    init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { PQfreeCancel(handle) }

    /// Blocks for a connection to the server.
    func cancel() {
        wasUsed.store(true, ordering: .sequentiallyConsistent)
        var message = [CChar](repeating: 0, count: 256)
        // A failure means that the server can't be reached; then the statement fails by itself.
        _ = PQcancel(handle, &message, Int32(message.count))
    }
}

private final class NoticeLogger {
    private let logger: Logger

    init(_ logger: Logger) { self.logger = logger }

    func log(_ result: OpaquePointer) {
        let message = PQresultErrorField(result, QueryResult.ErrorField.message.rawValue).map { String(cString: $0) } ?? ""
        logger.info("PostgreSQL: \(message)")
    }
}
