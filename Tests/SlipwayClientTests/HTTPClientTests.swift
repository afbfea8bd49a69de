import Foundation
import Hummingbird
import Logging
import SlipwayClient
import Testing

@Suite struct HTTPClientTests {
    @Test func sendsMethodHeadersAndBodyAndReadsTheAnswer() async throws {
        try await withEchoServer { client in
            let answer = try await client.send(
                HTTPClient.Request(
                    "PUT", "/echo?a=%20b", headers: [("X-Note", "Grüße"), ("X-Empty", "")], body: .bytes(Array("hello".utf8))))
            #expect(answer.status == 200)
            #expect(answer[header: "x-method"] == "PUT")
            #expect(answer[header: "X-QUERY"] == "a=%20b")
            #expect(answer[header: "x-note"] == "Grüße")
            #expect(answer[header: "x-default"] == "always")
            #expect(answer.body == Array("hello".utf8))
        }
    }

    @Test func aRequestsHeaderReplacesTheDefault() async throws {
        try await withEchoServer { client in
            let answer = try await client.send(HTTPClient.Request("GET", "/echo", headers: [("x-default", "mine")]))
            #expect(answer[header: "x-default"] == "mine")
            #expect(answer.body == [])
        }
    }

    @Test func aFileGoesUpAndComesDownUnchanged() async throws {
        try await withEchoServer { client in
            try await withTemporaryFolder { folder in
                let bytes = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
                try Data(bytes).write(to: URL(filePath: folder + "/up"))
                let answer = try await client.download(
                    HTTPClient.Request("POST", "/echo", body: .file(path: folder + "/up")), to: folder + "/down")
                #expect(answer.status == 200)
                #expect(answer.body == [])
                #expect(try Data(contentsOf: URL(filePath: folder + "/down")) == Data(bytes))
            }
        }
    }

    @Test func aRefusedDownloadLeavesNoFileAndKeepsTheReason() async throws {
        try await withEchoServer { client in
            try await withTemporaryFolder { folder in
                let answer = try await client.download(HTTPClient.Request("GET", "/missing"), to: folder + "/down")
                #expect(answer.status == 404)
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
            }
        }
    }

    @Test func anAnswerBeyondTheLimitIsAnError() async throws {
        try await withEchoServer { client in
            await #expect(throws: HTTPClientError.bodyTooLarge(limit: 3, url: client.base + "/echo")) {
                try await client.send(HTTPClient.Request("POST", "/echo", body: .bytes([1, 2, 3, 4])), limit: 3)
            }
        }
    }

    @Test func eventsArriveWhileTheAnswerIsStillOpen() async throws {
        try await withEchoServer { client in
            let stream = try await client.stream(HTTPClient.Request("GET", "/events", timeout: nil))
            #expect(stream.head.status == 200)
            var parser = ServerSentEventParser()
            var events: [ServerSentEvent] = []
            for try await chunk in stream.chunks {
                events += parser.take(chunk)
                if events.count == 2 { break }  // The server never ends this answer.
            }
            #expect(events.map(\.data) == ["0", "1"])
        }
    }

    @Test func cancellingTheTaskEndsTheTransfer() async throws {
        try await withEchoServer { client in
            let request = Task { try await client.send(HTTPClient.Request("GET", "/events", timeout: nil)) }
            request.cancel()
            await #expect(throws: CancellationError.self) { try await request.value }
        }
    }

    @Test func aTimeoutIsATransportError() async throws {
        try await withEchoServer { client in
            await #expect {
                try await client.send(HTTPClient.Request("GET", "/events", timeout: .milliseconds(50)))
            } throws: {
                guard case HTTPClientError.transport(let code, _, _) = $0 else { return false }
                return code == 28  // CURLE_OPERATION_TIMEDOUT
            }
        }
    }

    @Test func aStreamThatFallsSilentIsATransportError() async throws {
        try await withEchoServer { client in
            await #expect {
                // On a busy machine the head may be as late as that already.
                let stream = try await client.stream(
                    HTTPClient.Request("GET", "/events", timeout: nil, silence: .milliseconds(50)))
                for try await _ in stream.chunks {}
            } throws: {
                guard case HTTPClientError.transport(let code, _, _) = $0 else { return false }
                return code == 28  // CURLE_OPERATION_TIMEDOUT
            }
        }
    }

    @Test func manyRequestsShareAClient() async throws {
        try await withEchoServer { client in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        let body = Array("\(number)".utf8)
                        return try await client.send(HTTPClient.Request("POST", "/echo", body: .bytes(body))).body == body
                    }
                }
                for try await isEqual in group { #expect(isEqual) }
            }
        }
    }

    @Test func aServerThatIsNotThereIsNamed() async throws {
        let client = try HTTPClient(base: "http://127.0.0.1:1")
        await #expect {
            try await client.send(HTTPClient.Request("GET", "/"))
        } throws: {
            "\($0)".hasPrefix("http://127.0.0.1:1/: ")
        }
    }

    @Test func aUnixSocketServesAsHost() async throws {
        try await withTemporaryFolder { folder in
            let socket = folder + "/socket"
            try await withServer(at: .unixDomainSocket(path: socket)) { _ in
                let client = try HTTPClient(base: "http://localhost", unixSocket: socket)
                #expect(try await client.send(HTTPClient.Request("GET", "/echo")).status == 200)
            }
        }
    }
}

