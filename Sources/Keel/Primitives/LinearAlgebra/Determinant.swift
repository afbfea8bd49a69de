#if canImport(Glibc)
import Glibc
#endif

/// The determinants of square matrices, by `a = P L U`. 0 for a singular one.
///
/// - Shapes: `a [..., n, n]` → `[...]`; 1 where `n` is 0.
/// - Gradient: `da = dy det(a) a⁻ᵀ`; there is none for a singular matrix, which is an error that names it.
/// - Source: Giles, *An extended collection of matrix derivative results*, 2008, section 2.2.4.
struct Determinant: Primitive {
    static var onnxName: String? { "Det" }
    static var gradientReads: Reads { [.input(0), .output(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name, square: true)
        return SpecList(TensorSpec(inputs[0].shape.dropLast(2), inputs[0].dtype))
    }

    static var kernels: Kernels<Determinant> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                try factorPlain(inputs[0], in: name) { index, factors in
                    PlainMatrix.store([factors.reduce(1, *)], in: outputs[0], at: index)
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                try factor(inputs[0], in: name) { index, factors in
                    PlainMatrix.store([factors.reduce(1, *)], in: outputs[0], at: index)
                }
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let a = g.input(0)
        let slope = try g.outputGradient * g.output(0)
        try g.set(0, try slope.withAxis(-1).withAxis(-1) * a.inverse().transposed())
    }
}

/// The signs of the determinants (-1, 0 or 1) and the logarithms of their magnitudes, which neither overflow nor vanish.
///
/// - Shapes: `a [..., n, n]` → signs `[...]`, logarithms `[...]`; 0 and -infinity for a singular matrix.
/// - Gradient: `da = dy a⁻ᵀ` of the logarithm; an error that names the matrix for a singular one.
/// - Source: NumPy `slogdet`; Giles, *An extended collection of matrix derivative results*, 2008, section 2.2.4.
struct LogDeterminant: Primitive {
    static var gradientReads: Reads { .input(0) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        _ = try inputs[0].matrices(in: Self.name, square: true)
        let spec = TensorSpec(inputs[0].shape.dropLast(2), inputs[0].dtype)
        return SpecList([spec, spec])
    }

    static var kernels: Kernels<LogDeterminant> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in try factorPlain(inputs[0], in: name) { store($1, in: outputs, $0) } },
            cpu: { _, inputs, outputs throws(TensorError) in
                try factor(inputs[0], in: name) { store($1, in: outputs, $0) }
                return true
            })
    }

    private static func store(_ factors: [Double], in outputs: Operands, _ index: Int) {
        let isZero = factors.contains(0), isNegative = factors.reduce(false) { $0 != ($1 < 0) }
        PlainMatrix.store([isZero ? 0 : isNegative ? -1 : 1], in: outputs[0], at: index)
        PlainMatrix.store([factors.reduce(0) { $0 + log(abs($1)) }], in: outputs[1], at: index)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let a = g.input(0)
        guard let dy = g.gradientOfOutput(1) else {
            try g.set(0, try a * 0)
            return
        }
        try g.set(0, try dy.withAxis(-1).withAxis(-1) * a.inverse().transposed())
    }
}

/// The factors whose product is each matrix' determinant: the pivots, and a sign for the swaps.
private func factor(_ input: Tensor, in name: String, _ use: (Int, [Double]) -> Void) throws(TensorError) {
    if input.dtype == .float32 { try factor(Float.self, input, in: name, use) } else { try factor(Double.self, input, in: name, use) }
}

private func factor<T: LAPACKNumber>(_: T.Type, _ input: Tensor, in name: String, _ use: (Int, [Double]) -> Void) throws(TensorError) {
    let factors = try Tensor(undefined: input.spec, on: CPU.shared), n = input.size(-1)
    move(input, to: factors)
    try forEachMatrix(input.matrixCount, work: n * n * n, in: name) { index in
        guard n > 0 else {
            use(index, [])
            return nil
        }
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: n) { pivots in
            let a = factors.matrix(index, T.self)
            guard let start = pivots.baseAddress else { return }
            _ = T.getrf(n, a, start)
            let swaps = (0..<n).count { Int(pivots[$0]) != $0 + 1 }
            use(index, (0..<n).map { Double(a[$0 * (n + 1)]) } + [swaps % 2 == 0 ? 1 : -1])
        }
        return nil
    }
}

private func factorPlain(_ input: Tensor, in name: String, _ use: (Int, [Double]) -> Void) throws(TensorError) {
    let a = try input.contiguous()
    try forEachMatrix(a.matrixCount, work: 0, in: name) { index in
        var factors = PlainMatrix(a, index)
        guard let swaps = factors.factorLU() else {
            use(index, [0])
            return nil
        }
        let turns = swaps.enumerated().count { $0.offset != $0.element }
        use(index, (0..<factors.rows).map { factors[$0, $0] } + [turns % 2 == 0 ? 1 : -1])
        return nil
    }
}

extension Tensor {
    /// The determinants of square matrices `[..., n, n]` → `[...]`.
    public func determinant() throws(TensorError) -> Tensor { try apply(Determinant(), self) }

    /// The signs of the determinants of square matrices `[..., n, n]` and the natural logarithms of their magnitudes, both `[...]`;
    /// 0 and -infinity for a singular one.
    public func logDeterminant() throws(TensorError) -> (sign: Tensor, logarithm: Tensor) {
        let found = try applyMany(LogDeterminant(), [self])
        return (found[0], found[1])
    }
}
