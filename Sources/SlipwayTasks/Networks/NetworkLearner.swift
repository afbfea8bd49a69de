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
    private var members: [Member] = []
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
        patience = kind == .tableNetwork || kind == .tableLinear ? recipe.integer("patience") : .max / 2
        slice = switch kind {
        case .imported: 1
        case .resnet: 4
        default: 16
        }
        let link = Link(forNetworks: data)
        self.link = link
        lane = Lane(name: "network")
        let source = try Source(data, recipe, directory: directory, models: models, base: base, threads: threads, lane: lane)
        let input = source.input
        self.input = input
        let outputs = data.outputs
        let isFrozen = base?.choice?.isFrozen ?? false
        if kind == .imported, base?.choice?.head == .keep, isFrozen || recipe.number("backbone_rate") == 0 { throw FineTuning.nothingLeft }
        let shape = if let base, kind == .imported {
            // A checkpoint knows it.
            try checkpoint.flatMap(Self.shape(of:)) ?? base.shape(classes: outputs)
        } else {
            NetworkShape(recipe, input, outputs: outputs)
        }
        self.shape = shape
        let labels = data.task.isClassification ? data.labels.map { Float($0) } : data.values.map(link.scaled)
        judgedLabels = data.folds.judged.map { labels[$0] }
        let batch = recipe.integer("batch_size")
        steps = (0..<data.folds.members).map { max(data.folds.trained(by: $0).count / batch, 1) }.max() ?? 1
        // Products of tables are too small to be shared between threads.
        let share = if case .rows = input { 1 } else { threads }
        let training = Training(recipe, labels: labels, isClassification: data.task.isClassification, isFrozen: isFrozen)
        members = try onLane(data.folds.members) { [folds = data.folds, steps] index in
            Threads.count = share
            return try Member(
                index, shape: shape, base: base, source: source, training: training, trained: folds.trained(by: index),
                judged: folds.judged(by: index), steps: steps)
        }
        if let checkpoint { try restore(checkpoint) }
    }

    private func onLane<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (_ member: Int) throws -> Result
    ) throws -> [Result] {
        func run() throws -> [Result] { try Lane.run((0..<count).map { member in (lane, { try body(member) }) }) }
        return kind == .imported ? try FineTuning.computing(run) : try run()
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
        let link = Link(forNetworks: data), encoder = try recipe.template.network.encoder(from: models)
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

/// What a learner learns from, prepared once as far as memory allows: features, or the pictures themselves.
private struct Source: Sendable {
    let input: NetworkInput
    let features: Features
    let pictures: Pictures
    let augmentation: PictureAugmentation?
    let seed: UInt64

    enum Pictures: Sendable {
        case decoded([Picture])
        /// Too many to be kept: decoded whenever they are learned from.
        case files([URL], PicturePreparation)

        subscript(item: Int) -> Picture {
            get throws {
                switch self {
                case .decoded(let pictures): pictures[item]
                case .files(let files, let preparation): try preparation.picture(decoding: [UInt8](try Data(contentsOf: files[item])))
                }
            }
        }
    }

    enum Features: Sendable {
        /// One item after the other.
        case prepared([Float])
        /// Rows that are encoded whenever they are learned from.
        case rows([[String?]], TableEncoder.Batches)
        case none
    }

    /// Features beyond so many bytes aren't kept: one indicator a category makes much of a long table.
    private static let mostPreparedBytes = 512 << 20

    init(_ data: TrainingData, _ recipe: Recipe, directory: URL, models: ModelStore?, base: BaseModel?, threads: Int, lane: Lane) throws {
        seed = recipe.seed
        switch recipe.template.network {
        case .boostedTrees: preconditionFailure("trees aren't a network of Keel's")
        case .tableNetwork, .tableLinear:
            let rows = data.train.map { $0.row ?? [] }
            let encoder = TableEncoder(profiles: data.columns, target: data.target, rows: rows)
            let waves = recipe.template.network == .tableNetwork ? recipe.integer("frequencies") : 0
            guard encoder.networkWidth(waves: waves) > 0 else { throw Problem.nothingToLearnFrom }
            input = .rows(encoder, waves: waves)
            let batches = TableEncoder.Batches(encoder, waves: waves)
            let bytes = 4 * rows.count * encoder.networkWidth(waves: waves)
            features = bytes <= Self.mostPreparedBytes ? .prepared(batches.networkMatrix(rows)) : .rows(rows, batches)
            (pictures, augmentation) = (.decoded([]), nil)
        case .imported:
            guard let base else { throw BaseModel.missing }
            let files = data.train.map { URL(fileURLWithPath: $0.path ?? "", relativeTo: directory) }, preparation = base.preparation
            input = .planes(preparation)
            features = .none
            let isSmall = preparation.count * files.count <= Self.mostPreparedBytes
            pictures = isSmall ? .decoded(try Self.load(files, threads: threads) { try preparation.picture(decoding: $0) }) : .files(files, preparation)
            augmentation = PictureAugmentation(recipe)
        case .resnet, .pictureFeatures:
            let files = data.train.map { URL(fileURLWithPath: $0.path ?? "", relativeTo: directory) }
            let preparation = try Self.preparation(of: files, recipe.template.input)
            let loaded = try Self.load(files, threads: threads) { try preparation.picture(decoding: $0) }
            if recipe.template.network == .resnet {
                input = .planes(preparation)
                features = .none
                pictures = .decoded(loaded)
                augmentation = PictureAugmentation(recipe)
            } else {
                let rows = loaded.map(PictureFeatures.of)
                let scale = PictureFeatures.Scale(rows)
                input = .features(preparation, scale)
                features = .prepared(rows.flatMap(scale.scaled))
                (pictures, augmentation) = (.decoded([]), nil)
            }
        case .pretrainedFeatures:
            let files = data.train.map { URL(fileURLWithPath: $0.path ?? "", relativeTo: directory) }
            guard let encoder = try recipe.template.network.encoder(from: models) else { preconditionFailure("the template has an encoder") }
            let encode: @Sendable () throws -> [[Float]] = {
                Threads.count = threads
                return try Self.encoded(files, encoder, threads: threads)
            }
            guard let rows = try Lane.run([(lane, encode)]).first else { preconditionFailure("a lane gives what it was handed") }
            let scale = PictureFeatures.Scale(rows)
            input = .encoded(NetworkInput.encoderPreparation, scale)
            features = .prepared(rows.flatMap(scale.scaled))
            (pictures, augmentation) = (.decoded([]), nil)
        }
    }

    /// What the encoder sees in each picture; a few of them are in memory at once.
    private static func encoded(_ files: [URL], _ encoder: PictureEncoder, threads: Int) throws -> [[Float]] {
        let prefetcher = Prefetcher(count: files.count, threads: threads, ahead: 64) { index in
            try NetworkInput.encoderPreparation.picture(decoding: [UInt8](try Data(contentsOf: files[index])))
        }
        var rows: [[Float]] = [], few: [Picture] = []
        while let picture = try prefetcher.next() {
            few.append(picture)
            if few.count < 16 { continue }
            rows += try encoder.rows(of: few)
            few = []
        }
        return rows + (try encoder.rows(of: few))
    }

    /// Pictures are scaled to about their own size, within the template's bounds: a multiple of 8.
    private static func preparation(of files: [URL], _ bounds: PictureInput?) throws -> PicturePreparation {
        let bounds = bounds ?? PictureInput(minimumSide: 16, maximumSide: 64)
        var sides: [Int] = []
        for file in files.prefix(200) {
            let bytes = try Data(contentsOf: file)
            if let header = try? bytes.withUnsafeBytes({ try PictureHeader($0, limits: PictureLimits()) }) {
                sides.append(max(header.width, header.height))
            }
        }
        let median = sides.sorted()[safe: sides.count / 2] ?? bounds.maximumSide
        let side = min(max((median + 7) / 8 * 8, bounds.minimumSide), bounds.maximumSide)
        return PicturePreparation(width: side, height: side, fit: .letterbox(fill: 128), scaling: .symmetric)
    }

    private static func load(
        _ files: [URL], threads: Int, _ decode: @escaping @Sendable ([UInt8]) throws -> Picture
    ) throws -> [Picture] {
        let prefetcher = Prefetcher(count: files.count, threads: threads, ahead: 64) { index in
            try decode([UInt8](try Data(contentsOf: files[index])))
        }
        var pictures: [Picture] = []
        while let picture = try prefetcher.next() { pictures.append(picture) }
        return pictures
    }

    /// The inputs of some training items, changed at random when an epoch is given.
    func values(_ items: ArraySlice<Int>, epoch: Int? = nil) throws -> [Float] {
        if case .planes(let preparation) = input {
            let chosen = try items.map { item -> Picture in
                guard let epoch, let augmentation else { return try pictures[item] }
                var generator = SeededGenerator(seed &+ UInt64(epoch) &* 0x1_0000_01B3, UInt64(item))
                return augmentation.augmented(try pictures[item], using: &generator)
            }
            return NetworkInput.planes(chosen, preparation)
        }
        switch features {
        case .rows(let rows, let batches): return batches.networkMatrix(items.map { rows[$0] })
        case .prepared(let matrix):
            let width = input.sizes.reduce(1, *)
            var values: [Float] = []
            values.reserveCapacity(items.count * width)
            for item in items { values += matrix[item * width..<(item + 1) * width] }
            return values
        case .none: return []
        }
    }
}

extension PictureAugmentation {
    fileprivate init(_ recipe: Recipe) {
        self.init(
            flip: recipe.number("flip") > 0 ? min(recipe.number("flip"), 1) : 0, shift: recipe.number("shift"),
            rotation: recipe.number("rotation"), zoom: recipe.number("zoom"),
            brightness: recipe.number("contrast") / 2, contrast: recipe.number("contrast"))
    }
}

/// The settings that all members share.
private struct Training: Sendable {
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
        let network = recipe.template.network
        labelSmoothing = network == .resnet || network == .imported ? recipe.number("label_smoothing") : 0
        backboneRate = network == .imported && !isFrozen ? recipe.number("backbone_rate") : 0
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
private final class Member: @unchecked Sendable {
    private let index: Int
    private var network: any Layer
    private let optimizer: AdamW
    private let source: Source
    private let training: Training
    private let trained: [Int]
    private let judged: [Int]
    private let steps: Int
    private let sizes: [Int]
    private var order: (epoch: Int, items: [Int]) = (-1, [])
    private var lossSum = 0.0
    private var lossCount = 0.0

    init(
        _ index: Int, shape: NetworkShape, base: BaseModel?, source: Source, training: Training, trained: [Int], judged: [Int], steps: Int
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
        case .imported: preconditionFailure("an imported network's shape is its base's")
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
