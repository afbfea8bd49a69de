import Foundation
import Keel
import KeelNN
import Testing

/// A small network with all kinds of state.
private struct Net: Layer {
    var conv: Conv2D
    var norm: BatchNorm
    var head: Linear

    init(seed: UInt64) throws {
        var generator = Philox(seed: seed)
        conv = try Conv2D(1, 6, kernel: 3, padding: 1, hasBias: false, using: &generator)
        norm = try BatchNorm(6)
        head = try Linear(6 * 4 * 4, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let y = try norm(conv(x, in: context), in: context).relu().maxPool2D(2)
        return try head(context.dropped(y.flattened(from: 1), rate: 0.2), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

/// Pictures with a bright band at one of three heights.
private func batch(_ step: Int) throws -> (Tensor, Tensor) {
    var generator = Philox(seed: 77, stream: UInt64(step))
    let labels = (0..<24).map { Int64($0 % 3) }
    let noise = try Tensor.uniform([24, 1, 8, 8], in: -0.5...0.5, using: &generator)
    let bands = labels.flatMap { label in (0..<64).map { Float($0 / 8 / 3 == Int(label) ? 1 : 0) } }
    return (try noise + Tensor(bands, [24, 1, 8, 8]), try Tensor(labels))
}

private func train(_ net: Net, _ parameters: ParameterStore, _ optimizer: some Optimizer, _ steps: Range<Int>) throws -> [Float] {
    var losses: [Float] = []
    for step in steps {
        try optimizer.setLearningRate(Schedule.warmUp(5, then: .cosine(from: 0.02, steps: 60))(step))
        let (x, labels) = try batch(step)
        let loss = try net(x, in: .training(seed: 4, step: step)).softmaxCrossEntropy(labels)
        losses.append(try loss.item())
        try loss.backward()
        try parameters.clipGradients(toNorm: 5)
        try optimizer.step()
        try parameters.clearGradients()
    }
    return losses
}

private func bytes(_ net: Net) throws -> [Float] { try net.state().flatMap { try $0.tensor.elements() } }

private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

@Test func aSmallNetworkLearns() throws {
    var net = try Net(seed: 1)
    let parameters = try ParameterStore(&net)
    let losses = try train(net, parameters, SGD(parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 1e-4), 0..<60)
    #expect(losses[59] < 0.1 * losses[0])
    let (x, labels) = try batch(1000)
    let logits = try noGrad { () throws(TensorError) in try net(x, in: .prediction) }
    var accuracy = Accuracy()
    try accuracy.update(logits, labels)
    #expect(accuracy.value > 0.95)
}

@Test(arguments: [false, true])
func anInterruptedTrainingEndsWithTheSameBytes(usesSGD: Bool) throws {
    func optimizer(_ parameters: ParameterStore) throws -> any Optimizer {
        if usesSGD { return try SGD(parameters, learningRate: 0.1, momentum: 0.9, isNesterov: true) }
        return try AdamW(parameters, learningRate: 0.1)
    }
    try withFolder { folder in
        var whole = try Net(seed: 1)
        let store = try ParameterStore(&whole)
        let through = try optimizer(store)
        _ = try train(whole, store, through, 0..<20)

        var first = try Net(seed: 1)
        let firstStore = try ParameterStore(&first)
        let firstOptimizer = try optimizer(firstStore)
        _ = try train(first, firstStore, firstOptimizer, 0..<9)
        try Checkpoint.save(first, firstOptimizer, notes: ["step": "9"], to: folder + "/checkpoint")

        var second = try Net(seed: 2)
        let secondStore = try ParameterStore(&second)
        let secondOptimizer = try optimizer(secondStore)
        let notes = try Checkpoint.load(&second, secondOptimizer, from: folder + "/checkpoint")
        #expect(notes == ["step": "9"])
        _ = try train(second, secondStore, secondOptimizer, 9..<20)
        #expect(try bytes(second) == bytes(whole))
    }
}

@Test func aSavedNetworkPredictsTheSame() throws {
    try withFolder { folder in
        var net = try Net(seed: 1)
        let parameters = try ParameterStore(&net)
        _ = try train(net, parameters, AdamW(parameters, learningRate: 0.01), 0..<3)
        try net.save(to: folder + "/net")
        var other = try Net(seed: 9)
        try other.load(from: folder + "/net")
        let (x, _) = try batch(0)
        #expect(try other(x, in: .prediction).elements() == net(x, in: .prediction).elements())
        #expect(try net.state().map(\.name) == ["conv.weight", "norm.scale", "norm.bias", "norm.running_mean", "norm.running_variance", "head.weight", "head.bias"])

        var generator = Philox(seed: 0)
        var wrong = try Linear(3, 4, using: &generator)
        #expect(throws: TensorError.self) { try wrong.load(from: folder + "/net") }
    }
}

@Test func frozenParametersStayAndCopiesAreApart() throws {
    var net = try Net(seed: 1)
    let before = try net.conv.weight.elements()
    let parameters = try ParameterStore(&net) { name, shape in
        name.hasPrefix("conv") ? nil : ParameterGroup(rateFactor: 0.5, decays: shape.rank > 1)
    }
    let copy = try net.copied(), head = try copy.head.weight.elements()
    _ = try train(net, parameters, AdamW(parameters, learningRate: 0.01), 0..<3)
    #expect(try net.conv.weight.elements() == before)
    #expect(try copy.head.weight.elements() == head)
    #expect(try net.head.weight.elements() != head)
}

@Test func schedulesRiseAndFall() {
    let cosine = Schedule.warmUp(10, then: .cosine(from: 1, to: 0.1, steps: 100))
    #expect(cosine(0) == 0.1 && cosine(9) == 1 && cosine(10) == 1)
    #expect(abs(cosine(60) - 0.55) < 1e-12 && abs(cosine(500) - 0.1) < 1e-12)
    let cycle = Schedule.oneCycle(peak: 1, steps: 100)
    #expect(abs(cycle(0) - 0.04) < 1e-12 && abs(cycle(29) - 1) < 1e-12 && cycle(99) < 1e-5)
}

@Test func aLaneComputesInOrderOffThePool() async throws {
    let lane = try ComputeLane(named: "test", threads: 1)
    let values = try await withThrowingTaskGroup(of: Float.self) { group in
        for i in 0..<20 { group.addTask { try await lane.run { try Tensor([Float(i)]).sum().item() } } }
        return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    #expect(values == Set((0..<20).map { Float($0) }))
    await #expect(throws: TensorError.self) { try await lane.run { try Tensor([Float(1)], [2]) } }
}
