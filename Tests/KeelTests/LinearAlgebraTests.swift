import Keel
import Testing

private let devices: [any Device] = [CPU.shared, Reference.shared]

/// Two good matrices with a bad one between them.
private func stack(_ bad: [Double], _ dtype: DType, on device: any Device) throws -> Tensor {
    try Tensor([2, 1, 1, 3] + bad + [4, 1, 1, 5], [3, 2, 2]).cast(to: dtype).moved(to: device)
}

@Test(arguments: [DType.float32, .float64], 0..<2)
func aMatrixThatCannotBeFactoredIsNamedByItsPlace(_ dtype: DType, _ place: Int) throws {
    let device = devices[place]
    func expect(_ text: String, _ call: () throws -> Void) {
        let error = #expect(throws: TensorError.self) { try call() }
        #expect(error?.description == text)
    }
    let singular = try stack([1, 2, 2, 4], dtype, on: device), b = try Tensor.ones([2, 1], dtype, on: device)
    expect("Solve: matrix 1 of the stack is singular") { _ = try singular.solved(b) }
    expect("Solve: matrix 1 of the stack is singular") { _ = try singular.inverse() }
    expect("Solve: matrix 1 of the stack is singular") {
        let a = singular.requiringGradient()
        _ = try a.determinant().sum().gradients(of: [a])
    }
    expect("TriangularSolve: matrix 1 of the stack is singular") { _ = try stack([0, 2, 2, 4], dtype, on: device).solvedTriangular(b, upper: true) }
    expect("TriangularSolve: matrix 1 of the stack is singular") { _ = try singular.leastSquares(b) }
    expect("Cholesky: matrix 1 of the stack isn't positive definite") { _ = try stack([1, 2, 2, 1], dtype, on: device).cholesky() }
    expect("Cholesky: matrix 1 of the stack isn't positive definite") { _ = try stack([1, .nan, 2, 1], dtype, on: device).cholesky() }
    for bad in [Double.nan, .infinity] {
        let a = try stack([1, bad, 2, 1], dtype, on: device)
        expect("SVD: matrix 1 of the stack holds NaN or infinity") { _ = try a.svd() }
        expect("SymmetricEigen: matrix 1 of the stack holds NaN or infinity") { _ = try a.symmetricEigen() }
        expect("Eigenvalues: matrix 1 of the stack holds NaN or infinity") { _ = try a.eigenvalues() }
    }
    let (sign, logarithm) = try singular.logDeterminant()
    #expect(try singular.determinant().cast(to: .float64).moved(to: CPU.shared).elements(Double.self)[1] == 0)
    #expect(try sign.cast(to: .float64).moved(to: CPU.shared).elements(Double.self) == [1, 0, 1])
    #expect(try logarithm.cast(to: .float64).moved(to: CPU.shared).elements(Double.self)[1] == -.infinity)
}

/// Integers have no factors; two kinds of floats don't mix.
@Test func linearAlgebraRefusesOtherKindsOfNumbers() throws {
    let whole = try Tensor.ones([2, 2], .int64), a = try Tensor.ones([2, 2])
    for call in [{ try whole.cholesky() }, { try whole.svd().s }, { try whole.inverse() }, { try whole.determinant() }] as [() throws -> Tensor] {
        let error = #expect(throws: TensorError.self) { _ = try call() }
        #expect(error?.description.contains("needs floats, was given int64") == true)
    }
    let error = #expect(throws: TensorError.self) { _ = try a.solved(Tensor.ones([2, 1], .float64)) }
    #expect(error?.description == "Solve: float32 and float64 don't mix; cast one of them")
}

/// What the factors are multiplies back to what was factored; rounding is 2.2e-16 a step.
@Test(arguments: [(40, 40), (50, 30), (30, 50)])
func factorsMultiplyBack(_ m: Int, _ n: Int) throws {
    var generator = Philox(seed: 11)
    let a = try Tensor.normal([3, m, n], using: &generator).cast(to: .float64)
    func expectSame(_ found: Tensor, _ wanted: Tensor) throws { #expect(try (found - wanted).magnitude().max().item(Double.self) < 1e-11) }
    let (q, r) = try a.qr(), (u, s, vt) = try a.svd(), k = min(m, n)
    let identity = try (Tensor.ones([k, k], .float64).lowerTriangle() - Tensor.ones([k, k], .float64).lowerTriangle(diagonal: -1)).expanded(to: [3, k, k])
    try expectSame(q.matmul(r), a)
    try expectSame(q.transposed().matmul(q), identity)
    try expectSame((u * s.withAxis(-2)).matmul(vt), a)
    try expectSame(vt.matmul(vt.transposed()), identity)
    let symmetric = try a.matmul(a.transposed())
    let (w, v) = try symmetric.symmetricEigen(), l = try (symmetric + symmetric.identitiesTimes(1)).cholesky()
    try expectSame(symmetric.matmul(v), v * w.withAxis(-2))
    try expectSame(l.matmul(l.transposed()), symmetric + symmetric.identitiesTimes(1))
}

extension Tensor {
    fileprivate func identitiesTimes(_ factor: Double) throws -> Tensor {
        let n = try shape.size(-1)
        let numbers: [Double] = (0..<n * n).map { $0 % (n + 1) == 0 ? factor : 0 }
        return try Tensor(numbers, [n, n]).cast(to: dtype)
    }
}

/// Where values coincide, vectors may be any of a plane and have no gradient; the values themselves have one.
@Test func vectorsOfCoincidingValuesHaveNoGradient() throws {
    let a = try Tensor([3.0, 0, 0, 5, 2, 0, 0, 2], [2, 2, 2]).requiringGradient()
    let (w, v) = try a.symmetricEigen(), (u, s, vt) = try a.svd()
    #expect(try w.sum().gradients(of: [a], keepsGraph: true)[0].elements(Double.self) == [1, 0, 0, 1, 1, 0, 0, 1])
    #expect(try s.sum().gradients(of: [a], keepsGraph: true)[0].elements(Double.self) == [1, 0, 0, 1, 1, 0, 0, 1])
    for (name, vectors) in [("SymmetricEigen", v), ("SVD", u), ("SVD", vt)] {
        let error = #expect(throws: TensorError.self) { try vectors.sum().gradients(of: [a], keepsGraph: true) }
        #expect(error?.description == "\(name): matrix 1 of the stack has values that coincide, so its vectors have no gradient")
    }
}

/// A companion matrix has its polynomial's roots for eigenvalues.
@Test func eigenvaluesAreTheRootsOfThePolynomial() throws {
    // (x - 1)(x + 2)(x² - 2x + 5): 1, -2, 1 ± 2i.
    let companion = try Tensor([0.0, 0, 0, 10, 1, 0, 0, -9, 0, 1, 0, -1, 0, 0, 1, 1], [4, 4])
    let roots: [Double] = [-2, 0, 1, -2, 1, 0, 1, 2]
    for device in devices {
        let found = try companion.moved(to: device).eigenvalues().moved(to: CPU.shared).elements(Double.self)
        for (a, b) in zip(found.sorted(), roots.sorted()) { #expect(abs(a - b) < 1e-6) }
    }
}
