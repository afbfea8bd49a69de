import Foundation
internal import Keel

/// Runs test directories as the ONNX project lays them out: `model.onnx`, and `test_data_set_*` with `input_*.pb` and `output_*.pb`.
///
/// Numbers must agree as in that project's own runner: `|given - expected| <= 1e-7 + 1e-3 · |expected|`, in kind and shape exactly.
public struct ONNXVerifier: Sendable {
    public static let relativeTolerance = 1e-3, absoluteTolerance = 1e-7

    public enum Outcome: Sendable, Hashable {
        case passed
        /// Other numbers than expected, or an error.
        case failed(String)
        case unsupported(String)
        /// The model's values are of types that aren't tensors of numbers, or it trains.
        case excluded(String)
    }

    public struct Case: Sendable {
        /// The directory's path below the one that was named.
        public let name: String
        /// The operator that the case is about: that of its first node, for an expanded one that of the case it was made from.
        public let subject: String
        public let outcome: Outcome
        /// Whether it ran as a program.
        public let isProgram: Bool

        var isExcluded: Bool { if case .excluded = outcome { true } else { false } }
    }

    public let cases: [Case]

    /// How models are run: by the interpreter, or as `ImportedModel` does it.
    public enum Way: Sendable {
        case interpreted
        case imported
        /// With symbols in place of the sizes of each input's first axes.
        case opened(axes: Int)
    }

    /// - Throws: `ONNXError.file` where a directory isn't there or holds no case.
    public init(_ directories: [String], limits: ONNXLimits = ONNXVerifier.verifierLimits, way: Way = .interpreted) throws {
        var cases: [Case] = []
        for directory in directories {
            let found = try Self.directories(under: directory)
            guard !found.isEmpty else { throw ONNXError.file(path: directory, "holds no directory with a model.onnx") }
            for name in found {
                let path = name.isEmpty ? directory : directory + "/" + name
                let label = name.isEmpty ? (directory as NSString).lastPathComponent : name
                var isProgram = false
                let outcome = Self.outcome(of: path, limits, way, &isProgram)
                cases.append(Case(name: label, subject: Self.subject(of: path), outcome: outcome, isProgram: isProgram))
            }
        }
        self.cases = cases
    }

    public static var verifierLimits: ONNXLimits {
        var limits = ONNXLimits()
        limits.bytes = 2 << 30
        limits.time = .seconds(120)
        return limits
    }

    private static func directories(under path: String) throws -> [String] {
        let files = FileManager.default
        if files.fileExists(atPath: path + "/model.onnx") { return [""] }
        let names: [String]
        do { names = try files.contentsOfDirectory(atPath: path) } catch { throw ONNXError.file(path: path, "can't be listed") }
        var found: [String] = []
        for name in names.sorted() {
            if files.fileExists(atPath: "\(path)/\(name)/model.onnx") {
                found.append(name)
            } else if let inner = try? files.contentsOfDirectory(atPath: "\(path)/\(name)") {
                found += inner.sorted().filter { files.fileExists(atPath: "\(path)/\(name)/\($0)/model.onnx") }.map { "\(name)/\($0)" }
            }
        }
        return found
    }

    private static func subject(of path: String) -> String {
        var source = path
        if let range = path.range(of: "_expanded", options: .backwards) {
            // `test_x_expanded_ver18` was made from `test_x`.
            let origin = String(path[..<range.lowerBound])
            if FileManager.default.fileExists(atPath: origin + "/model.onnx") { source = origin }
        }
        guard let file = try? MappedBytes(path: source + "/model.onnx"), let model = try? ONNX.Model(ProtobufReader(file.bytes), file),
            let nodes = model.graph?.nodes, let node = nodes.first(where: { $0.type != "Constant" }) ?? nodes.first
        else { return "?" }
        return node.domain.isEmpty ? node.type : "\(node.domain).\(node.type)"
    }

