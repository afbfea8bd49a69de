// Trains a classifier of one table's rows on most of them, and tries it on the others.
//
//     swift run -c release classifier ../data/breast-cancer.csv
import Keel
import KeelData
import KeelNN

let table = try Table(reading: CommandLine.arguments[1])
let x = try table.numbers(table.columns.dropLast()), y = try table.categories("diagnosis").codes
let z = try (x - x.mean([0])) / x.standardDeviation([0])

var generator = Philox(seed: 1)
var network = Sequential([try Linear(30, 32, using: &generator), Activation.relu, try Linear(32, 2, using: &generator)])
let optimizer = try AdamW(ParameterStore(&network), learningRate: 1e-2)
for step in 0..<50 {
    let logits = try network(z.sliced(0, to: 450), in: .training(seed: 1, step: step))
    try optimizer.minimise(logits.softmaxCrossEntropy(y.sliced(0, to: 450)))
}

let answers = try network(z.sliced(0, from: 450), in: .prediction)
print("accuracy", try Accuracy().value(of: answers, y.sliced(0, from: 450)))
