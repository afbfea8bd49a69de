import COpenBLAS
import KeelKernels

/// Numbers in rows and columns, wherever they lie.
struct Matrix {
    let start: UnsafeMutableRawPointer
    let rows, columns, rowStride, columnStride: Int
    let isDouble: Bool

    var width: Int { isDouble ? 8 : 4 }

    /// The last two axes of a tensor, `offset` elements after its first.
    init(_ t: Tensor, at offset: Int = 0) {
        self.init(
            start: t.bytes + offset * t.dtype.width, rows: t.size(-2), columns: t.size(-1), rowStride: t.stride(t.rank - 2),
            columnStride: t.stride(t.rank - 1), isDouble: t.dtype == .float64)
    }

    init(start: UnsafeMutableRawPointer, rows: Int, columns: Int, rowStride: Int, columnStride: Int, isDouble: Bool) {
        self.start = start
        self.rows = rows
        self.columns = columns
        self.rowStride = rowStride
        self.columnStride = columnStride
        self.isDouble = isDouble
    }

    var transposed: Matrix {
        Matrix(start: start, rows: columns, columns: rows, rowStride: columnStride, columnStride: rowStride, isDouble: isDouble)
    }

    func moved(by offset: Int) -> Matrix {
        Matrix(start: start + offset * width, rows: rows, columns: columns, rowStride: rowStride, columnStride: columnStride, isDouble: isDouble)
    }

    func rows(_ from: Int, _ to: Int) -> Matrix {
        Matrix(
            start: start + from * rowStride * width, rows: to - from, columns: columns, rowStride: rowStride, columnStride: columnStride,
            isDouble: isDouble)
    }

    func columns(_ from: Int, _ to: Int) -> Matrix {
        Matrix(
            start: start + from * columnStride * width, rows: rows, columns: to - from, rowStride: rowStride, columnStride: columnStride,
            isDouble: isDouble)
    }
}

/// `c = a · b`, or `c += a · b`, or `c = a · b + bias` in each row, with `c` dense; or a stack of these, whose `c` lie one after the other.
///
/// Rows or columns of the matrices are dense.
struct Product {
    let a, b: Matrix
    let c: UnsafeMutableRawPointer
    var adds = false
    /// As many numbers as a row of `c` has.
    var bias: UnsafeRawPointer?

    private struct Job {
        let product: Product
        /// Each product is cut into this many bands, of rows if there are more of them than columns, else of columns.
        let bands: Int
        let cutsRows: Bool
        let offsets: (Int) -> (a: Int, b: Int)
    }

    /// Hands batches, and bands of products where there are few, out to the team.
    ///
    /// - Parameter offsets: how many elements after the first matrices those of a batch begin.
    func run(batches: Int = 1, _ offsets: (Int) -> (a: Int, b: Int) = { _ in (0, 0) }) {
        precondition(Threads.blasIsSingleThreaded, "OpenBLAS keeps to one thread")
        let (m, n, k) = (a.rows, b.columns, a.columns)
        // A band is worth a thread from about a million operations on.
        let worthwhile = Swift.max(1, Swift.min(Threads.count, 2 * m * n * k * batches / 1_000_000))
        let cutsRows = m >= n
        let bands = batches >= worthwhile ? 1 : Swift.min((worthwhile + batches - 1) / batches, Swift.max(1, (cutsRows ? m : n) / 16))
        if batches * bands == 1 {
            Self.compute(a, b, c, rowLength: n, adds: adds, bias: bias)
            return
        }
        withoutActuallyEscaping(offsets) { offsets in
            var job = Job(product: self, bands: bands, cutsRows: cutsRows, offsets: offsets)
            let items = batches * bands
            withUnsafeMutablePointer(to: &job) { pointer in
                keel_parallel(
                    Int64(items), Int64((items + worthwhile - 1) / worthwhile),
                    { context, begin, end in
                        guard let context else { return }
                        let job = context.assumingMemoryBound(to: Job.self)
                        for item in Int(begin)..<Int(end) { Product.band(job.pointee, item) }
                    }, pointer)
            }
        }
    }

