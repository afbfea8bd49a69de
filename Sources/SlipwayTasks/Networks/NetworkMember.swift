internal import Foundation
internal import Keel
internal import KeelModels
internal import KeelNN

/// The settings that all members share.
struct NetworkTraining: Sendable {
    let seed: UInt64
    let learningRate: Double
    let weightDecay: Double
    let labelSmoothing: Double
    let labels: [Float]
    let isClassification: Bool
    /// The share of the learning rate that an imported model's own weights learn with; 0 keeps them as they are.
    private let backboneRate: Double

    init(_ recipe: Recipe, labels: [Float], isClassification: Bool, isFrozen: Bool) {
        seed = recipe.seed
        learningRate = recipe.number("learning_rate")
        weightDecay = recipe.number("weight_decay")
        let known = recipe.template.network.hyperparameters
        labelSmoothing = known["label_smoothing"] == nil ? 0 : recipe.number("label_smoothing")
        backboneRate = known["backbone_rate"] == nil || isFrozen ? 0 : recipe.number("backbone_rate")
        self.labels = labels
        self.isClassification = isClassification
    }

    /// Biases and normalisations aren't drawn towards zero.
    func group(_ name: String, _ shape: Shape) -> ParameterGroup? {
        guard name.hasPrefix(ImportedNetwork.backbone) else { return ParameterGroup(decays: shape.rank > 1) }
        return backboneRate > 0 ? ParameterGroup(rateFactor: backboneRate, decays: shape.rank > 1) : nil
    }
}

/// One network with its optimiser. Used on its own lane only.
final class NetworkMember: @unchecked Sendable {
    private let index: Int
    private var network: any Layer
    private let optimizer: AdamW
    private let source: NetworkSource
    private let training: NetworkTraining
    private let trained: [Int]
    private let judged: [Int]
    private let steps: Int
    private let sizes: [Int]
    private var order: (epoch: Int, items: [Int]) = (-1, [])
    private var lossSum = 0.0
    private var lossCount = 0.0

    init(
        _ index: Int, shape: NetworkShape, base: BaseModel?, source: NetworkSource, training: NetworkTraining, trained: [Int], judged: [Int], steps: Int
    ) throws {
        self.index = index
        self.source = source
        self.training = training
        self.trained = trained
        self.judged = judged
        self.steps = steps
        sizes = source.input.sizes
        let network = try shape.network(seed: training.seed &+ UInt64(index), base: base)
        func store<L: Layer>(_ layer: L) throws -> (any Layer, ParameterStore) {
            var layer = layer
            let store = try ParameterStore(&layer, groups: training.group)
            return (layer, store)
        }
        let (layer, parameters) = try store(network)
        self.network = layer
        optimizer = try AdamW(
            parameters, learningRate: training.learningRate, weightDecay: training.weightDecay)
    }

    func learn(_ epoch: Int, from step: Int, _ rates: [Double]) throws {
        if order.epoch != epoch {
            var generator = SeededGenerator(training.seed &+ UInt64(index) &* 0x9E37_79B9, UInt64(epoch))
            order = (epoch, trained.shuffled(using: &generator))
            (lossSum, lossCount) = (0, 0)
        }
        for (offset, rate) in rates.enumerated() {
            let at = step + offset
            let items = order.items[at * order.items.count / steps..<(at + 1) * order.items.count / steps]
            guard items.count > 1 || order.items.count == 1 else { continue }
            let x = try Tensor(try source.values(items, epoch: epoch), Shape([items.count] + sizes))
            let context = try Context.training(seed: training.seed &+ UInt64(index), step: epoch * steps + at)
            try optimizer.setLearningRate(training.learningRate * rate)
            let outputs = try network(x, in: context)
            let loss: Tensor
            if training.isClassification {
                let labels = try Tensor(items.map { Int64(training.labels[$0]) })
                loss = try outputs.softmaxCrossEntropy(labels, labelSmoothing: training.labelSmoothing)
            } else {
                let targets = try Tensor(items.map { training.labels[$0] }, [items.count, 1])
                loss = try outputs.meanSquaredError(targets)
            }
            try loss.backward()
            try optimizer.parameters.clipGradients(toNorm: 5)
            try optimizer.step()
            try optimizer.parameters.clearGradients()
            lossSum += Double(try loss.item(Float.self))
            lossCount += 1
        }
    }

    func judge() throws -> (margins: [Float], state: Data, trainingLoss: Double) {
        let scorer = NetworkScorer(network: network, input: source.input, link: Link.none)
        var margins: [Float] = []
        let atOnce = min(256, PredictionBatch.count(of: sizes.reduce(1, *)))
        for start in stride(from: 0, to: judged.count, by: atOnce) {
            margins += try scorer.margins(of: source.values(judged[start..<min(start + atOnce, judged.count)]))
        }
        return (margins, try network.stateBytes(), lossCount > 0 ? lossSum / lossCount : .nan)
    }

    /// The network's and the optimiser's state.
    func wholeState() throws -> Data {
        var bytes = try network.stateBytes()
        try optimizer.forEachState { (_, tensor) throws(TensorError) in
            try tensor.withBytes { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    func restore(_ state: Data) throws {
        var rest = state[...]
        try network.takeState(from: &rest)
        try optimizer.forEachState { (_, tensor) throws(TensorError) in try tensor.take(from: &rest) }
        guard rest.isEmpty else { throw CheckpointMismatch() }
    }
}

extension Layer {
    /// All state, a tensor's bytes after the other's, in the layer's order.
    func stateBytes() throws -> Data {
        var bytes = Data()
        for part in try state() { try part.tensor.withBytes { bytes.append(contentsOf: $0) } }
        return bytes
    }

    /// - Errors: `CheckpointMismatch` when the bytes aren't as many as this network's.
    mutating func takeState(_ bytes: Data) throws {
        var rest = bytes[...]
        try takeState(from: &rest)
        guard rest.isEmpty else { throw CheckpointMismatch() }
    }

    mutating func takeState(from rest: inout Data) throws {
        guard try state().reduce(0, { $0 + $1.tensor.count * $1.tensor.dtype.width }) <= rest.count else {
            throw CheckpointMismatch()
        }
        try forEachState { (_, _, tensor) throws(TensorError) in try tensor.take(from: &rest) }
    }
}

extension Tensor {
    /// Overwrites this tensor with the first bytes, and takes them away.
    fileprivate func take(from rest: inout Data) throws(TensorError) {
        let bytes = Data(rest.prefix(count * dtype.width))
        rest = rest.dropFirst(bytes.count)
        func values<T: TensorElement>(_: T.Type) -> [T] {
            [T](unsafeUninitializedCapacity: count) { buffer, initialized in
                initialized = bytes.copyBytes(to: buffer) / MemoryLayout<T>.stride
            }
        }
        switch dtype {
        case .int64: try assign(Tensor(values(Int64.self), shape))
        default: try assign(Tensor(values(Float.self), shape))
        }
    }
}
