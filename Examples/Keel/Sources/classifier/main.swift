// Trains a classifier of one table's rows on most of them, and tries it on the others.
//
//     swift run -c release classifier ../data/breast-cancer.csv
import Keel
import KeelData
import KeelNN

var table = try TableReader(.file(path: CommandLine.arguments[1]))
var record = TableRecord(), features: [Float] = [], labels: [Int64] = []
while try table.next(into: &record) {
    for field in 0..<30 { features.append(Float(record[field]) ?? .nan) }
    labels.append(record[30] == "malignant" ? 1 : 0)
}
let x = try Tensor(features, [labels.count, 30]), y = try Tensor(labels)
let z = try (x - x.mean([0])) / x.variance([0]).squareRoot()

var generator = Philox(seed: 1)
var network = Sequential([try Linear(30, 32, using: &generator), Activation.relu, try Linear(32, 2, using: &generator)])
let parameters = try ParameterStore(&network)
let optimizer = try AdamW(parameters, learningRate: 1e-2)
let (train, test) = (try z.sliced(0, to: 450), try z.sliced(0, from: 450))
for step in 0..<50 {
    let loss = try network(train, in: .training(seed: 1, step: step)).softmaxCrossEntropy(y.sliced(0, to: 450))
    try loss.backward()
    try optimizer.step()
    try parameters.clearGradients()
}
var accuracy = Accuracy()
try accuracy.update(network(test, in: .prediction), y.sliced(0, from: 450))
print("accuracy", accuracy.value)
