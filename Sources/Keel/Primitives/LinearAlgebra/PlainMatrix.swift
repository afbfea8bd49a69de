/// A matrix of doubles, for the textbook algorithms of the reference kernels.
struct PlainMatrix {
    let rows, columns: Int
    var numbers: [Double]

    init(_ rows: Int, _ columns: Int) {
        self.rows = rows
        self.columns = columns
        numbers = Array(repeating: 0, count: rows * columns)
    }

    /// Matrix `index` of a dense stack.
    init(_ stack: Tensor, _ index: Int) {
        self.init(stack.size(-2), stack.size(-1))
        let isDouble = stack.dtype == .float64
        for i in numbers.indices {
            numbers[i] = isDouble ? stack.matrix(index, Double.self)[i] : Double(stack.matrix(index, Float.self)[i])
        }
    }

    static func identity(_ n: Int) -> PlainMatrix {
        var result = PlainMatrix(n, n)
        for i in 0..<n { result[i, i] = 1 }
        return result
    }

    subscript(_ row: Int, _ column: Int) -> Double {
        get { numbers[row * columns + column] }
        set { numbers[row * columns + column] = newValue }
    }

    var transposed: PlainMatrix {
        var result = PlainMatrix(columns, rows)
        for i in 0..<rows { for j in 0..<columns { result[j, i] = self[i, j] } }
        return result
    }

    var isFinite: Bool { numbers.allSatisfy(\.isFinite) }

    func store(in stack: Tensor, _ index: Int) { Self.store(numbers, in: stack, at: index * rows * columns) }

    static func store(_ numbers: [Double], in tensor: Tensor, at offset: Int) {
        for (i, number) in numbers.enumerated() {
            if tensor.dtype == .float64 {
                tensor.pointer(Double.self)[offset + i] = number
            } else {
                tensor.pointer(Float.self)[offset + i] = Float(number)
            }
        }
    }

    mutating func swapRows(_ a: Int, _ b: Int) {
        for j in 0..<columns { numbers.swapAt(a * columns + j, b * columns + j) }
    }

    /// Turns columns (or, with `ofRows`, rows) `p` and `q` by the angle whose cosine and sine these are.
    mutating func rotate(_ p: Int, _ q: Int, _ c: Double, _ s: Double, ofRows: Bool = false) {
        for k in 0..<(ofRows ? columns : rows) {
            let (x, y) = ofRows ? (self[p, k], self[q, k]) : (self[k, p], self[k, q])
            if ofRows {
                self[p, k] = c * x - s * y
                self[q, k] = s * x + c * y
            } else {
                self[k, p] = c * x - s * y
                self[k, q] = s * x + c * y
            }
        }
    }

    /// `P L U` by rows in place, with the row that each step swapped; nil where a pivot is 0.
    ///
    /// - Source: Golub and Van Loan, *Matrix Computations*, 4th edition, algorithm 3.4.1.
    mutating func factorLU() -> [Int]? {
        var swaps: [Int] = []
        for k in 0..<rows {
            var pivot = k
            for i in k..<rows where abs(self[i, k]) > abs(self[pivot, k]) { pivot = i }
            guard self[pivot, k] != 0 else { return nil }
            swaps.append(pivot)
            swapRows(k, pivot)
            for i in (k + 1)..<max(rows, k + 1) {
                self[i, k] /= self[k, k]
                for j in (k + 1)..<max(rows, k + 1) { self[i, j] -= self[i, k] * self[k, j] }
            }
        }
        return swaps
    }

    /// `a⁻¹ b` by substitution, where this matrix is triangular.
    func substitute(_ b: PlainMatrix, upper: Bool, unit: Bool) -> PlainMatrix {
        var x = b
        for step in 0..<rows {
            let i = upper ? rows - 1 - step : step
            for c in 0..<b.columns {
                var sum = x[i, c]
                for k in upper ? (i + 1)..<max(rows, i + 1) : 0..<i { sum -= self[i, k] * x[k, c] }
                x[i, c] = unit ? sum : sum / self[i, i]
            }
        }
        return x
    }

    /// Turns each column's sign so that its number of largest magnitude is positive, and says where it did.
    mutating func fixSigns() -> [Double] {
        (0..<columns).map { j in
            var largest = 0
            for i in 0..<rows where abs(self[i, j]) > abs(self[largest, j]) { largest = i }
            guard rows > 0, self[largest, j] < 0 else { return 1 }
            for i in 0..<rows { self[i, j] = -self[i, j] }
            return -1
        }
    }
}
