// keel-bench --workload NAMES [--threads N] [--repeat N] [--mode eager|program]
// keel-bench --workload NAME [--threads N] [--mode eager|program] --weights FILE --data FILE --steps N
// keel-bench --cold-load FOLDER [--threads N]
//
// Times Keel on fixed workloads and prints one JSON line for each. NAMES are workloads or groups (train, infer, latency, int8,
// micro, own, all), separated by commas. Times are milliseconds an iteration; `cpu_ms` is the CPU time of all threads together, and
// `other_cores` how many cores others kept busy meanwhile: above about 0.2, distrust the wall times.
// `tensors_mb` is the most that tensors took at a time since the start, in MiB.
// `memory_mb` is the most memory that was resident minus what was before data and network were made, in MiB; only the first workload has it,
// because later ones reuse memory that earlier ones let go.
// Training steps are eager unless `--mode program` makes a program of each.
//
// The second form trains for N steps from the weights of one safetensors file on the data of another, and prints the loss of each step.
// The third times how long a model takes from its folder to its first answer; where there is no folder, it writes one.
import Foundation
import Keel

@main
enum KeelBench {
    static func main() {
        do {
            try run()
        } catch {
            FileHandle.standardError.write(Data("keel-bench: \(error)\n".utf8))
            exit(2)
        }
    }

    private static func run() throws {
        let options = try Options(CommandLine.arguments.dropFirst())
        Threads.count = options.threads
        if let folder = options.coldLoad { return print(try ColdLoad.line(folder, threads: options.threads)) }
        for name in options.names {
            // Unbuffered, so that whoever compares sees each line when it is done.
            FileHandle.standardOutput.write(Data((line(name, options) + "\n").utf8))
        }
    }

    private static func line(_ name: String, _ options: Options) -> String {
        var line = JSONLine()
        line.add("peer", "keel")
        line.add("workload", name)
        line.add("threads", options.threads)
        guard let workload = workloads.first(where: { $0.name == name }) else {
            line.add("skipped", "keel-bench has no such workload")
            return line.text
        }
        line.add("mode", [.infer, .latency, .int8].contains(workload.group) || options.makesPrograms ? "program" : "eager")
        do {
            if let start = options.start {
                line.add("losses", try losses(of: workload, from: start, options))
            } else {
                try measure(workload, watchingMemory: name == options.names.first, options, into: &line)
            }
        } catch {
            line.add("error", "\(error)")
        }
        return line.text
    }

    private static func measure(_ workload: Workload, watchingMemory: Bool, _ options: Options, into line: inout JSONLine) throws {
        let start = Clock.wall(), memory = watchingMemory ? Memory() : nil
        let step = try options.made(workload)
        let measured = try workload.group == .latency || workload.group == .int8
            ? Measurement(ofCallsOf: step.run, repeats: options.repeats) : Measurement(of: step.run, repeats: options.repeats)
        measured.add(to: &line)
        if let growth = memory?.growth { line.add("memory_mb", growth) }
        line.add("tensors_mb", Double(MemoryPool.host.peakBytes) / 1_048_576)
        line.add("throughput", workload.work / measured.median * 1e3)
        line.add("unit", workload.unit)
        line.add("total_s", Clock.wall() - start)
    }

    private static func losses(of workload: Workload, from start: Options.Start, _ options: Options) throws -> [Double] {
        guard let training = try options.made(workload).training else { throw Misuse(description: "\(workload.name) trains nothing") }
        try training.begin(weights: Safetensors(reading: start.weights), data: Safetensors(reading: start.data))
        return try (0..<start.steps).map { _ in Double(try training.step().item()) }
    }
}

struct Misuse: Error, CustomStringConvertible { let description: String }

/// What the command line asked for.
private struct Options {
    private(set) var names: [String] = []
    private(set) var threads = 1
    private(set) var repeats = 7
    private(set) var makesPrograms = false
    private(set) var start: Start?
    private(set) var coldLoad: String?

    /// Where a training begins, and for how many steps it goes on.
    struct Start { let weights, data: String, steps: Int }

    init(_ arguments: some Sequence<String>) throws {
        var rest = arguments.makeIterator()
        var wanted = "all", weights: String?, data: String?, steps = 20
        while let option = rest.next() {
            guard let value = rest.next() else { throw Misuse(description: "\(option) needs a value") }
            switch option {
            case "--workload": wanted = value
            case "--threads": threads = try Self.number(value, option)
            case "--repeat": repeats = try Self.number(value, option)
            case "--mode":
                guard ["eager", "program"].contains(value) else { throw Misuse(description: "--mode is \(value), allowed are eager and program") }
                makesPrograms = value == "program"
            case "--weights": weights = value
            case "--data": data = value
            case "--steps": steps = try Self.number(value, option)
            case "--cold-load": coldLoad = value
            default: throw Misuse(description: "\(option) is none of --workload, --threads, --repeat, --mode, --weights, --data, --steps, --cold-load")
            }
        }
        guard (weights == nil) == (data == nil) else { throw Misuse(description: "--weights and --data belong together") }
        if let weights, let data { start = Start(weights: weights, data: data, steps: steps) }
        for part in wanted.split(separator: ",").map(String.init) {
            let group = Workload.Group(rawValue: part)
            let chosen = part == "all" ? workloads : workloads.filter { $0.group == group }
            for name in chosen.isEmpty ? [part] : chosen.map(\.name) where !names.contains(name) { names.append(name) }
        }
    }

    /// The workload's step, in the mode that is wanted.
    func made(_ workload: Workload) throws -> Step {
        let step = try workload.make()
        if makesPrograms { try step.training?.becomeProgram() }
        return step
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
    mutating func add(_ key: String, _ values: [Double]) {
        members.append("\"\(key)\": [" + values.map { String(format: "%.8g", $0) }.joined(separator: ", ") + "]")
    }
    mutating func add(_ key: String, _ value: String) {
        let escaped = value.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0.isNewline ? " " : String($0) }.joined()
        members.append("\"\(key)\": \"\(escaped)\"")
    }
}
