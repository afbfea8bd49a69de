internal import KeelData
package import SlipwayDomain

/// Which task a table is meant for, when nobody says.
package enum TaskGuess {
    /// Regression when the target's values are numbers of many kinds, classification otherwise. Classes are often
    /// numbered, so a few different whole numbers are classes.
    ///
    /// - Parameter target: the column to predict; the last one when nil.
    /// - Errors: `Problem` for a table that can't be read, and for a target that it hasn't.
    package static func task(ofTable path: String, target: String?, encoding: String?) throws(Problem) -> LearningTask {
        do {
            return try guess(path, target, encoding)
        } catch let error as TableError {
            throw Problem(422, error.code, title: "The table can't be read", detail: error.description)
        } catch let problem as Problem {
            throw problem
        } catch {
            preconditionFailure("reading a table throws nothing else: \(error)")
        }
    }

    private static func guess(_ path: String, _ target: String?, _ encoding: String?) throws -> LearningTask {
        let declared = try encoding.map { try TextEncoding(named: $0) }
        var reader = try TableReader(.file(path: path), encoding: declared)
        let column: Int
        if let target {
            guard let index = reader.columns.firstIndex(of: target) else {
                throw Problem(
                    422, "train-missing-target", title: "The target column is missing",
                    detail: "The table has no column '\(target)'; it has \(reader.columns.joined(separator: ", ")).")
            }
            column = index
        } else {
            column = reader.columns.count - 1
        }
        var record = TableRecord()
        var values: Set<Double> = []
        var hasFraction = false
        while reader.rows < 50_000, try reader.next(into: &record) {
            let text = record[column]
            if TableValue.isMissing(text) { continue }
            guard let value = TableValue.number(text) else { return .tabularClassification }
            hasFraction = hasFraction || value != value.rounded()
            if values.count < 1000 { values.insert(value) }
        }
        let isMeasured = hasFraction ? values.count > 10 : values.count > 20
        return isMeasured ? .tabularRegression : .tabularClassification
    }
}
