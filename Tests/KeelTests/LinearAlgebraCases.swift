import Keel

/// `a aᵀ / n + 2`, so that it is positive definite and not near anything singular.
private func definite(_ a: Tensor) throws -> Tensor {
    guard isSquare(a) else { return a }
    return try a.matmul(a.transposed()) * (1 / Double(max(a.shape.size(-1), 1))) + scaledIdentity(a, 2)
}

private func scaledIdentity(_ a: Tensor, _ factor: Double) throws -> Tensor {
    let n = try a.shape.size(-1)
    let numbers: [Double] = (0..<n * n).map { $0 % (n + 1) == 0 ? factor : 0 }
    return try Tensor(numbers, [n, n]).cast(to: a.dtype).moved(to: a.device)
}

/// Far from singular, and not symmetric.
private func regular(_ a: Tensor) throws -> Tensor { isSquare(a) ? try a + scaledIdentity(a, 6) : a }

/// Others are for being refused.
private func isSquare(_ a: Tensor) -> Bool { a.rank >= 2 && a.shape[-1] == a.shape[-2] }

/// With the eigenvalues, or singular values, about 3 apart, so that gradients of vectors stay small.
private func spread(_ a: Tensor) throws -> Tensor {
    guard a.rank >= 2 else { return a }
    let (m, n) = (try a.shape.size(-2), try a.shape.size(-1))
    var diagonal = [Double](repeating: 0, count: m * n)
    for i in 0..<min(m, n) { diagonal[i * n + i] = 3 * Double(i + 1) }
    return try a * 0.3 + Tensor(diagonal, [m, n]).cast(to: a.dtype).moved(to: a.device)
}

private let squares: [[Shape]] = [[[3, 3]], [[2, 4, 4]], [[1, 1]], [[0, 3, 3]], [[2, 0, 0]], [[2, 3, 2, 2]], [[20, 20]]]
private let systems: [[Shape]] = [
    [[3, 3], [3, 2]], [[2, 4, 4], [2, 4, 1]], [[4, 4], [2, 4, 3]], [[2, 3, 3], [3, 5]], [[1, 1], [1, 1]], [[0, 3, 3], [0, 3, 2]], [[0, 0], [0, 2]],
    [[3, 3], [3, 0]], [[18, 18], [18, 7]],
]
private let badSystems: [([Shape], String)] = [
    ([[3, 2], [3, 2]], "square matrices"), ([[3], [3, 2]], "two axes at least"), ([[3, 3], [2, 2]], "right sides [3, k]"), ([[2, 3, 3], [3, 3, 2]], "broadcast"),
]

let linearAlgebraCases: [PrimitiveCase] = [
    PrimitiveCase(
        names: ["Cholesky", "TriangularSolve"], shapes: squares, tolerance: 1e-4, rejects: [([[2, 3]], "square matrices"), ([[3]], "two axes at least")]
    ) { try definite($0[0]).cholesky() },
    PrimitiveCase(names: ["TriangularSolve"], shapes: systems, tolerance: 1e-4, rejects: badSystems) {
        let a = try regular($0[0])
        return try a.solvedTriangular($0[1], upper: true) - a.solvedTriangular($0[1], upper: false) * 2
    },
    PrimitiveCase(names: ["TriangularSolve"], shapes: [[[3, 3], [3, 2]], [[2, 4, 4], [2, 4, 1]]], range: -0.5...0.5, tolerance: 1e-4) {
        try $0[0].solvedTriangular($0[1], upper: true, hasUnitDiagonal: true) + $0[0].solvedTriangular($0[1], upper: false, hasUnitDiagonal: true)
    },
    PrimitiveCase(names: ["Solve"], shapes: systems, tolerance: 1e-4, rejects: badSystems) { try regular($0[0]).solved($0[1]) },
    PrimitiveCase(names: ["Solve"], shapes: squares, tolerance: 1e-4, rejects: [([[2, 3]], "square matrices")]) { try regular($0[0]).inverse() },
    PrimitiveCase(
        names: ["Det", "Solve"], shapes: [[[3, 3]], [[2, 4, 4]], [[1, 1]], [[0, 3, 3]], [[2, 0, 0]], [[40, 3, 3]]], tolerance: 1e-4, rejects: [([[2, 3]], "square matrices")]
    ) { try $0[0].determinant() },
    PrimitiveCase(names: ["LogDeterminant", "Solve"], shapes: squares, tolerance: 1e-4, rejects: [([[2, 3]], "square matrices")]) {
        let (sign, logarithm) = try regular($0[0]).logDeterminant()
        return try sign * logarithm + (regular($0[0]) * -2).logDeterminant().logarithm
    },
    PrimitiveCase(
        names: ["QR", "TriangularSolve"], shapes: [[[5, 3]], [[2, 3, 3]], [[3, 5]], [[2, 2, 4]], [[1, 1]], [[0, 3, 2]], [[3, 0]], [[0, 3]], [[1, 4]], [[24, 9]]],
        tolerance: 1e-4, rejects: [([[3]], "two axes at least")]
    ) {
        let (q, r) = try spread($0[0]).qr()
        return try Tensor.concatenated([q.flattened(), (r * r).flattened()])
    },
    PrimitiveCase(
        names: ["QR", "TriangularSolve"], shapes: [[[5, 3], [5, 2]], [[2, 5, 3], [5, 1]], [[3, 5], [3, 2]], [[2, 2, 3], [2, 2, 2]], [[3, 3], [3, 1]]], tolerance: 1e-4,
        rejects: [([[5, 3], [4, 2]], "right sides [5, k]"), ([[5, 3], [5]], "right sides")]
    ) { try spread($0[0]).leastSquares($0[1]) },
    PrimitiveCase(
        names: ["SVD"], shapes: [[[5, 3]], [[2, 3, 3]], [[3, 5]], [[2, 2, 4]], [[1, 1]], [[0, 3, 2]], [[3, 0]], [[0, 3]], [[1, 4]], [[16, 6]]], tolerance: 1e-4,
        rejects: [([[3]], "two axes at least")]
    ) {
        let (u, s, vt) = try spread($0[0]).svd()
        return try Tensor.concatenated([u.flattened(), (s * s).flattened(), (vt * 2).flattened()])
    },
    PrimitiveCase(names: ["SVD"], shapes: [[[4, 3]], [[3, 4]]], tolerance: 1e-4) { try spread($0[0]).svd().s },
    PrimitiveCase(
        names: ["SymmetricEigen"], shapes: [[[3, 3]], [[2, 4, 4]], [[1, 1]], [[0, 3, 3]], [[2, 0, 0]], [[14, 14]]], tolerance: 1e-4,
        rejects: [([[2, 3]], "square matrices")]
    ) {
        let (w, v) = try spread($0[0]).symmetricEigen()
        return try Tensor.concatenated([(w * w).flattened(), v.flattened()])
    },
    PrimitiveCase(
        names: ["Eigenvalues"], shapes: [[[3, 3]], [[2, 4, 4]], [[1, 1]], [[0, 3, 3]], [[2, 0, 0]], [[17, 17]]], isDifferentiable: false, tolerance: 1e-4,
        rejects: [([[2, 3]], "square matrices")]
    ) { try $0[0].eigenvalues() },
]
