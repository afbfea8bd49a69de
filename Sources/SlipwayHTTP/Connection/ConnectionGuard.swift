internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
internal import SlipwayDomain

/// Keeps a connection's client to its limits: time for a header and a body, time to take an answer, and HTTP that can be
/// read in one way only. What it refuses gets a problem document and the connection's end.
///
/// A chunk's size that needs more than 64 bits is malformed. One of up to 64 bits is RFC 9112's, and swift-nio's decoder hands on
/// bytes without the sizes of their chunks, so a body that only claims to be that long is waited for like any slow one.
///
/// Hummingbird's own idle timer begins anew with every byte, and it reads the rest of a refused body to its end.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private enum Phase {
        /// Waiting for a request's header.
        case idle
        /// A request has begun and isn't answered wholly.
        case serving(bodyEnded: Bool)
        /// The last answer of this connection has begun.
        case answeringLast
        /// Everything was said; what the client still sends is thrown away for a moment, so that it can read the answer.
        case lingering
    }

    /// How much of a refused body is thrown away, and for how long.
    private static let lingerBytes = 64 << 20
    private static let lingerTime = TimeAmount.seconds(2)

    private let limits: APIConfiguration.Limits
    private let table: RouteTable
    private let latestBytes = LatestBytes()
    private var phase = Phase.idle
    private var headTimer: Scheduled<Void>?
    private var bodyTimer: Scheduled<Void>?
    private var paceTimer: Scheduled<Void>?
    private var writeTimer: Scheduled<Void>?
    private var watch: ClientWatch?
    /// What came of the next requests while one is being answered. Nothing more is read until then.
    private var pending: [HTTPRequestPart] = []
    private var holdsRead = false
    private var isBroken = false
    private var bodyBytes = 0
    private var windowBytes = 0
    private var waited = Duration.zero
    private var waitingSince: ContinuousClock.Instant?
    /// The same for an answer: what was written in the window, and how long the client took nothing.
    private var writtenBytes = 0
    private var stalled = Duration.zero
    private var stalledSince: ContinuousClock.Instant?

    init(_ limits: APIConfiguration.Limits, _ table: RouteTable) {
        self.limits = limits
        self.table = table
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        do {
            let codec = try context.pipeline.syncOperations.context(handlerType: HTTP1ToHTTPServerCodec.self).handler
            try context.pipeline.syncOperations.addHandler(HeadInspector(limits), position: .before(codec))
            try context.pipeline.syncOperations.addHandler(latestBytes, position: .first)
        } catch {
            preconditionFailure("the guard stands behind HTTP1ToHTTPServerCodec: \(error)")
        }
        if context.channel.isActive { startHeadTimer(context, limits.headTime) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { cancelTimers() }

    func channelActive(context: ChannelHandlerContext) {
        startHeadTimer(context, limits.headTime)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        cancelTimers()
        watch?.clientIsGone()
        watch = nil
        context.fireChannelInactive()
    }

    private func cancelTimers() {
        for timer in [headTimer, bodyTimer, paceTimer, writeTimer] { timer?.cancel() }
        (headTimer, bodyTimer, paceTimer, writeTimer) = (nil, nil, nil, nil)
    }

    private func startHeadTimer(_ context: ChannelHandlerContext, _ time: Duration) {
        guard headTimer == nil else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        headTimer = context.eventLoop.scheduleTask(in: TimeAmount(time)) {
            let (handler, context) = bound.value
            handler.headTimer = nil
            // A client that has sent nothing, or half a header, isn't waiting for an answer.
            if case .idle = handler.phase { context.close(promise: nil) }
        }
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .lingering = phase {
            if case .body(let piece) = unwrapInboundIn(data) {
                bodyBytes += piece.readableBytes
                if bodyBytes > Self.lingerBytes { context.close(promise: nil) }
            }
            return
        }
        let part = unwrapInboundIn(data)
        switch phase {
        case .serving(bodyEnded: true): pending.append(part)
        case .answeringLast where part.isHead || !pending.isEmpty: pending.append(part)
        default: deliver(part, context)
        }
    }

    private func deliver(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        switch part {
        case .head:
            headTimer?.cancel()
            headTimer = nil
            phase = .serving(bodyEnded: false)
            (bodyBytes, windowBytes, waited) = (0, 0, .zero)
            startBodyTimer(context, limits.bodyTime)
        case .body(let piece):
            bodyBytes += piece.readableBytes
            windowBytes += piece.readableBytes
        case .end:
            if case .serving = phase { phase = .serving(bodyEnded: true) }
            cancelBodyTimers()
        }
        context.fireChannelRead(wrapInboundOut(part))
    }

    /// The next request that came already, if one did.
    private func deliverPending(_ context: ChannelHandlerContext) {
        guard !pending.isEmpty else { return }
        var parts = pending[...]
        pending = []
        while let part = parts.first {
            if case .serving(bodyEnded: true) = phase { break }
            parts.removeFirst()
            deliver(part, context)
        }
        pending = Array(parts)
        context.fireChannelReadComplete()
        if pending.isEmpty, holdsRead {
            holdsRead = false
            context.read()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if let since = waitingSince { waited += .now - since }
        waitingSince = nil
        if case .lingering = phase { context.read() }
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        guard pending.isEmpty else {
            holdsRead = true
            return
        }
        if waitingSince == nil { waitingSince = .now }
        context.read()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { watch?.clientIsGone() }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: The body's time

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event {
        case let expected as BodyExpected:
            promise?.succeed()
            expect(expected, context)
        case let watch as ClientWatch:
            promise?.succeed()
            if context.channel.isActive { self.watch = watch } else { watch.clientIsGone() }
        default: context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    private func expect(_ expected: BodyExpected, _ context: ChannelHandlerContext) {
        guard case .serving(bodyEnded: false) = phase else { return }
        cancelBodyTimers()
        switch expected.pace {
        case .total(let time): startBodyTimer(context, time)
        case .minimum(let bytes, let window, let total):
            startBodyTimer(context, total)
            startPaceTimer(context, bytes, window)
        }
        guard expected.sendsContinue, bodyBytes == 0 else { return }
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }

    private func startBodyTimer(_ context: ChannelHandlerContext, _ time: Duration) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        bodyTimer = context.eventLoop.scheduleTask(in: TimeAmount(time)) {
            let (handler, context) = bound.value
            handler.bodyTimer = nil
            handler.bodyIsTooSlow(context)
        }
    }

    private func startPaceTimer(_ context: ChannelHandlerContext, _ bytes: Int, _ window: Duration) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        paceTimer = context.eventLoop.scheduleTask(in: TimeAmount(window)) {
            let (handler, context) = bound.value
            handler.paceTimer = nil
            let waited = handler.waited + (handler.waitingSince.map { .now - $0 } ?? .zero)
            if waited > window * 0.9, handler.windowBytes < bytes { return handler.bodyIsTooSlow(context) }
            (handler.windowBytes, handler.waited) = (0, .zero)
            if handler.waitingSince != nil { handler.waitingSince = .now }
            handler.startPaceTimer(context, bytes, window)
        }
    }

    private func cancelBodyTimers() {
        bodyTimer?.cancel()
        paceTimer?.cancel()
        (bodyTimer, paceTimer) = (nil, nil)
    }

    private func bodyIsTooSlow(_ context: ChannelHandlerContext) {
        guard case .serving(bodyEnded: false) = phase else { return }
        cancelBodyTimers()
        isBroken = true
        context.fireErrorCaught(Refusal.tooSlow)
    }

    // MARK: Errors

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let refusal: Refusal
        switch error {
        case let error as Refusal: refusal = error
        case HTTPParserError.invalidMethod: refusal = methodUnknown()
        case let error as HTTPParserError: refusal = .parserError(error)
        case is HTTP1TypeConversionError: refusal = .malformedRequest("the method or the target can't be read")
        default: return context.fireErrorCaught(error)
        }
        isBroken = true
        switch phase {
        case .idle: refuse(refusal, context)
        // The route that reads the body answers.
        case .serving: context.fireErrorCaught(refusal)
        case .answeringLast, .lingering: break
        }
    }

    /// The parser knows all methods that there are, and gives up at any other: what the path allows is looked up in the bytes.
    private func methodUnknown() -> Refusal {
        guard let (method, path) = latestBytes.line(withoutMethodIn: Metrics.methods) else {
            return .malformedRequest("there is no request line")
        }
        return switch table.match(.init(rawValue: method) ?? .options, path) {
        case .wrongMethod(let allowed, _): .methodNotAllowed(method, allowed: allowed)
        case .found, .unknown: Refusal(problem: .unknownPath)
        }
    }

    private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        headTimer?.cancel()
        headTimer = nil
        var problem = refusal.problem
        problem.requestID = RequestID.accepted(nil)
        let text = Output.problem(problem).text
        var response = HTTPResponse(status: HTTPResponse.Status(code: problem.status), headerFields: refusal.headers)
        response.headerFields[.contentType] = "application/problem+json"
        response.headerFields[.contentLength] = String(text.utf8.count)
        response.headerFields[.connection] = "close"
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(string: text))), promise: nil)
        end(context, wrapOutboundOut(.end(nil)), promise: nil)
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let part = unwrapOutboundIn(data)
        if case .body(let piece) = part { writtenBytes += piece.readableBytes }
        switch (phase, part) {
        case (.lingering, _), (.idle, _): promise?.fail(ChannelError.outputClosed)
        case (.serving(let bodyEnded), .head(var head)) where head.status.kind != .informational:
            if !bodyEnded || isBroken || head.headerFields[.connection]?.lowercased() == "close" {
                head.headerFields[.connection] = "close"
                phase = .answeringLast
            }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case (.answeringLast, .end): end(context, data, promise: promise)
        case (.serving, .end):
            watch = nil
            phase = .idle
            context.write(data, promise: promise)
            startHeadTimer(context, limits.idleTime)
            // Not within this write: whoever wrote isn't ready for the next request yet.
            if !pending.isEmpty {
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                context.eventLoop.execute {
                    let (handler, context) = bound.value
                    handler.deliverPending(context)
                }
            }
        default: context.write(data, promise: promise)
        }
    }

    private func end(_ context: ChannelHandlerContext, _ data: NIOAny, promise: EventLoopPromise<Void>?) {
        watch = nil
        phase = .lingering
        pending = []
        bodyBytes = 0
        cancelBodyTimers()
        context.writeAndFlush(data, promise: promise)
        context.close(mode: .output, promise: nil)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        headTimer = context.eventLoop.scheduleTask(in: Self.lingerTime) { bound.value.close(promise: nil) }
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            if let since = stalledSince { stalled += .now - since }
            stalledSince = nil
        } else {
            stalledSince = .now
            if writeTimer == nil { startWriteTimer(context) }
        }
        context.fireChannelWritabilityChanged()
    }

    /// Time in which we have nothing to write doesn't count against the client.
    private func startWriteTimer(_ context: ChannelHandlerContext) {
        (writtenBytes, stalled) = (0, .zero)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        writeTimer = context.eventLoop.scheduleTask(in: TimeAmount(limits.writeTime)) {
            let (handler, context) = bound.value
            handler.writeTimer = nil
            let stalled = handler.stalled + (handler.stalledSince.map { .now - $0 } ?? .zero)
            if stalled > handler.limits.writeTime * 0.9, handler.writtenBytes < handler.limits.writePaceBytes {
                return context.close(promise: nil)
            }
            guard handler.stalledSince != nil else { return }
            handler.stalledSince = .now
            handler.startWriteTimer(context)
        }
    }
}

