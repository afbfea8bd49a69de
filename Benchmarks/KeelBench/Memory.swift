import Foundation

/// How much more memory a workload needs than the process had before it: the most that was resident since, minus what was resident then.
struct Memory {
    private let before: Int

    /// Begins to watch. Nil where Linux doesn't say.
    init?() {
        // Makes the peak begin anew, at what is resident now.
        guard (try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .ascii)) != nil,
            let resident = Self.kibibytes("VmRSS")
        else { return nil }
        before = resident
    }

    /// MiB.
    var growth: Double? { Self.kibibytes("VmHWM").map { Double($0 - before) / 1024 } }

    private static func kibibytes(_ field: String) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(field + ":") })
        else { return nil }
        return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
    }
}
