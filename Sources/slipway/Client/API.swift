import Foundation
import SlipwayClient
import SlipwayDomain

/// The platform's HTTP API as the commands use it: JSON in and out, problems as `Failure`s, repeated where that is safe.
struct API: Sendable {
    let http: HTTPClient

    init(url: String, key: String?) throws {
        var headers = [("User-Agent", "slipway-cli"), ("Accept", "application/json")]
        if let key { headers.append(("Authorization", "Bearer \(key)")) }
        http = try HTTPClient(base: url, headers: headers)
    }

    func get(_ path: String) async throws -> JSON { try await json(.init("GET", path)) }

    func delete(_ path: String) async throws {
        _ = try await checked(HTTPClient.Request("DELETE", path))
    }

    /// A POST that creates is given an idempotency key, so that repeating it after a lost answer creates nothing twice.
    func post(_ path: String, _ body: JSON = [:]) async throws -> JSON {
        let bytes = Array(body.text(isPretty: false).utf8)
        return try await json(
            .init(
                "POST", path,
                headers: [("Content-Type", "application/json"), ("Idempotency-Key", UUID().uuidString.lowercased())],
                body: .bytes(bytes)))
    }

    func upload(_ file: String, as mediaType: String, to path: String) async throws -> JSON {
        try await json(
            .init(
                "POST", path, headers: [("Content-Type", mediaType), ("Idempotency-Key", UUID().uuidString.lowercased())],
                body: .file(path: file), timeout: nil))
    }

    /// All items of a list, page after page, at most `limit`.
    func list(_ path: String, limit: Int = .max) async throws -> [JSON] {
        var items: [JSON] = []
        var cursor: String?
        repeat {
            let size = min(limit - items.count, 200)
            let separator = path.contains("?") ? "&" : "?"
            let next = cursor.map { "&cursor=" + $0.percentEncoded } ?? ""
            let page = try await get("\(path)\(separator)limit=\(size)\(next)")
            items += page["items"]?.arrayValue ?? []
            cursor = page["next_cursor"]?.stringValue
        } while cursor != nil && items.count < limit
        return items
    }

    func download(_ path: String, to file: String) async throws {
        try await repeating {
            let response = try await http.download(.init("GET", path, timeout: nil), to: file)
            try check(response)
        }
    }

    /// Hands on each event of a stream, from after the one of the given id. Returns when the stream ends; one that breaks, falls
    /// silent or can't be opened for now is `Failure.unreachable`.
    func follow(_ path: String, after id: String?, _ take: (ServerSentEvent) throws -> Void) async throws {
        var headers = [("Accept", "text/event-stream")]
        if let id { headers.append(("Last-Event-ID", id)) }
        // The platform sends a beat every two seconds.
        let request = HTTPClient.Request("GET", path, headers: headers, timeout: nil, silence: .seconds(20))
        do {
            let stream = try await http.stream(request)
            guard stream.head.status == 200 else {
                var refused = stream.head
                for try await chunk in stream.chunks { refused.body += chunk }
                return try check(refused)
            }
            var parser = ServerSentEventParser()
            for try await chunk in stream.chunks {
                for event in parser.take(chunk) { try take(event) }
            }
        } catch let away as Unavailable {
            throw Failure.unreachable(url: http.base, reason: away.problem.detail)
        } catch HTTPClientError.transport(_, let reason, let url) {
            throw Failure.unreachable(url: url, reason: reason)
        }
    }

    /// The whole answer of a 2xx; anything else is thrown.
    func checked(_ request: HTTPClient.Request) async throws -> HTTPClient.Response {
        try await repeating {
            let response = try await http.send(request, limit: 256 << 20)
            try check(response)
            return response
        }
    }

    private func json(_ request: HTTPClient.Request) async throws -> JSON {
        let response = try await checked(request)
        guard !response.body.isEmpty else { return .null }
        return try JSON(parsing: response.body)
    }

    private func check(_ response: HTTPClient.Response) throws {
        guard !(200..<300).contains(response.status) else { return }
        let problem =
            (try? JSONDecoder().decode(Problem.self, from: Data(response.body)))
            ?? Problem(
                response.status, "http-\(response.status)", title: "The platform answered \(response.status)",
                detail: String(decoding: response.body.prefix(500), as: UTF8.self))
        switch response.status {
        case 401, 403: throw Failure.denied(problem)
        case 408, 429, 502...504: throw Unavailable(problem, response)
        case 409 where problem.code == "idempotency-in-flight": throw Unavailable(problem, response)
        case 500...: throw Failure.work(problem)
        default: throw Failure.refused(problem)
        }
    }

    private struct Unavailable: Error {
        let problem: Problem
        let retryAfter: Double?

        init(_ problem: Problem, _ response: HTTPClient.Response) {
            self.problem = problem
            retryAfter = response[header: "Retry-After"].flatMap { Double($0) }
        }
    }

    /// Every request of this client can be repeated: GET, DELETE, prediction, and POSTs with an idempotency key. A
    /// platform that restarts one of its processes is away for a second or two.
    private func repeating<Value>(_ body: () async throws -> Value) async throws -> Value {
        var pause = 0.3
        for attempt in 1... {
            do {
                return try await body()
            } catch let away as Unavailable {
                guard attempt < 5 else { throw Failure.unreachable(url: http.base, reason: away.problem.detail) }
                try await Task.sleep(for: .seconds(min(away.retryAfter ?? pause, 10)))
            } catch HTTPClientError.transport(let code, let reason, let url) {
                // 7: nobody listens. Waiting longer than a restart takes would only keep the user from the message.
                guard attempt < (code == 7 ? 3 : 2) else { throw Failure.unreachable(url: url, reason: reason) }
                try await Task.sleep(for: .seconds(pause))
            }
            pause *= 2
        }
        preconditionFailure("the loop has no end but by return and throw")
    }
}
