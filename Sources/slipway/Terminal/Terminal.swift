import Foundation
import SlipwayDomain
import Synchronization

/// What a person sees. Results go to standard output; steps, progress and errors to standard error, so that a pipe gets
/// results only. Colours and the live line appear on a terminal that wants them (`NO_COLOR`, `TERM=dumb`), never in a file.
final class Terminal: Sendable {
    static let standard = Terminal()

    enum Style: String {
        case bold = "1", dim = "2", red = "31", green = "32", yellow = "33", cyan = "36"
    }

    /// Whether standard error is a screen.
    let isLive: Bool
    private let isStyled: (error: Bool, output: Bool)
    private let line = Mutex("")
    private let failure = Atomic<Int32>(0)

    /// Why a part of the result couldn't be written. A reader that has gone has read what it wanted.
    var outputFailure: String? {
        let code = failure.load(ordering: .sequentiallyConsistent)
        return code == 0 || code == EPIPE ? nil : String(cString: strerror(code))
    }

    init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        isLive = isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
        let isPlain = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        isStyled = (isatty(STDERR_FILENO) == 1 && !isPlain, isatty(STDOUT_FILENO) == 1 && !isPlain)
    }

    /// A line of the result.
    func print(_ text: String = "") {
        line.withLock { line in
            write("\(erasure(of: line))", to: STDERR_FILENO)
            write(text + "\n", to: STDOUT_FILENO)
            write(line, to: STDERR_FILENO)
        }
    }

    /// A line about the work.
    func note(_ text: String = "") {
        line.withLock { line in write("\(erasure(of: line))\(text)\n\(line)", to: STDERR_FILENO) }
    }

    /// Replaces the line at the bottom; nil removes it. Without a screen nothing is written.
    func show(_ text: String?) {
        guard isLive else { return }
        line.withLock { line in
            let next = text.map { fit($0) } ?? ""
            guard next != line else { return }
            write(erasure(of: line) + next, to: STDERR_FILENO)
            line = next
        }
    }

    func error(_ failure: Failure) {
        show(nil)
        for (index, text) in failure.lines.enumerated() {
            note(index == 0 ? styled("slipway: ", .red, .bold) + text : text)
        }
    }

    func styled(_ text: String, _ styles: Style..., onOutput: Bool = false) -> String {
        guard onOutput ? isStyled.output : isStyled.error else { return text }
        return "\u{1B}[\(styles.map(\.rawValue).joined(separator: ";"))m\(text)\u{1B}[0m"
    }

    var columns: Int {
        var size = winsize()
        return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    private func fit(_ text: String) -> String {
        text.count < columns ? text : String(text.prefix(columns - 2)) + "…"
    }

    private func erasure(of line: String) -> String { line.isEmpty ? "" : "\r\u{1B}[K" }

    private func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)[...]
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                guard count > 0 else {
                    if descriptor == STDOUT_FILENO { failure.store(errno, ordering: .sequentiallyConsistent) }
                    return
                }
                rest = rest.dropFirst(count)
            }
        }
    }
}

/// Steps of a longer command: each says what was done and how long it took.
struct Steps: Sendable {
    let terminal: Terminal
    let isQuiet: Bool

    /// A line between steps.
    func note(_ text: String = "") {
        if !isQuiet { terminal.note(text) }
    }

    /// Runs the body with a live line, then leaves a line with what it says it did.
    func run<Value>(
        _ doing: String, _ body: (Progress) async throws -> (done: String, value: Value)
    ) async throws -> Value {
        let clock = ContinuousClock()
        let start = clock.now
        let progress = Progress(terminal: terminal, doing: doing, start: start, isQuiet: isQuiet)
        do {
            let (done, value) = try await progress.ticking { try await body(progress) }
            terminal.show(nil)
            if !isQuiet {
                let time = terminal.styled((clock.now - start).spoken, .dim)
                terminal.note("\(terminal.styled("✓", .green)) \(done)  \(time)")
            }
            return value
        } catch {
            terminal.show(nil)
            note("\(terminal.styled("✗", .red)) \(doing)")
            throw error
        }
    }

    final class Progress: Sendable {
        private let terminal: Terminal
        private let doing: String
        private let start: ContinuousClock.Instant
        private let isShown: Bool
        private let state = Mutex<(text: String, fraction: Double?)>(("", nil))

        init(terminal: Terminal, doing: String, start: ContinuousClock.Instant, isQuiet: Bool) {
            (self.terminal, self.doing, self.start) = (terminal, doing, start)
            isShown = !isQuiet && terminal.isLive
        }

        /// - Parameter fraction: of the whole; nil where nobody knows.
        func update(_ text: String, fraction: Double? = nil) {
            state.withLock { $0 = (text, fraction) }
            show()
        }

        /// Runs the body while the line's seconds go on.
        fileprivate func ticking<Value>(_ body: () async throws -> Value) async throws -> Value {
            guard isShown else { return try await body() }
            async let _: Void = tick()
            return try await body()
        }

        private func tick() async {
            while !Task.isCancelled {
                show()
                try? await Task.sleep(for: .milliseconds(200))
            }
        }

        private func show() {
            guard isShown else { return }
            let (text, fraction) = state.withLock { $0 }
            let bar = fraction.map { " " + Self.bar($0) } ?? ""
            let elapsed = (ContinuousClock.now - start).spoken
            terminal.show("\(terminal.styled("•", .cyan)) \(doing)\(bar) \(text.isEmpty ? "" : text + " ")\(elapsed)")
        }

        private static func bar(_ fraction: Double) -> String {
            let full = Int((max(0, min(1, fraction)) * 20).rounded())
            let percent = Int((max(0, min(1, fraction)) * 100).rounded())
            return String(repeating: "━", count: full) + String(repeating: "╌", count: 20 - full) + " \(percent) %"
        }
    }
}

extension Duration {
    /// `0.4 s`, `12 s`, `3 min 5 s`.
    var spoken: String {
        let seconds = self / .seconds(1)
        if seconds < 9.95 { return "\((seconds * 10).rounded() / 10) s" }
        let whole = Int(seconds.rounded())
        return whole < 60 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
    }
}

/// Rows with aligned columns. Wide characters (Chinese names) take two places.
func table(_ header: [String], _ rows: [[String]]) -> [String] {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { width($0[column]) }.max() ?? 0 }
    return all.map { row in
        zip(row, widths).map { $0 + String(repeating: " ", count: max(0, $1 - width($0))) }
            .joined(separator: "  ").trimmingTrailingSpaces
    }
}

private func width(_ text: String) -> Int {
    text.unicodeScalars.reduce(0) { sum, scalar in
        switch scalar.value {
        case 0x0300...0x036F: sum
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            sum + 2
        default: sum + 1
        }
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        String(self[..<(lastIndex { $0 != " " }.map { index(after: $0) } ?? startIndex)])
    }
}
