/// Singular value decomposition, `a = u diag(s) vᵀ`, with singular values in descending order. A pair of vectors has the sign that makes
/// the number of largest magnitude in `u` positive.
///
/// - Shapes: `a [..., m, n]` → `u [..., m, k]`, `s [..., k]`, `vᵀ [..., k, n]` with `k` the smaller of `m` and `n`.
/// - Gradient: with `F[i, j] = 1 / (s[j]² - s[i]²)` and 0 on the diagonal, `da = u (F∘(uᵀdu - duᵀu) S + S F∘(vᵀdv - dvᵀv) + diag(ds)) vᵀ
///   + (1 - u uᵀ) du S⁻¹ vᵀ + u S⁻¹ dvᵀ (1 - v vᵀ)`.
/// - Errors: `TensorError.matrix` names the first matrix that isn't finite, or, where the gradient of vectors is asked for, that has values
///   that coincide.
/// - Source: LAPACK `gesdd`; Townsend, *Differentiating the singular value decomposition*, 2016; Giles, 2008, section 3.2.
struct SVD: Primitive {
    static var gradientReads: Reads { [.output(0), .output(1), .output(2)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name)
        let (shape, dtype) = (inputs[0].shape, inputs[0].dtype), k = Dimension(min(try shape.size(-2), try shape.size(-1)))
        let leading = shape.dropLast(2)
        return SpecList([
            TensorSpec(leading + Shape(shape[-2], k), dtype), TensorSpec(leading + Shape(k), dtype), TensorSpec(leading + Shape(k, shape[-1]), dtype),
        ])
    }

