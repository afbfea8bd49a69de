import KeelKernels
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The tables of a Fourier transform of one length, in one precision.
///
/// Unchecked because nothing changes after `init`.
final class FourierPlan: @unchecked Sendable {
    private(set) var plan = keel_fft_plan()
    let dtype: DType
    private var tables: [UnsafeMutableRawPointer] = []

    private struct Key: Hashable {
        let length: Int
        let dtype: DType
        let isReal: Bool
    }
    /// Programs use a few lengths; one that uses many makes its tables anew now and then.
    private static let kept = Mutex<[Key: FourierPlan]>([:])

    /// For real transforms of even length, the plan is that of half the length with the twist that puts the halves together.
    static func plan(_ length: Int, _ dtype: DType, isReal: Bool = false) -> FourierPlan {
        let key = Key(length: length, dtype: dtype, isReal: isReal)
        if let found = kept.withLock({ $0[key] }) { return found }
        let isHalved = isReal && length % 2 == 0
        let made = FourierPlan(isHalved ? length / 2 : length, dtype, isTwisted: isHalved)
        kept.withLock {
            if $0.count >= 64 { $0.removeAll() }
            $0[key] = made
        }
        return made
    }

    private init(_ n: Int, _ dtype: DType, isTwisted: Bool) {
        self.dtype = dtype
        var (m, factors) = (n, Self.factors(of: n))
        if factors == nil {
            m = 1
            while m < 2 * n - 1 { m *= 2 }
            factors = Self.factors(of: m)
        }
        plan.n = Int64(n)
        plan.m = Int64(m)
        withUnsafeMutableBytes(of: &plan.factors) { bytes in
            let room = bytes.bindMemory(to: Int32.self)
            for (i, factor) in (factors ?? []).enumerated() { room[i] = Int32(factor) }
        }
        plan.count = Int32(factors?.count ?? 0)
        plan.roots = table((0..<m).map { Self.root($0, of: m) })
        if isTwisted { plan.twist = table((0...n).map { Self.root($0, of: 2 * n) }) }
        guard m != n else { return }
        let chirp = (0..<n).map { Self.root($0 * $0 % (2 * n), of: 2 * n) }
        plan.chirp = table(chirp)
        var wrapped = [(Double, Double)](repeating: (0, 0), count: m)
        for (k, c) in chirp.enumerated() {
            wrapped[k] = (c.0, -c.1)
            if k > 0 { wrapped[m - k] = (c.0, -c.1) }
        }
        plan.spectrum = table(Self.transformed(wrapped))
    }

    deinit { for table in tables { table.deallocate() } }

    /// By 4 and 2 first, and by odd primes up to 31; nil where a larger one is left.
    private static func factors(of n: Int) -> [Int]? {
        var (rest, found): (Int, [Int]) = (n, [])
        for factor in [4, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31] {
            while rest % factor == 0, rest > 1 {
                found.append(factor)
                rest /= factor
            }
        }
        return rest > 1 ? nil : found
    }

    /// `e^(-2πi k / n)`
    private static func root(_ k: Int, of n: Int) -> (Double, Double) {
        let angle = 2 * Double.pi * Double(k) / Double(n)
        return (cos(angle), -sin(angle))
    }

    private static func transformed(_ numbers: [(Double, Double)]) -> [(Double, Double)] {
        let plan = plan(numbers.count, .float64), scale = 1 / Double(numbers.count)
        let given = numbers.flatMap { [$0.0, $0.1] }
        var found = given
        plan.withScratch(rows: 1) { scratch, _ in
            withUnsafePointer(to: plan.plan) { keel_fft(KEEL_FLOAT64, $0, 0, scale, 1, 1, &found, given, 1, scratch) }
        }
        return numbers.indices.map { (found[2 * $0], found[2 * $0 + 1]) }
    }

    private func table(_ numbers: [(Double, Double)]) -> UnsafeRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(2 * numbers.count * dtype.width, 1), alignment: 64)
        tables.append(memory)
        for (i, number) in numbers.enumerated() {
            if dtype == .float32 {
                memory.assumingMemoryBound(to: Float.self)[2 * i] = Float(number.0)
                memory.assumingMemoryBound(to: Float.self)[2 * i + 1] = Float(number.1)
            } else {
                memory.assumingMemoryBound(to: Double.self)[2 * i] = number.0
                memory.assumingMemoryBound(to: Double.self)[2 * i + 1] = number.1
            }
        }
        return UnsafeRawPointer(memory)
    }

    /// Gives scratch memory for as many threads as the work is worth: one for every 16,000 numbers.
    func withScratch(rows: Int, _ body: (UnsafeMutableRawPointer, _ parts: Int64) -> Void) {
        let worthwhile = max(1, min(Threads.count, rows * Int(plan.m) / 16_000))
        let count = Int(withUnsafePointer(to: plan) { keel_fft_scratch($0, Int64(rows)) }) * worthwhile
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: max(count * dtype.width, 1), alignment: 64)
        defer { scratch.deallocate() }
        body(scratch, Int64(worthwhile))
    }
}
