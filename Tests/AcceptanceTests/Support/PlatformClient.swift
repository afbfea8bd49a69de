import Foundation
import SlipwayClient
import SlipwayDomain

/// Slipway's API as one caller sees it: JSON in and out, problem documents as errors, lists page by page.
struct PlatformClient: Sendable {
    let http: HTTPClient
    private let key: String?

    /// - Parameters:
    ///   - url: of the platform, such as `http://127.0.0.1:8080`.
    ///   - key: sent as bearer token; nil for the routes that need none.
    init(url: String, key: String?) throws {
        self.init(http: try HTTPClient(base: url), key: key)
    }

    /// The same connections under another key.
    func with(key: String?) -> PlatformClient { PlatformClient(http: http, key: key) }

    private init(http: HTTPClient, key: String?) {
        self.http = http
        self.key = key
    }

    // MARK: Calls

    func get(_ path: String) async throws -> JSON {
        try await json(of: send("GET", path))
    }

    func post(_ path: String, _ body: JSON? = nil, headers: [(name: String, value: String)] = [])
        async throws -> JSON
    {
        let bytes = try body.map { HTTPClient.Request.Body.bytes([UInt8](try JSONEncoder().encode($0))) }
        let type = body == nil ? [] : [(name: "Content-Type", value: "application/json")]
        return try await json(of: send("POST", path, headers: type + headers, body: bytes ?? .none))
    }

    /// Sends bytes of a type, such as a data set or a picture. Uploads may last as long as they take.
    func post(_ path: String, _ body: HTTPClient.Request.Body, type: String) async throws -> JSON {
        try await json(of: send("POST", path, headers: [("Content-Type", type)], body: body, timeout: nil))
    }

    func delete(_ path: String) async throws {
        _ = try await checked(send("DELETE", path))
    }

    /// The bytes behind a path, into a file.
    func download(_ path: String, to file: String) async throws {
        let request = HTTPClient.Request("GET", path, headers: authorization, timeout: nil)
        _ = try checked(await http.download(request, to: file))
    }

    /// Any call, whatever it answers.
    func send(
        _ method: String, _ path: String, headers: [(name: String, value: String)] = [],
        body: HTTPClient.Request.Body = .none, timeout: Duration? = .seconds(60)
    ) async throws -> HTTPClient.Response {
        try await http.send(
            HTTPClient.Request(method, path, headers: authorization + headers, body: body, timeout: timeout))
    }

    /// All elements of a list, fetched page by page.
    func list(_ path: String) async throws -> [JSON] {
        var elements: [JSON] = []
        var cursor: String?
        repeat {
            let next = cursor.map { "\(path.contains("?") ? "&" : "?")cursor=\(Self.escaped($0))" } ?? ""
            let page = try await get(path + next)
            guard case .array(let items)? = page["items"] else { throw PlatformClientError.noList(path: path) }
            elements += items
            cursor = page["next_cursor"]?.stringValue
        } while cursor != nil
        return elements
    }

    /// Events of a `text/event-stream` route, from the one after `lastID` on, until the server ends the stream.
    func events(_ path: String, after lastID: String? = nil) async throws
        -> AsyncThrowingStream<ServerSentEvent, any Error>
    {
        let last = lastID.map { [(name: "Last-Event-ID", value: $0)] } ?? []
        let stream = try await http.stream(
            HTTPClient.Request(
                "GET", path, headers: authorization + [("Accept", "text/event-stream")] + last, timeout: nil))
        guard stream.head.status == 200 else {
            var response = stream.head
            for try await chunk in stream.chunks { response.body += chunk }
            throw try problem(in: response)
        }
        return AsyncThrowingStream { feed in
            let reading = Task {
                var parser = ServerSentEventParser()
                do {
                    for try await chunk in stream.chunks {
                        for event in parser.take(chunk) { feed.yield(event) }
                    }
                    feed.finish()
                } catch {
                    feed.finish(throwing: error)
                }
            }
            feed.onTermination = { _ in reading.cancel() }
        }
    }

    /// A path segment or query value in which no character has a meaning of its own.
    static func escaped(_ text: String) -> String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: plain) ?? text
    }

    // MARK: Answers

    private var authorization: [(name: String, value: String)] {
        key.map { [("Authorization", "Bearer \($0)")] } ?? []
    }

    private func json(of response: HTTPClient.Response) throws -> JSON {
        let body = try checked(response).body
        return body.isEmpty ? .null : try JSONDecoder().decode(JSON.self, from: Data(body))
    }

    private func checked(_ response: HTTPClient.Response) throws -> HTTPClient.Response {
        guard 200..<300 ~= response.status else { throw try problem(in: response) }
        return response
    }

    /// The problem document of a refusal. What isn't one (a proxy's page) is an error of its own.
    private func problem(in response: HTTPClient.Response) throws -> Problem {
        guard response[header: "Content-Type"]?.hasPrefix("application/problem+json") == true else {
            throw PlatformClientError.unexpectedAnswer(
                status: response.status, text: String(decoding: response.body.prefix(200), as: UTF8.self))
        }
        return try JSONDecoder().decode(Problem.self, from: Data(response.body))
    }
}

enum PlatformClientError: Error, CustomStringConvertible {
    /// Neither success nor a problem document: it wasn't Slipway that answered.
    case unexpectedAnswer(status: Int, text: String)
    case noList(path: String)

    var description: String {
        switch self {
        case .unexpectedAnswer(let status, let text): "unexpected answer \(status): \(text)"
        case .noList(let path): "\(path) is no list"
        }
    }
}
