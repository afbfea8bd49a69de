/// Eigenvalues, ascending, and orthonormal eigenvectors, `a v = v diag(w)`, of symmetric matrices; of any other one, its symmetric part is
/// taken. A vector has the sign that makes its number of largest magnitude positive.
///
/// - Shapes: `a [..., n, n]` → `w [..., n]`, `v [..., n, n]`, a vector a column.
/// - Gradient: with `F[i, j] = 1 / (w[j] - w[i])` and 0 on the diagonal, `da` is the symmetric part of
///   `v (diag(dw) + F∘(vᵀ dv)) vᵀ`.
/// - Errors: `TensorError.matrix` names the first matrix that isn't finite, or, where the gradient of vectors is asked for, that has values
///   that coincide.
/// - Source: LAPACK `syevd`; Giles, *An extended collection of matrix derivative results*, 2008, section 3.1.
struct SymmetricEigen: Primitive {
    static var gradientReads: Reads { [.output(0), .output(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name, square: true)
        return SpecList([TensorSpec(inputs[0].shape.dropLast(1), inputs[0].dtype), inputs[0]])
    }

    static var kernels: Kernels<SymmetricEigen> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous()
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    let matrix = PlainMatrix(a, index)
                    guard matrix.isFinite else { return .notFinite }
                    let (w, v) = decompose(matrix)
                    PlainMatrix.store(w, in: outputs[0], at: index * w.count)
                    v.store(in: outputs[1], index)
                    return nil
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try decompose(Float.self, inputs[0], outputs) } else { try decompose(Double.self, inputs[0], outputs) }
                return true
            })
    }

    private static func decompose<T: LAPACKNumber>(_: T.Type, _ input: Tensor, _ outputs: Operands) throws(TensorError) {
        let (a, n) = (try input.contiguous(), input.size(-1))
        guard n > 0 else { return }
        try forEachMatrix(a.matrixCount, work: 9 * n * n * n, in: name) { index in
            let (w, v) = (outputs[0].pointer(T.self) + index * n, outputs[1].matrix(index, T.self))
            guard T.areFinite(a.matrix(index, T.self), n * n) else { return .notFinite }
            T.symmetricPart(n, of: a.matrix(index, T.self), to: v)
            guard T.syevd(n, v, w) == 0 else { return .notConverged }
            // Vectors are rows yet.
            for c in 0..<n {
                var largest = v[c * n]
                for i in 1..<max(n, 1) where abs(v[c * n + i]) > abs(largest) { largest = v[c * n + i] }
                if largest < 0 { for i in 0..<n { v[c * n + i] = -v[c * n + i] } }
            }
            for i in 0..<n { for j in 0..<i { (v[i * n + j], v[j * n + i]) = (v[j * n + i], v[i * n + j]) } }
            return nil
        }
    }

    /// Each number beside the diagonal in turn is made 0 by a rotation, until all are.
    ///
    /// - Source: Jacobi, 1846; Golub and Van Loan, *Matrix Computations*, 4th edition, section 8.5.
    private static func decompose(_ given: PlainMatrix) -> ([Double], PlainMatrix) {
        let n = given.rows
        var (a, v) = (given, PlainMatrix.identity(n))
        for i in 0..<n { for j in 0..<n { a[i, j] = (given[i, j] + given[j, i]) / 2 } }
        let scale = a.numbers.reduce(0) { max($0, abs($1)) }
        var isDone = false
        while !isDone {
            isDone = true
            for p in 0..<n {
                for q in (p + 1)..<max(n, p + 1) where abs(a[p, q]) > 1e-16 * scale {
                    isDone = false
                    let theta = (a[q, q] - a[p, p]) / (2 * a[p, q]), t = (theta < 0 ? -1 : 1) / (abs(theta) + (theta * theta + 1).squareRoot())
                    let c = 1 / (t * t + 1).squareRoot()
                    a.rotate(p, q, c, c * t)
                    a.rotate(p, q, c, c * t, ofRows: true)
                    (a[p, q], a[q, p]) = (0, 0)
                    v.rotate(p, q, c, c * t)
                }
            }
        }
        let order = (0..<n).sorted { a[$0, $0] < a[$1, $1] }
        var vectors = PlainMatrix(n, n)
        for (place, c) in order.enumerated() { for i in 0..<n { vectors[i, place] = v[i, c] } }
        _ = vectors.fixSigns()
        return (order.map { a[$0, $0] }, vectors)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (w, v) = (g.output(0), g.output(1))
        var slope: Tensor?
        if let dw = g.gradientOfOutput(0) { slope = try (v * dw.withAxis(-2)).matmul(v.transposed()) }
        if let dv = g.gradientOfOutput(1) {
            let factors = try w.reciprocalDifferences(in: Self.name)
            let turn = try v.matmul(factors * v.transposed().matmul(dv)).matmul(v.transposed())
            slope = try slope.map { (sum) throws(TensorError) in try sum + turn } ?? turn
        }
        if let slope { try g.set(0, try (slope + slope.transposed()) * 0.5) }
    }
}

extension Tensor {
    /// The eigenvalues of symmetric matrices, ascending, and orthonormal eigenvectors, one a column.
    ///
    /// - Shapes: `[..., n, n]` → `values [..., n]`, `vectors [..., n, n]`.
    /// - Throws: `TensorError.matrix`, with the place in the stack, for NaN and infinities.
    public func symmetricEigen() throws(TensorError) -> (values: Tensor, vectors: Tensor) {
        let found = try applyMany(SymmetricEigen(), [self])
        return (found[0], found[1])
    }
}
