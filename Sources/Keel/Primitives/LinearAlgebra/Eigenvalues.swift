#if canImport(Glibc)
import Glibc
#endif

/// The eigenvalues of square matrices, which may be complex: in ascending order of their real parts, then of their imaginary parts.
///
/// - Shapes: `a [..., n, n]` → `[..., n, 2]`: real and imaginary part.
/// - Gradient: none.
/// - Errors: `TensorError.matrix` names the first matrix that isn't finite.
/// - Source: LAPACK `geev`.
struct Eigenvalues: Primitive {
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name, square: true)
        return SpecList(TensorSpec(inputs[0].shape.dropLast(1) + [2], inputs[0].dtype))
    }

    static var kernels: Kernels<Eigenvalues> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                let a = try inputs[0].contiguous()
                try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
                    let matrix = PlainMatrix(a, index)
                    guard matrix.isFinite else { return .notFinite }
                    var method = ShiftedQR(matrix)
                    guard var values = method.values() else { return .notConverged }
                    // The two of a pair differ by their roundings only.
                    let grain = 1e-10 * (values.map(\.magnitude).max() ?? 0)
                    func rounded(_ x: Double) -> Double { grain > 0 ? (x / grain).rounded() : x }
                    values.sort { (rounded($0.real), $0.imaginary) < (rounded($1.real), $1.imaginary) }
                    PlainMatrix.store(values.flatMap { [$0.real, abs($0.imaginary) < grain ? 0 : $0.imaginary] }, in: outputs[0], at: index * 2 * values.count)
                    return nil
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 { try find(Float.self, inputs[0], outputs[0]) } else { try find(Double.self, inputs[0], outputs[0]) }
                return true
            })
    }

    private static func find<T: LAPACKNumber>(_: T.Type, _ input: Tensor, _ output: Tensor) throws(TensorError) {
        let scratch = try Tensor(undefined: input.spec, on: CPU.shared), n = input.size(-1)
        move(input, to: scratch)
        guard n > 0 else { return }
        try forEachMatrix(input.matrixCount, work: 10 * n * n * n, in: name) { index in
            withUnsafeTemporaryAllocation(of: T.self, capacity: 2 * n) { room in
                let a = scratch.matrix(index, T.self), values = output.pointer(T.self) + index * 2 * n
                guard let real = room.baseAddress, T.areFinite(a, n * n) else { return .notFinite }
                let imaginary = real + n
                guard T.geev(n, a, real, imaginary) == 0 else { return .notConverged }
                let order = (0..<n).sorted { (real[$0], imaginary[$0]) < (real[$1], imaginary[$1]) }
                for (place, i) in order.enumerated() { (values[2 * place], values[2 * place + 1]) = (real[i], imaginary[i]) }
                return nil
            }
        }
    }
}

extension Tensor {
    /// The eigenvalues of square matrices, as real and imaginary part, in ascending order of the first, then of the second. They have no
    /// gradient; those of symmetric matrices, `symmetricEigen()`, do.
    ///
    /// - Shapes: `[..., n, n]` → `[..., n, 2]`.
    /// - Throws: `TensorError.matrix`, with the place in the stack, for NaN and infinities.
    public func eigenvalues() throws(TensorError) -> Tensor { try apply(Eigenvalues(), self) }
}

/// A complex number of the reference kernel.
private struct Complex {
    var real, imaginary: Double
    init(_ real: Double, _ imaginary: Double = 0) { (self.real, self.imaginary) = (real, imaginary) }
    var magnitude: Double { hypot(real, imaginary) }
    var conjugate: Complex { Complex(real, -imaginary) }
    static func + (a: Complex, b: Complex) -> Complex { Complex(a.real + b.real, a.imaginary + b.imaginary) }
    static func - (a: Complex, b: Complex) -> Complex { Complex(a.real - b.real, a.imaginary - b.imaginary) }
    static func * (a: Complex, b: Complex) -> Complex {
        Complex(a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
    }
    static func * (a: Complex, b: Double) -> Complex { Complex(a.real * b, a.imaginary * b) }
    var squareRoot: Complex {
        let r = magnitude, half = Complex(((r + real) / 2).squareRoot(), ((r - real) / 2).squareRoot())
        return imaginary < 0 ? half.conjugate : half
    }
}

/// The QR algorithm with Wilkinson's shifts, in complex numbers.
///
/// - Source: Golub and Van Loan, *Matrix Computations*, 4th edition, sections 7.4 and 7.5.
private struct ShiftedQR {
    private var h: [[Complex]]

    /// Gauss' eliminations, each undone from the right, leave one diagonal below the main one.
    init(_ matrix: PlainMatrix) {
        let n = matrix.rows
        var a = matrix
        for k in 1..<max(n - 1, 1) {
            var pivot = k
            for i in k..<n where abs(a[i, k - 1]) > abs(a[pivot, k - 1]) { pivot = i }
            guard a[pivot, k - 1] != 0 else { continue }
            a.swapRows(k, pivot)
            for i in 0..<n { (a[i, k], a[i, pivot]) = (a[i, pivot], a[i, k]) }
            for i in (k + 1)..<n {
                let factor = a[i, k - 1] / a[k, k - 1]
                for j in 0..<n { a[i, j] -= factor * a[k, j] }
                for j in 0..<n { a[j, k] += factor * a[j, i] }
            }
        }
        h = (0..<n).map { i in (0..<n).map { Complex(a[i, $0]) } }
    }

    mutating func values() -> [Complex]? {
        var (found, end, rounds): ([Complex], Int, Int) = ([], h.count - 1, 0)
        while end >= 0 {
            var start = end
            while start > 0, h[start][start - 1].magnitude > 1e-16 * (h[start][start].magnitude + h[start - 1][start - 1].magnitude) { start -= 1 }
            guard start < end else {
                found.append(h[end][end])
                (end, rounds) = (end - 1, 0)
                continue
            }
            rounds += 1
            guard rounds < 300 else { return nil }
            step(start, end, shift: rounds % 10 == 0 ? Complex(h[end][end - 1].magnitude + h[end][end].real) : shift(end))
        }
        return found
    }

    /// The eigenvalue of the last two rows and columns that is nearer to the last number.
    private func shift(_ end: Int) -> Complex {
        let (a, b, c, d) = (h[end - 1][end - 1], h[end - 1][end], h[end][end - 1], h[end][end])
        let half = (a - d) * 0.5, root = (half * half + b * c).squareRoot
        let (one, other) = (d + half + root, d + half - root)
        return (one - d).magnitude < (other - d).magnitude ? one : other
    }

    private mutating func step(_ start: Int, _ end: Int, shift: Complex) {
        var turns: [(c: Complex, s: Complex)] = []
        for k in start...end { h[k][k] = h[k][k] - shift }
        for k in start..<end {
            let (x, y) = (h[k][k], h[k + 1][k]), norm = hypot(x.magnitude, y.magnitude)
            let (c, s) = norm > 0 ? (x * (1 / norm), y * (1 / norm)) : (Complex(1), Complex(0))
            turns.append((c, s))
            for j in k...end {
                let (p, q) = (h[k][j], h[k + 1][j])
                h[k][j] = c.conjugate * p + s.conjugate * q
                h[k + 1][j] = c * q - s * p
            }
        }
        for (k, (c, s)) in zip(start..<end, turns) {
            for i in start...min(k + 1, end) {
                let (p, q) = (h[i][k], h[i][k + 1])
                h[i][k] = p * c + q * s
                h[i][k + 1] = q * c.conjugate - p * s.conjugate
            }
        }
        for k in start...end { h[k][k] = h[k][k] + shift }
    }
}