    private static func outcome(of path: String, _ limits: ONNXLimits, _ way: Way, _ isProgram: inout Bool) -> Outcome {
        do {
            let file = try MappedBytes(path: path + "/model.onnx")
            if let reason = try exclusion(of: ONNX.Model(ProtobufReader(file.bytes), file)) { return .excluded(reason) }
            let model = try ONNXModel(reading: path + "/model.onnx", limits: limits)
            if let first = model.unsupported.first {
                return .unsupported(ONNXError.unsupported(domain: first.domain, operator: first.type, opset: first.opset, first.reason).description)
            }
            let imported: ImportedModel? =
                switch way {
                case .interpreted: nil
                case .imported: try ImportedModel(model)
                case .opened(let axes): try ImportedModel(model, openAxes: axes)
                }
            if case .program? = imported?.form { isProgram = true }
            let sets = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix("test_data_set_") }.sorted()
            guard !sets.isEmpty else { return .failed("has no test_data_set") }
            for set in sets {
                if let fault = try fault(of: model, imported, in: "\(path)/\(set)") { return .failed("\(set): \(fault)") }
            }
            return .passed
        } catch let error as ONNXError {
            if case .unsupported = error { return .unsupported(error.description) }
            return .failed(error.description)
        } catch {
            return .failed("\(error)")
        }
    }

    /// Why a model isn't asked: from its file alone.
    private static func exclusion(of model: ONNX.Model) throws -> String? {
        if model.hasTraining || model.opsets.contains(where: { $0.domain.hasPrefix("ai.onnx") && $0.domain.hasSuffix("training") }) { return "training" }
        for info in (model.graph?.inputs ?? []) + (model.graph?.outputs ?? []) {
            switch info.type {
            case .tensor(let kind, _)?: if kind == ElementKind.string.rawValue { return "strings" }
            case .sequence?: return "a sequence"
            case .optional?: return "an optional value"
            case .map?: return "a map"
            case .sparseTensor?: return "a sparse tensor"
            case .opaque?, nil: continue
            }
        }
        return nil
    }

    /// What is wrong with the answers to one set of inputs; nil where nothing is.
    private static func fault(of model: ONNXModel, _ imported: ImportedModel?, in folder: String) throws -> String? {
        let given = try values(in: folder, "input_"), expected = try values(in: folder, "output_")
        let names = given.count > model.inputs.count ? model.graph.inputs.map(\.name) : model.inputs.map(\.name)
        guard given.count <= names.count else { return "\(given.count) inputs for a model of \(names.count)" }
        var inputs: [String: ONNXValue] = [:]
        for (name, value) in zip(names, given) {
            inputs[name] = try asStored(value, for: model.graph.inputs.first { $0.name == name }.flatMap { ONNXModel.Port($0).kind })
        }
        let made = try imported?.run(inputs) ?? model.run(inputs)
        guard made.count >= expected.count else { return "\(made.count) outputs, \(expected.count) are expected" }
        for (i, wanted) in expected.enumerated() {
            if let difference = try difference(made[i], asStored(wanted, for: made[i].kind)) { return "output \(i): \(difference)" }
        }
        return nil
    }

    private static func values(in folder: String, _ prefix: String) throws -> [ONNXValue] {
        var values: [ONNXValue] = []
        while FileManager.default.fileExists(atPath: "\(folder)/\(prefix)\(values.count).pb") {
            let file = try MappedBytes(path: "\(folder)/\(prefix)\(values.count).pb")
            values.append(try ONNXValue(ONNX.TensorData(ProtobufReader(file.bytes, place: "\(prefix)\(values.count).pb"), file), in: .folder(folder)))
        }
        return values
    }

    /// NumPy has no bfloat16: where a model says bfloat16, older releases' files hold its bits as uint16.
    private static func asStored(_ value: ONNXValue, for kind: ElementKind?) throws -> ONNXValue {
        guard kind == .bfloat16, case .tensor(let bits, .uint16) = value else { return value }
        return .tensor(try ONNXValue.tensor(ofBits: ElementKind.uint16.bits(of: bits), .bfloat16, bits.shape), .bfloat16)
    }

    private static func difference(_ given: ONNXValue, _ wanted: ONNXValue) throws -> String? {
        guard case .tensor(let a, let kind) = given, case .tensor(let b, let expected) = wanted else { return "isn't a tensor of numbers" }
        guard kind == expected else { return "is \(kind), \(expected) is expected" }
        guard a.shape == b.shape else { return "has the shape \(a.shape), \(b.shape) is expected" }
        guard kind.isFloat else {
            let (x, y) = (try a.cast(to: .int64).elements(Int.self), try b.cast(to: .int64).elements(Int.self))
            guard let place = x.indices.first(where: { x[$0] != y[$0] }) else { return nil }
            return "\(x[place]) at \(place), \(y[place]) is expected; \(x.indices.count(where: { x[$0] != y[$0] })) of \(x.count) differ"
        }
        let (x, y) = (try a.cast(to: .float64).elements(Double.self), try b.cast(to: .float64).elements(Double.self))
        func agree(_ i: Int) -> Bool {
            x[i] == y[i] || x[i].isNaN && y[i].isNaN || abs(x[i] - y[i]) <= absoluteTolerance + relativeTolerance * abs(y[i]) && x[i].isFinite && y[i].isFinite
        }
        guard let place = x.indices.first(where: { !agree($0) }) else { return nil }
        return "\(x[place]) at \(place), \(y[place]) is expected; \(x.indices.count(where: { !agree($0) })) of \(x.count) differ"
    }
}

extension ONNXVerifier {
    public var passed: Int { cases.count { $0.outcome == .passed } }
    public var failed: Int { cases.count { if case .failed = $0.outcome { true } else { false } } }
    public var unsupported: Int { cases.count { if case .unsupported = $0.outcome { true } else { false } } }
    public var excluded: Int { cases.count(where: \.isExcluded) }
    /// How many ran as programs.
    public var programs: Int { cases.count(where: \.isProgram) }

    /// The counts as a document: in all, by group of directories and by operator, and each case that didn't pass with its reason.
    public func report(title: String) -> String {
        func table(_ head: String, _ groups: [String: [Case]]) -> [String] {
            var lines = ["| \(head) | passed | of | excluded |", "|---|---:|---:|---:|"]
            for name in groups.keys.sorted() {
                let own = groups[name] ?? []
                let passed = own.count(where: { $0.outcome == .passed }), excluded = own.count(where: \.isExcluded)
                lines.append("| \(name) | \(passed) | \(own.count - excluded) | \(excluded) |")
            }
            return lines
        }
        let asked = cases.count - excluded
        var lines = [
            "# ONNX conformance", "", title, "",
            "\(passed) of \(asked) cases pass; \(failed) fail, \(unsupported) hold what isn't supported, and \(excluded) are excluded because "
                + "their inputs or outputs are sequences, maps, optional values, sparse tensors or strings, or because they train. "
                + "Numbers agree within 1e-7 + 1e-3 · |expected|, as in ONNX's own runner.", "",
        ]
        lines += table("directories", Dictionary(grouping: cases) { String($0.name.split(separator: "/").dropLast().last ?? ".") }) + [""]
        lines += ["## By operator", ""] + table("operator", Dictionary(grouping: cases) { $0.subject }) + [""]
        lines += ["## Cases that don't pass", "", "| case | why |", "|---|---|"]
        for one in cases {
            switch one.outcome {
            case .failed(let reason), .unsupported(let reason): lines.append("| \(one.name) | \(reason.replacing("|", with: "\\|").replacing("\n", with: " ")) |")
            default: continue
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
