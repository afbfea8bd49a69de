#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The pool's blocks from 256 KiB on. They are cut from large regions where they fit best and joined with their neighbours when they are
/// freed, so that what a network needs at different times lies in the same place, whatever its sizes: the memory that is resident stays close to
/// the most that is used at once. A region's pages take memory when they are first written.
struct LargeBlocks {
    static let least = 256 << 10
    private static let grain = 16 << 10
    private static let regionBytes = 1 << 30

    private struct Region {
        /// What lies from here to the end was never handed out.
        var top: UInt
        let end: UInt
    }

    /// Bytes between blocks, below a region's top.
    private struct Gap {
        var start: UInt
        var bytes: Int
        /// How many of them may have memory.
        var resident: Int

        var end: UInt { start + UInt(bytes) }
    }

    private var regions: [Region] = []
    /// By address; no two touch.
    private var gaps: [Gap] = []

    /// The bytes of the block that is handed out for so many.
    static func capacity(_ bytes: Int) -> Int { (bytes + grain - 1) / grain * grain }

    /// A block, and how many of its bytes may have memory; nil where the system has none.
    mutating func allocate(_ capacity: Int) -> (block: UInt, resident: Int)? {
        var best: Int?
        for i in gaps.indices where gaps[i].bytes >= capacity && gaps[i].bytes < best.map({ gaps[$0].bytes }) ?? .max { best = i }
        if let best { return take(capacity, from: best) }
        for i in regions.indices {
            let last = gaps.firstIndex { $0.end == regions[i].top }
            let start = last.map { gaps[$0].start } ?? regions[i].top
            guard regions[i].end - start >= UInt(capacity) else { continue }
            let resident = last.map { gaps.remove(at: $0).resident } ?? 0
            regions[i].top = start + UInt(capacity)
            return (start, resident)
        }
        guard let region = Self.region(max(capacity, Self.regionBytes)) ?? Self.region(capacity) else { return nil }
        regions.append(Region(top: region.start + UInt(capacity), end: region.end))
        return (region.start, 0)
    }

    private mutating func take(_ capacity: Int, from i: Int) -> (block: UInt, resident: Int) {
        let start = gaps[i].start, resident = min(gaps[i].resident, capacity)
        if gaps[i].bytes == capacity {
            gaps.remove(at: i)
        } else {
            gaps[i].start += UInt(capacity)
            gaps[i].bytes -= capacity
            gaps[i].resident -= resident
        }
        return (start, resident)
    }

    mutating func deallocate(_ block: UInt, _ capacity: Int) {
        var new = Gap(start: block, bytes: capacity, resident: capacity)
        var i = gaps.partitioned { $0.start < block }
        if i < gaps.count, gaps[i].start == new.end {
            new.bytes += gaps[i].bytes
            new.resident += gaps[i].resident
            gaps.remove(at: i)
        }
        if i > 0, gaps[i - 1].end == block {
            i -= 1
            gaps[i].bytes += new.bytes
            gaps[i].resident += new.resident
        } else {
            gaps.insert(new, at: i)
        }
    }

    /// Gives the memory between the blocks back to the system; the addresses stay.
    mutating func release() {
        for i in gaps.indices where gaps[i].resident > 0 {
            madvise(UnsafeMutableRawPointer(bitPattern: gaps[i].start), gaps[i].bytes, MADV_DONTNEED)
            gaps[i].resident = 0
        }
    }

    /// Aligned to huge pages, which it asks for.
    private static func region(_ bytes: Int) -> (start: UInt, end: UInt)? {
        var region: UnsafeMutableRawPointer?
        guard posix_memalign(&region, 2 << 20, bytes) == 0, let region else { return nil }
        #if canImport(Glibc)
        madvise(region, bytes, MADV_HUGEPAGE)
        #endif
        return (UInt(bitPattern: region), UInt(bitPattern: region) + UInt(bytes))
    }
}

extension Array {
    /// The first place whose element doesn't satisfy `isBefore`; those that do come first.
    fileprivate func partitioned(_ isBefore: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
