#if canImport(Glibc)
import Glibc
#endif

/// Lines of cells, aligned: the first column to the left, the others to the right.
package struct TextTable: CustomStringConvertible {
    private var rows: [[String]]
    private var totals: [[String]] = []

    package init(_ header: [String]) { rows = [header] }

    package mutating func add(_ row: [String]) { rows.append(row) }
    /// Below a rule, after all rows.
    package mutating func addTotal(_ row: [String]) { totals.append(row) }

    package var description: String {
        let all = rows + totals, widths = rows[0].indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            let cells = row.enumerated().map { column, cell in
                let blanks = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + blanks : blanks + cell
            }
            var text = cells.joined(separator: "  ")
            while text.last == " " { text.removeLast() }
            return text
        }
        let rule = String(repeating: "-", count: widths.reduce(0, +) + 2 * (widths.count - 1))
        let lines = [line(rows[0]), rule] + rows.dropFirst().map(line) + (totals.isEmpty ? [] : [rule] + totals.map(line))
        return lines.joined(separator: "\n")
    }
}

/// With so many digits after the point.
package func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    let scale = pow(10, Double(digits)), whole = Int64((abs(value) * scale).rounded())
    let (front, back) = whole.quotientAndRemainder(dividingBy: Int64(scale))
    let sign = value < 0 && whole > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(front)" }
    let text = "\(back)"
    return "\(sign)\(front).\(String(repeating: "0", count: digits - text.count))\(text)"
}

/// `512 B`, `1.5 KiB`, `2.0 GiB`.
package func byteText(_ bytes: Int) -> String {
    guard bytes >= 1024 else { return "\(bytes) B" }
    var value = Double(bytes), units = ["KiB", "MiB", "GiB", "TiB"][...]
    value /= 1024
    while value >= 1024, units.count > 1 {
        value /= 1024
        units = units.dropFirst()
    }
    return "\(fixed(value, 1)) \(units.first ?? "")"
}
