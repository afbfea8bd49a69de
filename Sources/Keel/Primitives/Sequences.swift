// Tensors that a rule fills.

extension Tensor {
    /// `start, start + step, ...` up to, and without, `end`.
    ///
    /// - Throws: `TensorError.argument` for a step of 0, or one that isn't finite.
    public static func arange(
        from start: Double = 0, to end: Double, by step: Double = 1, _ dtype: DType = .float32, on device: any Device = CPU.shared
    ) throws(TensorError) -> Tensor {
        let count = ((end - start) / step).rounded(.up)
        guard step != 0, count.isFinite, count < 1e15 else {
            throw .argument(primitive: "arange", name: "range", given: "\(start)..<\(end) by \(step)", allowed: "finite numbers and a step other than 0")
        }
        let positions = try range(Swift.max(0, Int(count)), .float64)
        return try apply(Scale(factor: step, offset: start), positions).cast(to: dtype).moved(to: device)
    }

    /// `count` numbers from `start` to `end`, both included, with equal gaps.
    ///
    /// - Throws: `TensorError.argument` for a negative count.
    public static func linspace(
        from start: Double, to end: Double, count: Int, _ dtype: DType = .float32, on device: any Device = CPU.shared
    ) throws(TensorError) -> Tensor {
        guard count >= 0 else { throw .argument(primitive: "linspace", name: "count", given: count, allowed: "0 and more") }
        let gap = count > 1 ? (end - start) / Double(count - 1) : 0
        // From the nearer end each, so that both are met exactly.
        let positions = try range(count, .float64), isNearStart = try positions.isLess(than: Tensor(Double((count + 1) / 2)))
        let fromStart = try apply(Scale(factor: gap, offset: start), positions)
        let fromEnd = try apply(Scale(factor: -gap, offset: end), Double(count - 1) - positions)
        return try isNearStart.select(fromStart, fromEnd).cast(to: dtype).moved(to: device)
    }

    /// Ones on the diagonal of zeros; square unless `columns` is given.
    public static func eye(
        _ rows: Int, columns: Int? = nil, _ dtype: DType = .float32, on device: any Device = CPU.shared
    ) throws(TensorError) -> Tensor {
        let columns = columns ?? rows
        let (row, column) = (try positions(rows, device).withAxis(1), try positions(columns, device))
        return try row.equals(column).cast(to: dtype)
    }

    /// True where the column is at most the row plus `diagonal`: `[rows, columns]` bools; square unless `columns` is given. What a
    /// position may attend to that doesn't see the future.
    public static func lowerTriangularMask(
        _ rows: Int, columns: Int? = nil, diagonal: Int = 0, on device: any Device = CPU.shared
    ) throws(TensorError) -> Tensor {
        let (row, column) = (try positions(rows, device, from: diagonal).withAxis(1), try positions(columns ?? rows, device))
        return try column.isAtMost(row)
    }

    /// True where the column is at least the row plus `diagonal`: `[rows, columns]` bools; square unless `columns` is given.
    public static func upperTriangularMask(
        _ rows: Int, columns: Int? = nil, diagonal: Int = 0, on device: any Device = CPU.shared
    ) throws(TensorError) -> Tensor {
        let (row, column) = (try positions(rows, device, from: diagonal).withAxis(1), try positions(columns ?? rows, device))
        return try column.isAtLeast(row)
    }

    private static func positions(_ count: Int, _ device: any Device, from start: Int = 0) throws(TensorError) -> Tensor {
        guard count >= 0 else { throw .invalidShape([count]) }
        return try range(count, from: start).moved(to: device)
    }

    /// The last two axes' matrices with zeros above the diagonal, or above the one `diagonal` places to its right.
    public func lowerTriangle(diagonal: Int = 0) throws(TensorError) -> Tensor {
        guard rank >= 2 else { throw .rank(primitive: "lowerTriangle", expected: "two axes at least", shape) }
        let mask = try Tensor.lowerTriangularMask(try shape.size(-2), columns: try shape.size(-1), diagonal: diagonal, on: device)
        return try mask.select(self, Tensor.zeros(Shape(), dtype, on: device))
    }

    /// The last two axes' matrices with zeros below the diagonal, or below the one `diagonal` places to its right.
    public func upperTriangle(diagonal: Int = 0) throws(TensorError) -> Tensor {
        guard rank >= 2 else { throw .rank(primitive: "upperTriangle", expected: "two axes at least", shape) }
        let mask = try Tensor.upperTriangularMask(try shape.size(-2), columns: try shape.size(-1), diagonal: diagonal, on: device)
        return try mask.select(self, Tensor.zeros(Shape(), dtype, on: device))
    }
}
