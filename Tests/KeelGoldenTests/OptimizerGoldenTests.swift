import Keel
import KeelNN
import Testing

/// The regression of `golden_layers.py`.
private struct Regression: Layer {
    var w, b, k: Tensor

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try (x.matmul(w) + b).tanh() }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try body("w", .parameter, &w)
        try body("b", .parameter, &b)
        try body("k", .parameter, &k)
    }
}

private let makers: [(name: String, make: @Sendable (ParameterStore) throws -> any Optimizer)] = [
    ("sgd", { try SGD($0, learningRate: 0.02, momentum: 0.9, weightDecay: 0.1) }),
    ("nesterov", { try SGD($0, learningRate: 0.02, momentum: 0.8, weightDecay: 0.1, isNesterov: true) }),
    ("adam", { try Adam($0, learningRate: 0.05, beta1: 0.8, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1) }),
    ("adamw", { try AdamW($0, learningRate: 0.05, beta1: 0.8, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1) }),
    ("lamb", { try LAMB($0, learningRate: 0.05, beta1: 0.8, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1) }),
    ("adagrad", { try Adagrad($0, learningRate: 0.1, initialSum: 0.1, weightDecay: 0.1) }),
    ("rmsprop", { try RMSprop($0, learningRate: 0.02, smoothing: 0.9, weightDecay: 0.1) }),
    ("rmspropMomentum", { try RMSprop($0, learningRate: 0.02, smoothing: 0.9, momentum: 0.5, weightDecay: 0.1) }),
    (
        "rmspropCentred",
        { try RMSprop($0, learningRate: 0.02, smoothing: 0.9, momentum: 0.5, epsilon: 1e-4, weightDecay: 0.1, isCentred: true) }
    ),
    ("adafactor", { try Adafactor($0, learningRate: 0.1, weightDecay: 0.1) }),
]

/// Twenty steps whose gradients follow the parameters: roundings of float32 add up, and centred RMSprop takes squares of like size from each
/// other. A fifth of a thousandth leaves room for that; a wrong coefficient errs by a hundredth and more.
@Test(arguments: makers.map(\.name))
func twentyStepsAreThoseOfTorch(_ name: String) throws {
    let file = try GoldenFile("golden_layers")
    var net = Regression(w: try file.tensor("optimizer/w"), b: try file.tensor("optimizer/b"), k: try file.tensor("optimizer/k"))
    let parameters = try ParameterStore(&net) { name, _ in name == "b" ? ParameterGroup(rateFactor: 0.5, decays: false) : ParameterGroup() }
    let optimizer = try #require(makers.first { $0.name == name }).make(parameters)
    let average = try ExponentialMovingAverage(parameters, decay: 0.9)
    let x = try file.tensor("optimizer/x"), target = try file.tensor("optimizer/target"), pull = try file.tensor("optimizer/pull")
    let losses = try file.tensor("optimizer/\(name)/losses").elements()
    for (step, expected) in losses.enumerated() {
        try parameters.clearGradients()
        let misfit = try (net(x, in: .training(seed: 1, step: step)) - target).squared().sum()
        let loss = try misfit + (net.k.squared() * pull).sum()
        #expect(abs(try loss.item() - expected) <= 2e-4 * abs(expected), "\(name), step \(step)")
        try loss.backward()
        try optimizer.step()
        try average.update()
    }
    for part in try net.state() {
        try expectGolden(part.tensor.detached(), file.tensor("optimizer/\(name)/\(part.name)"), "\(name), \(part.name)", tolerance: 2e-4)
    }
    guard name == "adamw" else { return }
    for part in try average.applied(to: net).state() {
        try expectGolden(part.tensor.detached(), file.tensor("optimizer/average/\(part.name)"), "average, \(part.name)", tolerance: 2e-4)
    }
}

private let schedules: [(name: String, schedule: Schedule)] = [
    ("step", .step(from: 0.5, factor: 0.3, every: 7)),
    ("multiStep", .multiStep(from: 0.5, factor: 0.3, at: [3, 10, 11, 30])),
    ("exponential", .exponential(from: 0.5, factor: 0.9)),
    ("polynomial", .polynomial(from: 0.5, power: 2.5, steps: 30)),
    ("linear", .linear(from: 0.5, to: 0.1, steps: 30)),
    ("cosine", .cosine(from: 0.5, to: 0.1, steps: 39)),
    ("cosineRestarts", .cosineRestarts(from: 0.5, to: 0.1, steps: 5, growth: 2)),
    ("cosineRepeats", .cosineRestarts(from: 0.5, to: 0.1, steps: 6)),
    ("oneCycle", .oneCycle(peak: 0.5, steps: 41)),
    ("warmUp", .warmUp(8, then: .exponential(from: 0.5, factor: 0.9))),
    (
        "chained",
        .chained([(.linear(from: 0.05, to: 0.5, steps: 10), 10), (.constant(0.5), 10)], then: .exponential(from: 0.5, factor: 0.9))
    ),
]

/// The file has float32, which differs from double by 6e-8 of a rate.
@Test(arguments: schedules.map(\.name))
func ratesAreThoseOfTorch(_ name: String) throws {
    let schedule = try #require(schedules.first { $0.name == name }).schedule
    for (step, expected) in try GoldenFile("golden_layers").tensor("schedule/\(name)").elements().enumerated() {
        #expect(abs(schedule(step) - Double(expected)) <= 1e-7 * max(Double(expected), 0.5), "\(name), step \(step)")
    }
}

@Test(arguments: [("plateau", 3, 2, 0.1, true), ("plateauHigher", 0, 1, 0.01, false)])
func ratesOfAPlateauAreThoseOfTorch(_ name: String, cooldown: Int, patience: Int, minimum: Double, isLowerBetter: Bool) throws {
    let file = try GoldenFile("golden_layers")
    var plateau = Plateau(
        from: 0.5, factor: 0.5, patience: patience, threshold: 0.01, cooldown: cooldown, minimum: minimum, isLowerBetter: isLowerBetter)
    let measures = try file.tensor("schedule/measures").elements()
    for (step, expected) in try file.tensor("schedule/\(name)").elements().enumerated() {
        #expect(abs(plateau.learningRate - Double(expected)) <= 1e-7, "\(name), step \(step)")
        plateau.record(Double(measures[step]))
    }
}
