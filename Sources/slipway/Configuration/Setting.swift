import Foundation

/// One thing that can be set: by the flag `--data-dir`, the environment variable `SLIPWAY_DATA_DIR` or the YAML key
/// `data_dir`, in this order of strength. `Settings.swift` has the one table of them.
struct Setting<Value: SettingValue>: SettingRow {
    let name: String
    let fallback: Value
    /// What to print for the fallback where it depends on the machine; nil: its text.
    let fallbackDoc: String?
    let isSecret: Bool
    let doc: String
    private let isAllowed: @Sendable (Value) -> Bool
    private let wanted: String

    init(
        _ name: String, default fallback: Value, defaultDoc: String? = nil, isSecret: Bool = false, _ doc: String
    ) {
        self.init(name, fallback, defaultDoc, isSecret, doc, wanted: Value.wanted) { _ in true }
    }

    init(_ name: String, default fallback: Value, defaultDoc: String? = nil, in range: ClosedRange<Value>, _ doc: String)
    where Value: Comparable {
        let wanted = "\(Value.wanted) from \(range.lowerBound.text ?? "") to \(range.upperBound.text ?? "")"
        self.init(name, fallback, defaultDoc, false, doc, wanted: wanted) { range.contains($0) }
    }

    init(_ name: String, default fallback: String, choices: [String], _ doc: String) where Value == String {
        let wanted = "one of " + choices.joined(separator: ", ")
        self.init(name, fallback, nil, false, doc, wanted: wanted) { choices.contains($0) }
    }

    private init(
        _ name: String, _ fallback: Value, _ fallbackDoc: String?, _ isSecret: Bool, _ doc: String, wanted: String,
        isAllowed: @escaping @Sendable (Value) -> Bool
    ) {
        self.name = name
        self.fallback = fallback
        self.fallbackDoc = fallbackDoc
        self.isSecret = isSecret
        self.doc = doc
        self.wanted = wanted
        self.isAllowed = isAllowed
    }

    var unit: String? { Value.unit }
    var fallbackText: String? { fallback.text }

    /// The value that the text stands for, or a sentence saying what would be right.
    func value(of text: String) throws(SettingProblem) -> Value {
        guard let value = Value(text: text), isAllowed(value) else {
            throw SettingProblem(given: text, wanted: wanted)
        }
        return value
    }

    func check(_ text: String) throws(SettingProblem) -> String? { try value(of: text).text }
}

/// A row of the table, whatever the type of its value.
protocol SettingRow: Sendable {
    var name: String { get }
    var unit: String? { get }
    var fallbackText: String? { get }
    var fallbackDoc: String? { get }
    var isSecret: Bool { get }
    var doc: String { get }
    /// The text in its plain form (`2m` of a duration is `120`); nil where it says "nothing".
    func check(_ text: String) throws(SettingProblem) -> String?
}

extension SettingRow {
    var flag: String { "--" + name.replacing("_", with: "-") }
    var environmentVariable: String { "SLIPWAY_" + name.uppercased() }
}

struct SettingProblem: Error, Equatable {
    let given: String
    let wanted: String
}

protocol SettingValue: Sendable {
    init?(text: String)
    /// Nil: no value.
    var text: String? { get }
    static var wanted: String { get }
    static var unit: String? { get }
}

extension SettingValue {
    static var unit: String? { nil }
}

extension String: SettingValue {
    init?(text: String) {
        guard !text.isEmpty else { return nil }
        self = text
    }
    var text: String? { self }
    static var wanted: String { "some text" }
}

extension Int: SettingValue {
    init?(text: String) { self.init(text) }
    var text: String? { String(self) }
    static var wanted: String { "a whole number" }
}

/// A setting without a value is a setting too: `database_url` when the platform runs its own cluster.
extension Optional: SettingValue where Wrapped: SettingValue {
    init?(text: String) {
        guard let value = Wrapped(text: text) else { return nil }
        self = .some(value)
    }
    var text: String? { self?.text }
    static var wanted: String { Wrapped.wanted }
    static var unit: String? { Wrapped.unit }
}

/// Seconds, written `30`, `1.5`, `30s`, `5m`, `2h` or `30d`.
extension Duration: SettingValue {
    init?(text: String) {
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]
        let unit = units.first { text.hasSuffix($0.0) }
        guard let number = Double(text.dropLast(unit?.0.count ?? 0)), number.isFinite, number >= 0 else { return nil }
        self = .seconds(number * (unit?.1 ?? 1))
    }
    var text: String? {
        let seconds = self / .seconds(1)
        return seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
    }
    static var wanted: String { "a time such as 30, 30s or 5m" }
    static var unit: String? { "seconds" }
}

/// A size, written `20971520`, `20MB` (decimal) or `20MiB` (binary).
struct ByteCount: SettingValue, Comparable {
    let bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    init?(text: String) {
        let units: [(String, Int)] = [
            ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ]
        let unit = units.first { text.hasSuffix($0.0) }
        let digits = text.dropLast(unit?.0.count ?? 0).trimmingCharacters(in: .whitespaces)
        guard let number = Int(digits), number >= 0 else { return nil }
        let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: unit?.1 ?? 1)
        guard !isTooLarge else { return nil }
        self.bytes = bytes
    }
    var text: String? { String(bytes) }
    static var wanted: String { "a size such as 20971520, 20MB or 20MiB" }
    static var unit: String? { "bytes" }
    static func < (left: Self, right: Self) -> Bool { left.bytes < right.bytes }
}

/// Names of hosts, without ports, written `ml.example.org, ml.local`.
struct HostNames: SettingValue {
    let names: [String]

    init(_ names: [String]) { self.names = names }

    init?(text: String) {
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
        let isName = { (name: String) in name.wholeMatch(of: /[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]/) != nil }
        guard names.allSatisfy(isName) else { return nil }
        self.names = names
    }
    var text: String? { names.isEmpty ? nil : names.joined(separator: ",") }
    static var wanted: String { "host names without ports, such as ml.example.org" }
}
