import Keel
import KeelNN
import Testing

private struct Net: Layer {
    var first, second: Linear

    init() throws(TensorError) {
        var generator = Philox(seed: 1)
        first = try Linear(3, 4, using: &generator)
        second = try Linear(4, 2, hasBias: false, using: &generator)
        first.weight = try Tensor([Float(0.1), -0.2, 0.9, 1, -2, 3, 0.5, 0, -0.4, 0, 0.3, 0], [4, 3])
        first.bias = try Tensor([Float(1), 2, 3, 4])
        second.weight = try Tensor([Float(0.05), -6, 0.7, 8, 0.15, 0.25, 0.35, 0.45], [2, 4])
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try second(first(x, in: context).relu(), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try second.forEachState(body, under: "second")
    }
}

/// The weights after one choice of `share`.
private func pruned(
    _ choice: Pruning.Choice, _ share: Double, followers: [String: [String]] = [:], where isPruned: (String, Shape) -> Bool = { _, shape in shape.rank >= 2 }
) throws -> (first: [Float], bias: [Float], second: [Float], report: [Pruning.Sparsity]) {
    var net = try Net()
    let store = try ParameterStore(&net)
    let pruning = try Pruning(choice, of: store, sparsity: .constant(share), where: isPruned, followers: followers)
    try pruning.update(step: 0)
    return (try net.first.weight.elements(), try #require(net.first.bias).elements(), try net.second.weight.elements(), try pruning.report())
}

@Suite struct PruningTests {
    @Test func theSmallestWeightsOfEachParameterGo() throws {
        let found = try pruned(.weights, 0.5)
        // Of equal ones the first go: 0, 0, 0, 0.1, 0.2, 0.3 of twelve; 0.05, 0.15, 0.25, 0.35 of eight.
        #expect(found.first == [0, 0, 0.9, 1, -2, 3, 0.5, 0, -0.4, 0, 0, 0])
        #expect(found.second == [0, -6, 0.7, 8, 0, 0, 0, 0.45])
        #expect(found.bias == [1, 2, 3, 4])
        #expect(found.report.map(\.name) == ["first.weight", "second.weight"])
        #expect(found.report.map(\.pruned) == [6, 4] && found.report.map(\.count) == [12, 8] && found.report.map(\.share) == [0.5, 0.5])
    }

    @Test func theSmallestWeightsOfAllGo() throws {
        let found = try pruned(.weightsOfAll, 0.5)
        // Ten of twenty: 0, 0, 0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35.
        #expect(found.first == [0, 0, 0.9, 1, -2, 3, 0.5, 0, -0.4, 0, 0, 0])
        #expect(found.second == [0, -6, 0.7, 8, 0, 0, 0, 0.45])
        #expect(try pruned(.weightsOfAll, 0.3).report.map(\.pruned) == [4, 2])
    }

    /// A schedule that falls takes nothing back.
    @Test(arguments: [Pruning.Choice.weights, .weightsOfAll, .channels(power: 2)])
    func whatWasTakenOutStaysOutOfAFallingShare(_ choice: Pruning.Choice) throws {
        var net = try Net()
        let store = try ParameterStore(&net), pruning = try Pruning(choice, of: store, sparsity: .polynomial(from: 0.5, to: 0, power: 1, steps: 4), everySteps: 1)
        try pruning.update(step: 0)
        let first = try pruning.report()
        #expect(first.contains { $0.pruned > 0 })
        try store.values.assign(store.values + 1)
        for step in 1...4 { try pruning.update(step: step) }
        #expect(try pruning.report() == first)
    }

    /// Sums of magnitudes 1.2, 6, 0.9, 0.3; the bias beside them goes too, and so does what is named.
    @Test func channelsGoWithTheirBias() throws {
        let found = try pruned(.channels(power: 1), 0.5, where: { name, _ in name == "first.weight" })
        #expect(found.first == [0.1, -0.2, 0.9, 1, -2, 3, 0, 0, 0, 0, 0, 0])
        #expect(found.bias == [1, 2, 0, 0])
        #expect(found.second == [0.05, -6, 0.7, 8, 0.15, 0.25, 0.35, 0.45])
        #expect(found.report.map(\.name) == ["first.weight", "first.bias"] && found.report.map(\.pruned) == [6, 2])
        // By length the second row of the second layer stays out; one channel stays whatever the share.
        #expect(try pruned(.channels(power: 2), 1).second == [0.05, -6, 0.7, 8, 0, 0, 0, 0])
        var generator = Philox(seed: 3)
        var normed = try Sequential([Linear(3, 4, using: &generator), BatchNorm(4)])
        let store = try ParameterStore(&normed), names = store.parts.map(\.name)
        let pruning = try Pruning(.channels(power: 1), of: store, sparsity: .constant(0.25), followers: [names[0]: Array(names[2...])])
        try pruning.update(step: 0)
        #expect(try pruning.report().map(\.pruned) == [3, 1, 1, 1])
    }

    /// The share grows as Zhu and Gupta have it; what is out stays out and at zero, whatever the optimiser and its moments do, and the mean is as sparse.
    @Test(arguments: [Pruning.Choice.weights, .weightsOfAll, .channels(power: 1)])
    func whatIsTakenOutStaysZero(choice: Pruning.Choice) throws {
        var net = try Net()
        let store = try ParameterStore(&net), optimizer = try AdamW(store, learningRate: 0.05), average = try ExponentialMovingAverage(store, decay: 0.5)
        let schedule = Schedule.polynomial(from: 0.1, to: 0.6, power: 3, steps: 12)
        let pruning = try Pruning(choice, of: store, sparsity: schedule, everySteps: 3)
        var generator = Philox(seed: 2), out: Set<Int> = []
        for step in 0..<20 {
            let x = try Tensor.normal([8, 3], using: &generator)
            try net(x, in: .prediction).meanSquaredError(x.sliced(1, to: 2)).backward()
            try pruning.maskGradients()
            let gradients = try store.gradients.elements()
            #expect(out.allSatisfy { gradients[$0] == 0 })
            try optimizer.step()
            try pruning.update(step: step)
            try average.update()
            try average.mask(pruning)
            try store.clearGradients()

            let values = try store.values.elements(), mean = try average.applied(to: net)
            #expect(out.allSatisfy { values[$0] == 0 })
            let report = try pruning.report(), t = Double(min(step / 3 * 3, 12)) / 12, share = 0.6 - 0.5 * (1 - t) * (1 - t) * (1 - t)
            switch choice {
            case .weights: #expect(report.map(\.pruned) == [Int((share * 12).rounded()), Int((share * 8).rounded())])
            case .weightsOfAll: #expect(report.reduce(0) { $0 + $1.pruned } == Int((share * 20).rounded()))
            case .channels: #expect(report.map(\.pruned) == [3 * Int((share * 4).rounded()), Int((share * 4).rounded()), 4 * min(Int((share * 2).rounded()), 1)])
            }
            var masks: [String: [Bool]] = [:]
            try pruning.forEachState { (name, tensor) throws(TensorError) in masks[name] = try tensor.elements(Bool.self) }
            for (part, tensor) in zip(try net.state(), try mean.state()) {
                guard let mask = masks["kept." + part.name] else { continue }
                #expect(try zip(mask, tensor.tensor.elements()).allSatisfy { $0 || $1 == 0 })
                #expect(try zip(mask, part.tensor.elements()).allSatisfy { $0 || $1 == 0 })
            }
            let now = Set(values.indices.filter { values[$0] == 0 })
            #expect(out.isSubset(of: now))
            // Between two parameters there are zeros, too: only what was a weight counts.
            out = now
        }
    }

    @Test func whatCannotBePrunedIsRefused() throws {
        var net = try Net()
        let store = try ParameterStore(&net)
        func expectRefused(_ name: String, _ given: String, _ allowed: String, _ body: () throws -> Void) {
            #expect(throws: TensorError(.argument(primitive: "Pruning", name: name, given: given, allowed: allowed)), performing: body)
        }
        expectRefused("everySteps", "0", "1 and more") { _ = try Pruning(.weights, of: store, sparsity: .constant(0.5), everySteps: 0) }
        expectRefused("power", "0.5", "1 and more") { _ = try Pruning(.channels(power: 0.5), of: store, sparsity: .constant(0.5)) }
        expectRefused("where", "no parameter", "one at least") { _ = try Pruning(.weights, of: store, sparsity: .constant(0.5), where: { _, _ in false }) }
        expectRefused("where", "'first.bias' [4]", "parameters with channels [out, in, ...]") {
            _ = try Pruning(.channels(power: 1), of: store, sparsity: .constant(0.5), where: { name, _ in name == "first.bias" })
        }
        expectRefused("followers", "'second.weight' [2, 4]", "parameters [4], as 'first.weight' has channels") {
            _ = try Pruning(.channels(power: 1), of: store, sparsity: .constant(0.5), followers: ["first.weight": ["second.weight"]])
        }
        expectRefused("followers", "'nobody'", "parameters [4], as 'first.weight' has channels") {
            _ = try Pruning(.channels(power: 1), of: store, sparsity: .constant(0.5), followers: ["first.weight": ["nobody"]])
        }
        expectRefused("followers", "some of 'third.weight'", "parameters that are pruned") {
            _ = try Pruning(.channels(power: 1), of: store, sparsity: .constant(0.5), followers: ["third.weight": []])
        }
        expectRefused("followers", "some of 'first.weight'", "none of single weights") {
            _ = try Pruning(.weights, of: store, sparsity: .constant(0.5), followers: ["first.weight": ["first.bias"]])
        }
        expectRefused("sparsity", "1.5", "0...1") { try Pruning(.weights, of: store, sparsity: .constant(1.5)).update(step: 0) }
    }
}
