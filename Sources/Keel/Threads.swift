import COpenBLAS
import KeelKernels

/// The one thread runtime: libgomp, on whose team Keel's kernels, oneDNN and matrix products run.
public enum Threads {
    /// How many threads the calling thread's computations use.
    public static var count: Int {
        get { Int(keel_thread_count()) }
        set { keel_set_thread_count(Int32(newValue)) }
    }

    /// Whether the OpenBLAS that the loader found is the OpenMP build. Keel works alike with any.
    public static let blasIsOpenMP = openblas_get_parallel() == 2

    /// Keeps OpenBLAS at one thread a call; `MatMul` cuts products up itself.
    ///
    /// OpenBLAS 0.3.21 keeps its thread count and its threads' buffers in one place for the process, and changes both when a
    /// thread with another count calls it: results of products that ran meanwhile were seen to be wrong. At one thread it
    /// changes nothing any more, and its pool, in the builds that have one, doesn't fight the team for the cores.
    static let blasIsSingleThreaded: Bool = {
        // The OpenMP build sets the calling thread's own count along with its own.
        let count = keel_thread_count()
        openblas_set_num_threads(1)
        keel_set_thread_count(count)
        return openblas_get_num_threads() == 1
    }()
}
