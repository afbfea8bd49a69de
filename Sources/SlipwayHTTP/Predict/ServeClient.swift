internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// What the serve process answered.
struct ServeAnswer: Sendable {
    let head: HTTPResponseHead
    let body: ByteBuffer
}

enum ServeError: Error {
    /// Nobody listens: nothing was sent.
    case unreachable
    /// The connection broke before the answer was complete.
    case broken
    case tooSlow
}

/// Speaks HTTP to the serve process over its unix socket, on connections that are kept.
///
/// A prediction changes nothing, so one whose connection broke is asked for once more if its body is still at hand. Not
/// more often: it may be what brought the serve process down.
final class ServeClient: Sendable {
    private struct Connection: Sendable {
        let channel: any Channel
        let collector: NIOLoopBound<AnswerCollector>
    }

    /// A body up to this size is kept until it's answered, so that it can be sent again.
    private static let replayableBytes = 1 << 20
    private static let answerBytes = 64 << 20
    private static let idleConnections = 16

    private let path: String
    private let limits: APIConfiguration.Limits
    private let idle = Mutex<[Connection]>([])

    init(path: String, limits: APIConfiguration.Limits) {
        self.path = path
        self.limits = limits
    }

    /// Sends a request with a body that is read once, and gives the answer.
    ///
    /// While the serve process is away (it is being restarted), the call waits for it up to the configured time.
    func answer(to head: HTTPRequestHead, body: BodyStream) async throws -> ServeAnswer {
        var iterator = body.makeAsyncIterator()
        var start = ByteBuffer()
        var isWhole = false
        while start.readableBytes < Self.replayableBytes {
            guard var piece = try await iterator.next() else {
                isWhole = true
                break
            }
            start.writeBuffer(&piece)
        }
        let deadline = ContinuousClock.now + limits.serveTime
        var mayRepeat = isWhole
        while true {
            do {
                // A kept connection may be closing just now: what can't be sent again goes over a new one.
                let connection = try await connection(until: deadline, kept: mayRepeat)
                return try await exchange(head, start, isWhole ? nil : iterator, on: connection)
            } catch ServeError.broken where mayRepeat {
                // The connection breaks, too, when the client has gone away.
                try Task.checkCancellation()
                mayRepeat = false
            } catch ServeError.unreachable {
                throw Refusal.unavailable("serve-unavailable", "the serving process isn't there yet")
            } catch ServeError.broken {
                throw Refusal.unavailable("serve-interrupted", "the serving process ended while it answered; the call can be repeated")
            } catch ServeError.tooSlow {
                throw Refusal(problem: .init(
                    504, "inference-timeout", title: "The prediction took too long", detail: "no answer within \(limits.predictTime)"))
            }
        }
    }

    /// Whether the serve process can be reached.
    func isReachable() async -> Bool {
        guard let connection = try? await connect() else { return false }
        put(connection)
        return true
    }

    func close() {
        for connection in idle.withLock({ idle in defer { idle = [] }; return idle }) { connection.channel.close(promise: nil) }
    }

    // MARK: Connections

    private func connection(until deadline: ContinuousClock.Instant, kept: Bool) async throws -> Connection {
        var pause = Duration.milliseconds(20)
        while true {
            while kept, let connection = idle.withLock({ $0.popLast() }) { if connection.channel.isActive { return connection } }
            do {
                return try await connect()
            } catch {
                guard ContinuousClock.now + pause < deadline else { throw ServeError.unreachable }
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(200))
            }
        }
    }

    private func connect() async throws -> Connection {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(1))
            .connect(unixDomainSocketPath: path) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let collector = AnswerCollector(limit: Self.answerBytes)
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(collector)
                    return Connection(channel: channel, collector: NIOLoopBound(collector, eventLoop: channel.eventLoop))
                }
            }
    }

    private func put(_ connection: Connection) {
        let isKept = idle.withLock { idle in
            guard idle.count < Self.idleConnections, connection.channel.isActive else { return false }
            idle.append(connection)
            return true
        }
        if !isKept { connection.channel.close(promise: nil) }
    }

    private func exchange(
        _ head: HTTPRequestHead, _ start: ByteBuffer, _ rest: BodyStream.AsyncIterator?, on connection: Connection
    ) async throws -> ServeAnswer {
        let channel = connection.channel
        let answer = channel.eventLoop.makePromise(of: ServeAnswer.self)
        let tooSlow = channel.eventLoop.scheduleTask(in: TimeAmount(limits.predictTime)) {
            connection.collector.value.fail(.tooSlow)
            channel.close(promise: nil)
        }
        defer { tooSlow.cancel() }
        return try await withTaskCancellationHandler {
            channel.eventLoop.execute { connection.collector.value.expect(answer) }
            do {
                try await send(head, start, rest, on: channel)
            } catch where error is ChannelError || error is IOError {
                // An answer may have come before the connection broke.
                channel.close(promise: nil)
            } catch {
                // The client's body broke off: its half of a request must not be mistaken for a whole one.
                channel.close(promise: nil)
                _ = try? await answer.futureResult.get()
                throw error
            }
            let result = try await answer.futureResult.get()
            if result.head.isKeepAlive { put(connection) } else { channel.close(promise: nil) }
            return result
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    private func send(
        _ head: HTTPRequestHead, _ start: ByteBuffer, _ rest: BodyStream.AsyncIterator?, on channel: any Channel
    ) async throws {
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        guard var rest else {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(start)), promise: nil)
            return try await channel.writeAndFlush(HTTPClientRequestPart.end(nil))
        }
        try await channel.writeAndFlush(HTTPClientRequestPart.body(.byteBuffer(start)))
        while let piece = try await rest.next() { try await channel.writeAndFlush(HTTPClientRequestPart.body(.byteBuffer(piece))) }
        try await channel.writeAndFlush(HTTPClientRequestPart.end(nil))
    }
}

/// Puts the parts of an answer together.
private final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let limit: Int
    private var promise: EventLoopPromise<ServeAnswer>?
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()
    private var isOver = false

    init(limit: Int) { self.limit = limit }

    func expect(_ promise: EventLoopPromise<ServeAnswer>) {
        guard !isOver else { return promise.fail(ServeError.broken) }
        self.promise = promise
        head = nil
        body = ByteBuffer()
    }

    func fail(_ error: ServeError) {
        promise?.fail(error)
        promise = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(var piece):
            body.writeBuffer(&piece)
            if body.readableBytes > limit {
                fail(.broken)
                context.close(promise: nil)
            }
        case .end:
            if let head { promise?.succeed(ServeAnswer(head: head, body: body)) }
            promise = nil
            body = ByteBuffer()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isOver = true
        fail(.broken)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(.broken)
        context.close(promise: nil)
    }
}
