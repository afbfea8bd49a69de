internal import HTTPTypes
internal import Hummingbird
internal import SlipwayDomain
internal import SlipwayPostgres
internal import SlipwayStore

/// An experiment's events as they happen, for `EventSource` and everything like it.
struct EventRoutes {
    let database: Database
    let hub: EventHub
    let authenticator: Authenticator
    let metrics: Metrics

    private static let batch = 500

    var routes: [Route] {
        [
            Route(.get, "/v1/experiments/{experiment}/events", .scope(.read),
                "Follow an experiment; `Last-Event-ID` says what was seen already", content: .eventStream, handle: follow)
        ]
    }

    /// The stream ends after the event that says how the experiment ended.
    func follow(_ call: Call) async throws -> Response {
        let id: ExperimentID = try call.identifier("experiment", of: "experiment")
        let role = try call.role
        let caller = try call.caller
        let seen = try Self.lastEventID(call.request.headers[.lastEventID])
        let isOver = try await database.transaction(as: role) { transaction in
            _ = try transaction.experiment(id)
            let (events, mayGrow) = try transaction.events(of: id, after: seen, limit: 1)
            return events.isEmpty && !mayGrow
        }
        // Of all answers, this one keeps an `EventSource` from connecting again.
        if isOver { return .noContent }
        var headers: HTTPFields = [.contentType: "text/event-stream", .cacheControl: "no-store"]
        // nginx would keep the events back.
        headers[HTTPField.Name("X-Accel-Buffering")!] = "no"
        guard call.request.method == .get else { return Response(status: .ok, headers: headers) }

        let place = try StreamPlace(metrics, of: caller.organisation, call.limits)
        let watch = ClientWatch(call.channel)
        return Response(status: .ok, headers: headers, body: ResponseBody { [database, hub, authenticator] writer in
            defer { withExtendedLifetime(place) {} }
            let subscription = hub.signals(of: id)
            defer { subscription.end() }
            watch.whenGone(subscription.end)
            var signals = subscription.signals.makeAsyncIterator()
            var last = seen
            while try await authenticator.isStillValid(caller, for: .read) {
                let after = last
                let (events, mayGrow) = try await database.transaction(as: role) { try $0.events(of: id, after: after, limit: Self.batch) }
                if let newest = events.last {
                    last = newest.sequence
                    try await writer.write(ByteBuffer(string: events.map(Self.text).joined()))
                }
                if !mayGrow { break }
                if events.count == Self.batch { continue }
                guard let signal = await signals.next() else { break }
                if signal == .heartbeat { try await writer.write(ByteBuffer(string: ":\n\n")) }
            }
            try await writer.finish(nil)
        })
    }

    private static func text(_ event: ExperimentEventRecord) -> String {
        "id: \(event.sequence)\nevent: \(event.kind)\ndata: \(event.data.text)\n\n"
    }

    private static func lastEventID(_ text: String?) throws -> Int64 {
        guard let text, !text.isEmpty else { return 0 }
        guard let id = Int64(text), id >= 0 else {
            throw Problem.invalidParameter("Last-Event-ID", "header-invalid", "must be the id of an event of this stream", status: 400)
        }
        return id
    }
}

/// A stream's place among the open ones, given back with the stream's body, also when that is never asked for.
private final class StreamPlace: Sendable {
    private let metrics: Metrics
    private let organisation: OrganisationID

    init(_ metrics: Metrics, of organisation: OrganisationID, _ limits: APIConfiguration.Limits) throws {
        guard metrics.openEventStream(of: organisation, limits) else {
            throw Refusal.unavailable(
                "too-many-streams",
                "\(limits.eventStreams) event streams are open already, or \(limits.organisationEventStreams) of this organisation",
                retryAfter: 10)
        }
        self.metrics = metrics
        self.organisation = organisation
    }

    deinit { metrics.closeEventStream(of: organisation) }
}
