internal import Foundation
internal import Keel
internal import KeelData
internal import KeelModels
internal import KeelNN
internal import SlipwayDomain

/// Trains Keel networks: one member a fold, with AdamW and one cycle of the learning rate a
/// rung. The state that judged best at an epoch's end is the one that counts.
final class NetworkLearner: Learner {
    private let data: TrainingData
    private let kind: NetworkKind
    private let link: Link
    private let shape: NetworkShape
    private let input: NetworkInput
    /// Keel computes on one thread, with a team of its own.
    private let lane: Lane
    private let epochs: Int
    private let patience: Int
    private let slice: Int
    private var members: [NetworkMember] = []
    private let judgedLabels: [Float]

    private var epoch = 0
    /// Slices of the current epoch that are done; every member is as far.
    private var step = 0
    private let steps: Int
    private var best = (epoch: -1, loss: Double.infinity, margins: [Float](), states: [Data]())
    /// Whether something was learned since the last judgement.
    private var isStale = true
    private var judgeSeconds = 0.0
    private(set) var hasDiverged = false

    var resource: Double { Double(epoch) + Double(step) / Double(steps) }
    var isFinished: Bool { epoch >= epochs || epoch - 1 - best.epoch >= patience || hasDiverged }

    init(
        _ data: TrainingData, _ recipe: Recipe, directory: URL, models: ModelStore?, base: BaseModel?, threads: Int, checkpoint: TrialCheckpoint?
    ) throws {
        self.data = data
        kind = recipe.template.network
        epochs = recipe.integer("epochs")
        patience = kind.hyperparameters["patience"] == nil ? .max / 2 : recipe.integer("patience")
        slice = switch kind {
        case .imported, .importedTable: 1
        case .resnet: 4
        default: 16
        }
        let link = Link(forNetworks: data, base: base)
        self.link = link
        lane = Lane(name: "network")
        let source = try NetworkSource(data, recipe, directory: directory, models: models, base: base, threads: threads, lane: lane)
        let input = source.input
        self.input = input
        let isFrozen = base?.choice?.isFrozen ?? false
        if kind.hasBase, base?.choice?.head == .keep, isFrozen || recipe.number("backbone_rate") == 0 { throw FineTuning.nothingLeft }
        let shape = if let base, kind.hasBase {
            // A checkpoint knows it.
            try checkpoint.flatMap(Self.shape(of:)) ?? base.shape(for: link)
        } else {
            NetworkShape(recipe, input, outputs: data.outputs)
        }
        self.shape = shape
        let labels = data.task.isClassification ? data.labels.map { Float($0) } : data.values.map(link.scaled)
        judgedLabels = data.folds.judged.map { labels[$0] }
        let batch = recipe.integer("batch_size")
        steps = (0..<data.folds.members).map { max(data.folds.trained(by: $0).count / batch, 1) }.max() ?? 1
        // Products of tables are too small to be shared between threads, but for those of a model from elsewhere.
        let share = if case .rows = input, !kind.hasBase { 1 } else { threads }
        let training = NetworkTraining(recipe, labels: labels, isClassification: data.task.isClassification, isFrozen: isFrozen)
        members = try onLane(data.folds.members) { [folds = data.folds, steps] index in
            Threads.count = share
            return try NetworkMember(
                index, shape: shape, base: base, source: source, training: training, trained: folds.trained(by: index),
                judged: folds.judged(by: index), steps: steps)
        }
        if let checkpoint { try restore(checkpoint) }
    }