extension HTTPRequestPart {
    fileprivate var isHead: Bool { if case .head = self { true } else { false } }
}

/// Refuses headers that two readers could understand differently, before they become a request.
final class HeadInspector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let limits: APIConfiguration.Limits
    private var hasRefused = false

    init(_ limits: APIConfiguration.Limits) { self.limits = limits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasRefused else { return }
        if case .head(let head) = unwrapInboundIn(data), let refusal = refusal(of: head) {
            hasRefused = true
            return context.fireErrorCaught(refusal)
        }
        context.fireChannelRead(data)
    }

    private func refusal(of head: HTTPRequestHead) -> Refusal? {
        guard head.uri.utf8.count <= limits.targetBytes else {
            return Refusal(problem: Problem(
                414, "target-too-long", title: "The request's target is too long",
                detail: "a path and query of at most \(limits.targetBytes) bytes are accepted"))
        }
        guard head.version == .http1_1 || head.version == .http1_0 else {
            return Refusal(problem: Problem(505, "http-version", title: "The HTTP version isn't served", detail: "speak HTTP/1.1"))
        }
        let hosts = head.headers["host"].count
        guard hosts == 1 || hosts == 0 && head.version == .http1_0 else {
            return .malformedRequest(hosts == 0 ? "there is no Host field" : "there is more than one Host field")
        }
        let lengths = head.headers["content-length"].count, encodings = head.headers["transfer-encoding"]
        guard lengths <= 1, encodings.count <= 1, lengths == 0 || encodings.isEmpty else {
            return .malformedRequest("the body's length is said in more than one way")
        }
        if let encoding = encodings.first {
            guard encoding.lowercased() == "chunked", head.version == .http1_1 else {
                return .malformedRequest("a Transfer-Encoding other than \"chunked\" isn't served")
            }
        }
        return nil
    }
}

/// The bytes that are being parsed.
private final class LatestBytes: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var bytes: ByteBuffer?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes = unwrapInboundIn(data)
        context.fireChannelRead(data)
        bytes = nil
    }

    /// The last request line whose method isn't among those known.
    func line(withoutMethodIn known: Set<String>) -> (method: String, path: Substring)? {
        guard let bytes else { return nil }
        for line in String(decoding: bytes.readableBytesView, as: UTF8.self).split(separator: "\r\n").reversed() {
            guard let match = line.wholeMatch(of: /([!-~]{1,50}) (\/[!-~]*) HTTP\/1\.[01]/), !known.contains(String(match.1)) else {
                continue
            }
            return (String(match.1), match.2.prefix { $0 != "?" })
        }
        return nil
    }
}
