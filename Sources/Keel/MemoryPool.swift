import KeelKernels
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The memory of tensors on the host: 64-byte aligned blocks of a few sizes, kept for reuse when freed, and accounted for.
///
/// A size class is a power of two or 1.25, 1.5 or 1.75 of one, so a block is less than a quarter too large. Blocks of 4 MiB and
/// more are aligned to huge pages and ask for them.
public final class MemoryPool: Sendable {
    /// The pool of the devices that live in the host's memory.
    public static let host = MemoryPool()

    private static let classes = 176

    private struct State {
        /// First free block of each class; a free block begins with the next one's address. Addresses, 0 for none.
        let free: UnsafeMutablePointer<UInt>
        var used = 0
        var peak = 0
        var cached = 0
    }

    private let state: Mutex<State>

    private init() {
        let free = UnsafeMutablePointer<UInt>.allocate(capacity: Self.classes)
        free.initialize(repeating: 0, count: Self.classes)
        state = Mutex(State(free: free))
    }

    deinit { state.withLock { $0.free.deallocate() } }

    /// Bytes in blocks that tensors hold.
    public var usedBytes: Int { state.withLock { $0.used } }
    /// The most `usedBytes` there have been since the start, or since `resetPeak`.
    public var peakBytes: Int { state.withLock { $0.peak } }
    /// Bytes in blocks that are kept for reuse.
    public var cachedBytes: Int { state.withLock { $0.cached } }

    public func resetPeak() { state.withLock { $0.peak = $0.used } }

    /// Gives the blocks that no tensor holds back to the system.
    public func releaseCached() {
        let blocks = state.withLock { state in
            var blocks: [UInt] = []
            for size in 0..<Self.classes {
                var block = state.free[size]
                while block != 0 {
                    blocks.append(block)
                    block = Self.next(block)
                }
                state.free[size] = 0
            }
            state.cached = 0
            return blocks
        }
        for block in blocks { free(UnsafeMutableRawPointer(bitPattern: block)) }
        #if canImport(Glibc)
        malloc_trim(0)
        #endif
    }

    /// A block for `bytes` bytes, and its size class. Its content is undefined.
    func allocate(_ bytes: Int) throws(TensorError) -> (UnsafeMutableRawPointer, Int) {
        let size = Self.sizeClass(bytes)
        guard size < Self.classes else { throw TensorError(.outOfMemory(bytes: bytes)) }  // 2^50 bytes: more than processors address
        let capacity = Self.capacity(size)
        let cached = state.withLock { state in
            let block = state.free[size]
            if block != 0 {
                state.free[size] = Self.next(block)
                state.cached -= capacity
            }
            state.used += capacity
            if state.used > state.peak { state.peak = state.used }
            return block
        }
        if let block = UnsafeMutableRawPointer(bitPattern: cached) { return (block, size) }
        if let block = Self.fresh(capacity) { return (block, size) }
        releaseCached()
        if let block = Self.fresh(capacity) { return (block, size) }
        state.withLock { $0.used -= capacity }
        throw TensorError(.outOfMemory(bytes: bytes))
    }

    func deallocate(_ block: UnsafeMutableRawPointer, sizeClass size: Int) {
        let capacity = Self.capacity(size)
        state.withLock { state in
            block.storeBytes(of: state.free[size], as: UInt.self)
            state.free[size] = UInt(bitPattern: block)
            state.used -= capacity
            state.cached += capacity
        }
    }

    private static func next(_ block: UInt) -> UInt {
        UnsafeMutableRawPointer(bitPattern: block).map { $0.load(as: UInt.self) } ?? 0
    }

    private static func fresh(_ capacity: Int) -> UnsafeMutableRawPointer? {
        let huge = capacity >= 4 << 20
        var block: UnsafeMutableRawPointer?
        guard posix_memalign(&block, huge ? 2 << 20 : 64, capacity) == 0 else { return nil }
        #if canImport(Glibc)
        if huge { madvise(block, capacity, MADV_HUGEPAGE) }
        #endif
        return block
    }

    /// Class 0 is 64 bytes; from there on four classes a doubling.
    static func sizeClass(_ bytes: Int) -> Int {
        if bytes <= 64 { return 0 }
        let last = bytes - 1
        let power = Int.bitWidth - 1 - last.leadingZeroBitCount  // 2^power <= last
        let quarter = (last >> (power - 2)) & 3
        return (power - 6) * 4 + quarter + 1
    }

    static func capacity(_ size: Int) -> Int {
        if size == 0 { return 64 }
        let (power, quarter) = ((size - 1) / 4 + 6, (size - 1) % 4)
        return (1 << power) + (quarter + 1) * (1 << (power - 2))
    }
}
