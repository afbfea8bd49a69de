// Interrupts a training, goes on from its checkpoint, and ends with the same bytes as a training that never
// stopped: weights, optimiser, the order of the batches, and what dropout drops.
import Foundation
import Keel
import KeelNN

func makeTrainer() throws -> Trainer<Sequential, [Tensor]> {
    var generator = Philox(seed: 1)
    let network = Sequential([
        try Linear(4, 32, using: &generator), Activation.relu, try Dropout(0.2), try Linear(32, 1, using: &generator),
    ])
    return try Trainer(network, seed: 1, optimizer: { try AdamW($0, learningRate: 1e-2) }) { network, batch, context in
        try network(batch[0], in: context).meanSquaredError(batch[1])
    }
}

var generator = Philox(seed: 2)
let x = try Tensor.normal([256, 4], using: &generator), y = try x.squared().sum([1], keepingAxes: true)
var batches = try TensorBatches(x, y, batchSize: 32, shuffledBy: 3)
let folder = FileManager.default.temporaryDirectory.path + "/\(UUID())-"

let uninterrupted = try makeTrainer()
try uninterrupted.train(on: &batches, epochs: 10)
try uninterrupted.save(to: folder + "uninterrupted")

let first = try makeTrainer()
try first.train(on: &batches, epochs: 4)
try first.save(to: folder + "checkpoint")

let second = try makeTrainer()
try second.restore(from: folder + "checkpoint")
try second.train(on: &batches, epochs: 10)
try second.save(to: folder + "resumed")

let same = FileManager.default.contentsEqual(atPath: folder + "uninterrupted", andPath: folder + "resumed")
print("loss", second.progress.loss, "same bytes", same ? 1 : 0)
