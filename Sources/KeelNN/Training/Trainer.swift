public import Keel

/// The training loop: batches, loss, gradients, optimiser, schedule; and all its state in one file.
///
/// A run that was interrupted and goes on from its checkpoint ends with the same bytes as one that never was: a checkpoint has weights, buffers,
/// optimiser, running mean, what was pruned, the batches' position, the randomness' seed and position, and what callbacks note.
///
/// ```swift
/// let trainer = try Trainer(Net(using: &generator), seed: 1, optimizer: { try AdamW($0, learningRate: 1e-3) }) { (net: Net, batch: Examples, context) in
///     try net(batch.inputs, in: context).softmaxCrossEntropy(batch.labels)
/// }
/// trainer.schedule = .cosine(from: 1e-3, steps: 1000)
/// trainer.clipping = { try $0.clipGradients(toNorm: 1) }
/// trainer.callbacks = [EarlyStopping(on: "loss", patience: 3)]
/// trainer.checkpoint = (path: "run.safetensors", everySteps: 100)
/// if runWasInterrupted { try trainer.restore(from: "run.safetensors") }
/// try trainer.train(on: &batches, epochs: 20)
/// let prediction = try trainer.network(x, in: .prediction)
/// ```
///
/// All of it runs on one thread, which should be a `ComputeLane`'s.
public final class Trainer<Network: Module, Batch> {
    public private(set) var network: Network
    public let optimizer: any Optimizer
    public let average: ExponentialMovingAverage?
    /// Of dropout; each batch of each epoch has its own random numbers.
    public let seed: UInt64
    private let loss: (Network, Batch, Context) throws -> Tensor

    /// The learning rate of each step; without one it is the optimiser's, which a callback may change.
    public var schedule: Schedule?
    /// Of how many batches the gradients' mean makes one step.
    public var accumulation = 1
    /// What is done to the gradients before each step.
    public var clipping: ((ParameterStore) throws -> Void)?
    /// Takes weights out as it goes: they and their gradients are zero at each step, and so is their running mean. It is of the optimiser's store.
    public var pruning: Pruning?
    /// Measures the network at each epoch's end, by name.
    public var evaluation: ((Network) throws -> [String: Double])?
    public var callbacks: [any TrainerCallback<Network>] = []
    /// Where, and how often, the whole state is written; and once more when `train` ends.
    public var checkpoint: (path: String, everySteps: Int)?

    public private(set) var progress = TrainingProgress()

    /// - Parameters:
    ///   - groups: as of `ParameterStore`.
    ///   - averageDecay: for a running mean of the weights.
    ///   - loss: a batch's mean loss, a scalar. What layers leave in the context is added.
    public init(
        _ network: Network, seed: UInt64, groups: (_ name: String, _ shape: Shape) -> ParameterGroup? = { _, _ in ParameterGroup() },
        averageDecay: Double? = nil, optimizer: (ParameterStore) throws -> any Optimizer,
        loss: @escaping (Network, Batch, Context) throws -> Tensor
    ) throws {
        var network = network
        let parameters = try ParameterStore(&network, groups: groups)
        self.network = network
        self.optimizer = try optimizer(parameters)
        average = if let averageDecay { try ExponentialMovingAverage(parameters, decay: averageDecay) } else { nil }
        self.seed = seed
        self.loss = loss
        progress.learningRate = Double(try self.optimizer.learningRate.item(Float.self))
    }

    /// Trains until so many epochs are done in all, counting those before a restore, or until a callback stops it.
    ///
    /// - Throws: `TensorError.argument` for settings that make no step, and for a source whose epochs end before the restored position; and
    ///   what the source, the loss and the callbacks throw.
    public func train(on source: inout some BatchSource<Batch>, epochs: Int) throws {
        try check("accumulation", accumulation, 1...)
        if let checkpoint { try check("checkpoint.everySteps", checkpoint.everySteps, 1...) }
        try check("batchesPerEpoch", source.batchesPerEpoch, (progress.batch + 1)...)
        guard pruning.map({ $0.parameters === optimizer.parameters }) ?? true else {
            throw TensorError(.argument(primitive: "Trainer", name: "pruning", given: "one of another store", allowed: "one of the optimiser's parameters"))
        }
        try source.seek(epoch: progress.epoch, batch: progress.batch)
        while progress.epoch < epochs, !progress.isStopped {
            try step(on: &source)
            for place in callbacks.indices { try callbacks[place].afterStep(network, &progress) }
            if progress.batch >= source.batchesPerEpoch { try endEpoch() }
            if let checkpoint, progress.step % checkpoint.everySteps == 0 { try save(to: checkpoint.path) }
        }
        if let checkpoint { try save(to: checkpoint.path) }
    }

