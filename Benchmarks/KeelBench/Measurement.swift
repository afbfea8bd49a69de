import Foundation

/// How long iterations of a workload take: warm-up, samples long enough for the clock, wall and CPU time, and how busy the machine was
/// otherwise. The rules are those of the peers' runner, so that the figures can stand side by side.
struct Measurement {
    private static let sampleSeconds = 0.03  // shorter iterations are grouped into samples of about this length
    private static let warmUpSeconds = 0.3
    private static let warmUpIterations = 2  // the first one prepares convolutions
    private static let budgetSeconds = 12.0  // no further samples after this long, once there are two

    /// Milliseconds an iteration.
    private var wall: [Double] = [], cpu: [Double] = []
    private var otherCores: Double?
    private var isOfCalls = false

    var median: Double { Self.median(wall) }

    /// Samples of one or more iterations.
    init(of step: () throws -> Void, repeats: Int) throws {
        let inner = max(1, Int((Self.sampleSeconds / max(try Self.warmUp(step), 1e-9)).rounded()))
        try sample(repeats, inner, step) { $0 >= 2 && $1 > Self.budgetSeconds }
    }

    /// Single calls, one sample each, so that the tail can be seen: 40 for each repeat, but at most 3 seconds' worth, and 20 at least.
    init(ofCallsOf step: () throws -> Void, repeats: Int) throws {
        let fastest = try Self.warmUp(step)
        isOfCalls = true
        try sample(max(20, min(repeats * 40, Int((3 / max(fastest, 1e-9)).rounded()))), 1, step) { _, _ in false }
    }

    func add(to line: inout JSONLine) {
        line.add("median_ms", median)
        line.add("min_ms", wall.min() ?? 0)
        line.add("max_ms", wall.max() ?? 0)
        line.add("cpu_ms", Self.median(cpu))
        line.add("samples", wall.count)
        if let otherCores { line.add("other_cores", (otherCores * 100).rounded() / 100) }
        guard isOfCalls else { return }
        let ordered = wall.sorted()
        line.add("p50_ms", ordered[ordered.count / 2])
        line.add("p99_ms", ordered[min(ordered.count - 1, Int(Double(ordered.count) * 0.99))])
    }

    private mutating func sample(
        _ count: Int, _ inner: Int, _ step: () throws -> Void, isEnough: (_ samples: Int, _ seconds: Double) -> Bool
    ) throws {
        let (start, own, busy) = (Clock.wall(), Clock.cpu(), Clock.machine())
        for _ in 0..<count {
            let (cpuBefore, before) = (Clock.cpu(), Clock.wall())
            for _ in 0..<inner { try step() }
            wall.append((Clock.wall() - before) * 1e3 / Double(inner))
            cpu.append((Clock.cpu() - cpuBefore) * 1e3 / Double(inner))
            if isEnough(wall.count, Clock.wall() - start) { break }
        }
        guard let busy, let after = Clock.machine() else { return }
        otherCores = max(0, (after - busy - (Clock.cpu() - own)) / (Clock.wall() - start))
    }

    /// Runs `step` until it is warm.
    ///
    /// - Returns: the seconds of its fastest iteration.
    private static func warmUp(_ step: () throws -> Void) throws -> Double {
        var fastest = Double.infinity, count = 0
        let start = Clock.wall()
        while count < warmUpIterations || (Clock.wall() - start < warmUpSeconds && count < 10_000) {
            let before = Clock.wall()
            try step()
            fastest = min(fastest, Clock.wall() - before)
            count += 1
        }
        return fastest
    }

    private static func median(_ values: [Double]) -> Double {
        let ordered = values.sorted(), middle = ordered.count / 2
        return ordered.count % 2 == 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2
    }
}

/// Seconds, of three kinds.
enum Clock {
    static func wall() -> Double { seconds(CLOCK_MONOTONIC) }
    /// Of all threads of this process together.
    static func cpu() -> Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

    /// That the whole machine has been busy; nil where Linux doesn't say.
    static func machine() -> Double? {
        guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8), let first = text.split(separator: "\n").first else { return nil }
        let fields = first.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        guard fields.count == 8 else { return nil }
        return (fields.reduce(0, +) - fields[3] - fields[4]) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
