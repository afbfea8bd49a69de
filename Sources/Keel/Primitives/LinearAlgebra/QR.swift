/// `a = q r` with orthonormal columns in `q` and an upper triangular `r`, by Householder's reflections. The signs are LAPACK's: numbers on
/// the diagonal of `r` may be negative.
///
/// - Shapes: `a [..., m, n]` → `q [..., m, k]`, `r [..., k, n]` with `k` the smaller of `m` and `n`.
/// - Gradient: for `m >= n`, `da = (dq + q Ψ(r drᵀ - dqᵀ q)) r⁻ᵀ`, where `Ψ` mirrors the lower triangle; for `m < n`, `a = [x | y]` and
///   `r = [u | v]` with `x = q u` and `v = qᵀ y`. An error names a matrix whose columns depend on each other.
/// - Source: LAPACK `geqrf`; Walter and Lehmann, *Algorithmic differentiation of linear algebra functions*, 2010; Liao, Liu, Wang and Xiang,
///   *Differentiable programming tensor networks*, 2019, appendix.
struct QR: Primitive {
    static var gradientReads: Reads { [.input(0), .output(0), .output(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name)
        let shape = inputs[0].shape, k = Dimension(min(try shape.size(-2), try shape.size(-1)))
        let leading = shape.dropLast(2)
        return SpecList([TensorSpec(leading + Shape(shape[-2], k), inputs[0].dtype), TensorSpec(leading + Shape(k, shape[-1]), inputs[0].dtype)])
    }

    static var kernels: Kernels<QR> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous()
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    let (q, r) = factor(PlainMatrix(a, index))
                    q.store(in: outputs[0], index)
                    r.store(in: outputs[1], index)
                    return nil
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try factor(Float.self, inputs[0], outputs) } else { try factor(Double.self, inputs[0], outputs) }
                return true
            })
    }

    /// LAPACK sees `aᵀ`, whose `L Q` is `rᵀ qᵀ`.
    private static func factor<T: LAPACKNumber>(_: T.Type, _ input: Tensor, _ outputs: Operands) throws(TensorError) {
        let scratch = try Tensor(undefined: input.spec, on: CPU.shared), (m, n) = (input.size(-2), input.size(-1)), k = min(m, n)
        move(input, to: scratch)
        guard k > 0 else { return }
        try forEachMatrix(input.matrixCount, work: 4 * m * n * k, in: name) { index in
            withUnsafeTemporaryAllocation(of: T.self, capacity: k) { room in
                guard let tau = room.baseAddress else { return .notConverged }
                let (a, q, r) = (scratch.matrix(index, T.self), outputs[0].matrix(index, T.self), outputs[1].matrix(index, T.self))
                guard T.gelqf(n, m, a, tau) == 0 else { return .notConverged }
                for i in 0..<k { for j in 0..<n { r[i * n + j] = j < i ? 0 : a[i * n + j] } }
                for i in 0..<m { for j in 0..<k { q[i * k + j] = a[i * n + j] } }
                return T.orglq(k, m, q, tau) == 0 ? nil : .notConverged
            }
        }
    }

    /// Golub and Van Loan, *Matrix Computations*, 4th edition, section 5.2.2.
    private static func factor(_ a: PlainMatrix) -> (q: PlainMatrix, r: PlainMatrix) {
        let (m, n) = (a.rows, a.columns), k = min(m, n)
        var (full, r) = (a, PlainMatrix(k, n)), reflectors: [(v: [Double], beta: Double)] = []
        func reflect(_ x: inout PlainMatrix, _ reflector: (v: [Double], beta: Double)) {
            for j in 0..<x.columns {
                let dot = (0..<m).reduce(0) { $0 + reflector.v[$1] * x[$1, j] } * reflector.beta
                for i in 0..<m { x[i, j] -= dot * reflector.v[i] }
            }
        }
        for c in 0..<k {
            let below = ((c + 1)..<max(m, c + 1)).reduce(0) { $0 + full[$1, c] * full[$1, c] }
            guard below > 0 else {
                reflectors.append(([Double](repeating: 0, count: m), 0))
                continue
            }
            let norm = (below + full[c, c] * full[c, c]).squareRoot(), image = full[c, c] > 0 ? -norm : norm
            var v = (0..<m).map { $0 < c ? 0 : full[$0, c] }
            v[c] -= image
            reflectors.append((v, 2 / v.reduce(0) { $0 + $1 * $1 }))
            reflect(&full, reflectors[c])
        }
        for i in 0..<k { for j in i..<n { r[i, j] = full[i, j] } }
        var q = PlainMatrix(m, k)
        for i in 0..<k { q[i, i] = 1 }
        for reflector in reflectors.reversed() { reflect(&q, reflector) }
        return (q, r)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (q, r) = (g.output(0), g.output(1)), (m, n) = (try q.shape.size(-2), try r.shape.size(-1))
        let dq = if let given = g.gradientOfOutput(0) { given } else { try q.detached() * 0 }
        let dr = if let given = g.gradientOfOutput(1) { given } else { try r.detached() * 0 }
        guard m < n else {
            try g.set(0, try Self.slope(q, r, dq, dr))
            return
        }
        let y = try g.input(0).sliced(-1, from: m), dv = try dr.sliced(-1, from: m)
        let dx = try Self.slope(q, r.sliced(-1, to: m), dq + y.matmul(dv.transposed()), dr.sliced(-1, to: m))
        try g.set(0, try .concatenated([dx, q.matmul(dv)], axis: -1))
    }

    private static func slope(_ q: Tensor, _ r: Tensor, _ dq: Tensor, _ dr: Tensor) throws(TensorError) -> Tensor {
        let inner = try r.matmul(dr.transposed()) - dq.transposed().matmul(q)
        let mirrored = try inner.lowerTriangle() + inner.lowerTriangle(diagonal: -1).transposed()
        let right = try dq + q.matmul(mirrored)
        return try r.solvedTriangular(right.transposed(), upper: true).transposed()
    }
}

