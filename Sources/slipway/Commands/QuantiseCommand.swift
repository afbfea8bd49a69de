import ArgumentParser
import Foundation
import Keel
import KeelProgram
import SlipwayDomain

extension ProgramCommands {
    struct Quantise: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a model's layers multiply bytes, or keep their weights as such, and writes it as a model folder.",
            discussion: """
                Static quantisation needs samples: a safetensors file with a tensor for each input, by its name, whose first axis counts samples. With --labels, the \
                name of a tensor of class numbers in the same file, the first output's accuracy on the samples is the score: layers stay floats as far as that \
                keeps the loss within --loss.
                """)
        @Argument(help: "The model's ONNX file, or its folder.", completion: .file()) var model: String
        @Option(help: ArgumentHelp("The folder to write. A model that is there is replaced.", valueName: "folder"), completion: .directory) var to: String
        @Option(help: ArgumentHelp("static, dynamic or weights.", valueName: "kind")) var kind: Quantisation.Kind = .static
        @Option(help: ArgumentHelp("What of the samples becomes a layer's range: minmax or entropy.", valueName: "way")) var calibration: Quantisation.Calibration = .minMax
        @Option(help: ArgumentHelp("Samples, as safetensors.", valueName: "file"), completion: .file()) var samples: String?
        @Option(help: ArgumentHelp("The tensor of the samples' classes.", valueName: "name")) var labels: String?
        @Option(help: ArgumentHelp("How much accuracy may be lost.", valueName: "share")) var loss = 0.01
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if kind == .static, samples == nil { throw ValidationError("static quantisation needs --samples; --kind dynamic and --kind weights don't") }
            if labels != nil, samples == nil { throw ValidationError("--labels is the name of a tensor in the file of --samples") }
            guard loss >= 0, loss.isFinite else { throw ValidationError("--loss is \(loss), allowed is 0 and more") }
        }

        func run() async throws {
            let options = Quantisation(kind, calibration: calibration, greatestLoss: loss)
            let report = try await onThread { [model, to, samples, labels] in
                let (program, _, metadata) = try ProgramCommands.program(of: model)
                let data = try samples.map { try Samples(reading: $0, for: program, labels: labels) }
                let (quantised, report) = try program.quantised(options, calibratedBy: data?.inputs ?? [], score: data?.score)
                var described = metadata ?? ModelMetadata(name: URL(filePath: model).deletingPathExtension().lastPathComponent)
                described.lineage["quantisation"] = report.calibration.map { "\(report.kind.rawValue), \($0.rawValue)" } ?? report.kind.rawValue
                try ModelFolder.write(quantised, metadata: described, to: to)
                return report
            }
            let terminal = Output(isJSON: json).terminal
            guard json else {
                for line in "\(report)".split(separator: "\n", omittingEmptySubsequences: false) { terminal.print(String(line).withoutControls) }
                return
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            terminal.print(String(decoding: try encoder.encode(report), as: UTF8.self))
        }
    }

    /// What a file has for a program: inputs of runs, of one sample each, and maybe the samples' classes.
    struct Samples: Sendable {
        let inputs: [[Tensor]]
        private let classes: [Int]?

        init(reading path: String, for program: Program, labels: String?) throws {
            let file = try Safetensors(reading: path), known = file.entries.map(\.name).joined(separator: ", ")
            func tensor(_ name: String) throws -> Tensor {
                guard let tensor = try file.tensor(named: name) else { throw Failure.message("\(path) has no tensor '\(name)'; it has \(known)") }
                guard tensor.rank >= 1, try tensor.shape.size(0) > 0 else { throw Failure.message("\(path): '\(name)' has no first axis that counts samples") }
                return tensor
            }
            let tensors = try program.inputs.map { try tensor($0.name) }, counts = try tensors.map { try $0.shape.size(0) }
            guard let count = counts.first, counts.allSatisfy({ $0 == count }) else {
                throw Failure.message("\(path): the inputs have \(counts.map(String.init).joined(separator: ", ")) samples; each has as many")
            }
            inputs = try (0..<count).map { place in try tensors.map { try $0.sliced(0, from: place, to: place + 1).contiguous() } }
            classes = try labels.map { name in
                let classes = try tensor(name)
                guard !classes.dtype.isFloat, classes.shape == [count] else { throw Failure.message("\(path): '\(name)' is \(classes.spec); classes are \(count) whole numbers") }
                return try classes.cast(to: .int64).elements(Int.self)
            }
        }

        /// The share of samples whose class has the largest number in the first output.
        var score: ((Program) throws -> Double)? {
            guard let classes else { return nil }
            return { program in
                var right = 0
                for (sample, label) in zip(inputs, classes) where try program.run(sample)[0].flattened().argMax().item(Int.self) == label { right += 1 }
                return Double(right) / Double(classes.count)
            }
        }
    }
}

extension Quantisation.Kind: ExpressibleByArgument {}
extension Quantisation.Calibration: ExpressibleByArgument {}
