internal import SlipwayDomain

/// The columns of a table that a model from elsewhere takes as its numbers, in its order.
struct BaseColumns {
    let names: [String]

    /// By default all columns of numbers or of true and false, but for the target and identifiers, in the table's order.
    ///
    /// - Parameters:
    ///   - numbers: that the model takes of a row.
    ///   - wanted: the columns that were asked for; nil: those of the default.
    ///   - target: which the model can't be given; nil: where that was seen to.
    /// - Errors: `Problem` 422 that names the place.
    init(_ numbers: Int, named wanted: [String]?, among columns: [ColumnProfile], target: String?) throws(Problem) {
        guard let wanted else {
            names = columns.filter { $0.isNumeric && !$0.isIdentifier && $0.name != target }.map(\.name)
            guard names.count == numbers else {
                throw Self.fault(
                    "the model takes \(numbers) numbers a row, and beside the target \(names.count) columns hold numbers, or true and false\(Self.list(names)): "
                        + "name those that the model was trained with, in its order")
            }
            return
        }
        guard wanted.count == numbers else { throw Self.fault("the model takes \(numbers) numbers a row, and \(wanted.count) columns are named") }
        names = wanted
        let profiles = Dictionary(columns.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var seen: Set<String> = []
        for (index, name) in wanted.enumerated() {
            guard let column = profiles[name] else {
                throw Self.fault("the data set has no column '\(name.prefix(100))'; \(nearest(to: name, among: columns.map(\.name)))", at: index)
            }
            guard name != target else { throw Self.fault("'\(name)' is the target", at: index) }
            guard column.isNumeric else { throw Self.fault("'\(name)' holds \(column.type.words), and the model takes numbers", at: index) }
            guard seen.insert(name).inserted else { throw Self.fault("'\(name)' is named twice", at: index) }
        }
    }

    private static func list(_ names: [String]) -> String {
        names.isEmpty ? "" : " (\(names.prefix(20).joined(separator: ", "))\(names.count > 20 ? ", …" : ""))"
    }

    private static func fault(_ detail: String, at index: Int? = nil) -> Problem {
        FineTuning.fault("columns" + (index.map { "/\($0)" } ?? ""), "train-base-columns", detail)
    }
}

extension ColumnProfile {
    fileprivate var isNumeric: Bool { type == .number || type == .boolean }
}
