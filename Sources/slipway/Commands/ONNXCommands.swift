import ArgumentParser
import Foundation
import KeelProgram
import SlipwayDomain

struct ONNXCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "onnx", abstract: "Models of other frameworks: what of them can be computed here.", subcommands: [Check.self, Verify.self])

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says which operators of a model aren't supported, by opset.",
            discussion: "Exit code 0 when the model can be computed, 1 when it can't, or isn't a sound model.")
        @Argument(help: "The model's file.", completion: .file()) var model: String
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let model = try await onThread { [path = model] in try ONNXModel(reading: path) }
            let output = Output(isJSON: json)
            let unsupported = model.unsupported.map { row in
                JSON.object([
                    "domain": .string(row.domain.isEmpty ? "ai.onnx" : row.domain), "operator": .string(row.type), "opset": .integer(row.opset),
                    "nodes": .integer(row.count), "reason": .string(row.reason),
                ])
            }
            if json {
                output.terminal.print(
                    JSON.object([
                        "producer": .string(model.producer), "opsets": .object(model.opsets.mapKeys { $0.isEmpty ? "ai.onnx" : $0 }.mapValues(JSON.integer)),
                        "inputs": .array(model.inputs.map(Self.view)), "outputs": .array(model.outputs.map(Self.view)), "unsupported": .array(unsupported),
                    ]).text())
            } else {
                for (name, ports) in [("input", model.inputs), ("output", model.outputs)] {
                    for port in ports { output.terminal.print("\(name) \(port.name): \(port.kind.map { "\($0)" } ?? "no tensor")\(Self.shape(port))".withoutControls) }
                }
                if !unsupported.isEmpty { output.show(unsupported.map(Self.shown), ["domain", "operator", "opset", "nodes", "reason"]) }
            }
            let nodes = model.unsupported.reduce(0) { $0 + $1.count }
            if nodes > 0 { throw Failure.message("\(model.unsupported.count) operators in \(nodes) nodes aren't supported") }
            if !json { output.terminal.note("every operator is supported") }
        }

        /// A row as a terminal may have it: its names come from the file.
        private static func shown(_ row: JSON) -> JSON {
            guard case .object(let fields) = row else { return row }
            return .object(fields.mapValues { if case .string(let text) = $0 { .string(text.withoutControls) } else { $0 } })
        }

        private static func shape(_ port: ONNXModel.Port) -> String {
            port.sizes.map { sizes in "[" + sizes.map { $0.size.map(String.init) ?? $0.name ?? "?" }.joined(separator: ", ") + "]" } ?? ""
        }

        private static func view(_ port: ONNXModel.Port) -> JSON {
            [
                "name": .string(port.name), "kind": port.kind.map { .string("\($0)") } ?? .null,
                "shape": port.sizes.map { .array($0.map { $0.size.map(JSON.integer) ?? $0.name.map(JSON.string) ?? .null }) } ?? .null,
            ]
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs ONNX test directories and counts what passes.",
            discussion: """
                A directory holds model.onnx and test_data_set_*/input_*.pb and output_*.pb, or other directories that do. Models whose inputs or \
                outputs are sequences, maps, optional values, sparse tensors or strings, or that train, are excluded. Numbers must agree within \
                1e-7 + 1e-3 of the expected one. The last line is JSON. Exit code 0 when nothing failed and nothing is unsupported, else 1.
                """)
        @Argument(help: "The directories.", completion: .directory) var directories: [String]
        @Option(help: "Write the counts by operator to this file, as Markdown.", completion: .file()) var report: String?
        @Option(help: "What the report says of the cases' source.") var title = "Test directories of the ONNX project."
        @Flag(help: "Run models as programs wherever they can be traced.") var programs = false
        @Flag(help: "Print nothing but the JSON line.") var json = false

        func run() async throws {
            let verifier = try await onThread { [directories, programs] in try ONNXVerifier(directories, way: programs ? .imported : .interpreted) }
            let terminal = Output(isJSON: json).terminal
            var reasons: [JSON] = []
            for one in verifier.cases {
                let (state, reason): (String, String)
                switch one.outcome {
                case .passed, .excluded: continue
                case .failed(let why): (state, reason) = ("failed", why)
                case .unsupported(let why): (state, reason) = ("unsupported", why)
                }
                reasons.append(["case": .string(one.name), "outcome": .string(state), "reason": .string(reason)])
                if !json { terminal.print("\(state) \(one.name): \(reason)".withoutControls) }
            }
            if let report { try verifier.report(title: title).write(toFile: report, atomically: true, encoding: .utf8) }
            terminal.print(
                JSON.object([
                    "passed": .integer(verifier.passed), "failed": .integer(verifier.failed), "unsupported": .integer(verifier.unsupported),
                    "excluded": .integer(verifier.excluded), "programs": .integer(verifier.programs), "cases": .array(reasons),
                ]).text(isPretty: false))
            if verifier.failed + verifier.unsupported > 0 {
                throw Failure.message("\(verifier.failed) cases failed and \(verifier.unsupported) aren't supported, of \(verifier.cases.count - verifier.excluded)")
            }
        }
    }
}

/// Runs what computes for long on a thread of its own, with a stack for graphs within graphs.
func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread { continuation.resume(with: Result { try body() }) }
        thread.stackSize = 64 << 20
        thread.start()
    }
}

extension Dictionary where Key == String {
    fileprivate func mapKeys(_ body: (String) -> String) -> [String: Value] { Dictionary(uniqueKeysWithValues: map { (body($0), $1) }) }
}