    private func check(_ name: String, _ given: Int, _ allowed: PartialRangeFrom<Int>) throws(TensorError) {
        guard allowed.contains(given) else {
            throw TensorError(.argument(primitive: "Trainer", name: name, given: "\(given)", allowed: "\(allowed.lowerBound) and more"))
        }
    }

    private func step(on source: inout some BatchSource<Batch>) throws {
        let count = min(accumulation, source.batchesPerEpoch - progress.batch)
        var sum = 0.0
        for _ in 0..<count {
            let number = progress.epoch * source.batchesPerEpoch + progress.batch
            let context = try Context.training(seed: seed, step: number)
            var loss = try loss(network, source.next(), context)
            if let more = try context.auxiliaryLoss() { loss = try loss + more }
            try loss.backward(seed: .full(1 / Double(count), loss.shape, loss.dtype))
            sum += try loss.detached().cast(to: .float64).item(Double.self)
            progress.batch += 1
        }
        try pruning?.maskGradients()
        try clipping?(optimizer.parameters)
        if let schedule { progress.learningRate = schedule(progress.step) }
        try optimizer.setLearningRate(progress.learningRate)
        try optimizer.step()
        try pruning?.update(step: progress.step)
        try optimizer.parameters.clearGradients()
        try average?.update()
        if let pruning { try average?.mask(pruning) }
        progress.add(loss: sum / Double(count), batches: count)
    }

    private func endEpoch() throws {
        progress.endEpoch()
        if let evaluation { progress.measures = try noGradThrowing { try evaluation(network) } }
        for place in callbacks.indices { try callbacks[place].afterEpoch(network, &progress) }
    }

    /// Writes the whole state, whole or not at all.
    public func save(to path: String) throws {
        try Safetensors.write(Checkpoint.tensors(network, optimizer, average: average, pruning: pruning), metadata: notes, to: path)
    }

    /// What a checkpoint has beside tensors: seed and progress, and what callbacks note.
    public var notes: [String: String] {
        var notes = progress.notes
        notes["seed"] = "\(seed)"
        for (place, callback) in callbacks.enumerated() {
            for (name, value) in callback.notes { notes["callback.\(place).\(name)"] = value }
        }
        return notes
    }

    /// Takes the whole state from a file. The trainer has to be made like the one that wrote it, its pruning included.
    ///
    /// - Throws: as `Checkpoint.load`; `TensorError.stateMismatch` for another seed, or notes that aren't a trainer's.
    public func restore(from path: String) throws { try restore(from: Safetensors(reading: path)) }

    /// The same of a file that is open, such as a model folder's weights.
    public func restore(from file: Safetensors) throws {
        let notes = try Checkpoint.load(&network, optimizer, average: average, pruning: pruning, from: file)
        guard notes["seed"] == "\(seed)", let progress = TrainingProgress(notes) else {
            throw TensorError(.stateMismatch(name: "seed and progress", expected: "seed \(seed)", given: "\(notes)"))
        }
        self.progress = progress
        for place in callbacks.indices {
            let prefix = "callback.\(place)."
            let own = notes.filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) }
            callbacks[place].notes = Dictionary(uniqueKeysWithValues: own)
        }
    }
}

/// `noGrad` for a body that may throw anything.
private func noGradThrowing<R>(_ body: () throws -> R) throws -> R {
    let result = try noGrad { () throws(TensorError) in Result { try body() } }
    return try result.get()
}
