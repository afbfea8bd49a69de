/// The lower triangular `l` with `l lᵀ = a`, for symmetric positive definite matrices. Of any other one, its symmetric part is taken.
///
/// - Shapes: `a [..., n, n]` → `[..., n, n]`.
/// - Gradient: `da` is the symmetric part of `l⁻ᵀ Φ(lᵀ dl) l⁻¹`, where `Φ` keeps the lower triangle and halves the diagonal.
/// - Errors: `TensorError.matrix` names the first matrix that isn't positive definite.
/// - Source: LAPACK `potrf`; Murray, *Differentiation of the Cholesky decomposition*, 2016, equation 10.
struct Cholesky: Primitive {
    static var gradientReads: Reads { .output(0) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name, square: true)
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<Cholesky> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous(), l = outputs[0]
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    guard let factor = factor(PlainMatrix(a, index)) else { return .notPositiveDefinite }
                    factor.store(in: l, index)
                    return nil
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try factor(Float.self, inputs[0], outputs[0]) } else { try factor(Double.self, inputs[0], outputs[0]) }
                return true
            })
    }

    private static func factor<T: LAPACKNumber>(_: T.Type, _ a: Tensor, _ l: Tensor) throws(TensorError) {
        let (a, n) = (try a.contiguous(), a.size(-1))
        guard n > 0 else { return }
        try forEachMatrix(a.matrixCount, work: n * n * n / 3, in: name) { index in
            let factor = l.matrix(index, T.self)
            T.symmetricPart(n, of: a.matrix(index, T.self), to: factor)
            // NaN goes through OpenBLAS unnoticed, and ends up on the diagonal.
            guard T.potrf(n, factor) == 0, (0..<n).allSatisfy({ factor[$0 * (n + 1)] > 0 }) else { return .notPositiveDefinite }
            for i in 0..<n { for j in (i + 1)..<max(n, i + 1) { factor[i * n + j] = 0 } }
            return nil
        }
    }

    /// Golub and Van Loan, section 4.2.5: `l[i, j] = (a[i, j] - Σ l[i, k] l[j, k]) / l[j, j]`.
    private static func factor(_ a: PlainMatrix) -> PlainMatrix? {
        var l = PlainMatrix(a.rows, a.rows)
        for i in 0..<a.rows {
            for j in 0...i {
                var sum = (a[i, j] + a[j, i]) / 2
                for k in 0..<j { sum -= l[i, k] * l[j, k] }
                if i == j, !(sum > 0) { return nil }
                l[i, j] = i == j ? sum.squareRoot() : sum / l[j, j]
            }
        }
        return l
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let l = g.output(0), product = try l.transposed().matmul(g.outputGradient)
        let halved = try (product.lowerTriangle() + product.lowerTriangle(diagonal: -1)) * 0.5
        let inner = try l.transposed().solvedTriangular(halved, upper: true)
        let slope = try l.transposed().solvedTriangular(inner.transposed(), upper: true)
        try g.set(0, try (slope + slope.transposed()) * 0.5)
    }
}

extension Tensor {
    /// The lower triangular factor of symmetric positive definite matrices `[..., n, n]`: this tensor is it times its transpose.
    ///
    /// - Throws: `TensorError.matrix`, with the place in the stack, for one that isn't positive definite.
    public func cholesky() throws(TensorError) -> Tensor { try apply(Cholesky(), self) }
}
