import COpenBLAS
import KeelKernels

/// The one thread runtime: libgomp, whose team OpenBLAS, oneDNN and KeelKernels share.
public enum Threads {
    /// How many threads the calling thread's computations use.
    public static var count: Int {
        get { Int(keel_thread_count()) }
        set {
            keel_set_thread_count(Int32(newValue))
            alignBLAS()
        }
    }

    /// Whether the OpenBLAS that the loader found is the OpenMP build. Another build works too, with one thread: its own pool
    /// would fight the team for the cores.
    public static let blasSharesTheTeam = openblas_get_parallel() == 2

    /// OpenBLAS 0.3.21 keeps its thread count in one place for the process, and stays at one thread once it saw a thread that
    /// wants one; so it is told before each product.
    @inline(__always) static func alignBLAS() {
        let wanted = blasSharesTheTeam ? keel_thread_count() : 1
        if openblas_get_num_threads() != wanted { openblas_set_num_threads(wanted) }
    }
}
