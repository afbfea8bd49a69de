// A layer of one's own: bumps around learned centres, which tell the black squares of a chessboard from the
// white.
import Keel
import KeelNN

/// `exp(-|x - centre|² · rate)` for each centre. `x [batch, inFeatures]` → `[batch, centres]`.
struct RadialBasis: Layer {
    var centres, logRates: Tensor

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let distances = try (x.withAxis(1) - centres).squared().sum([2])
        return try (-distances * logRates.exp()).exp()
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("centres", .parameter, &centres)
        try body("log_rates", .parameter, &logRates)
    }
}

var generator = Philox(seed: 1)
let points = try Tensor.uniform([600, 2], in: 0...3, using: &generator)
let colours = try points.floor().sum([1]).remainder(over: Tensor(Float(2))).cast(to: .int64)
var batches = try TensorBatches(points.sliced(0, to: 500), colours.sliced(0, to: 500), batchSize: 50, shuffledBy: 1)

let bumps = try RadialBasis(centres: .uniform([36, 2], in: 0...3, using: &generator), logRates: .zeros([36]))
let network = try Sequential([bumps, Linear(36, 2, using: &generator)])
let trainer = try Trainer(network, seed: 1, optimizer: { try AdamW($0, learningRate: 3e-2) }) {
    (network, batch: [Tensor], context) in try network(batch[0], in: context).softmaxCrossEntropy(batch[1])
}
try trainer.train(on: &batches, epochs: 40)

let answers = try trainer.network(points.sliced(0, from: 500), in: .prediction)
print("accuracy", try Accuracy().value(of: answers, colours.sliced(0, from: 500)))
