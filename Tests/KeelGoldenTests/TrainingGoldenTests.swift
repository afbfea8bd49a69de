import Keel
import KeelNN
import Testing

@Test(arguments: ["sgd", "nesterov", "adamw"])
func threeOptimiserStepsAreThoseOfTorch(_ name: String) throws {
    struct Numbers: Layer {
        var value: Tensor
        func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { x }
        mutating func forEachState(_ body: StateVisitor) throws(TensorError) { try body("value", .parameter, &value) }
    }
    let file = try GoldenFile()
    var layer = Numbers(value: try file.tensor("optimizer/start"))
    let parameters = try ParameterStore(&layer)
    let optimizer: any Optimizer = try name == "adamw"
        ? AdamW(parameters, learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1)
        : SGD(parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, isNesterov: name == "nesterov")
    for step in 0..<3 {
        try parameters.clearGradients()
        try (layer.value * file.tensor("optimizer/gradient\(step)")).sum().backward()
        try optimizer.step()
        try expectGolden(layer.value.detached(), file.tensor("optimizer/\(name)\(step)"), "\(name), step \(step)")
    }
}

/// The network of `golden.py`.
private struct Net: Layer {
    var conv: Conv2D
    var norm: BatchNorm
    var embedding: Embedding
    var layerNorm: LayerNorm
    var head: Linear

    init() throws {
        var generator = Philox(seed: 0)
        conv = try Conv2D(2, 9, kernel: 3, padding: 1, hasBias: false, using: &generator)
        norm = try BatchNorm(9)
        embedding = try Embedding(5, 9, using: &generator)
        layerNorm = try LayerNorm(9)
        head = try Linear(9, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let x = try MaxPool(2)(norm(conv(x, in: context), in: context).relu(), in: context)
        return try GlobalAveragePool()(AveragePool(2)(x, in: context), in: context)
    }

    func logits(_ pictures: Tensor, _ words: Tensor, in context: Context) throws -> Tensor {
        try head(layerNorm(self(pictures, in: context) + embedding(words, in: context), in: context), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try conv.forEachState(body, under: "conv")
        try norm.forEachState(body, under: "norm")
        try embedding.forEachState(body, under: "embedding")
        try layerNorm.forEachState(body, under: "layer_norm")
        try head.forEachState(body, under: "head")
    }
}

/// Every layer, both optimisers, and the running statistics. Roundings grow from step to step: Adam divides small gradients by their
/// own size. Ten times the tolerance of a primitive leaves room for that.
@Test(arguments: ["nesterov", "adamw"])
func threeTrainingStepsOfANetworkAreThoseOfTorch(_ name: String) throws {
    let file = try GoldenFile()
    var net = try Net()
    try net.forEachState { (part, _, tensor) throws(TensorError) in
        do { tensor = try file.tensor("training/start/\(part)") } catch { throw TensorError(.custom("\(error)")) }
    }
    let parameters = try ParameterStore(&net)
    let optimizer: any Optimizer = try name == "adamw"
        ? AdamW(parameters, learningRate: 0.01, weightDecay: 0.1)
        : SGD(parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, isNesterov: true)
    let pictures = try file.tensor("training/pictures"), words = try file.tensor("training/words"), labels = try file.tensor("training/labels")
    let losses = try file.tensor("training/\(name)/losses").elements()
    for step in 0..<3 {
        try parameters.clearGradients()
        let loss = try net.logits(pictures, words, in: .training(seed: 1, step: step)).softmaxCrossEntropy(labels)
        #expect(abs(try loss.item() - losses[step]) <= 2e-5 * losses[step])
        try loss.backward()
        try optimizer.step()
    }
    for part in try net.state() {
        try expectGolden(part.tensor.detached(), file.tensor("training/\(name)/\(part.name)"), "\(name), \(part.name)", tolerance: 5e-5)
    }
    let prediction = try net.logits(pictures, words, in: .prediction)
    try expectGolden(prediction.detached(), file.tensor("training/\(name)/prediction"), "\(name), prediction", tolerance: 5e-5)
}
