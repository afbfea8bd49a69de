/// `x` with `a x = b`, where `a` is triangular; what lies in its other half isn't read.
///
/// - Shapes: `a [..., n, n]`, `b [..., n, k]` with the same leading axes → `[..., n, k]`.
/// - Gradient: `db = a⁻ᵀ dx`, and `da` is the triangle of `-db xᵀ`.
/// - Errors: `TensorError.matrix` names the first matrix that has a number on its diagonal of at most `tolerance` times the largest there;
///   `TensorError.shape`.
/// - Source: BLAS `trsm`; Giles, *An extended collection of matrix derivative results*, 2008, section 2.3.1.
struct TriangularSolve: Primitive {
    let isUpper: Bool
    /// Whether the diagonal counts as ones.
    var isUnit = false
    var tolerance = 0.0
    static var gradientReads: Reads { [.input(0), .output(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { try solution(inputs, in: Self.name) }

    static var kernels: Kernels<TriangularSolve> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous(), b = try inputs[1].contiguous()
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    let matrix = PlainMatrix(a, index)
                    guard p.isSolvable((0..<matrix.rows).map { matrix[$0, $0] }) else { return .singular }
                    matrix.substitute(PlainMatrix(b, index), upper: p.isUpper, unit: p.isUnit).store(in: outputs[0], index)
                    return nil
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try p.solve(Float.self, inputs, outputs[0]) } else { try p.solve(Double.self, inputs, outputs[0]) }
                return true
            })
    }

    private func solve<T: LAPACKNumber>(_: T.Type, _ inputs: Operands, _ x: Tensor) throws(TensorError) {
        let a = try inputs[0].contiguous(), (n, k) = (x.size(-2), x.size(-1))
        move(inputs[1], to: x)
        guard n > 0 else { return }
        try forEachMatrix(a.matrixCount, work: n * n * k, in: Self.name) { index in
            let matrix = a.matrix(index, T.self)
            guard isSolvable((0..<n).map { Double(matrix[$0 * (n + 1)]) }) else { return .singular }
            if k > 0 { T.trsm(onLeft: true, upper: isUpper, unit: isUnit, n, k, matrix, x.matrix(index, T.self)) }
            return nil
        }
    }

    private func isSolvable(_ diagonal: [Double]) -> Bool {
        let least = tolerance * (diagonal.lazy.map(abs).max() ?? 0)
        return isUnit || diagonal.allSatisfy { !(abs($0) <= least) }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let a = g.input(0), x = g.output(0)
        let db = try apply(TriangularSolve(isUpper: !isUpper, isUnit: isUnit), a.transposed(), g.outputGradient)
        if g.wants(0) {
            let slope = try db.matmul(x.transposed()).negated(), offset = isUnit ? 1 : 0
            try g.set(0, isUpper ? try slope.upperTriangle(diagonal: offset) : try slope.lowerTriangle(diagonal: -offset))
        }
        try g.set(1, db)
    }
}

/// The rule of `a x = b`.
func solution(_ inputs: SpecList, in name: String) throws(TensorError) -> SpecList {
    let (a, b) = (inputs[0], inputs[1])
    let n = try a.matrices(in: name, square: true).rows
    guard a.dtype == b.dtype else { throw TensorError(.dtypesDiffer(primitive: name, a.dtype, b.dtype)) }
    guard b.shape.rank == a.shape.rank, b.shape[-2] == n, b.shape.dropLast(2) == a.shape.dropLast(2) else {
        throw .shape(primitive: name, expected: "right sides \(a.shape.dropLast(1) + Shape(.symbol("k")))", b.shape)
    }
    return SpecList(b)
}

extension Tensor {
    /// `x` with `self x = b`, where this tensor holds triangular matrices; their other halves aren't read.
    ///
    /// - Shapes: `[..., n, n]`, `b [..., n, k]` → `[..., n, k]`; leading axes broadcast.
    /// - Parameter hasUnitDiagonal: whether the diagonal is taken for ones, whatever stands there.
    /// - Throws: `TensorError.matrix`, with the place in the stack, for a 0 on a diagonal.
    public func solvedTriangular(_ b: Tensor, upper: Bool, hasUnitDiagonal: Bool = false) throws(TensorError) -> Tensor {
        let (a, b) = try stretched(to: b, in: TriangularSolve.name)
        return try apply(TriangularSolve(isUpper: upper, isUnit: hasUnitDiagonal), a, b)
    }

    /// Both tensors with the leading axes that they broadcast to.
    func stretched(to b: Tensor, in name: String) throws(TensorError) -> (Tensor, Tensor) {
        guard rank >= 2, b.rank >= 2, shape.dropLast(2) != b.shape.dropLast(2) else { return (self, b) }
        let leading = try shape.dropLast(2).broadcast(with: b.shape.dropLast(2), in: name)
        return (try expanded(to: leading + Shape(shape[-2], shape[-1])), try b.expanded(to: leading + Shape(b.shape[-2], b.shape[-1])))
    }
}
