import ArgumentParser
import Foundation
import Keel
import KeelProgram
import SlipwayDomain

struct ProgramCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "program", abstract: "Models as programs: what runs, in which order, and what it takes.", subcommands: [Show.self, Quantise.self])

    /// Of a model's ONNX file, or its folder, which has metadata.
    static func program(of path: String, _ passes: [Pass] = Pass.all) throws -> (program: Program, limits: ONNXLimits, metadata: ModelMetadata?) {
        var isFolder: ObjCBool = false
        FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let folder = isFolder.boolValue ? try ModelFolder(reading: path) : nil
        let model = try ImportedModel(folder?.graph ?? ONNXModel(reading: path), passes: passes)
        switch model.form {
        case .program(let program): return (program, model.limits, folder?.metadata)
        case .interpreted(_, let why): throw Failure.message("the model is interpreted, not a program: \(why)")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints a model's graph, the plan of a run, and the memory that the run takes at most.",
            discussion: """
                The graph is the one that the passes have made. Sizes that the model leaves open have names; --size gives them numbers, 1 unless given. \
                Each kernel runs once, on zeros, to show what it takes for itself. Exit code 1 for a model that can't be a program.
                """)
        @Argument(help: "The model's ONNX file, or its folder.", completion: .file()) var model: String
        @Option(name: .customLong("size"), help: ArgumentHelp("A size that the model leaves open, as batch=8. May be repeated.", valueName: "name=number"))
        var sizes: [String] = []
        @Option(help: "How many threads share the work; as many as there are cores unless given.") var threads: Int?
        @Option(name: .customLong("without"), help: ArgumentHelp("A pass to leave out. May be repeated.", valueName: "pass")) var without: [String] = []
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if let threads, threads < 1 { throw ValidationError("--threads is \(threads), allowed is 1 and more") }
            let names = Pass.all.map(\.name)
            for name in without where !names.contains(name) { throw ValidationError("--without is '\(name)', allowed is \(names.joined(separator: ", "))") }
            _ = try numbers()
        }

        func run() async throws {
            let passes = Pass.all.filter { !without.contains($0.name) }
            let (program, run) = try await onThread { [model, threads, numbers = try numbers()] in
                if let threads { Threads.count = threads }
                return try Self.plan(model, numbers, passes)
            }
            let terminal = Output(isJSON: json).terminal
            guard json else {
                // Names come from the file.
                for line in "\(program)\n\n\(run)".split(separator: "\n", omittingEmptySubsequences: false) { terminal.print(String(line).withoutControls) }
                return
            }
            terminal.print(
                JSON.object([
                    "passes": .array(passes.map { .string($0.name) }), "graph": .array("\(program)".split(separator: "\n").map { .string(String($0)) }),
                    "steps": .array(run.steps.map(Self.view)),
                    "memory": [
                        "constants": .integer(run.memory.constants), "prepared": .integer(run.memory.prepared), "arena": .integer(run.memory.arena),
                        "outputs": .integer(run.memory.outputs), "temporaries": .integer(run.memory.temporaries), "peak": .integer(run.memory.peak),
                    ],
                ]).text())
        }

        private static func plan(_ path: String, _ numbers: [String: Int], _ passes: [Pass]) throws -> (Program, PlannedRun) {
            let (program, limits, _) = try ProgramCommands.program(of: path, passes)
            if let name = numbers.keys.sorted().first(where: { !program.symbols.contains($0) }) {
                let known = program.symbols.isEmpty ? "none" : program.symbols.joined(separator: ", ")
                throw Failure.message("--size names '\(name)', which the model doesn't leave open; it leaves open: \(known)")
            }
            let all = Dictionary(uniqueKeysWithValues: program.symbols.map { ($0, numbers[$0] ?? 1) })
            return (program, try program.plannedRun(program.inputSpecs(all), mostBytes: limits.bytes, until: .now + limits.time))
        }

        private static func view(_ step: PlannedRun.Step) -> JSON {
            [
                "primitive": .string(step.primitive), "reads": .array(step.reads.map(JSON.string)), "writes": .array(step.writes.map(JSON.string)),
                "layouts": .array(step.layouts.map(JSON.string)), "place": .string(step.place), "bytes": .integer(step.bytes),
            ]
        }

        private func numbers() throws -> [String: Int] {
            var numbers: [String: Int] = [:]
            for size in sizes {
                // A name may have the sign in it.
                guard let sign = size.lastIndex(of: "="), let number = Int(size[size.index(after: sign)...]), number >= 0, number <= 1 << 31 else {
                    throw ValidationError("--size is '\(size)', allowed is a name and a number, as batch=8")
                }
                numbers[String(size[..<sign])] = number
            }
            return numbers
        }
    }
}
