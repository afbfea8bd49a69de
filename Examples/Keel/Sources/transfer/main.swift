// Transfer learning: a trunk learns eight regions of the plane from many points and is saved; a second network
// takes it, frozen, and learns another question from 40 points by training a head alone.
import Foundation
import Keel
import KeelNN

func makeTrunk(using generator: inout Philox) throws -> Sequential {
    Sequential([
        try Linear(2, 64, using: &generator), Activation.relu, try Linear(64, 32, using: &generator), Activation.relu,
    ])
}

var generator = Philox(seed: 1)
let path = FileManager.default.temporaryDirectory.path + "/\(UUID()).safetensors"
let points = try Tensor.normal([1000, 2], using: &generator)
let isPositive = try points.isGreater(than: Tensor(Float(0))).cast(to: .int64)
let isFar = try points.vectorNorm(2, [1]).isGreater(than: Tensor(Float(1.2))).cast(to: .int64)
let regions = try (isPositive * Tensor([1, 2])).sum([1]) + isFar * Tensor(4)
var network = Sequential([try makeTrunk(using: &generator), try Linear(32, 8, using: &generator)])
var optimizer = try AdamW(ParameterStore(&network), learningRate: 1e-2)
for step in 0..<150 {
    try optimizer.minimise(network(points, in: .training(seed: 1, step: step)).softmaxCrossEntropy(regions))
}
try network.layers[0].save(to: path)

let isDiagonal = try isPositive.sum([1]).equals(Tensor(1)).cast(to: .int64)
var trunk = try makeTrunk(using: &generator), head = try Linear(32, 2, using: &generator)
try trunk.load(from: path)
let features = try trunk(points, in: .prediction)
optimizer = try AdamW(ParameterStore(&head), learningRate: 1e-2)
for step in 0..<150 {
    let logits = try head(features.sliced(0, to: 40), in: .training(seed: 2, step: step))
    try optimizer.minimise(logits.softmaxCrossEntropy(isDiagonal.sliced(0, to: 40)))
}
let answers = try head(features.sliced(0, from: 40), in: .prediction)
print("accuracy", try Accuracy().value(of: answers, isDiagonal.sliced(0, from: 40)))