extension Tensor {
    /// Orthonormal columns `q` and an upper triangular `r` whose product is this tensor.
    ///
    /// - Shapes: `[..., m, n]` → `q [..., m, k]`, `r [..., k, n]`, `k` the smaller of `m` and `n`.
    public func qr() throws(TensorError) -> (q: Tensor, r: Tensor) {
        let found = try applyMany(QR(), [self])
        return (found[0], found[1])
    }

    /// The `x` for which the squares of `self x - b` add up to least; of the many for fewer rows than columns, the shortest.
    ///
    /// - Shapes: `[..., m, n]`, `b [..., m, k]` → `[..., n, k]`; leading axes broadcast.
    /// - Throws: `TensorError.matrix`, with the place in the stack, for a matrix of less than full rank: one whose `r` has a number on its
    ///   diagonal below `max(m, n)` roundings of the largest there.
    /// - Source: Golub and Van Loan, *Matrix Computations*, 4th edition, sections 5.3.2 and 5.6.2.
    public func leastSquares(_ b: Tensor) throws(TensorError) -> Tensor {
        _ = try spec.matrices(in: "LeastSquares")
        // Rounded on the way, no matrix would be of full rank by float32's roundings.
        if dtype.isHalf, b.dtype == dtype { return try cast(to: .float32).leastSquares(b.cast(to: .float32)).cast(to: dtype) }
        let (a, b) = try stretched(to: b, in: "LeastSquares"), (m, n) = (try shape.size(-2), try shape.size(-1))
        guard b.rank >= 2, b.shape[-2] == a.shape[-2] else {
            throw .shape(primitive: "LeastSquares", expected: "right sides \(a.shape.dropLast(1) + Shape(.symbol("k")))", b.shape)
        }
        let tolerance = Double(Swift.max(m, n)) * (dtype == .float32 ? Double(Float.ulpOfOne) : Double.ulpOfOne)
        let (q, r) = try (m < n ? a.transposed() : a).qr()
        guard m < n else { return try apply(TriangularSolve(isUpper: true, tolerance: tolerance), r, q.transposed().matmul(b)) }
        return try q.matmul(apply(TriangularSolve(isUpper: false, tolerance: tolerance), r.transposed(), b))
    }
}
