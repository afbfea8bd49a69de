import Foundation
import Keel
import KeelModels
import KeelNN
import Testing

private func bits(_ tensor: Tensor) throws -> [UInt32] { try tensor.elements().map(\.bitPattern) }

private func bits(_ module: some Module, under prefix: String) throws -> [String: [UInt32]] {
    var found: [String: [UInt32]] = [:]
    for part in try module.state() where part.name.hasPrefix(prefix) { found[part.name] = try bits(part.tensor) }
    return found
}

@Test func aFrozenTrunkStaysBitForBitWhileItsHeadLearns() throws {
    var generator = Philox(seed: 3)
    let trunk = try ThinTrunk(using: &generator)
    var network = try FrozenTrunk(trunk, head: try Linear(16, 3, using: &generator))
    let before = try bits(network, under: "trunk."), head = try bits(network, under: "head.")
    let parameters = try ParameterStore(&network)
    #expect(parameters.parts.map(\.name) == ["head.weight", "head.bias"])
    let optimizer = try AdamW(parameters, learningRate: 0.05, weightDecay: 0.1)
    let pictures = try Tensor.normal([6, 3, 16, 16], using: &generator), labels = try Tensor([0, 1, 2, 0, 1, 2] as [Int64])
    var losses: [Float] = []
    for step in 0..<60 {
        let loss = try network(pictures, in: .training(seed: 1, step: step)).softmaxCrossEntropy(labels)
        losses.append(try loss.item())
        try optimizer.minimise(loss)
    }
    #expect(losses[59] < 0.5 * losses[0], "\(losses[0]) to \(losses[59])")
    #expect(try bits(network, under: "trunk.") == before)
    #expect(try bits(network, under: "head.") != head)
    // A new head is one line, and learns what the old one did, from the trunk as it was.
    network.head = try Linear(16, 2, using: &generator)
    #expect(try network(pictures, in: .prediction).shape == [6, 2])
}

@Test func networksWithOneTrunkAreLoadedEachByItself() throws {
    var generator = Philox(seed: 5)
    let path = FileManager.default.temporaryDirectory.appending(path: "keel-trunk-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let other = try FrozenTrunk(ThinTrunk(using: &generator), head: Linear(16, 3, using: &generator))
    try other.save(to: path)
    let trunk = try ThinTrunk(using: &generator), first = try FrozenTrunk(trunk, head: Linear(16, 3, using: &generator))
    var second = try FrozenTrunk(trunk, head: Linear(16, 3, using: &generator))
    let before = try bits(first, under: "trunk.")
    try second.load(from: path)
    #expect(try bits(second, under: "") == bits(other, under: ""))
    #expect(try bits(first, under: "trunk.") == before)
}

/// The trunk of a residual network, with running statistics that training would move.
private struct ThinTrunk: Layer {
    var trunk: ResNet.Trunk
    init(using generator: inout Philox) throws(TensorError) {
        trunk = try ResNet.Trunk(blocks: [1, 1], isBottleneck: false, width: 8, using: &generator)
    }
    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try trunk(x, in: context) }
    mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try trunk.forEachState(body) }
}

@Test func earlierLayersLearnMoreSlowly() throws {
    var generator = Philox(seed: 4)
    var network = try ResNet(ResNet.Trunk(blocks: [1, 1], isBottleneck: false, width: 4, using: &generator), classes: 2, using: &generator)
    let rates = try LayerwiseRates(network, factor: 0.5)
    #expect(rates.layers == ["trunk.stem", "trunk.stages.0", "trunk.stages.1", "head"])
    #expect(rates.group("trunk.stem.conv.weight", [4, 3, 7, 7]) == ParameterGroup(rateFactor: 0.125))
    #expect(rates.group("trunk.stages.1.0.layers.0.norm.scale", [8]) == ParameterGroup(rateFactor: 0.5, decays: false))
    #expect(rates.group("head.weight", [2, 8]) == ParameterGroup(rateFactor: 1))
    #expect(throws: TensorError.self) { try LayerwiseRates(network, factor: 0) }

    // A step of SGD moves a parameter by its gradient times its own rate.
    let before = try network.copied()
    let parameters = try ParameterStore(&network, groups: rates.group)
    let optimizer = try SGD(parameters, learningRate: 1)
    let pictures = try Tensor.normal([4, 3, 16, 16], using: &generator)
    try network(pictures, in: .prediction).squared().sum().backward()
    let gradients = try network.state().map { try $0.tensor.gradient?.elements() }
    try optimizer.step()
    for ((old, new), gradient) in zip(zip(try before.state(), try network.state()), gradients) {
        guard let gradient, let rate = rates.group(new.name, new.tensor.shape)?.rateFactor else { continue }
        let moved = zip(try old.tensor.elements(), zip(try new.tensor.elements(), gradient))
        // A rounding of the new value, and one of the product.
        #expect(moved.allSatisfy { old, pair in abs(old - Float(rate) * pair.1 - pair.0) <= 1e-5 * max(abs(old), abs(pair.1), 1) }, "\(new.name)")
    }
}
