import Foundation
import SlipwayDomain

extension JSON {
    init(parsing bytes: some Sequence<UInt8>) throws {
        self = try JSONDecoder().decode(JSON.self, from: Data(bytes))
    }

    /// With sorted members, on lines of its own when there are any.
    func text(isPretty: Bool = true) -> String {
        guard let text = try? JSONEncoder.ordered(isPretty: isPretty).text(of: self) else {
            preconditionFailure("every JSON value that was read can be written")
        }
        return text
    }

    var arrayValue: [JSON] { if case .array(let value) = self { value } else { [] } }

    /// As a table's cell.
    var cell: String {
        switch self {
        case .null: ""
        case .string(let value): value
        case .array(let items): items.map(\.cell).joined(separator: ", ")
        case .object(let members) where Set(members.keys) == ["name", "count"]:
            "\(members["name"]?.cell ?? "") (\(members["count"]?.intValue?.grouped ?? ""))"
        case .object(let members):
            members.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.cell)" }.joined(separator: ", ")
        case .bool(let value): value ? "yes" : "no"
        case .integer(let value): String(value)
        case .number(let value): value.shortText
        }
    }
}

extension JSON {
    /// For people: an object's members a line each, a value with its confidence limits in one; a problem by its sentence.
    var lines: [String] {
        guard case .object(let members) = self else { return [cell] }
        if let detail = members["detail"], let code = members["code"] { return ["\(detail.cell) (\(code.cell))"] }
        let limits = Set(members.keys.filter { members[$0 + "_low"] != nil && members[$0 + "_high"] != nil })
        let isLimit = { (name: String) in limits.contains { name == $0 + "_low" || name == $0 + "_high" } }
        return members.keys.sorted().filter { !isLimit($0) }.map { name in
            let range = "\(members[name + "_low"]?.cell ?? "") to \(members[name + "_high"]?.cell ?? "")"
            return "\(name) \(members[name]?.cell ?? "")" + (limits.contains(name) ? " (\(range))" : "")
        }
    }
}

extension Double {
    /// Four significant digits, plain.
    var shortText: String {
        guard isFinite else { return String(self) }
        if self == rounded(), abs(self) < 1e15 { return String(Int(self)) }
        let digits = max(0, 4 - Int(log10(max(abs(self), 1e-12)).rounded(.down)) - 1)
        return String(format: "%.\(min(digits, 8))f", self)
    }
}

extension Problem {
    var jsonText: String {
        guard let text = try? JSONEncoder.ordered().text(of: self) else { preconditionFailure("a problem can be written") }
        return text
    }
}
