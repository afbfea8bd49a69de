// The recommendation workload, with its network, as its specification has it.
import Keel
import KeelNN

/// DeepFM (Guo et al., 2017). `ids [batch, fields]`, `dense [batch, numbers]` → logits `[batch, 1]`.
struct DeepFM: Layer {
    var first, second: Embedding
    var dense: Linear
    var deep: Sequential

    init(rows: Int, features: Int, fields: Int, numbers: Int, widths: [Int], using generator: inout Philox) throws(TensorError) {
        first = try Embedding(rows, 1, deviation: 0.01, using: &generator)
        second = try Embedding(rows, features, deviation: 0.01, using: &generator)
        dense = try Linear(numbers, 1, using: &generator)
        var layers: [any Layer] = [], from = fields * features + numbers
        for width in widths {
            layers += [try Linear(from, width, using: &generator), Activation.relu] as [any Layer]
            from = width
        }
        layers.append(try Linear(from, 1, using: &generator))
        deep = Sequential(layers)
    }

    func callAsFunction(_ ids: Tensor, _ numbers: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let e = try second(ids, in: context)                                                      // [batch, fields, features]
        let linear = try first(ids, in: context).sum([1]) + dense(numbers, in: context)           // [batch, 1]
        let pairs = try (e.sum([1]).squared() - e.squared().sum([1])).sum([1], keepingAxes: true) * 0.5
        return try linear + pairs + deep(.concatenated([e.flattened(from: 1), numbers], axis: 1), in: context)
    }

    /// The ids alone, with no numbers: what the protocol asks for.
    func callAsFunction(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try self(ids, .zeros([ids.shape.size(0), dense.weight.shape.size(1)]), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try dense.forEachState(body, under: "dense")
        try deep.forEachState(body, under: "deep")
    }
}

let recommendationWorkloads: [Workload] = [
    Workload(name: "deepfm-ctr", group: .train, work: 2048, unit: "samples/s") {
        let (batch, fields, rows) = (2048, 26, 1_000_000)
        var generator = Philox(seed: 0)
        let network = try DeepFM(rows: rows, features: 16, fields: fields, numbers: 13, widths: [400, 400, 400], using: &generator)
        // Each field draws from its own part of the tables.
        let part = UInt64(rows / fields)
        let batches = try (0..<8).map { _ in
            let ids = (0..<batch * fields).map { Int64(UInt64($0 % fields) * part + generator.next() % part) }
            let labels = (0..<batch).map { _ in Float(generator.next() % 2) }
            return [try Tensor(ids, [batch, fields]), try Tensor.normal([batch, 13], using: &generator), try Tensor(labels, [batch, 1])]
        }
        return Step(try Training(network, batches: batches, tables: ["first.weight", "second.weight"]) {
            try AdamW($0, learningRate: 1e-3, weightDecay: 0)
        } loss: { network, batch, context in
            try network(batch[0], batch[1], in: context).binaryCrossEntropy(batch[2])
        })
    },
]
