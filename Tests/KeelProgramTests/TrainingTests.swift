import Keel
import KeelBenchNetworks
import KeelNN
import KeelProgram
import KeelProgramTestSupport
import Testing

private let batch = Dimension.symbol("batch")

/// A network in training, the same each time it is made.
private struct Setting {
    let network: any Layer
    let parameters: ParameterStore
    let optimizer: any Optimizer

    init<N: Layer>(_ network: N, _ optimizer: (ParameterStore) throws -> any Optimizer) throws {
        var network = network
        parameters = try ParameterStore(&network)
        self.network = network
        self.optimizer = try optimizer(parameters)
    }

    /// A whole step: the loss before it.
    func step(_ x: Tensor, _ labels: Tensor, random: Tensor) throws -> Tensor {
        try parameters.clearGradients()
        let loss = try network(x, in: .training(random: random)).softmaxCrossEntropy(labels)
        try loss.backward()
        try parameters.clipGradients(toNorm: 1)
        try optimizer.step()
        return loss.detached()
    }

    func program(_ x: TensorSpec) throws -> Program {
        try Program.trace(
            { try step($0[0], $0[1], random: $0[2]) },
            inputs: ["x": x, "labels": TensorSpec(Shape(batch), .int64), "random": TensorSpec([2], .int64)],
            state: optimizer.state() + network.buffers())
    }
}

private struct Dropping: Layer {
    var first, second: Linear

    init(using generator: inout Philox) throws(TensorError) {
        first = try Linear(6, 16, using: &generator)
        second = try Linear(16, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try second(context.dropped(first(x, in: context).gelu(), rate: 0.3), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}

/// Steps of the program and of eager mode, of changing sizes and with a changing rate, on two networks that begin alike: they stay alike, bit for
/// bit, for the kernels are the same and run in the same order.
private func expectSameTraining(_ make: () throws -> Setting, _ x: TensorSpec, optimises: Bool) throws {
    let (eager, traced) = (try make(), try make())
    let program = try optimises ? traced.program(x).optimised() : traced.program(x)
    var generator = Philox(seed: 9)
    for (number, size) in [4, 3, 4].enumerated() {
        var shape = x.shape
        shape[0] = Dimension(size)
        let x = try Tensor.normal(shape, using: &generator), labels = try Tensor((0..<size).map { Int64($0 % 3) })
        let random = try Tensor([Int64(5), Int64(number)])
        for setting in [eager, traced] { try setting.optimizer.setLearningRate(0.01 / Double(number + 1)) }
        let expected = try eager.step(x, labels, random: random), found = try program.run([x, labels, random])
        try expectEqual(found, [expected])
        try expectEqual([traced.parameters.values, traced.parameters.gradients], [eager.parameters.values, eager.parameters.gradients])
        try expectEqual(traced.network.buffers(), eager.network.buffers())
    }
}

@Test(arguments: [false, true])
func aTrainingProgramDoesWhatEagerModeDoes(optimises: Bool) throws {
    try expectSameTraining(
        {
            var generator = Philox(seed: 2)
            return try Setting(Dropping(using: &generator)) { try AdamW($0, learningRate: 0.01) }
        }, TensorSpec(Shape(batch, Dimension(6)), .float32), optimises: optimises)
}

@Test func aNetworkWithNormalisationTrainsAsAProgram() throws {
    try expectSameTraining(
        {
            var generator = Philox(seed: 2)
            return try Setting(SmallResNet(8, 3, using: &generator)) { try SGD($0, learningRate: 0.01, momentum: 0.9, weightDecay: 1e-4) }
        }, TensorSpec(Shape(batch, Dimension(3), Dimension(16), Dimension(16)), .float32), optimises: true)
}
