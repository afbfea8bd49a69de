import Foundation
import SlipwayDomain
import Yams

/// The effective settings, each with where it came from: flag > environment > YAML file > default.
struct Configuration: Sendable {
    enum Source: Hashable, Sendable {
        case flag(String)
        case environment(String)
        case file(String)
        case fallback
    }

    struct Entry: Sendable {
        /// Plain text; nil: no value.
        let text: String?
        let source: Source
    }

    /// The YAML file that was read, if any.
    let file: String?
    private let entries: [String: Entry]

    /// - Parameter flags: values by the settings' names, as text.
    init(flags: [String: String], file: String? = nil, environment: [String: String]) throws(ConfigurationError) {
        let directory = try Self.entry(of: Settings.dataDirectory, flags, environment, [:], file: "")
        let named = file ?? environment["SLIPWAY_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let usual = (directory.text ?? "") + "/slipway.yaml"
        let path = named ?? (FileManager.default.fileExists(atPath: usual) ? usual : nil)
        let values: [String: YAMLValue] = if let path { try Self.values(ofFile: path) } else { [:] }
        if named == nil, let path, let line = values[Settings.dataDirectory.name]?.line {
            throw .inFile(path, line: line, "data_dir can't be set by a file that is found in the data directory")
        }

        var entries: [String: Entry] = [:]
        for setting in Settings.all {
            entries[setting.name] = try Self.entry(of: setting, flags, environment, values, file: path ?? "")
        }
        self.entries = entries
        self.file = path
    }

    subscript<Value>(setting: Setting<Value>) -> Value {
        guard let entry = entries[setting.name] else {
            preconditionFailure("the setting \(setting.name) is missing in SettingFlags.rows")
        }
        guard case .fallback = entry.source else {
            guard let text = entry.text, let value = Value(text: text) else {
                preconditionFailure("\(setting.name) was checked when it was read")
            }
            return value
        }
        return setting.fallback
    }

    func entry(of setting: any SettingRow) -> Entry {
        entries[setting.name] ?? Entry(text: setting.fallbackText, source: .fallback)
    }

    /// What a child process needs in its environment to see the same settings.
    var environment: [String: String] {
        var variables: [String: String] = [:]
        for setting in Settings.all {
            let entry = entry(of: setting)
            if entry.source != .fallback, let text = entry.text { variables[setting.environmentVariable] = text }
        }
        // The file's values are above, and stronger; reading it again would only find them overridden.
        variables[Settings.dataDirectory.environmentVariable] = self[Settings.dataDirectory]
        return variables
    }

    private static func entry(
        of setting: any SettingRow, _ flags: [String: String], _ environment: [String: String],
        _ values: [String: YAMLValue], file: String
    ) throws(ConfigurationError) -> Entry {
        do {
            if let text = flags[setting.name] {
                return Entry(text: try absolute(setting, setting.check(text)), source: .flag(setting.flag))
            }
            if let text = environment[setting.environmentVariable], !text.isEmpty {
                let source = Source.environment(setting.environmentVariable)
                return Entry(text: try absolute(setting, setting.check(text)), source: source)
            }
            if let value = values[setting.name] {
                return Entry(text: try absolute(setting, setting.check(value.text)), source: .file(file))
            }
            return Entry(text: setting.fallbackText, source: .fallback)
        } catch {
            let place =
                if flags[setting.name] != nil {
                    setting.flag
                } else if environment[setting.environmentVariable].map({ !$0.isEmpty }) ?? false {
                    setting.environmentVariable
                } else {
                    "\(file):\(values[setting.name]?.line ?? 0): \(setting.name)"
                }
            throw .invalid(place: place, given: setting.isSecret ? "…" : error.given, wanted: error.wanted)
        }
    }

    /// Folders are kept absolute: children have other working directories.
    private static func absolute(_ setting: any SettingRow, _ text: String?) -> String? {
        guard [Settings.dataDirectory.name, Settings.share.name, Settings.models.name].contains(setting.name), let text else { return text }
        return URL(filePath: (text as NSString).expandingTildeInPath).standardizedFileURL.path(percentEncoded: false)
            .trimmingTrailingSlash
    }

    private struct YAMLValue {
        let text: String
        let line: Int
    }

    private static func values(ofFile path: String) throws(ConfigurationError) -> [String: YAMLValue] {
        let node: Node?
        do {
            node = try Yams.compose(yaml: String(contentsOfFile: path, encoding: .utf8))
        } catch let error as YamlError {
            throw .inFile(path, line: nil, "\(error)")
        } catch {
            throw .unreadable(path, reason: error.localizedDescription)
        }
        guard let node, node != Node("") else { return [:] }
        guard let mapping = node.mapping else {
            throw .inFile(path, line: node.mark?.line, "a mapping of settings is wanted, such as 'port: 8080'")
        }
        var values: [String: YAMLValue] = [:]
        for (key, value) in mapping {
            let (name, line) = (key.string ?? "", key.mark?.line ?? 0)
            guard Settings.all.contains(where: { $0.name == name }) else {
                throw .unknown(file: path, line: line, name: name, nearest: nearest(to: name))
            }
            guard case .scalar(let scalar) = value else {
                throw .inFile(path, line: line, "\(name): a single value is wanted")
            }
            guard values[name] == nil else { throw .inFile(path, line: line, "\(name) is set twice") }
            values[name] = YAMLValue(text: scalar.string, line: line)
        }
        return values
    }

    private static func nearest(to name: String) -> String {
        Settings.all.map(\.name).min { editDistance(name, $0) < editDistance(name, $1) } ?? ""
    }
}

enum ConfigurationError: Error, Equatable, CustomStringConvertible {
    case unreadable(String, reason: String)
    case inFile(String, line: Int?, String)
    case unknown(file: String, line: Int, name: String, nearest: String)
    case invalid(place: String, given: String, wanted: String)

    var description: String {
        switch self {
        case .unreadable(let path, let reason): "\(path): \(reason)"
        case .inFile(let path, let line, let what): path + (line.map { ":\($0)" } ?? "") + ": " + what
        case .unknown(let file, let line, let name, let nearest):
            "\(file):\(line): there is no setting '\(name)'; the nearest is '\(nearest)'"
        case .invalid(let place, let given, let wanted): "\(place): '\(given)' given, \(wanted) wanted"
        }
    }
}

extension String {
    fileprivate var trimmingTrailingSlash: String { count > 1 && hasSuffix("/") ? String(dropLast()) : self }
}
