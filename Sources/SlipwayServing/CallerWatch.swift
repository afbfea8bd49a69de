internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// A request's connection, so that its end can be watched.
struct ServeContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// Runs `body`, cancelled when the caller closes the connection: nobody waits for its answer then.
    ///
    /// (A task of its own, because a group can only be cancelled from within. Hummingbird's own way closes the connection
    /// after each answer.)
    func whileCalled<R: Sendable>(_ body: @escaping @Sendable () async -> R) async -> R {
        let task = Task { await body() }
        channel.triggerUserOutboundEvent(CallerWatch.Call { task.cancel() }, promise: nil)
        return await withTaskCancellationHandler { await task.value } onCancel: { task.cancel() }
    }
}

/// Ends the call in flight when the caller has gone.
final class CallerWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = Any
    typealias OutboundIn = Any

    struct Call: Sendable {
        let end: @Sendable () -> Void
    }

    private var call: Call?
    private var isGone = false

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let call = event as? Call else { return context.triggerUserOutboundEvent(event, promise: promise) }
        promise?.succeed()
        if isGone { call.end() } else { self.call = call }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { callerIsGone() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        callerIsGone()
        context.fireChannelInactive()
    }

    private func callerIsGone() {
        isGone = true
        call?.end()
        call = nil
    }
}
