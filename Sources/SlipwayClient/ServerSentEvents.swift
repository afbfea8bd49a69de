/// One event of a `text/event-stream`.
package struct ServerSentEvent: Equatable, Sendable {
    package var id: String?
    package var event: String
    package var data: String

    package init(id: String? = nil, event: String = "message", data: String) {
        self.id = id
        self.event = event
        self.data = data
    }
}

/// Puts the pieces of a `text/event-stream` body together (WHATWG HTML, section 9.2.6).
package struct ServerSentEventParser {
    private var line: [UInt8] = []
    private var endsInCarriageReturn = false
    private var id: String?
    private var event = ""
    private var data: [String] = []

    package init() {}

    /// The events that these bytes complete. Comments (keep-alives) are skipped.
    package mutating func take(_ bytes: some Sequence<UInt8>) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\n") where endsInCarriageReturn:
                endsInCarriageReturn = false
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                endsInCarriageReturn = byte == UInt8(ascii: "\r")
                if let event = endLine() { events.append(event) }
            default:
                endsInCarriageReturn = false
                line.append(byte)
            }
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        defer { line = [] }
        guard !line.isEmpty else { return dispatch() }
        let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count > 1 ? parts[1] : []
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        let text = String(decoding: value, as: UTF8.self)
        switch String(decoding: parts[0], as: UTF8.self) {
        case "id": id = text
        case "event": event = text
        case "data": data.append(text)
        default: break
        }
        return nil
    }

    private mutating func dispatch() -> ServerSentEvent? {
        defer { (event, data) = ("", []) }
        guard !data.isEmpty else { return nil }
        return ServerSentEvent(
            id: id, event: event.isEmpty ? "message" : event, data: data.joined(separator: "\n"))
    }
}
