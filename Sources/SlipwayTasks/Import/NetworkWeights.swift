internal import Foundation
internal import Keel
internal import KeelModels
internal import KeelNN
internal import KeelProgram
package import SlipwayDomain

extension NetworkChoice {
    /// - Errors: `Problem` 422 that names the parameter, where the library has no such network or its classes are no question.
    package func check() throws(Problem) { _ = try entry }

    var entry: NamedNetwork {
        get throws(Problem) {
            func fault(_ parameter: String, _ code: String, _ detail: String) -> Problem {
                Problem(
                    422, "parameter-invalid", title: "A query parameter or header field isn't valid", detail: "\(parameter): \(detail)",
                    errors: [.init(parameter: parameter, code: code, detail: detail)])
            }
            guard let entry = NamedNetwork.all.first(where: { $0.name == name }) else {
                throw fault("network", "network-unknown", "the library has no network of this name; \(nearest(to: name, among: NamedNetwork.all.map(\.name)))")
            }
            guard let classes else { return entry }
            guard entry.classes != nil, (1...1_000_000).contains(classes) else {
                throw fault("classes", "invalid-value", entry.classes == nil ? "\(name) doesn't tell classes apart" : "must be 1 to 1,000,000")
            }
            return entry
        }
    }
}

/// A safetensors file as a model: the weights of one of the library's networks, and the network's graph in the ONNX format beside them.
struct NetworkWeights {
    let choice: NetworkChoice
    /// The uploaded file.
    let path: String

    /// How the file is called among the version's.
    static let file = "model.safetensors"

    /// Checks the weights, and writes the graph.
    ///
    /// - Returns: whether the graph needs the file; else it has all weights itself.
    /// - Errors: `Problem` 422 that names the first tensor that isn't the network's; `ONNXError.notExportable`.
    func writeGraph(to graph: String) throws -> Bool {
        let entry = try choice.entry
        do {
            let weights = try Safetensors(reading: path)
            // Before anything is made: that takes memory.
            try check(weights, entry.described(classes: choice.classes).parts)
            var generator = Philox(seed: 0), network = try entry.make(classes: choice.classes, using: &generator)
            try network.load(from: weights)
            let program = try Program.traced(inputs: entry.inputs.map { ($0.name, $0.spec) }) { [network] tensors in
                zip(entry.outputs, try network(tensors, in: .prediction)).map { ($0.name, $1) }
            }
            return try program.writeONNX(to: graph, weights: network.state().map { ($0.name, $0.tensor) }, of: weights, named: Self.file)
        } catch let error as TensorError {
            throw Self.problem(error)
        }
    }

    private func check(_ file: Safetensors, _ parts: [NetworkDescription.Part]) throws(Problem) {
        func mismatch(_ name: String, _ what: String) -> Problem {
            let detail = "'\(name.prefix(200))' \(what)".withoutControls
            return Problem(
                422, "model-weights-mismatch", title: "The weights aren't the network's", detail: detail,
                errors: [.init(entry: String(name.prefix(200)).withoutControls, code: "model-weights-mismatch", detail: detail)])
        }
        for part in parts {
            guard let entry = file[part.name] else { throw mismatch(part.name, "of \(choice.name) isn't in the file") }
            let isKind = entry.dtype == part.spec.dtype || entry.dtype.isHalf && part.spec.dtype == .float32
            guard entry.shape == part.spec.shape, isKind else {
                throw mismatch(part.name, "is \(part.spec) in \(choice.name), and \(TensorSpec(entry.shape, entry.dtype)) in the file")
            }
        }
        let known = Set(parts.map(\.name))
        if let more = file.entries.first(where: { !known.contains($0.name) }) { throw mismatch(more.name, "is in the file, and \(choice.name) has no such tensor") }
    }

    private static func problem(_ error: TensorError) -> any Error {
        let (status, code, detail): (Int, String, String)
        switch error.reason {
        case .malformedFile(_, let what): (status, code, detail) = (422, "model-corrupt", what)
        // A zip was refused before; all else that isn't safetensors is no more than that.
        case .unsafeFormat: (status, code, detail) = (422, "model-corrupt", "it isn't a safetensors file")
        case .tooManyTensors(_, let count, let limit):
            (status, code, detail) = (422, "model-too-many-tensors", "it holds \(count) tensors or more; at most \(limit) are read")
        default: return error
        }
        return Problem(status, code, title: "The model can't be imported", detail: String(detail.prefix(2000)).withoutControls)
    }
}
