import Foundation
import Keel
import KeelModels
import KeelNN
import KeelProgram
import Testing

/// The convolutional network that torch wrote for the acceptance tests: its script says what it is.
private func torchNetwork() throws -> ImportedEstimator {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "AcceptanceTests/Models")
    return try ImportedEstimator(ONNXModel(reading: folder.appending(path: "torch-cnn.onnx").path))
}

/// Convolution, normalisation and a head, as Keel writes them.
private struct Small: Layer {
    var conv: Conv2D
    var norm: BatchNorm
    var head: Linear
    let pools: Bool

    init(pools: Bool = true, using generator: inout Philox) throws(TensorError) {
        conv = try Conv2D(3, 6, kernel: 3, stride: 2, padding: 1, using: &generator)
        norm = try BatchNorm(6)
        head = try Linear(pools ? 6 : 6 * 4 * 4, 4, using: &generator)
        self.pools = pools
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let y = try norm(conv(x, in: context), in: context).silu()
        return try head(pools ? y.globalAveragePool2D().flattened(from: 1) : y.flattened(from: 1), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }

    /// Written as ONNX and read again.
    func imported() throws -> ImportedEstimator {
        let path = FileManager.default.temporaryDirectory.appending(path: "keel-imported-\(UUID()).onnx").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let program = try Program.trace({ try self($0, in: .prediction) }, input: "picture", TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(8), Dimension(8)), .float32))
        try program.writeONNX(to: path, weights: state().map { ($0.name, $0.tensor) })
        return try ImportedEstimator(ONNXModel(reading: path))
    }
}

private func network(_ estimator: ImportedEstimator, newClasses: Int? = nil, seed: UInt64 = 1) throws -> ImportedNetwork {
    var generator = Philox(seed: seed)
    return try ImportedNetwork(estimator, estimator.plan(newClasses.map { .newLayer(outputs: $0) } ?? .scores), using: &generator)
}

private func bits(_ module: some Module, under prefix: String) throws -> [String: [UInt32]] {
    var found: [String: [UInt32]] = [:]
    for part in try module.state() where part.name.hasPrefix(prefix) { found[part.name] = try part.tensor.elements(Float.self).map(\.bitPattern) }
    return found
}

@Test func anImportedGraphWithItsOwnHeadAnswersAsItDidBefore() throws {
    let estimator = try torchNetwork(), kept = try network(estimator)
    #expect(estimator.input == .pictures(channels: 1, height: 8, width: 8, areChannelsLast: false))
    var generator = Philox(seed: 4)
    let grey = try Tensor.normal([5, 1, 8, 8], using: &generator), pictures = try grey.expanded(to: [5, 3, 8, 8])
    let answer = try ImportedModel(estimator.model).run(["image": ONNXValue(grey)])
    guard case .tensor(let scores, _)? = answer.first else { return #expect(Bool(false)) }
    let logits = try kept(pictures, in: .prediction)
    // The softmax is taken off: a loss wants what it is made of.
    for (a, b) in zip(try logits.softmax().elements(Float.self), try scores.elements(Float.self)) { #expect(abs(a - b) < 1e-5) }
}

/// Along a random direction of all weights at once, by central differences of a network without kinks: rounding of float32 leaves three digits of them.
@Test(arguments: 0..<3) func gradientsOfAnImportedGraphAreWhatSmallStepsSay(seed: UInt64) throws {
    var generator = Philox(seed: seed)
    let estimator = try Small(using: &generator).imported(), pictures = try Tensor.normal([4, 3, 8, 8], using: &generator), labels = try Tensor([0, 1, 2, 3] as [Int64])
    func loss(_ network: ImportedNetwork) throws -> Tensor { try network(pictures, in: .prediction).softmaxCrossEntropy(labels) }
    var learning = try network(estimator)
    let parameters = try ParameterStore(&learning)
    try loss(learning).backward()
    let direction = try Tensor.normal(parameters.values.shape, using: &generator)
    let slope = try (direction * parameters.gradients).sum().item(Float.self), start = try parameters.values * 1
    func moved(_ step: Double) throws -> Double {
        try parameters.values.assign(start + direction * step)
        return Double(try loss(learning).item(Float.self))
    }
    let step = 3e-3, difference = try (moved(step) - moved(-step)) / (2 * step)
    #expect(abs(difference - Double(slope)) < 1e-2 * max(abs(difference), 0.1), "\(slope), by steps \(difference)")
}

/// Normalisation by the statistics of the file, in both.
@Test(arguments: [true, false]) func anImportedGraphLearnsAsTheNetworkThatItWasWrittenOf(pools: Bool) throws {
    var generator = Philox(seed: 6)
    var original = try Small(pools: pools, using: &generator), copy = try network(original.imported())
    let pictures = try Tensor.normal([6, 3, 8, 8], using: &generator), labels = try Tensor([0, 1, 2, 3, 0, 1] as [Int64])
    func losses(_ layer: some Layer, _ parameters: ParameterStore) throws -> [Float] {
        let optimizer = try AdamW(parameters, learningRate: 0.01)
        return try (0..<12).map { _ in
            let loss = try layer(pictures, in: .prediction).softmaxCrossEntropy(labels)
            try optimizer.minimise(loss)
            return try loss.item()
        }
    }
    let (own, imported) = try (ParameterStore(&original), ParameterStore(&copy))
    let wanted = try losses(original, own), found = try losses(copy, imported)
    #expect(wanted[11] < 0.9 * wanted[0])
    for (a, b) in zip(wanted, found) { #expect(abs(a - b) < 2e-3 * abs(a), "\(wanted) \(found)") }
}

@Test func aNewHeadLearnsOnAFrozenGraph() throws {
    var generator = Philox(seed: 3)
    let estimator = try torchNetwork()
    var network = try network(estimator, newClasses: 3)
    let before = try bits(network, under: "backbone."), head = try bits(network, under: "head.")
    #expect(before.count == 4 && head.count == 2)
    let parameters = try ParameterStore(&network) { name, _ in name.hasPrefix(ImportedNetwork.backbone) ? nil : ParameterGroup() }
    #expect(parameters.parts.map(\.name) == ["head.weight", "head.bias"])
    let optimizer = try AdamW(parameters, learningRate: 0.05, weightDecay: 0.1)
    let pictures = try Tensor.normal([6, 3, 8, 8], using: &generator), labels = try Tensor([0, 1, 2, 0, 1, 2] as [Int64])
    for step in 0..<20 { try optimizer.minimise(network(pictures, in: .training(seed: 1, step: step)).softmaxCrossEntropy(labels)) }
    #expect(try network(pictures, in: .prediction).shape == [6, 3])
    #expect(try bits(network, under: "backbone.") == before)
    #expect(try bits(network, under: "head.") != head)
    // The model's own numbers stay, whatever is trained upon them.
    #expect(try bits(ImportedNetwork(estimator, estimator.plan(.newLayer(outputs: 3)), using: &generator), under: "backbone.") == before)
}

@Test func anImportedGraphIsTracedWithItsNewHead() throws {
    let network = try network(torchNetwork(), newClasses: 3)
    let program = try Program.trace(
        { try network($0, in: .prediction) }, input: "x", TensorSpec(Shape(.symbol("batch"), Dimension(3), Dimension(8), Dimension(8)), .float32))
    var generator = Philox(seed: 8)
    for batch in [1, 4] {
        let x = try Tensor.normal([batch, 3, 8, 8], using: &generator)
        for (a, b) in zip(try program.run([x])[0].elements(Float.self), try network(x, in: .prediction).elements(Float.self)) { #expect(abs(a - b) < 1e-5) }
    }
}
