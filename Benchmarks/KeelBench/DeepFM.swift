// The recommendation workload, as its specification has it.
import Keel
import KeelBenchNetworks
import KeelNN

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
