// keel-bench --workload NAMES [--threads N] [--repeat N]
//
// Times Keel on fixed workloads and prints one JSON line for each. NAMES are workloads or groups (train, infer, latency, micro,
// own, all), separated by commas. Times are milliseconds an iteration; `cpu_ms` is the CPU time of all threads together, and
// `other_cores` how many cores others kept busy meanwhile: above about 0.2, distrust the wall times.
import Foundation
import Keel

@main
enum KeelBench {
    static func main() throws {
        let options = try Options(CommandLine.arguments.dropFirst())
        Threads.count = options.threads
        for name in options.names {
            // Unbuffered, so that whoever compares sees each line when it is done.
            FileHandle.standardOutput.write(Data((line(name, options) + "\n").utf8))
        }
    }

    private static func line(_ name: String, _ options: Options) -> String {
        var line = JSONLine()
        line.add("peer", "keel")
        line.add("mode", "eager")
        line.add("workload", name)
        line.add("threads", options.threads)
        guard let workload = workloads.first(where: { $0.name == name }) else {
            line.add("skipped", "keel-bench has no such workload")
            return line.text
        }
        do {
            let start = Clock.wall()
            let step = try workload.make()
            let measured = try workload.group == .latency
                ? Measurement(ofCallsOf: step, repeats: options.repeats) : Measurement(of: step, repeats: options.repeats)
            measured.add(to: &line)
            line.add("throughput", workload.work / measured.median * 1e3)
            line.add("unit", workload.unit)
            line.add("total_s", Clock.wall() - start)
        } catch {
            line.add("error", "\(error)")
        }
        return line.text
    }
}

/// What the command line asked for.
private struct Options {
    private(set) var names: [String] = []
    private(set) var threads = 1
    private(set) var repeats = 7

    struct Misuse: Error, CustomStringConvertible { let description: String }

    init(_ arguments: some Sequence<String>) throws {
        var rest = arguments.makeIterator()
        var wanted = "all"
        while let option = rest.next() {
            guard let value = rest.next() else { throw Misuse(description: "\(option) needs a value") }
            switch option {
            case "--workload": wanted = value
            case "--threads": threads = try Self.number(value, option)
            case "--repeat": repeats = try Self.number(value, option)
            default: throw Misuse(description: "\(option) is none of --workload, --threads, --repeat")
            }
        }
        for part in wanted.split(separator: ",").map(String.init) {
            let group = Workload.Group(rawValue: part)
            let chosen = part == "all" ? workloads : workloads.filter { $0.group == group }
            for name in chosen.isEmpty ? [part] : chosen.map(\.name) where !names.contains(name) { names.append(name) }
        }
    }

    private static func number(_ text: String, _ option: String) throws -> Int {
        guard let number = Int(text), number >= 1 else { throw Misuse(description: "\(option) is \(text), allowed is 1 and more") }
        return number
    }
}

/// One JSON object in the order in which its members were added; numbers to five digits.
struct JSONLine {
    private var members: [String] = []

    var text: String { "{" + members.joined(separator: ", ") + "}" }

    mutating func add(_ key: String, _ value: Int) { members.append("\"\(key)\": \(value)") }
    mutating func add(_ key: String, _ value: Double) { members.append("\"\(key)\": " + String(format: "%.5g", value)) }
    mutating func add(_ key: String, _ value: String) {
        let escaped = value.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0.isNewline ? " " : String($0) }.joined()
        members.append("\"\(key)\": \"\(escaped)\"")
    }
}
