// What a network costs: each layer's parameters, operations and memory, and each primitive's time in a training
// step, as tables and as a trace for chrome://tracing.
import Foundation
import Keel
import KeelNN

var generator = Philox(seed: 1)
var network = Sequential([
    try Conv2D(3, 16, kernel: 3, padding: 1, using: &generator), try BatchNorm(16), Activation.relu, MaxPool(2),
    try Conv2D(16, 32, kernel: 3, padding: 1, using: &generator), Activation.relu, GlobalAveragePool(),
    try Linear(32, 10, using: &generator),
])
let optimizer = try AdamW(ParameterStore(&network), learningRate: 1e-3)
let x = try Tensor.normal([8, 3, 32, 32], using: &generator), labels = try Tensor.range(8)
let costs = try summary(network, input: x)
print(costs)

let (_, operators) = try profile {
    try optimizer.minimise(network(x, in: .training(seed: 1, step: 0)).softmaxCrossEntropy(labels))
}
print(operators)
try operators.writeTrace(to: FileManager.default.temporaryDirectory.path + "/step.json")
print("parameters", costs.parameters)
