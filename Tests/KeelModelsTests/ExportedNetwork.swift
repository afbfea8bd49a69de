import Keel
import KeelModels
import KeelNN
import KeelProgram
import Testing

/// What of the library no program does, and so no model of the ONNX format: what reads numbers while it goes on, or has no operators. The networks
/// that they belong to are exported without them.
let notExported: [(type: String, what: String, reason: String)] = [
    ("BiLSTMCRF", "the best tags, `crf.decoded`", "the search for the best path is one primitive, and the operators know none like it: what is exported ends with the scores"),
    ("GPT", "`continued`", "the text grows by a token a turn, and each is drawn from what the last turn gave"),
    ("RecurrentSeq2Seq", "`written`, step by step", "the caller chooses each token from what the last step gave: a whole target is exported"),
    ("TransformerSeq2Seq", "a target written step by step", "the caller chooses each token from what the last step gave: a whole target is exported"),
    ("FCOS", "`detections`", "how many boxes there are is known from their scores alone: what is exported ends with what each place says"),
]

/// A network of the library to be traced for predicting, and what it is given.
struct ExportedNetwork: Sendable, CustomTestStringConvertible {
    let name: String
    let entry: NamedNetwork
    /// As the entry has them, with the entry's symbols, and maybe smaller sizes.
    let inputs: [(name: String, spec: TensorSpec)]
    /// How many categories there are in each input of whole numbers.
    let categories: [Int]
    let make: @Sendable () throws -> any Network

    var testDescription: String { name }

    /// What it computes for predicting, as far as it is exported.
    func forward() throws -> ([Tensor]) throws -> [Tensor] {
        var network = try make()
        try settle(&network)
        if let tagger = network as? BiLSTMCRF { return { [try tagger.scores($0[0], lengths: $0[1], in: .prediction)] } }
        let ready = network
        return { try ready($0, in: .prediction) }
    }

    func program(_ forward: ([Tensor]) throws -> [Tensor]) throws -> Program {
        try Program.traced(inputs: inputs) { tensors in zip(entry.outputs, try forward(tensors)).map { ($0.name, $1) } }
    }

    /// Running statistics as after some training: at first they would be neutral.
    private func settle(_ network: inout some Network) throws {
        var generator = Philox(seed: 3)
        try network.forEachState { _, kind, tensor throws(TensorError) in
            guard kind == .buffer else { return }
            tensor = try .uniform(tensor.shape, in: 0.5...1.5, using: &generator)
        }
    }

    /// Numbers of about 1; categories; lengths, and masks that end, within the longest; and links with every node linked to itself.
    func sample(batch: Int, time: Int, seed: UInt64) throws -> [Tensor] {
        var generator = Philox(seed: seed)
        let symbols: [Dimension: Int] = [.symbol("time"): time, .symbol("steps"): time - 1, .symbol("width"): 4 * time + 1]
        let shapes = inputs.map { _, spec in (0..<spec.shape.rank).map { axis in spec.shape[axis].number ?? symbols[spec.shape[axis]] ?? batch } }
        let longest = shapes.first { $0.count == 2 }?[1] ?? 1
        return try inputs.indices.map { place in
            let sizes = shapes[place], count = sizes.reduce(1, *)
            func below(_ limit: Int) -> Int { Int(generator.next() % UInt64(limit)) }
            switch inputs[place].name {
            case "lengths": return try Tensor((0..<count).map { _ in Int64(1 + below(longest)) }, Shape(sizes))
            case "mask":
                let lengths = (0..<sizes[0]).map { _ in 1 + below(sizes[1]) }
                return try Tensor(lengths.flatMap { length in (0..<sizes[1]).map { Int64($0 < length ? 1 : 0) } }, Shape(sizes))
            case "links":
                return try Tensor((0..<count).map { $0 % (sizes[1] + 1) == 0 || below(3) == 0 ? Float(1) : 0 }, Shape(sizes))
            default: break
            }
            guard inputs[place].spec.dtype == .int64 else { return try .normal(Shape(sizes), using: &generator) }
            return try Tensor((0..<count).map { _ in Int64(below(categories[place])) }, Shape(sizes))
        }
    }
}

extension ExportedNetwork {
    /// A small network of one of the library's types, with sizes of the batch that it learns.
    init(_ tiny: TinyNetwork) throws {
        let entry = try #require(NamedNetwork.all.first { $0.type == tiny.type })
        var generator = Philox(seed: 1)
        _ = try tiny.make(&generator)
        let batch = try tiny.batch(&generator)
        var inputs: [(name: String, spec: TensorSpec)] = [], categories: [Int] = []
        for (port, tensor) in zip(entry.inputs, batch) {
            try #require(port.spec.shape.rank == tensor.shape.rank && port.spec.dtype == tensor.dtype, "\(port.name)")
            var shape = port.spec.shape
            for axis in 0..<shape.rank where !shape[axis].isSymbolic { shape[axis] = tensor.shape[axis] }
            inputs.append((port.name, TensorSpec(shape, tensor.dtype)))
            categories.append(tensor.dtype == .int64 ? Int(try tensor.elements(Int64.self).max() ?? 0) + 1 : 0)
        }
        self.init(name: tiny.testDescription, entry: entry, inputs: inputs, categories: categories) {
            var generator = Philox(seed: 1)
            return try tiny.make(&generator)
        }
    }
}
