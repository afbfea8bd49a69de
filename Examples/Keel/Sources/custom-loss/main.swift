// A loss of one's own: the logarithm of the hyperbolic cosine, which outliers hardly move. Every tenth target
// is off by 20.
import Foundation
import Keel
import KeelNN

/// Mean of `log(cosh(predictions - targets))`, as `e + softplus(-2e) - log 2`, which doesn't overflow.
func logCosh(_ predictions: Tensor, _ targets: Tensor) throws -> Tensor {
    let error = try predictions - targets
    return try (error + (error * -2).softplus() - log(2)).mean()
}

var generator = Philox(seed: 1)
let x = try Tensor.normal([400, 1], using: &generator)
let outliers = try Tensor.full(0.1, [400, 1]).bernoulli(using: &generator).cast(to: .float32) * 20
let y = try x * 2 + 1 + Tensor.normal([400, 1], deviation: 0.1, using: &generator) + outliers

var line = try Linear(1, 1, using: &generator)
let optimizer = try AdamW(ParameterStore(&line), learningRate: 5e-2, weightDecay: 0)
for step in 0..<200 { try optimizer.minimise(logCosh(line(x, in: .training(seed: 1, step: step)), y)) }
let shift = try line(Tensor.zeros([1, 1]), in: .prediction).item()
print("slope", try line.weight.item(), "shift", shift)
