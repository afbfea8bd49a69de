internal import Foundation
package import Logging

/// One JSON object a line on standard error: what a log collector reads without a parser of its own. Control characters
/// are escaped, so that nobody's text can make a line of its own.
package struct JSONLineLog: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let role: String

    package init(label: String, role: String, level: Logger.Level = .info) {
        self.label = label
        self.role = role
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        var members: [(String, Output?)] = [
            ("time", .time(Date())), ("level", .string(event.level.rawValue)), ("role", .string(role)), ("logger", .string(label)),
            ("message", .string(event.message.description)),
        ]
        if let error = event.error { members.append(("error", .string(String(describing: error)))) }
        for (name, value) in all.sorted(by: { $0.key < $1.key }) where name != "hb.request.id" { members.append((name, Self.output(value))) }
        let line = Array((Output.object(members).text + "\n").utf8)
        // One write a line, so that lines of several threads don't mix. A log that can't be written has no one to tell.
        _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private static func output(_ value: Logger.MetadataValue) -> Output {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let value): .string(value.description)
        case .array(let values): .array(values.map(output))
        case .dictionary(let members): .object(members.sorted { $0.key < $1.key }.map { ($0.key, output($0.value)) })
        }
    }
}
