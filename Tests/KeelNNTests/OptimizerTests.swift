import Foundation
import Keel
import KeelNN
import Testing

private func network() throws -> (Linear, ParameterStore) {
    var generator = Philox(seed: 1)
    var net = try Linear(3, 2, using: &generator)
    let store = try ParameterStore(&net)
    return (net, store)
}

private struct Refusal: Sendable {
    let text: String
    let make: @Sendable (ParameterStore) throws -> Any
}

private let refusals: [Refusal] = [
    Refusal(text: "SGD: momentum is 1.0, allowed is 0..<1") { try SGD($0, learningRate: 1, momentum: 1) },
    Refusal(text: "Adam: learningRate is -1.0, allowed is 0 and more") { try Adam($0, learningRate: -1) },
    Refusal(text: "AdamW: epsilon is 0.0, allowed is above 0") { try AdamW($0, learningRate: 1, epsilon: 0) },
    Refusal(text: "LAMB: beta2 is 1.5, allowed is 0..<1") { try LAMB($0, learningRate: 1, beta2: 1.5) },
    Refusal(text: "Adagrad: initialSum is -1.0, allowed is 0 and more") { try Adagrad($0, learningRate: 1, initialSum: -1) },
    Refusal(text: "RMSprop: weightDecay is -0.5, allowed is 0 and more") { try RMSprop($0, learningRate: 1, weightDecay: -0.5) },
    Refusal(text: "Adafactor: decayPower, leastScale and threshold is 1.0, 0.001 and 1.0, allowed is at most 0, 0 and more, above 0") {
        try Adafactor($0, decayPower: 1)
    },
    Refusal(text: "ExponentialMovingAverage: decay is 1.0, allowed is 0..<1") { try ExponentialMovingAverage($0, decay: 1) },
]

@Test func settingsOutOfRangeAreRefused() throws {
    let (_, store) = try network()
    for refusal in refusals {
        let error = #expect(throws: TensorError.self) { _ = try refusal.make(store) }
        #expect(error?.description == refusal.text)
    }
}

@Test func aSlowStartForgetsTheFirstWeightsSoon() throws {
    let (net, store) = try network()
    let average = try ExponentialMovingAverage(store, decay: 0.999, startsSlowly: true)
    try store.values.setInPlace(to: 1)
    let before = try average.applied(to: net).weight.elements()
    try average.update()
    let after = try average.applied(to: net).weight.elements()
    // The first update keeps a tenth.
    #expect(zip(before, after).allSatisfy { abs($1 - (0.1 * $0 + 0.9)) <= 1e-6 })
}

@Test(arguments: [
    { try SGD($0, learningRate: 0.1, momentum: 0.9) }, { try LAMB($0, learningRate: 0.1) }, { try Adagrad($0, learningRate: 0.1) },
    { try RMSprop($0, learningRate: 0.1, momentum: 0.5, isCentred: true) }, { try Adafactor($0) },
] as [@Sendable (ParameterStore) throws -> any Optimizer])
func everyOptimiserGoesOnFromItsCheckpoint(_ make: @Sendable (ParameterStore) throws -> any Optimizer) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let x = try Tensor([Float(1), 2, 3, -1, 0.5, 2], [2, 3])
    func step(_ net: Linear, _ optimizer: some Optimizer, _ average: ExponentialMovingAverage) throws {
        try optimizer.parameters.clearGradients()
        try net(x, in: .prediction).squared().sum().backward()
        try optimizer.step()
        try average.update()
    }
    let (net, store) = try network()
    let optimizer = try make(store), average = try ExponentialMovingAverage(store, decay: 0.5)
    try step(net, optimizer, average)
    try Checkpoint.save(net, optimizer, average: average, notes: ["steps": "1"], to: path)
    try step(net, optimizer, average)
    let (fresh, other) = try network()
    var resumed = fresh
    let second = try make(other), secondAverage = try ExponentialMovingAverage(other, decay: 0.5)
    #expect(try Checkpoint.load(&resumed, second, average: secondAverage, from: path) == ["steps": "1"])
    try step(resumed, second, secondAverage)
    #expect(try resumed.weight.elements() == net.weight.elements())
    #expect(try secondAverage.applied(to: resumed).weight.elements() == average.applied(to: net).weight.elements())
}
