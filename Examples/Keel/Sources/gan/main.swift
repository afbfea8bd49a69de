// A generative adversarial network (Goodfellow et al., 2014): a forger learns to make points like the real
// ones, which lie around (2, -1), from an expert that learns to tell them apart.
import Keel
import KeelNN

func perceptron(_ outFeatures: Int, using generator: inout Philox) throws -> Sequential {
    Sequential([
        try Linear(2, 32, using: &generator), Activation.leakyRelu(slope: 0.2),
        try Linear(32, outFeatures, using: &generator),
    ])
}

var generator = Philox(seed: 1)
var forger = try perceptron(2, using: &generator), expert = try perceptron(1, using: &generator)
let forgerOptimizer = try Adam(ParameterStore(&forger), learningRate: 2e-3, beta1: 0.5)
let expertOptimizer = try Adam(ParameterStore(&expert), learningRate: 4e-3, beta1: 0.5)
let centre = try Tensor([2, -1] as [Float]), yes = try Tensor.ones([64, 1]), no = try Tensor.zeros([64, 1])

for step in 0..<600 {
    let context = try Context.training(seed: 1, step: step)
    let real = try Tensor.normal([64, 2], deviation: 0.5, using: &generator) + centre
    let fake = try forger(.normal([64, 2], using: &generator), in: context)
    let onReal = try expert(real, in: context).binaryCrossEntropy(yes)
    let onFake = try expert(fake.detached(), in: context).binaryCrossEntropy(no)
    try expertOptimizer.minimise(onReal + onFake)
    try forgerOptimizer.minimise(expert(fake, in: context).binaryCrossEntropy(yes))
}

let forged = try forger(.normal([1000, 2], using: &generator), in: .prediction)
print("forged points lie around", try forged.mean([0]))
print("which is off by", try (forged.mean([0]) - centre).norm().item())
