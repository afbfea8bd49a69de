import Foundation

/// An HTTP/1.1 client over libcurl: one thread a client drives all of its transfers and reuses connections.
///
/// Any number of tasks may use one client. A cancelled task ends its transfer. Redirects aren't followed.
package final class HTTPClient: Sendable {
    package struct Request: Sendable {
        package enum Body: Sendable {
            case none
            case bytes([UInt8])
            /// The file's content, read while it is sent.
            case file(path: String)
        }

        package var method: String
        /// Joined to the client's base: begins with `/`, already percent-encoded, may carry a query.
        package var path: String
        package var headers: [(name: String, value: String)]
        package var body: Body
        /// From first to last byte; nil for no limit (event streams, large uploads).
        package var timeout: Duration?
        /// How long nothing may come, a second more or less; nil for no limit. For streams that send a beat when nothing happens.
        package var silence: Duration?

        package init(
            _ method: String, _ path: String, headers: [(name: String, value: String)] = [], body: Body = .none,
            timeout: Duration? = .seconds(60), silence: Duration? = nil
        ) {
            self.method = method
            self.path = path
            self.headers = headers
            self.body = body
            self.timeout = timeout
            self.silence = silence
        }
    }

    package struct Response: Sendable {
        package var status: Int
        package var headers: [(name: String, value: String)]
        package var body: [UInt8]

        /// The first header of that name, in any case.
        package subscript(header name: String) -> String? {
            headers.first { $0.name.caseInsensitiveCompare(name) == .orderedSame }?.value
        }
    }

    /// A response whose body arrives in pieces.
    package struct Stream: Sendable {
        package let head: Response
        package let chunks: AsyncThrowingStream<[UInt8], any Error>
    }

    package let base: String
    private let transfers: TransferThread

    /// - Parameters:
    ///   - base: scheme, host and port, and a path prefix if there is one: `http://127.0.0.1:8080`.
    ///   - unixSocket: connects to this socket instead of the base's host.
    ///   - headers: sent with every request that doesn't name them itself.
    package init(base: String, unixSocket: String? = nil, headers: [(name: String, value: String)] = []) throws {
        self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
        transfers = try TransferThread(unixSocket: unixSocket, headers: headers)
    }

    deinit { transfers.stop() }

    /// Sends the request and waits for the whole answer, whatever its status.
    ///
    /// - Errors: `HTTPClientError.bodyTooLarge` beyond `limit` bytes, `.transport` when there was no whole answer.
    package func send(_ request: Request, limit: Int = 64 << 20) async throws -> Response {
        try await transfers.run(Transfer(request, url: base + request.path, sink: .memory(limit: limit)))
    }

    /// As `send`, with the body of a 2xx answer written to a file; any other answer's body is in the response.
    ///
    /// The file is complete or absent.
    package func download(_ request: Request, to path: String) async throws -> Response {
        let partial = path + ".partial"
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw HTTPClientError.file(path: path, errno: errno) }
        defer { unlink(partial) }
        let response: Response
        do {
            defer { close(descriptor) }
            let sink = Transfer.Sink.file(descriptor, path: partial)
            response = try await transfers.run(Transfer(request, url: base + request.path, sink: sink))
        }
        if 200..<300 ~= response.status, rename(partial, path) != 0 {
            throw HTTPClientError.file(path: path, errno: errno)
        }
        return response
    }

    /// Sends the request and returns at the answer's head. Meant for event streams: nothing bounds what isn't consumed.
    package func stream(_ request: Request) async throws -> Stream {
        let (chunks, feed) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
        let transfer = try Transfer(request, url: base + request.path, sink: .stream(feed))
        // Ends the transfer when nobody listens any more, and keeps the client while someone does.
        feed.onTermination = { _ in self.transfers.cancel(transfer) }
        return Stream(head: try await transfers.run(transfer), chunks: chunks)
    }
}

package enum HTTPClientError: Error, Equatable, CustomStringConvertible {
    /// No whole answer: `code` is libcurl's, `reason` its text.
    case transport(code: Int, reason: String, url: String)
    case bodyTooLarge(limit: Int, url: String)
    case file(path: String, errno: Int32)
    case outOfMemory

    package var description: String {
        switch self {
        case .transport(_, let reason, let url): "\(url): \(reason)"
        case .bodyTooLarge(let limit, let url): "\(url): the answer is longer than \(limit) bytes"
        case .file(let path, let errno): "\(path): \(String(cString: strerror(errno)))"
        case .outOfMemory: "libcurl could not be started"
        }
    }
}
