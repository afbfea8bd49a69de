import COpenBLAS
import KeelKernels

/// Matrix product over the last two axes; leading axes broadcast.
///
/// - Shapes: `a [..., m, k]`, `b [..., k, n]` → `[..., m, n]`.
/// - Gradient: `da = dy · bᵀ`, `db = aᵀ · dy`, each summed over the axes it was broadcast along.
/// - Errors: `TensorError.innerDimensions` when the two `k` differ; `TensorError.rank` below two axes.
/// - Source: ONNX `MatMul`, opset 13.
struct MatMul: Primitive {
    static var onnxName: String? { "MatMul" }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    static var kernels: Kernels<MatMul> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                try forEachMatrix(inputs[0], inputs[1], outputs[0]) { a, b, c in
                    let (m, n, k) = (Int64(a.rows), Int64(b.columns), Int64(a.columns))
                    if inputs[0].dtype == .float32 {
                        keel_reference_product_f32(
                            m, n, k, c.assumingMemoryBound(to: Float.self), a.start.assumingMemoryBound(to: Float.self), Int64(a.rowStride),
                            Int64(a.columnStride), b.start.assumingMemoryBound(to: Float.self), Int64(b.rowStride), Int64(b.columnStride))
                    } else {
                        keel_reference_product_f64(
                            m, n, k, c.assumingMemoryBound(to: Double.self), a.start.assumingMemoryBound(to: Double.self), Int64(a.rowStride),
                            Int64(a.columnStride), b.start.assumingMemoryBound(to: Double.self), Int64(b.rowStride), Int64(b.columnStride))
                    }
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                // BLAS reads rows or columns that are dense; anything else is copied first.
                let a = try inputs[0].isBLASMatrix ? inputs[0] : inputs[0].contiguous()
                let b = try inputs[1].isBLASMatrix ? inputs[1] : inputs[1].contiguous()
                if outputs[0].count == 0 { return true }
                if a.size(-1) == 0 {
                    try outputs[0].fill(0)
                    return true
                }
                let c = outputs[0]
                Product(a: Matrix(a), b: Matrix(b), c: c.bytes).run(batches: c.count / (c.size(-2) * c.size(-1))) { batch in
                    offsets(a, b, c, batch)
                }
                return true
            })
    }

    /// Where matrix `batch` of each stack begins.
    private static func offsets(_ a: Tensor, _ b: Tensor, _ c: Tensor, _ batch: Int) -> (Int, Int) {
        var rest = batch
        var (offsetA, offsetB) = (0, 0)
        for axis in stride(from: c.rank - 3, through: 0, by: -1) {
            let index = rest % c.size(axis)
            rest /= c.size(axis)
            let (axisA, axisB) = (axis - (c.rank - a.rank), axis - (c.rank - b.rank))
            if axisA >= 0, a.size(axisA) != 1 { offsetA += index * a.stride(axisA) }
            if axisB >= 0, b.size(axisB) != 1 { offsetB += index * b.stride(axisB) }
        }
        return (offsetA, offsetB)
    }

    private static func forEachMatrix(
        _ a: Tensor, _ b: Tensor, _ c: Tensor, _ body: (Matrix, Matrix, UnsafeMutableRawPointer) -> Void
    ) throws(TensorError) {
        let size = c.size(-2) * c.size(-1)
        guard size > 0 else { return }
        for batch in 0..<(c.count / size) {
            let (offsetA, offsetB) = offsets(a, b, c, batch)
            body(Matrix(a, at: offsetA), Matrix(b, at: offsetB), c.bytes + batch * size * c.dtype.width)
        }
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (a, b) = (inputs[0].shape, inputs[1].shape)
        guard inputs[0].dtype == inputs[1].dtype else {
            throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, inputs[1].dtype))
        }
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        guard a.rank >= 2 else { throw .rank(primitive: Self.name, expected: "two axes at least", a) }
        guard b.rank >= 2 else { throw .rank(primitive: Self.name, expected: "two axes at least", b) }
        guard a[-1] == b[-2] else { throw .innerDimensions(primitive: Self.name, a, b) }
        var shape = try a.dropLast(2).broadcast(with: b.dropLast(2), in: Self.name)
        shape.append(a[-2])
        shape.append(b[-1])
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    func tangents(_ t: borrowing TangentContext) throws(TensorError) -> [Tensor?]? {
        var (first, second): (Tensor?, Tensor?)
        if let tangent = t.tangent(0) { first = try tangent.matmul(t.input(1)) }
        if let tangent = t.tangent(1) { second = try t.input(0).matmul(tangent) }
        return [try t.sum(first, second)]
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (a, b, dy) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try Self.slope(dy, b.transposed(), of: a).summed(to: a.shape)) }
        if g.wants(1) {
            if b.rank == 2, a.rank > 2 {
                // One product instead of one a batch and a sum.
                let rows = try a.flattened(from: 0, through: -2), slopes = try dy.flattened(from: 0, through: -2)
                try g.set(1, try Self.slope(rows.transposed(), slopes, of: b))
            } else {
                try g.set(1, try Self.slope(a.transposed(), dy, of: b).summed(to: b.shape))
            }
        }
    }

    /// `x · y`, lying as the matrix whose gradient it is: so one that was transposed needs no copy when that is undone.
    private static func slope(_ x: Tensor, _ y: Tensor, of matrix: Tensor) throws(TensorError) -> Tensor {
        guard !matrix.descriptor.isDense, matrix.stride(matrix.rank - 2) == 1 else { return try x.matmul(y) }
        return try y.transposed().matmul(x.transposed()).transposed()
    }
}

extension Tensor {
    /// Whether BLAS can read the last two axes as they lie.
    var isBLASMatrix: Bool {
        guard !descriptor.isBlocked else { return false }
        let (rows, columns, rowStride, columnStride) = (size(-2), size(-1), stride(rank - 2), stride(rank - 1))
        return columnStride == 1 && rowStride >= columns || rowStride == 1 && columnStride >= rows
    }

    /// Matrix product over the last two axes; leading axes broadcast.
    ///
    /// - Shapes: `[..., m, k]` times `[..., k, n]` → `[..., m, n]`.
    public func matmul(_ other: Tensor) throws(TensorError) -> Tensor {
        if rank > 2, other.rank == 2, descriptor.isDense {
            // The leading axes are just more rows.
            let product = try apply(MatMul(), flattened(from: 0, through: -2), other)
            return try product.reshaped(shape.dropLast(1) + Shape(other.shape[-1]))
        }
        return try apply(MatMul(), self, other)
    }
}
