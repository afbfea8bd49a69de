import KeelKernels
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The memory of tensors on the host: 64-byte aligned blocks, kept for reuse when freed, and accounted for.
///
/// Small blocks are of a few sizes, size classes: a power of two or 1.25, 1.5 or 1.75 of one, so a block is less than a quarter too large.
/// Blocks from 256 KiB on are `LargeBlocks`.
public final class MemoryPool: Sendable {
    /// The pool of the devices that live in the host's memory.
    public static let host = MemoryPool()

    private static let classes = sizeClass(LargeBlocks.least) + 1

    private struct State {
        /// First free block of each class; a free block begins with the next one's address. Addresses, 0 for none.
        let free: UnsafeMutablePointer<UInt>
        var large = LargeBlocks()
        var used = 0
        var peak = 0
        var cached = 0

        mutating func use(_ bytes: Int) {
            used += bytes
            peak = max(peak, used)
        }
    }

    private let state: Mutex<State>

    package init() {
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
            state.large.release()
            state.cached = 0
            return blocks
        }
        for block in blocks { free(UnsafeMutableRawPointer(bitPattern: block)) }
        #if canImport(Glibc)
        malloc_trim(0)
        #endif
    }

    /// A block for `bytes` bytes, and what `deallocate` wants to know of it: its size class, or the bytes of a large one. Its content is undefined.
    package func allocate(_ bytes: Int) throws(TensorError) -> (UnsafeMutableRawPointer, token: Int) {
        guard bytes < LargeBlocks.least else { return try allocateLarge(bytes) }
        let size = Self.sizeClass(bytes), capacity = Self.capacity(size)
        let cached = state.withLock { state in
            let block = state.free[size]
            if block != 0 {
                state.free[size] = Self.next(block)
                state.cached -= capacity
            }
            state.use(capacity)
            return block
        }
        if let block = UnsafeMutableRawPointer(bitPattern: cached) { return (block, size) }
        var block: UnsafeMutableRawPointer?
        if posix_memalign(&block, 64, capacity) != 0 {
            releaseCached()
            guard posix_memalign(&block, 64, capacity) == 0 else { throw outOfMemory(bytes, capacity) }
        }
        guard let block else { throw outOfMemory(bytes, capacity) }
        return (block, size)
    }

    private func allocateLarge(_ bytes: Int) throws(TensorError) -> (UnsafeMutableRawPointer, token: Int) {
        guard bytes < 1 << 50 else { throw TensorError(.outOfMemory(bytes: bytes)) }  // more than processors address
        let capacity = LargeBlocks.capacity(bytes)
        func block() -> UnsafeMutableRawPointer? {
            let found = state.withLock { state in
                let found = state.large.allocate(capacity)
                state.cached -= found?.resident ?? 0
                return found?.block ?? 0
            }
            return UnsafeMutableRawPointer(bitPattern: found)
        }
        state.withLock { $0.use(capacity) }
        if let block = block() { return (block, capacity) }
        releaseCached()
        guard let block = block() else { throw outOfMemory(bytes, capacity) }
        return (block, capacity)
    }

    /// - Parameter capacity: what was counted as used.
    private func outOfMemory(_ bytes: Int, _ capacity: Int) -> TensorError {
        state.withLock { $0.used -= capacity }
        return TensorError(.outOfMemory(bytes: bytes))
    }

    package func deallocate(_ block: UnsafeMutableRawPointer, token: Int) {
        let isLarge = token >= LargeBlocks.least, capacity = Self.blockBytes(token: token)
        state.withLock { state in
            if isLarge {
                state.large.deallocate(UInt(bitPattern: block), capacity)
            } else {
                block.storeBytes(of: state.free[token], as: UInt.self)
                state.free[token] = UInt(bitPattern: block)
            }
            state.used -= capacity
            state.cached += capacity
        }
    }

    private static func next(_ block: UInt) -> UInt {
        UnsafeMutableRawPointer(bitPattern: block).map { $0.load(as: UInt.self) } ?? 0
    }

    /// What a block for `bytes` bytes takes.
    package static func blockBytes(_ bytes: Int) -> Int { bytes < LargeBlocks.least ? capacity(sizeClass(bytes)) : LargeBlocks.capacity(bytes) }

    /// What a block takes that came with this token.
    static func blockBytes(token: Int) -> Int { token >= LargeBlocks.least ? token : capacity(token) }

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
