internal import Foundation
public import Keel

/// Weighs counts by how few documents have them (tf-idf), and scales each row to length 1.
///
/// - The weight of a column that `d` of `n` documents have is `ln((1 + n) / (1 + d)) + 1`.
/// - Source: Spärck Jones, *A statistical interpretation of term specificity*, 1972; smoothed as scikit-learn does.
public struct InverseDocumentFrequency: Sendable, Hashable, Codable {
    public let weights: [Float]

    /// - Precondition: the rows' columns are below `columns`.
    public init(_ rows: [SparseRow], columns: Int) {
        var documents = [Double](repeating: 0, count: columns)
        for row in rows { for column in row.columns { documents[column] += 1 } }
        weights = documents.map { Float(log((1 + Double(rows.count)) / (1 + $0)) + 1) }
    }

    /// The weighed row, of length 1; one without counts stays as it is.
    public func callAsFunction(_ row: SparseRow) -> SparseRow {
        var row = row
        for (index, column) in row.columns.enumerated() { row.values[index] *= weights[column] }
        let length = row.values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        if length > 0 { row.values = row.values.map { $0 / length } }
        return row
    }
}

extension Tensor {
    /// Rows with all their zeros, `[rows, columns]`, float32.
    ///
    /// - Precondition: the rows' columns are below `columns`.
    public init(_ rows: [SparseRow], columns: Int) throws(TensorError) {
        var numbers = [Float](repeating: 0, count: rows.count * columns)
        for (index, row) in rows.enumerated() {
            for (column, value) in zip(row.columns, row.values) { numbers[index * columns + column] = value }
        }
        try self.init(numbers, [rows.count, columns])
    }
}
