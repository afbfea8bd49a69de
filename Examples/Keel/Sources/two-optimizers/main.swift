// Two optimisers in one training: the trunk by AdamW, the head by gradient descent with momentum. They learn a
// sine.
import Keel
import KeelNN

var generator = Philox(seed: 1)
var trunk = Sequential([try Linear(1, 64, using: &generator), Activation.tanh])
var head = try Linear(64, 1, using: &generator)
let optimizers: [any Optimizer] = [
    try AdamW(ParameterStore(&trunk), learningRate: 2e-2),
    try SGD(ParameterStore(&head), learningRate: 1e-2, momentum: 0.9),
]

let x = try Tensor.linspace(from: -2, to: 2, count: 128).withAxis(1), y = try (x * 3).sine()
for step in 0..<300 {
    let context = try Context.training(seed: 1, step: step)
    try optimizers.minimise(head(trunk(x, in: context), in: context).meanSquaredError(y))
}
print("mean squared error", try head(trunk(x, in: .prediction), in: .prediction).meanSquaredError(y).item())
