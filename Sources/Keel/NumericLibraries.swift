import COneDNN
import COpenBLAS
import KeelKernels
import Synchronization

/// The numeric libraries that the loader found, and whether they compute rightly.
public enum NumericLibraries {
    /// Such as `OpenBLAS 0.3.21 Zen (OpenMP), oneDNN 2.6.3`.
    public static var description: String {
        let configuration = String(cString: openblas_get_config()).split(separator: " ").prefix(2).joined(separator: " ")
        let core = String(cString: openblas_get_corename())
        let build = Threads.blasIsOpenMP ? "OpenMP" : "not OpenMP"
        let oneDNN = dnnl_version().map { "\($0.pointee.major).\($0.pointee.minor).\($0.pointee.patch)" } ?? "?"
        return "\(configuration) \(core) (\(build)), oneDNN \(oneDNN)"
    }

    private static let isChecked = Mutex(false)

    /// Compares a few odd matrix products with a loop, once a process; takes about a millisecond.
    ///
    /// - Throws: `TensorError.numericLibrary`, naming the remedy.
    public static func check() throws(TensorError) {
        if isChecked.withLock({ $0 }) { return }
        guard Threads.blasIsSingleThreaded else {
            throw TensorError(.numericLibrary("OpenBLAS doesn't keep to one thread: install the package libopenblas0-openmp"))
        }
        for (m, n, k) in [(3, 5, 7), (33, 17, 65), (64, 1, 129)] {
            for transposes in 0..<4 {
                let (ta, tb) = (transposes & 1 == 1, transposes & 2 == 2)
                // Whole numbers of few bits: every correct product is exact.
                let a = (0..<(m * k)).map { Float($0 * 7 % 11 - 5) }, b = (0..<(k * n)).map { Float($0 * 5 % 13 - 6) }
                var c = [Float](repeating: 0, count: m * n), expected = c
                cblas_sgemm(
                    CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, Int32(m), Int32(n), Int32(k), 1, a,
                    Int32(ta ? m : k), b, Int32(tb ? k : n), 0, &c, Int32(n))
                keel_reference_product_f32(
                    Int64(m), Int64(n), Int64(k), &expected, a, ta ? 1 : Int64(k), ta ? Int64(m) : 1, b, tb ? 1 : Int64(n), tb ? Int64(k) : 1)
                guard c == expected else {
                    throw TensorError(
                        .numericLibrary(
                            "OpenBLAS multiplies matrices wrongly on this processor (kernels for \(String(cString: openblas_get_corename()))): "
                                + "install the package libopenblas0-openmp, or set OPENBLAS_CORETYPE=Haswell (Nehalem without AVX2) and start again"))
                }
            }
        }
        isChecked.withLock { $0 = true }
    }
}
