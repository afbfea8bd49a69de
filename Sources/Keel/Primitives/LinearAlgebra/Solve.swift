/// `x` with `a x = b`, by `a = P L U` with partial pivoting.
///
/// - Shapes: `a [..., n, n]`, `b [..., n, k]` with the same leading axes → `[..., n, k]`.
/// - Gradient: `db = a⁻ᵀ dx`, `da = -db xᵀ`.
/// - Errors: `TensorError.matrix` names the first matrix in which a pivot is 0. One that is singular but for rounding has a solution,
///   of large numbers. `TensorError.shape`.
/// - Source: LAPACK `gesv`; Giles, *An extended collection of matrix derivative results*, 2008, section 2.3.1.
struct Solve: Primitive {
    static var gradientReads: Reads { [.input(0), .output(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { try solution(inputs, in: Self.name) }

    static var kernels: Kernels<Solve> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous(), b = try inputs[1].contiguous()
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    var (factors, x) = (PlainMatrix(a, index), PlainMatrix(b, index))
                    guard let swaps = factors.factorLU() else { return .singular }
                    for (row, other) in swaps.enumerated() { x.swapRows(row, other) }
                    x = factors.substitute(x, upper: false, unit: true)
                    factors.substitute(x, upper: true, unit: false).store(in: outputs[0], index)
                    return nil
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try solve(Float.self, inputs, outputs[0]) } else { try solve(Double.self, inputs, outputs[0]) }
                return true
            })
    }

    /// LAPACK sees `aᵀ = P L U`, and `xᵀ` is `bᵀ U⁻¹ L⁻¹` with its columns, which are the rows of `x`, swapped back.
    private static func solve<T: LAPACKNumber>(_: T.Type, _ inputs: Operands, _ x: Tensor) throws(TensorError) {
        let factors = try Tensor(undefined: inputs[0].spec, on: CPU.shared), (n, k) = (x.size(-2), x.size(-1))
        move(inputs[0], to: factors)
        move(inputs[1], to: x)
        guard n > 0 else { return }
        try forEachMatrix(factors.matrixCount, work: n * n * (n + k), in: name) { index in
            withUnsafeTemporaryAllocation(of: Int32.self, capacity: n) { room in
                guard let pivots = room.baseAddress else { return .singular }
                let (a, rows) = (factors.matrix(index, T.self), x.matrix(index, T.self))
                guard T.getrf(n, a, pivots) == 0 else { return .singular }
                guard k > 0 else { return nil }
                T.trsm(onLeft: false, upper: true, unit: false, n, k, a, rows)
                T.trsm(onLeft: false, upper: false, unit: true, n, k, a, rows)
                for row in stride(from: n - 1, through: 0, by: -1) where Int(pivots[row]) - 1 != row {
                    let other = rows + (Int(pivots[row]) - 1) * k
                    for j in 0..<k { (rows[row * k + j], other[j]) = (other[j], rows[row * k + j]) }
                }
                return nil
            }
        }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let db = try apply(Solve(), g.input(0).transposed(), g.outputGradient)
        if g.wants(0) { try g.set(0, try db.matmul(g.output(0).transposed()).negated()) }
        try g.set(1, db)
    }
}

extension Tensor {
    /// `x` with `self x = b`.
    ///
    /// - Shapes: `[..., n, n]`, `b [..., n, k]` → `[..., n, k]`; leading axes broadcast.
    /// - Throws: `TensorError.matrix`, with the place in the stack, for a singular matrix.
    public func solved(_ b: Tensor) throws(TensorError) -> Tensor {
        let (a, b) = try stretched(to: b, in: Solve.name)
        return try apply(Solve(), a, b)
    }

    /// The inverses of square matrices `[..., n, n]`. To multiply with one, `solved` is quicker and rounds less.
    ///
    /// - Throws: `TensorError.matrix`, with the place in the stack, for a singular matrix.
    public func inverse() throws(TensorError) -> Tensor {
        _ = try spec.matrices(in: Solve.name, square: true)
        return try apply(Solve(), self, identities())
    }
}