    private func onLane<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (_ member: Int) throws -> Result
    ) throws -> [Result] {
        func run() throws -> [Result] { try Lane.run((0..<count).map { member in (lane, { try body(member) }) }) }
        return kind.hasBase ? try FineTuning.computing(run) : try run()
    }

    func advance(_ rung: RungSpan) throws -> [Measurement] {
        var rung = rung
        // The last judgement of the rung must fit in as well.
        rung.seconds = rung.seconds.map { $0 - 1.3 * judgeSeconds }
        let started = ContinuousClock.now
        repeat {
            let end = min(step + slice, steps)
            let rates = (step..<end).map { Self.rate(at: rung.fraction(at: Double(epoch) + Double($0) / Double(steps))) }
            _ = try onLane(members.count) { [members, epoch, step] in try members[$0].learn(epoch, from: step, rates) }
            step = end
            isStale = true
            if step == steps {
                epoch += 1
                step = 0
                return try judge()
            }
        } while !rung.isOver && (ContinuousClock.now - started).seconds < 0.5
        return rung.isOver ? try judge() : []
    }

    /// One cycle: up over the first sixth, then down along a cosine to nearly nothing.
    private static func rate(at fraction: Double) -> Double {
        let rise = 0.15
        if fraction < rise { return 0.05 + 0.95 * fraction / rise }
        return 0.001 + 0.999 * (0.5 + 0.5 * cos(.pi * (fraction - rise) / (1 - rise)))
    }

    private func judge() throws -> [Measurement] {
        guard isStale else { return [] }
        let start = ContinuousClock.now
        let results = try onLane(members.count) { [members] in try members[$0].judge() }
        let margins = results.flatMap(\.margins)
        isStale = false
        judgeSeconds = max(judgeSeconds, (ContinuousClock.now - start).seconds)
        guard margins.allSatisfy(\.isFinite) else {
            // Weights that aren't finite never become so again: the best state before is the result.
            hasDiverged = true
            guard best.epoch >= 1 else { throw Problem.diverged }
            return []
        }
        let loss = link.loss(margins, judgedLabels)
        // What a checkpoint judged in the middle of the first epoch, whenever that was, gives way to the first whole epoch: no
        // clock may choose the weights.
        if loss < best.loss || best.epoch < 1 { best = (epoch, loss, margins, results.map(\.state)) }
        let training = results.map(\.trainingLoss).reduce(0, +) / Double(max(results.count, 1))
        return [
            Measurement(name: link.lossName, value: loss, step: resource),
            Measurement(name: "training_loss", value: training, step: resource),
        ].filter { $0.value.isFinite }
    }

    func validation() throws -> Predictions {
        if best.epoch < 0 { _ = try judge() }
        return Predictions(width: data.outputs, values: link.answers(best.margins))
    }

    // MARK: Checkpoints

    func checkpoint() throws -> TrialCheckpoint {
        if best.epoch < 0 { _ = try judge() }
        var sections = ["margins": best.margins.withUnsafeBytes { Data($0) }]
        let states = try onLane(members.count) { [members] in try members[$0].wholeState() }
        for (index, state) in states.enumerated() { sections["member\(index)"] = state }
        for (index, state) in best.states.enumerated() { sections["best\(index)"] = state }
        sections["shape"] = try JSONEncoder().encode(shape)
        sections["input"] = try JSONEncoder().encode(input)
        return TrialCheckpoint(
            network: kind,
            state: [
                "epoch": .integer(epoch), "step": .integer(step), "best": .integer(best.epoch),
                "loss": best.loss.isFinite ? .number(best.loss) : .null, "stale": .bool(isStale),
            ], sections: sections)
    }

    private func restore(_ checkpoint: TrialCheckpoint) throws {
        guard let epoch = checkpoint.state["epoch"]?.intValue, let step = checkpoint.state["step"]?.intValue,
            let bestEpoch = checkpoint.state["best"]?.intValue, let margins = checkpoint.sections["margins"]?.floats,
            margins.count == judgedLabels.count * shape.outputs, (0..<steps).contains(step)
        else { throw CheckpointMismatch() }
        let states = try (0..<members.count).map { index in
            guard let state = checkpoint.sections["best\(index)"] else { throw CheckpointMismatch() }
            return state
        }
        _ = try onLane(members.count) { [members] index in
            guard let state = checkpoint.sections["member\(index)"] else { throw CheckpointMismatch() }
            try members[index].restore(state)
            return true
        }
        (self.epoch, self.step) = (epoch, step)
        best = (bestEpoch, checkpoint.state["loss"]?.doubleValue ?? .infinity, margins, states)
        isStale = checkpoint.state["stale"] == .bool(true)
    }

    private static func shape(of checkpoint: TrialCheckpoint) throws -> NetworkShape? {
        try checkpoint.sections["shape"].map { try JSONDecoder().decode(NetworkShape.self, from: $0) }
    }

    /// The members as a checkpoint holds them, as they were at their best.
    static func scorers(
        _ data: TrainingData, _ recipe: Recipe, _ checkpoint: TrialCheckpoint, models: ModelStore?, base: BaseModel?
    ) throws -> ([NetworkScorer], NetworkShape) {
        guard let shape = try shape(of: checkpoint), let inputBytes = checkpoint.sections["input"] else { throw CheckpointMismatch() }
        let input = try JSONDecoder().decode(NetworkInput.self, from: inputBytes)
        let link = Link(forNetworks: data, base: base), encoder = try recipe.template.network.encoder(from: models)
        let scorers = try (0..<data.folds.members).map { index in
            guard let state = checkpoint.sections["best\(index)"] else { throw CheckpointMismatch() }
            var network = try shape.network(seed: 0, base: base)
            try network.takeState(state)
            return NetworkScorer(network: network, input: input, link: link, encoder: encoder)
        }
        return (scorers, shape)
    }
}

