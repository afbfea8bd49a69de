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
                Threads.alignBLAS()
                try forEachMatrix(a, b, outputs[0], product)
                return true
            })
    }

    /// One matrix of a stack, wherever its numbers lie.
    struct Matrix {
        let start: UnsafeMutableRawPointer
        let rows, columns, rowStride, columnStride: Int
        let isDouble: Bool
    }

    private static func product(_ a: Matrix, _ b: Matrix, _ c: UnsafeMutableRawPointer) {
        let (m, n, k) = (Int32(a.rows), Int32(b.columns), Int32(a.columns))
        // A matrix whose columns are dense is the transpose of one whose rows are.
        let aTransposed = a.columnStride != 1 && a.columns > 1
        let bTransposed = b.columnStride != 1 && b.columns > 1
        let lda = Int32(aTransposed ? Swift.max(a.columnStride, a.rows) : Swift.max(a.rowStride, a.columns))
        let ldb = Int32(bTransposed ? Swift.max(b.columnStride, b.rows) : Swift.max(b.rowStride, b.columns))
        let (ta, tb) = (aTransposed ? CblasTrans : CblasNoTrans, bTransposed ? CblasTrans : CblasNoTrans)
        if a.isDouble {
            cblas_dgemm(
                CblasRowMajor, ta, tb, m, n, k, 1, a.start.assumingMemoryBound(to: Double.self), lda,
                b.start.assumingMemoryBound(to: Double.self), ldb, 0, c.assumingMemoryBound(to: Double.self), n)
        } else {
            cblas_sgemm(
                CblasRowMajor, ta, tb, m, n, k, 1, a.start.assumingMemoryBound(to: Float.self), lda,
                b.start.assumingMemoryBound(to: Float.self), ldb, 0, c.assumingMemoryBound(to: Float.self), n)
        }
    }

    private static func forEachMatrix(
        _ a: Tensor, _ b: Tensor, _ c: Tensor, _ body: (Matrix, Matrix, UnsafeMutableRawPointer) -> Void
    ) throws(TensorError) {
        let width = a.dtype.width
        let (m, k, n) = (a.size(-2), a.size(-1), b.size(-1))
        func matrix(_ t: Tensor, _ offset: Int, _ rows: Int, _ columns: Int) -> Matrix {
            Matrix(
                start: t.bytes + offset * width, rows: rows, columns: columns, rowStride: t.stride(t.rank - 2), columnStride: t.stride(t.rank - 1),
                isDouble: width == 8)
        }
        let batchRank = c.rank - 2
        var batches = 1
        for axis in 0..<batchRank { batches *= c.size(axis) }
        for batch in 0..<batches {
            var rest = batch
            var (offsetA, offsetB) = (0, 0)
            for axis in stride(from: batchRank - 1, through: 0, by: -1) {
                let index = rest % c.size(axis)
                rest /= c.size(axis)
                let (axisA, axisB) = (axis - (c.rank - a.rank), axis - (c.rank - b.rank))
                if axisA >= 0, a.size(axisA) != 1 { offsetA += index * a.stride(axisA) }
                if axisB >= 0, b.size(axisB) != 1 { offsetB += index * b.stride(axisB) }
            }
            body(matrix(a, offsetA, m, k), matrix(b, offsetB, k, n), c.bytes + batch * m * n * width)
        }
    }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (a, b) = (inputs[0].shape, inputs[1].shape)
        guard inputs[0].dtype == inputs[1].dtype else {
            throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, inputs[1].dtype))
        }
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "float32 or float64", inputs[0].dtype) }
        guard a.rank >= 2 else { throw .rank(primitive: Self.name, expected: "two axes at least", a) }
        guard b.rank >= 2 else { throw .rank(primitive: Self.name, expected: "two axes at least", b) }
        guard a[-1] == b[-2] else { throw .innerDimensions(primitive: Self.name, a, b) }
        var shape = try a.dropLast(2).broadcast(with: b.dropLast(2), in: Self.name)
        shape.append(a[-2])
        shape.append(b[-1])
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (a, b, dy) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try dy.matmul(b.transposed()).summed(to: a.shape)) }
        if g.wants(1) {
            if b.rank == 2, a.rank > 2 {
                // One product instead of one a batch and a sum.
                let rows = try a.flattened(from: 0, through: -2), slopes = try dy.flattened(from: 0, through: -2)
                try g.set(1, try rows.transposed().matmul(slopes))
            } else {
                try g.set(1, try a.transposed().matmul(dy).summed(to: b.shape))
            }
        }
    }
}

extension Tensor {
    /// Whether BLAS can read the last two axes as they lie.
    fileprivate var isBLASMatrix: Bool {
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
            return try product.reshaped(shape.dropLast(1) + [other.size(-1)])
        }
        return try apply(MatMul(), self, other)
    }
}
