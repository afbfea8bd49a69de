import Foundation
import Logging
import SlipwayDomain
import Synchronization

/// Log lines on standard error, for people or for programs:
///
///     2026-11-23T09:20:11.123Z warning serve: can't be loaded deployment=… error=…
///     {"time":"…","level":"warning","label":"serve","message":"can't be loaded","deployment":"…"}
struct LogLines: LogHandler {
    enum Format: String { case text, json }

    let label: String
    let format: Format
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    /// - Parameter isJSON: whatever the setting says, for commands whose caller reads JSON.
    static func bootstrap(_ configuration: Configuration, isJSON: Bool = false) {
        let level = Logger.Level(rawValue: configuration[Settings.logLevel]) ?? .info
        let format = isJSON ? .json : Format(rawValue: configuration[Settings.logFormat]) ?? .text
        LoggingSystem.bootstrap { LogLines(label: $0, format: format, logLevel: level) }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let (level, message) = (event.level, event.message)
        let all = self.metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let time = Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let text: String
        switch format {
        case .text:
            text = "\(time) \(level) \(label): \(message.description.onOneLine)"
                + all.map { " \($0.key)=\(Self.quoted($0.value.description))" }.joined()
        case .json:
            var members: [String: JSON] = [
                "time": .string(time), "level": .string(level.rawValue), "label": .string(label),
                "message": .string(message.description),
            ]
            for (key, value) in all where members[key] == nil { members[key] = .string(value.description) }
            text = JSON.object(members).text(isPretty: false)
        }
        Self.write(text + "\n")
    }

    private static func quoted(_ value: String) -> String {
        let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x7F }
        return isPlain ? value : JSON.string(value).text(isPretty: false)
    }

    /// In one call, so that lines of several processes don't mix.
    private static func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

extension String {
    fileprivate var onOneLine: String { contains("\n") ? replacing("\n", with: "\\n") : self }
}