extension Problem {
    fileprivate static func missingWeights(of model: PretrainedModel) -> Problem {
        Problem(
            422, "train-no-weights", title: "The template's weights aren't on the worker's machine",
            detail: "the template starts from \(model.name): 'slipway models pull \(model.name)' there fetches it")
    }

    fileprivate static func damagedWeights(_ error: ModelPullError) -> Problem {
        Problem(422, "train-no-weights", title: "The template's weights on the worker's machine aren't whole", detail: error.description)
    }

    fileprivate static let diverged = Problem(
        422, "train-diverged", title: "The training has diverged",
        detail: "the network's weights grew beyond all bounds before it had learned anything: a smaller learning rate may help")
}

extension NetworkShape {
    fileprivate init(_ recipe: Recipe, _ input: NetworkInput, outputs: Int) {
        let inputs = input.sizes[0]
        switch recipe.template.network {
        case .boostedTrees, .tableLinear, .pictureFeatures, .pretrainedFeatures:
            self.init(kind: .linear, inputs: inputs, outputs: outputs)
        case .tableNetwork:
            self.init(
                kind: .residualPerceptron, inputs: inputs, outputs: outputs, width: recipe.integer("width"),
                depth: recipe.integer("blocks"), dropout: recipe.number("dropout"))
        case .resnet:
            self.init(
                kind: .resnet, inputs: inputs, outputs: outputs, width: recipe.integer("width"),
                depth: recipe.integer("depth"), dropout: recipe.number("dropout"), side: input.sizes[1])
        case .imported, .importedTable: preconditionFailure("an imported network's shape is its base's")
        }
    }
}

extension NetworkKind {
    /// The pretrained model whose weights must be in the store.
    var pretrained: PretrainedModel? { self == .pretrainedFeatures ? .efficientNetLite0 : nil }

    /// What pictures go through first; nil where that is nothing.
    ///
    /// - Errors: `Problem` where the store lacks the weights, or has others than those that were pulled.
    func encoder(from models: ModelStore?) throws -> PictureEncoder? {
        guard let model = pretrained else { return nil }
        guard let models else { throw Problem.missingWeights(of: model) }
        do {
            guard try StoredModel.read(model, in: models) != nil else { throw Problem.missingWeights(of: model) }
        } catch let error as ModelPullError {
            throw Problem.damagedWeights(error)
        }
        return try PictureEncoder(from: models)
    }
}
