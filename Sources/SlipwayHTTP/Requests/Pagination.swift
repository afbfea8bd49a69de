internal import Foundation
internal import SlipwayBlobs
internal import SlipwayDomain
internal import SlipwayStore

/// Which part of a list a request wants.
struct PageRequest: Sendable {
    static let defaultLimit = 50

    let limit: Int
    /// The list's identity: the organisation, the path and the filters. A cursor of one list means nothing in another.
    private let list: String
    private let cursor: String?

    init(_ call: Call) throws {
        limit = call.query[integer: "limit"] ?? Self.defaultLimit
        cursor = call.query[text: "cursor"]
        let filters = call.route.query.map(\.name).filter { $0 != "limit" && $0 != "cursor" }
            .map { "\($0)=\(call.query[text: $0] ?? "")" }
        list = ([try call.caller.organisation.description, call.path] + filters).joined(separator: "\u{1F}")
    }

    /// The position that the cursor names; nil at the list's beginning.
    ///
    /// A cursor says where in the caller's own list to go on, which is no secret; its check value keeps one of another list,
    /// organisation or making from being taken for it.
    func position<Position: CursorPosition>(as type: Position.Type = Position.self) throws -> Position? {
        guard let cursor else { return nil }
        guard let bytes = Data(base64URL: cursor), bytes.count > 8, bytes.prefix(8) == checkValue(bytes.dropFirst(8)),
            let position = Position(cursorText: String(decoding: bytes.dropFirst(8), as: UTF8.self))
        else {
            throw Problem.invalidCursor
        }
        return position
    }

    /// `{items, next_cursor?}`. The store was asked for one more than the limit, and so knows whether there is another page.
    func output<Record, Position: CursorPosition>(
        _ records: [Record], _ view: View<Record>, position: (Record) -> Position
    ) -> Output {
        let page = records.prefix(limit)
        let next = records.count > limit ? page.last.map { cursor(at: position($0)) } : nil
        return .object([("items", .array(page.map(view.output))), ("next_cursor", next.map(Output.string))])
    }

    func cursor(at position: some CursorPosition) -> String {
        let text = Data(position.cursorText.utf8)
        return (checkValue(text) + text).base64URL
    }

    private func checkValue(_ position: Data) -> Data {
        Data(SHA256.digest(of: Array("slipway-cursor-1\u{1F}\(list)\u{1F}".utf8) + position).bytes.prefix(8))
    }
}

extension Problem {
    static let invalidCursor = invalidParameter("cursor", "cursor-invalid", "isn't a `next_cursor` of this list", status: 400)
}

/// Where in a list's order a row stands.
protocol CursorPosition {
    init?(cursorText: String)
    var cursorText: String { get }
}

extension Int64: CursorPosition {
    init?(cursorText: String) { self.init(cursorText) }
    var cursorText: String { String(self) }
}

extension CreationPosition: CursorPosition {
    init?(cursorText: String) {
        let parts = cursorText.split(separator: " ")
        // Any time from 1970 to 2200: whoever makes cursors of their own gets no date that nobody can compute with.
        guard parts.count == 2, let microseconds = Int(parts[0]), (0...7_258_118_400_000_000).contains(microseconds),
            let id = UUID(uuidString: String(parts[1]))
        else { return nil }
        self.init(createdAt: Date(timeIntervalSince1970: Double(microseconds) / 1e6), id: id)
    }

    var cursorText: String { "\(Int((createdAt.timeIntervalSince1970 * 1e6).rounded())) \(id.uuidString.lowercased())" }
}

extension Data {
    init?(base64URL text: String) {
        let standard = text.replacing("-", with: "+").replacing("_", with: "/")
        self.init(base64Encoded: standard + String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4))
    }

    var base64URL: String {
        base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
