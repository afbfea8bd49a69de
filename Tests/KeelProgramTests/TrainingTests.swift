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

/// Factorisation with tables: rows come twice in a batch, and from two places.
private struct Factors: Layer {
    var first, second: Embedding
    var head: Linear

    init(using generator: inout Philox) throws(TensorError) {
        first = try Embedding(20, 1, using: &generator)
        second = try Embedding(20, 4, using: &generator)
        head = try Linear(12, 1, using: &generator)
    }

    func callAsFunction(_ ids: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let e = try second(ids, in: context), pairs = try (e.sum([1]).squared() - e.squared().sum([1])).sum([1], keepingAxes: true)
        let last = try second(ids.sliced(1, from: 2), in: context).sum([1, 2]).withAxis(1)
        return try first(ids, in: context).sum([1]) + pairs + head(e.flattened(from: 1), in: context) + last
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
        try head.forEachState(body, under: "head")
    }
}

/// Tables of which only the rows that are looked up move: the program's are those of eager mode, bit for bit, moments included, in batches of changing
/// sizes; and what eager mode does between its runs counts for both.
@Test(arguments: [false, true])
func aTrainingProgramMovesTheRowsOfTablesThatEagerModeMoves(optimises: Bool) throws {
    func make() throws -> (step: (Tensor, Tensor) throws -> Tensor, state: [Tensor], optimizer: AdamW) {
        var generator = Philox(seed: 2)
        var network = try Factors(using: &generator)
        let parameters = try ParameterStore(&network) { name, _ in ParameterGroup(isSparse: name != "head.weight" && name != "head.bias") }
        let optimizer = try AdamW(parameters, learningRate: 0.05), ready = network
        return (
            { ids, labels in
                try parameters.clearGradients()
                let loss = try ready(ids, in: .prediction).binaryCrossEntropy(labels)
                try loss.backward()
                try optimizer.step()
                return loss.detached()
            }, try optimizer.state(), optimizer
        )
    }
    let (eager, traced) = (try make(), try make())
    var generator = Philox(seed: 9)
    func examples(_ size: Int) throws -> (Tensor, Tensor) {
        // Ids of the first half only: the others' rows never move.
        let ids = (0..<3 * size).map { _ in Int64(generator.next() % 10) }, labels = (0..<size).map { Float($0 % 2) }
        return (try Tensor(ids, [size, 3]), try Tensor(labels, [size, 1]))
    }
    // Rows of gradients that eager mode left are no part of the program.
    let (ids, labels) = try examples(4)
    for setting in [eager, traced] { _ = try setting.step(ids, labels) }
    let left = traced.optimizer.parameters.tables[0].parameter.rowGradients.map(\.indices.count)
    let program = try Program.trace(
        { try traced.step($0[0], $0[1]) },
        inputs: ["ids": TensorSpec(Shape(batch, Dimension(3)), .int64), "labels": TensorSpec(Shape(batch, Dimension(1)), .float32)], state: traced.state)
    #expect(traced.optimizer.parameters.tables[0].parameter.rowGradients.map(\.indices.count) == left)
    let ready = try optimises ? program.optimised() : program
    for (number, size) in [4, 7, 2, 4].enumerated() {
        let (ids, labels) = try examples(size)
        for setting in [eager, traced] { try setting.optimizer.setLearningRate(0.05 / Double(number + 1)) }
        try expectEqual(number == 2 ? [traced.step(ids, labels)] : ready.run([ids, labels]), [eager.step(ids, labels)])
        try expectEqual(traced.state, eager.state)
    }
    let untouched = try traced.optimizer.parameters.tables[1].parameter.detached().sliced(0, from: 10)
    try expectEqual([untouched], [make().optimizer.parameters.tables[1].parameter.detached().sliced(0, from: 10)])
}
