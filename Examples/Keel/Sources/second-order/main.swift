// Gradients of gradients: a network learns the swing of a pendulum from its equation u'' = -u alone, with u(0)
// = 0 and u'(0) = 1. Nobody shows it the solution, which is a sine.
import Keel
import KeelNN

var generator = Philox(seed: 1)
var network = Sequential([try Linear(1, 32, using: &generator), Activation.tanh, try Linear(32, 1, using: &generator)])
let optimizer = try AdamW(ParameterStore(&network), learningRate: 1e-2)
let t = try Tensor.linspace(from: 0, to: 2, count: 32).withAxis(1).requiringGradient()

for step in 0..<500 {
    let u = try network(t, in: .training(seed: 1, step: step))
    let velocity = try u.sum().gradients(of: [t], createsGraph: true)[0]
    let acceleration = try velocity.sum().gradients(of: [t], createsGraph: true)[0]
    let start = try u.at(0).squared() + (velocity.at(0) - 1).squared()
    try optimizer.minimise((acceleration + u).squared().mean() + start.sum())
}
print("largest error", try (network(t, in: .prediction) - t.sine()).magnitude().max().item())
