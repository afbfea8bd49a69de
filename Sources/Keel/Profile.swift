#if canImport(Glibc)
import Glibc
#endif

/// What ran while a profile was taken: each primitive with its time and bytes.
///
/// A kernel's own time is without that of the primitives which it ran itself. Views cost nothing and aren't there.
public final class Profile {
    /// One primitive that ran.
    public struct Event: Sendable {
        public let name: String
        /// The layer whose parameter it read, as the parameter's name tells.
        public let layer: String?
        public let inputs, outputs: [TensorSpec]
        /// Seconds since the profile began.
        public let start: Double
        public let seconds, ownSeconds: Double
        /// Of inputs and outputs.
        public let bytes: Int
        /// Of the pool's blocks that the kernel took for itself, all of which it keeps to its end.
        package let workBytes: Int
    }

    public fileprivate(set) var events: [Event] = []
    /// From beginning to end.
    public fileprivate(set) var seconds = 0.0
    private let beginning = now()
    /// For each kernel under way, when it began, the seconds of those that it ran, and the bytes that it and they took.
    private var open: [(start: Double, inner: Double, bytes: Int)] = []

    fileprivate init() {}

    func begin() { open.append((Self.now(), 0, 0)) }

    /// A block of the pool was taken.
    func took(_ bytes: Int) { if let last = open.indices.last { open[last].bytes += bytes } }

    func end(_ name: String, _ inputs: Operands, _ outputs: Operands) {
        guard let own = open.popLast() else { return }
        let seconds = Self.now() - own.start
        if let last = open.indices.last {
            open[last].inner += seconds
            open[last].bytes += own.bytes
        }
        var layer: String?, specs: (inputs: [TensorSpec], outputs: [TensorSpec]) = ([], []), bytes = 0
        for i in 0..<inputs.count {
            if layer == nil, let parameter = (inputs[i].node as? Leaf)?.parameterName {
                layer = parameter.lastIndex(of: ".").map { String(parameter[..<$0]) } ?? ""
            }
            specs.inputs.append(inputs[i].spec)
            bytes += inputs[i].descriptor.storageBytes
        }
        for i in 0..<outputs.count {
            specs.outputs.append(outputs[i].spec)
            bytes += outputs[i].descriptor.storageBytes
        }
        events.append(
            Event(
                name: name, layer: layer, inputs: specs.inputs, outputs: specs.outputs, start: own.start - beginning, seconds: seconds,
                ownSeconds: seconds - own.inner, bytes: bytes, workBytes: own.bytes))
    }

    fileprivate func finish() { seconds = Self.now() - beginning }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// Runs `body` and notes each primitive that this thread runs meanwhile. Without a profile, dispatch spends one comparison on it.
///
/// ```swift
/// let (loss, profile) = try profile { try trainingStep() }
/// print(profile)
/// try profile.writeTrace(to: "step.json")   // for chrome://tracing or ui.perfetto.dev
/// ```
public func profile<R, E>(_ body: () throws(E) -> R) throws(E) -> (result: R, profile: Profile) {
    let state = ThreadState.current, before = state.profile, profile = Profile()
    state.profile = profile
    defer { state.profile = before }
    let result = try Watch.during(body)
    profile.finish()
    return (result, profile)
}

extension Profile: CustomStringConvertible {
    /// The primitives by their own time, most first.
    public var description: String {
        var sums: [String: (calls: Int, seconds: Double, bytes: Int)] = [:]
        for event in events {
            let sum = sums[event.name] ?? (0, 0, 0)
            sums[event.name] = (sum.calls + 1, sum.seconds + event.ownSeconds, sum.bytes + event.bytes)
        }
        let all = sums.values.reduce(0) { $0 + $1.seconds }
        let sorted = sums.sorted { ($1.value.seconds, $0.key) < ($0.value.seconds, $1.key) }
        var table = TextTable(["primitive", "calls", "ms", "share", "bytes"])
        for (name, sum) in sorted {
            table.add([name, "\(sum.calls)", fixed(sum.seconds * 1e3, 3), "\(fixed(all > 0 ? 100 * sum.seconds / all : 0, 1)) %", byteText(sum.bytes)])
        }
        table.addTotal(["in kernels", "\(events.count)", fixed(all * 1e3, 3), "100.0 %", byteText(events.reduce(0) { $0 + $1.bytes })])
        table.addTotal(["in all", "", fixed(seconds * 1e3, 3), "", ""])
        return table.description
    }

    /// Writes the events in Chrome's trace format.
    ///
    /// - Throws: `TensorError.file`.
    /// - Source: *Trace Event Format*, complete events.
    public func writeTrace(to path: String) throws(TensorError) {
        func quoted(_ text: String) -> String { "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\"" }
        let lines = events.map { event in
            let shapes = "\(event.inputs.map(\.description).joined(separator: ", ")) → \(event.outputs.map(\.description).joined(separator: ", "))"
            let arguments = "{\"shapes\":\(quoted(shapes)),\"layer\":\(quoted(event.layer ?? "")),\"bytes\":\(event.bytes)}"
            return "{\"name\":\(quoted(event.name)),\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":\(fixed(event.start * 1e6, 3)),\"dur\":\(fixed(event.seconds * 1e6, 3)),\"args\":\(arguments)}"
        }
        let text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + lines.joined(separator: ",\n") + "\n]}\n"
        guard let file = fopen(path, "w") else { throw TensorError(.file(path: path, String(cString: strerror(errno)))) }
        let isWritten = fputs(text, file) >= 0, isClosed = fclose(file) == 0
        guard isWritten, isClosed else { throw TensorError(.file(path: path, "the trace could not be written")) }
    }
}
