import Foundation
import Hummingbird
import Logging
import Synchronization

/// As much of the API as a command asks for, with answers that the test decides; it writes down what it was asked.
final class FakePlatform: Sendable {
    struct Call: Sendable {
        let line: String
        let lastEventID: String?
    }
    enum Answer: Sendable {
        case json(String, HTTPResponse.Status = .ok)
        /// The events, after which the connection ends; or stays open and silent.
        case events(String, staysOpen: Bool = false)
    }

    private let calls = Mutex<[Call]>([])
    private let answer: @Sendable (Call, _ earlier: Int) -> Answer

    /// - Parameter answer: `earlier` says how many calls of the same line came before.
    init(_ answer: @escaping @Sendable (Call, _ earlier: Int) -> Answer) { self.answer = answer }

    func asked(_ line: String) -> [Call] { calls.withLock { $0.filter { $0.line == line } } }

    /// Runs `body` with the server's address.
    func serve(_ body: @escaping @Sendable (String) async throws -> Void) async throws {
        let router = Router()
        for method in [HTTPRequest.Method.get, .post, .delete] {
            router.on("**", method: method) { [self] request, _ in
                let call = Call(
                    line: "\(request.method) \(request.uri.path)", lastEventID: request.headers[.init("Last-Event-ID")!])
                let earlier = calls.withLock { calls in
                    defer { calls.append(call) }
                    return calls.count { $0.line == call.line }
                }
                return Self.response(answer(call, earlier))
            }
        }
        let (ports, running) = AsyncStream<Int>.makeStream()
        var logger = Logger(label: "fake")
        logger.logLevel = .critical
        let application = Application(
            router: router, configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { running.yield($0.localAddress?.port ?? 0) }, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            group.addTask {
                for await port in ports { return try await body("http://127.0.0.1:\(port)") }
            }
            try await group.next()
            group.cancelAll()
        }
    }

    private static func response(_ answer: Answer) -> Response {
        switch answer {
        case .json(let text, let status):
            return Response(
                status: status, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        case .events(let text, let staysOpen):
            return Response(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: ResponseBody { writer in
                    try await writer.write(ByteBuffer(string: text))
                    // Until the client goes away.
                    if staysOpen { for await _ in AsyncStream<Never>.makeStream().stream {} }
                    try await writer.finish(nil)
                })
        }
    }
}
