// A network with two inputs of different kinds: a category, which is embedded, and numbers. It learns prices
// that follow another rule in each of five towns.
import Keel
import KeelNN

struct PriceNetwork: Module {
    var town: Embedding
    var hidden, head: Linear

    func callAsFunction(_ towns: Tensor, _ numbers: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(hidden(.concatenated([town(towns, in: context), numbers], axis: 1), in: context).relu(), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try town.forEachState(body, under: "town")
        try hidden.forEachState(body, under: "hidden")
        try head.forEachState(body, under: "head")
    }
}

var generator = Philox(seed: 1)
let towns = try Tensor.ones([5]).categorical(1000, using: &generator)
let numbers = try Tensor.uniform([1000, 2], using: &generator)
let rates = try Tensor.uniform([5, 2], in: 1...4, using: &generator)
let prices = try (rates.gathered(towns) * numbers).sum([1], keepingAxes: true)
var batches = try TensorBatches(towns, numbers, prices, batchSize: 50, shuffledBy: 1)

let network = PriceNetwork(
    town: try Embedding(5, 4, using: &generator), hidden: try Linear(6, 64, using: &generator),
    head: try Linear(64, 1, using: &generator))
let trainer = try Trainer(network, seed: 1, optimizer: { try AdamW($0, learningRate: 1e-2) }) {
    (network, batch: [Tensor], context) in try network(batch[0], batch[1], in: context).meanSquaredError(batch[2])
}
try trainer.train(on: &batches, epochs: 20)
print("mean error", try trainer.network(towns, numbers, in: .prediction).meanAbsoluteError(prices).item())