    private static func band(_ job: Job, _ item: Int) {
        let (m, n) = (job.product.a.rows, job.product.b.columns)
        let batch = item / job.bands, band = item % job.bands
        let offsets = job.offsets(batch)
        let a = job.product.a.moved(by: offsets.a), b = job.product.b.moved(by: offsets.b)
        let all = job.cutsRows ? m : n
        // Bands begin at multiples of 16, where the product's own tiles do.
        func start(_ band: Int) -> Int { band == job.bands ? all : all * band / job.bands / 16 * 16 }
        let (from, to) = (start(band), start(band + 1))
        let c = job.product.c + batch * m * n * a.width
        if job.cutsRows {
            compute(a.rows(from, to), b, c + from * n * a.width, rowLength: n, adds: job.product.adds, bias: job.product.bias)
        } else {
            compute(
                a, b.columns(from, to), c + from * a.width, rowLength: n, adds: job.product.adds, bias: job.product.bias.map { $0 + from * a.width })
        }
    }

    /// Our own product was measured beside OpenBLAS 0.3.21, in GFLOP/s at one thread. Zen 4: 1024 x 1536 x 384 108 and 99, 6144 x 64 x 192 110
    /// and 74; Zen 3: 1024 x 1536 x 384 91 and 87, 4096 x 512 x 128 of the transpose 78 and 63, 256 x 128 x 64 77 and 65.
    private static func compute(_ a: Matrix, _ b: Matrix, _ c: UnsafeMutableRawPointer, rowLength: Int, adds: Bool, bias: UnsafeRawPointer?) {
        let (m, n, k) = (Int32(a.rows), Int32(b.columns), Int32(a.columns))
        guard m > 0, n > 0 else { return }
        // A matrix whose columns are dense is the transpose of one whose rows are.
        let aTransposed = a.columnStride != 1 && a.columns > 1
        let bTransposed = b.columnStride != 1 && b.columns > 1
        let lda = Int32(aTransposed ? Swift.max(a.columnStride, a.rows) : Swift.max(a.rowStride, a.columns))
        let ldb = Int32(bTransposed ? Swift.max(b.columnStride, b.rows) : Swift.max(b.rowStride, b.columns))
        let (ta, tb) = (aTransposed ? CblasTrans : CblasNoTrans, bTransposed ? CblasTrans : CblasNoTrans)
        if !a.isDouble, keel_product_is_fast(Int64(m), Int64(n)) != 0 {
            keel_product_f32(
                Int64(m), Int64(n), Int64(k), c.assumingMemoryBound(to: Float.self), Int64(rowLength), a.start.assumingMemoryBound(to: Float.self),
                Int64(aTransposed ? 1 : lda), Int64(aTransposed ? lda : 1), b.start.assumingMemoryBound(to: Float.self),
                Int64(bTransposed ? 1 : ldb), Int64(bTransposed ? ldb : 1), bias?.assumingMemoryBound(to: Float.self), adds ? 1 : 0)
            return
        }
        if let bias { for row in 0..<a.rows { (c + row * rowLength * a.width).copyMemory(from: bias, byteCount: b.columns * a.width) } }
        let scale = adds || bias != nil ? 1 : 0
        if a.isDouble {
            cblas_dgemm(
                CblasRowMajor, ta, tb, m, n, k, 1, a.start.assumingMemoryBound(to: Double.self), lda,
                b.start.assumingMemoryBound(to: Double.self), ldb, Double(scale), c.assumingMemoryBound(to: Double.self), Int32(rowLength))
        } else {
            cblas_sgemm(
                CblasRowMajor, ta, tb, m, n, k, 1, a.start.assumingMemoryBound(to: Float.self), lda,
                b.start.assumingMemoryBound(to: Float.self), ldb, Float(scale), c.assumingMemoryBound(to: Float.self), Int32(rowLength))
        }
    }
}
