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
                precondition(Threads.blasIsSingleThreaded, "OpenBLAS keeps to one thread")
                inParallel(a, b, outputs[0])
                return true
            })
    }

    /// One matrix of a stack, wherever its numbers lie.
    struct Matrix {
        let start: UnsafeMutableRawPointer
        let rows, columns, rowStride, columnStride: Int
        let isDouble: Bool
    }

    private static func product(_ a: Matrix, _ b: Matrix, _ c: UnsafeMutableRawPointer, rowLength: Int) {
        let (m, n, k) = (Int32(a.rows), Int32(b.columns), Int32(a.columns))
        // A matrix whose columns are dense is the transpose of one whose rows are.
        guard m > 0, n > 0 else { return }
        let aTransposed = a.columnStride != 1 && a.columns > 1
        let bTransposed = b.columnStride != 1 && b.columns > 1
        let lda = Int32(aTransposed ? Swift.max(a.columnStride, a.rows) : Swift.max(a.rowStride, a.columns))
        let ldb = Int32(bTransposed ? Swift.max(b.columnStride, b.rows) : Swift.max(b.rowStride, b.columns))
        let (ta, tb) = (aTransposed ? CblasTrans : CblasNoTrans, bTransposed ? CblasTrans : CblasNoTrans)
        if a.isDouble {
            cblas_dgemm(
                CblasRowMajor, ta, tb, m, n, k, 1, a.start.assumingMemoryBound(to: Double.self), lda,
                b.start.assumingMemoryBound(to: Double.self), ldb, 0, c.assumingMemoryBound(to: Double.self), Int32(rowLength))
        } else {
            cblas_sgemm(
                CblasRowMajor, ta, tb, m, n, k, 1, a.start.assumingMemoryBound(to: Float.self), lda,
                b.start.assumingMemoryBound(to: Float.self), ldb, 0, c.assumingMemoryBound(to: Float.self), Int32(rowLength))
        }
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

    private static func matrix(_ t: Tensor, _ offset: Int) -> Matrix {
        Matrix(
            start: t.bytes + offset * t.dtype.width, rows: t.size(-2), columns: t.size(-1), rowStride: t.stride(t.rank - 2),
            columnStride: t.stride(t.rank - 1), isDouble: t.dtype == .float64)
    }

    private static func forEachMatrix(
        _ a: Tensor, _ b: Tensor, _ c: Tensor, _ body: (Matrix, Matrix, UnsafeMutableRawPointer) -> Void
    ) throws(TensorError) {
        let size = c.size(-2) * c.size(-1)
        guard size > 0 else { return }
        for batch in 0..<(c.count / size) {
            let (offsetA, offsetB) = offsets(a, b, c, batch)
            body(matrix(a, offsetA), matrix(b, offsetB), c.bytes + batch * size * c.dtype.width)
        }
    }

    private struct Job {
        let a, b, c: Tensor
        /// Each product is cut into this many bands, of rows if there are more of them than columns, else of columns.
        let bands: Int
        let cutsRows: Bool
    }

    /// Hands batches, and bands of products where there are few, out to the team.
    private static func inParallel(_ a: Tensor, _ b: Tensor, _ c: Tensor) {
        let (m, n, k) = (c.size(-2), c.size(-1), a.size(-1))
        let batches = c.count / (m * n), threads = Threads.count
        // A band is worth a thread from about a million operations on.
        let worthwhile = Swift.max(1, Swift.min(threads, 2 * m * n * k * batches / 1_000_000))
        let cutsRows = m >= n
        let bands = batches >= worthwhile ? 1 : Swift.min((worthwhile + batches - 1) / batches, Swift.max(1, (cutsRows ? m : n) / 16))
        var job = Job(a: a, b: b, c: c, bands: bands, cutsRows: cutsRows)
        let items = batches * bands
        withUnsafeMutablePointer(to: &job) { pointer in
            keel_parallel(
                Int64(items), Int64((items + worthwhile - 1) / worthwhile),
                { context, begin, end in
                    guard let context else { return }
                    let job = context.assumingMemoryBound(to: Job.self)
                    for item in Int(begin)..<Int(end) { MatMul.band(job.pointee, item) }
                }, pointer)
        }
    }

    private static func band(_ job: Job, _ item: Int) {
        let (m, n) = (job.c.size(-2), job.c.size(-1)), width = job.c.dtype.width
        let batch = item / job.bands, band = item % job.bands
        let (offsetA, offsetB) = offsets(job.a, job.b, job.c, batch)
        let a = matrix(job.a, offsetA), b = matrix(job.b, offsetB)
        let all = job.cutsRows ? m : n
        // Bands begin at multiples of 16, where the product's own tiles do.
        func start(_ band: Int) -> Int { band == job.bands ? all : all * band / job.bands / 16 * 16 }
        let (from, to) = (start(band), start(band + 1))
        let c = job.c.bytes + batch * m * n * width
        if job.cutsRows {
            let part = Matrix(
                start: a.start + from * a.rowStride * width, rows: to - from, columns: a.columns, rowStride: a.rowStride,
                columnStride: a.columnStride, isDouble: a.isDouble)
            product(part, b, c + from * n * width, rowLength: n)
        } else {
            let part = Matrix(
                start: b.start + from * b.columnStride * width, rows: b.rows, columns: to - from, rowStride: b.rowStride,
                columnStride: b.columnStride, isDouble: b.isDouble)
            product(a, part, c + from * width, rowLength: n)
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