    static var kernels: Kernels<SVD> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous()
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    let matrix = PlainMatrix(a, index)
                    guard matrix.isFinite else { return .notFinite }
                    let (u, s, v) = matrix.rows < matrix.columns ? swapped(decompose(matrix.transposed)) : decompose(matrix)
                    store(u, s, v.transposed, outputs, index)
                    return nil
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try decompose(Float.self, inputs[0], outputs) } else { try decompose(Double.self, inputs[0], outputs) }
                return true
            })
    }

    /// LAPACK sees `aᵀ = v diag(s) uᵀ`.
    private static func decompose<T: LAPACKNumber>(_: T.Type, _ input: Tensor, _ outputs: Operands) throws(TensorError) {
        let scratch = try Tensor(undefined: input.spec, on: CPU.shared), (m, n) = (input.size(-2), input.size(-1)), k = min(m, n)
        move(input, to: scratch)
        guard k > 0 else { return }
        try forEachMatrix(input.matrixCount, work: 20 * m * n * k, in: name) { index in
            let (a, u, s) = (scratch.matrix(index, T.self), outputs[0].matrix(index, T.self), outputs[1].pointer(T.self) + index * k)
            let v = outputs[2].matrix(index, T.self)
            guard T.areFinite(a, m * n) else { return .notFinite }
            guard T.gesdd(n, m, a, s, v, u) == 0 else { return .notConverged }
            for c in 0..<k {
                var largest = u[c]
                for i in 1..<max(m, 1) where abs(u[i * k + c]) > abs(largest) { largest = u[i * k + c] }
                guard largest < 0 else { continue }
                for i in 0..<m { u[i * k + c] = -u[i * k + c] }
                for j in 0..<n { v[c * n + j] = -v[c * n + j] }
            }
            return nil
        }
    }

    private static func swapped(_ found: (PlainMatrix, [Double], PlainMatrix)) -> (PlainMatrix, [Double], PlainMatrix) { (found.2, found.1, found.0) }

    private static func store(_ u: PlainMatrix, _ s: [Double], _ vt: PlainMatrix, _ outputs: Operands, _ index: Int) {
        var (u, vt) = (u, vt)
        for (c, sign) in u.fixSigns().enumerated() where sign < 0 { for j in 0..<vt.columns { vt[c, j] = -vt[c, j] } }
        u.store(in: outputs[0], index)
        PlainMatrix.store(s, in: outputs[1], at: index * s.count)
        vt.store(in: outputs[2], index)
    }

    /// For no more columns than rows: columns are turned in pairs until all are orthogonal.
    ///
    /// - Source: Hestenes, 1958; Golub and Van Loan, *Matrix Computations*, 4th edition, section 8.6.3.
    private static func decompose(_ a: PlainMatrix) -> (PlainMatrix, [Double], PlainMatrix) {
        var (u, v) = (a, PlainMatrix.identity(a.columns)), isDone = false
        func dot(_ p: Int, _ q: Int) -> Double { (0..<a.rows).reduce(0) { $0 + u[$1, p] * u[$1, q] } }
        while !isDone {
            isDone = true
            for p in 0..<a.columns {
                for q in (p + 1)..<max(a.columns, p + 1) {
                    let (alpha, beta, gamma) = (dot(p, p), dot(q, q), dot(p, q))
                    guard abs(gamma) > 1e-15 * (alpha * beta).squareRoot() else { continue }
                    isDone = false
                    let zeta = (beta - alpha) / (2 * gamma), t = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
                    let c = 1 / (1 + t * t).squareRoot()
                    u.rotate(p, q, c, c * t)
                    v.rotate(p, q, c, c * t)
                }
            }
        }
        let values = (0..<a.columns).map { dot($0, $0).squareRoot() }
        let order = values.indices.sorted { values[$0] > values[$1] }
        var (left, right) = (PlainMatrix(a.rows, a.columns), PlainMatrix(a.columns, a.columns))
        for (place, c) in order.enumerated() {
            for i in 0..<a.columns { right[i, place] = v[i, c] }
            var column = (0..<a.rows).map { values[c] > 0 ? u[$0, c] / values[c] : 0 }
            if values[c] == 0 { column = orthogonal(to: left, columns: place) }
            for i in 0..<a.rows { left[i, place] = column[i] }
        }
        return (left, order.map { values[$0] }, right)
    }

    /// A unit vector orthogonal to the first columns: what is left of the axis of which most is.
    private static func orthogonal(to u: PlainMatrix, columns: Int) -> [Double] {
        var (best, bestNorm): ([Double], Double) = ([], -1)
        for axis in 0..<u.rows {
            var rest = [Double](repeating: 0, count: u.rows)
            rest[axis] = 1
            for c in 0..<columns {
                let along = (0..<u.rows).reduce(0) { $0 + rest[$1] * u[$1, c] }
                for i in 0..<u.rows { rest[i] -= along * u[i, c] }
            }
            let norm = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
            if norm > bestNorm { (best, bestNorm) = (rest.map { $0 / norm }, norm) }
        }
        return best
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (u, s, vt) = (g.output(0), g.output(1), g.output(2)), v = try vt.transposed()
        let row = try s.withAxis(-2), (m, n) = (try u.shape.size(-2), try vt.shape.size(-1))
        // What goes between `u` and `vᵀ`, and what lies outside the spaces that they span.
        var slope: Tensor?
        if let ds = g.gradientOfOutput(1) { slope = try (u * ds.withAxis(-2)).matmul(vt) }
        func add(_ more: Tensor) throws(TensorError) { slope = try slope.map { (sum) throws(TensorError) in try sum + more } ?? more }
        let (du, dvt) = (g.gradientOfOutput(0), g.gradientOfOutput(2))
        if du != nil || dvt != nil {
            let factors = try s.squared().reciprocalDifferences(in: Self.name)
            if let du {
                let inner = try u.transposed().matmul(du), turn = try (inner - inner.transposed()) * factors * row
                try add(try u.matmul(turn).matmul(vt))
                if m > n { try add(try ((du - u.matmul(inner)) * row.reciprocal()).matmul(vt)) }
            }
            if let dvt {
                let dv = try dvt.transposed(), inner = try v.transposed().matmul(dv), turn = try (inner - inner.transposed()) * factors
                try add(try (u * row).matmul(turn).matmul(vt))
                if n > m { try add(try (u * row.reciprocal()).matmul((dv - v.matmul(inner)).transposed())) }
            }
        }
        if let slope { try g.set(0, slope) }
    }
}

extension Tensor {
    /// Singular value decomposition: this tensor is `u · diag(s) · vTransposed`, with singular values in descending order.
    ///
    /// - Shapes: `[..., m, n]` → `u [..., m, k]`, `s [..., k]`, `vTransposed [..., k, n]`, `k` the smaller of `m` and `n`.
    /// - Throws: `TensorError.matrix`, with the place in the stack, for NaN and infinities.
    public func svd() throws(TensorError) -> (u: Tensor, s: Tensor, vTransposed: Tensor) {
        let found = try applyMany(SVD(), [self])
        return (found[0], found[1], found[2])
    }
}