@Suite struct ServerSentEventTests {
    private func events(_ text: String) -> [ServerSentEvent] {
        var parser = ServerSentEventParser()
        return parser.take(Array(text.utf8))
    }

    @Test func fieldsAreReadAndCommentsSkipped() {
        #expect(
            events(": keep-alive\n\nid: 7\nevent: metric\ndata: a\ndata:b\n\n")
                == [ServerSentEvent(id: "7", event: "metric", data: "a\nb")])
    }

    @Test func theLastIDHoldsForLaterEvents() {
        #expect(events("id: 7\ndata: a\n\ndata: b\n\n").map(\.id) == ["7", "7"])
    }

    @Test(arguments: ["\n", "\r", "\r\n"])
    func anyLineEndCounts(end: String) {
        #expect(events("data: a\(end)\(end)data: b\(end)\(end)").map(\.data) == ["a", "b"])
    }

    @Test func pieces() {
        var parser = ServerSentEventParser()
        let found = Array("event: log\r\ndata: größer\r\n\r\n".utf8).flatMap { parser.take([$0]) }
        #expect(found == [ServerSentEvent(id: nil, event: "log", data: "größer")])
    }

    @Test func anUnfinishedEventIsNotGiven() {
        #expect(events("data: a\n") == [])
    }
}

private func withEchoServer(_ body: @Sendable @escaping (HTTPClient) async throws -> Void) async throws {
    try await withServer(at: .hostname("127.0.0.1", port: 0)) { port in
        try await body(HTTPClient(base: "http://127.0.0.1:\(port)", headers: [("X-Default", "always")]))
    }
}

/// A server that answers `/echo` with what it was sent, and `/events` with two events and no end.
private func withServer(at address: BindAddress, _ body: @Sendable @escaping (Int) async throws -> Void) async throws {
    let router = Router()
    for method in [HTTPRequest.Method.get, .post, .put] {
        router.on("/echo", method: method) { request, _ in
            var headers = request.headers
            headers[.init("X-Method")!] = request.method.rawValue
            headers[.init("X-Query")!] = request.uri.query
            headers[.contentLength] = nil
            return Response(status: .ok, headers: headers, body: ResponseBody(asyncSequence: request.body))
        }
    }
    router.get("/events") { _, _ in
        Response(
            status: .ok, headers: [.contentType: "text/event-stream"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: "data: 0\n\n"))
                try await writer.write(ByteBuffer(string: "data: 1\n\n"))
                for await _ in AsyncStream<Never>.makeStream().stream {}  // Until the client goes away.
            })
    }
    let (ports, running) = AsyncStream<Int>.makeStream()
    var logger = Logger(label: "echo")
    logger.logLevel = .critical
    let application = Application(
        router: router, configuration: ApplicationConfiguration(address: address),
        onServerRunning: { running.yield($0.localAddress?.port ?? 0) }, logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await application.run() }
        group.addTask {
            for await port in ports {
                try await body(port)
                return
            }
        }
        try await group.next()
        group.cancelAll()
    }
}

private func withTemporaryFolder(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.path + "/slipway-client-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
}
