import Foundation
import Keel
import KeelNN
import Testing

/// A network with all that a checkpoint has to keep: running statistics, dropout, a running mean of the weights.
private struct Net: Layer {
    var first, head: Linear
    var norm: BatchNorm

    init() throws(TensorError) {
        var generator = Philox(seed: 1)
        first = try Linear(4, 12, using: &generator)
        norm = try BatchNorm(12)
        head = try Linear(12, 3, using: &generator)
    }

    func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try head(context.dropped(norm(first(x, in: context), in: context).relu(), rate: 0.3), in: context)
    }

    mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try first.forEachState(body, under: "first")
        try norm.forEachState(body, under: "norm")
        try head.forEachState(body, under: "head")
    }
}

private struct Rows { let inputs, labels: Tensor }

/// 38 rows in another order each epoch, 8 at a time: five batches, the last one of 6.
private struct ShuffledRows: BatchSource {
    let batchesPerEpoch: Int
    private var epoch = 0, batch = 0

    init(batchesPerEpoch: Int = 5) { self.batchesPerEpoch = batchesPerEpoch }

    mutating func seek(epoch: Int, batch: Int) { (self.epoch, self.batch) = (epoch, batch) }

    mutating func next() throws -> Rows {
        if batch == batchesPerEpoch { (epoch, batch) = (epoch + 1, 0) }
        defer { batch += 1 }
        var shuffling = Philox(seed: 5, stream: UInt64(epoch))
        let items = Array((0..<38).shuffled(using: &shuffling)[(batch * 8)..<min(batch * 8 + 8, 38)])
        return Rows(inputs: try Tensor(items.flatMap(Self.row), [items.count, 4]), labels: try Tensor(items.map { Int64($0 % 3) }))
    }

    static func row(_ item: Int) -> [Float] { (0..<4).map { Float((item * ($0 + 3)) % 7) / 3 - 1 + ($0 == item % 3 ? 0.5 : 0) } }
}

private struct Killed: Error {}

/// Ends the process, as far as the trainer can tell.
private struct Kill: TrainerCallback {
    let step: Int
    func afterStep(_ network: Net, _ progress: inout TrainingProgress) throws { if progress.step == step { throw Killed() } }
}

private func trainer(
    _ path: String?, accumulation: Int = 1, schedule: Schedule? = .oneCycle(peak: 0.05, steps: 20), pruning: Pruning.Choice? = nil
) throws -> Trainer<Net, Rows> {
    let trainer = try Trainer(Net(), seed: 7, averageDecay: 0.9, optimizer: { try AdamW($0, learningRate: 0.05) }) { (net: Net, rows: Rows, context) in
        try net(rows.inputs, in: context).softmaxCrossEntropy(rows.labels)
    }
    trainer.schedule = schedule
    trainer.accumulation = accumulation
    trainer.clipping = { try $0.clipGradients(toNorm: 1) }
    trainer.evaluation = { net in
        var source = ShuffledRows(), accuracy = Accuracy()
        source.seek(epoch: 0, batch: 0)
        let rows = try source.next()
        let logits = try net(rows.inputs, in: .prediction)
        try accuracy.update(logits, rows.labels)
        return ["accuracy": accuracy.value, "loss": Double(try logits.softmaxCrossEntropy(rows.labels).item())]
    }
    trainer.callbacks = [EarlyStopping(on: "loss", patience: 100)]
    if let pruning {
        trainer.pruning = try Pruning(pruning, of: trainer.optimizer.parameters, sparsity: .polynomial(from: 0, to: 0.8, power: 3, steps: 15), everySteps: 3)
    }
    if let path { trainer.checkpoint = (path, 2) }
    return trainer
}

private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

/// Killed in the middle of an epoch, at its end, right after a checkpoint and one step after it, and twice in one run.
@Test(arguments: [[3], [4], [5], [10], [11], [3, 9]], [1, 2])
func aResumedRunEndsWithTheSameBytes(kills: [Int], accumulation: Int) throws {
    try withFolder { folder in
        let whole = folder + "/whole", parts = folder + "/parts"
        var source = ShuffledRows()
        try trainer(whole, accumulation: accumulation).train(on: &source, epochs: 4)
        for (number, step) in kills.enumerated() {
            let killed = try trainer(parts, accumulation: accumulation)
            if number > 0 { try killed.restore(from: parts) }
            killed.callbacks.append(Kill(step: step))
            var source = ShuffledRows()
            #expect(throws: Killed.self) { try killed.train(on: &source, epochs: 4) }
        }
        let resumed = try trainer(parts, accumulation: accumulation)
        try resumed.restore(from: parts)
        var rest = ShuffledRows()
        try resumed.train(on: &rest, epochs: 4)
        #expect(try bytes(whole) == bytes(parts))
        #expect(resumed.progress.epoch == 4 && resumed.progress.step == (accumulation == 1 ? 20 : 12))
    }
}

/// Killed between two choices of weights, and right after one: what is out, and stays so, comes back with the checkpoint.
@Test(arguments: [Pruning.Choice.weights, .weightsOfAll, .channels(power: 2)], [5, 10])
func aResumedRunIsPrunedAsIfItHadNeverStopped(choice: Pruning.Choice, kill: Int) throws {
    try withFolder { folder in
        let whole = folder + "/whole", parts = folder + "/parts"
        let straight = try trainer(whole, pruning: choice)
        var source = ShuffledRows()
        try straight.train(on: &source, epochs: 4)
        let killed = try trainer(parts, pruning: choice)
        killed.callbacks.append(Kill(step: kill))
        var first = ShuffledRows()
        #expect(throws: Killed.self) { try killed.train(on: &first, epochs: 4) }
        let resumed = try trainer(parts, pruning: choice)
        try resumed.restore(from: parts)
        #expect(try resumed.pruning?.report() != straight.pruning?.report())
        var rest = ShuffledRows()
        try resumed.train(on: &rest, epochs: 4)
        #expect(try bytes(whole) == bytes(parts))
        #expect(try resumed.pruning?.report() == straight.pruning?.report())
        let weight = try #require(resumed.pruning?.report().first { $0.name == "first.weight" })
        #expect(weight.pruned > weight.count / 2)
        #expect(try resumed.network.first.weight.elements().count { $0 == 0 } == weight.pruned)
    }
}

@Test func aPruningOfOtherParametersIsRefused() throws {
    let trainer = try trainer(nil), other = try Trainer(Net(), seed: 1, optimizer: { try SGD($0, learningRate: 0.1) }) { (net: Net, rows: Rows, context) in
        try net(rows.inputs, in: context).softmaxCrossEntropy(rows.labels)
    }
    trainer.pruning = try Pruning(.weights, of: other.optimizer.parameters, sparsity: .constant(0.5))
    var source = ShuffledRows()
    let refused = TensorError(.argument(primitive: "Trainer", name: "pruning", given: "one of another store", allowed: "one of the optimiser's parameters"))
    #expect(throws: refused) { try trainer.train(on: &source, epochs: 1) }
}

@Test func aSourceThatEndsBeforeTheRestoredPositionIsRefused() throws {
    try withFolder { folder in
        let killed = try trainer(folder + "/run")
        killed.callbacks.append(Kill(step: 5))
        var source = ShuffledRows()
        #expect(throws: Killed.self) { try killed.train(on: &source, epochs: 1) }
        let resumed = try trainer(folder + "/run")
        try resumed.restore(from: folder + "/run")
        #expect(resumed.progress.batch == 4)
        var shorter = ShuffledRows(batchesPerEpoch: 4)
        let allowed = TensorError(.argument(primitive: "Trainer", name: "batchesPerEpoch", given: "4", allowed: "5 and more"))
        #expect(throws: allowed) { try resumed.train(on: &shorter, epochs: 2) }
        resumed.checkpoint?.everySteps = 0
        let steps = TensorError(.argument(primitive: "Trainer", name: "checkpoint.everySteps", given: "0", allowed: "1 and more"))
        #expect(throws: steps) { try resumed.train(on: &source, epochs: 2) }
    }
}

@Test func trainingLearns() throws {
    var source = ShuffledRows()
    let trainer = try trainer(nil, schedule: .constant(0.02))
    try trainer.train(on: &source, epochs: 1)
    let before = try #require(trainer.progress.measures["loss"])
    try trainer.train(on: &source, epochs: 40)
    #expect(try #require(trainer.progress.measures["loss"]) < 0.6 * before)
}

/// The mean of two half batches' gradients is the whole batch's, up to the order of sums; without what depends on the batch.
@Test func accumulatedGradientsAreThoseOfTheWholeBatch() throws {
    struct Halves: BatchSource {
        let batchesPerEpoch: Int
        var at = 0
        mutating func seek(epoch: Int, batch: Int) { at = batch }
        mutating func next() throws -> Rows {
            let size = 12 / batchesPerEpoch, items = (at % batchesPerEpoch) * size..<(at % batchesPerEpoch) * size + size
            at += 1
            return Rows(inputs: try Tensor(items.flatMap(ShuffledRows.row), [size, 4]), labels: try Tensor(items.map { Int64($0 % 3) }))
        }
    }
    func run(_ parts: Int) throws -> [Float] {
        var generator = Philox(seed: 1)
        let trainer = try Trainer(Linear(4, 3, using: &generator), seed: 1, optimizer: { try SGD($0, learningRate: 0.1) }) { (net: Linear, rows: Rows, context) in
            try net(rows.inputs, in: context).softmaxCrossEntropy(rows.labels)
        }
        trainer.accumulation = parts
        var source = Halves(batchesPerEpoch: parts)
        try trainer.train(on: &source, epochs: 3)
        return try trainer.network.weight.elements()
    }
    #expect(try zip(run(1), run(3)).allSatisfy { abs($0 - $1) <= 1e-6 })
}

@Test func aTrainingThatGetsNoBetterIsStoppedAndItsBestKept() throws {
    try withFolder { folder in
        let measures = [3.0, 2, 2.5, 1, 1.5, 1, 4, 0]
        let trainer = try trainer(nil)
        var epoch = 0
        trainer.evaluation = { _ in
            epoch += 1
            return ["loss": measures[epoch - 1]]
        }
        trainer.callbacks = [EarlyStopping(on: "loss", patience: 3, savingBestTo: folder + "/best")]
        var source = ShuffledRows()
        try trainer.train(on: &source, epochs: 8)
        #expect(trainer.progress.epoch == 7)
        #expect(trainer.progress.isStopped)
        var best = try Net()
        try best.load(from: folder + "/best")
        trainer.callbacks = [EarlyStopping(on: "f1", patience: 1)]
        let again = try Trainer(Net(), seed: 1, optimizer: { try SGD($0, learningRate: 0.1) }) { (net: Net, rows: Rows, context) in
            try net(rows.inputs, in: context).softmaxCrossEntropy(rows.labels)
        }
        again.callbacks = trainer.callbacks
        let error = #expect(throws: TensorError.self) { try again.train(on: &source, epochs: 1) }
        #expect(error?.description == "Trainer: measure is f1, allowed is training_loss")
    }
}

@Test func aPlateauLowersTheRateAlsoAfterARestore() throws {
    try withFolder { folder in
        func make() throws -> Trainer<Net, Rows> {
            let made = try trainer(nil, schedule: nil)
            made.evaluation = { _ in ["loss": 1] }
            made.callbacks = [LoweringOnPlateau(on: "loss", Plateau(from: 0.05, factor: 0.5, patience: 1))]
            return made
        }
        var source = ShuffledRows()
        let whole = try make()
        try whole.train(on: &source, epochs: 2)
        try whole.save(to: folder + "/run")
        try whole.train(on: &source, epochs: 6)
        #expect(abs(whole.progress.learningRate - 0.0125) <= 1e-12)
        let resumed = try make()
        try resumed.restore(from: folder + "/run")
        try resumed.train(on: &source, epochs: 6)
        #expect(resumed.progress == whole.progress)
    }
}

@Test func aReportSaysHowItGoes() throws {
    var lines: [String] = []
    let trainer = try trainer(nil, schedule: .constant(0.05))
    trainer.evaluation = { _ in ["loss": 0.123456] }
    trainer.callbacks = [ProgressReport(everySteps: 5) { lines.append($0) }]
    var source = ShuffledRows()
    try trainer.train(on: &source, epochs: 1)
    #expect(lines.count == 2)
    #expect(lines[0].hasPrefix("step 5  epoch 0  loss ") && lines[0].contains("learning rate 0.05"))
    #expect(lines[1].hasPrefix("epoch 1  training loss ") && lines[1].hasSuffix("  loss 0.1235"))
}

@Test func aCheckpointOfAnotherSeedIsRefused() throws {
    try withFolder { folder in
        try trainer(nil).save(to: folder + "/run")
        let other = try Trainer(Net(), seed: 8, averageDecay: 0.9, optimizer: { try AdamW($0, learningRate: 0.05) }) { (net: Net, rows: Rows, context) in
            try net(rows.inputs, in: context).softmaxCrossEntropy(rows.labels)
        }
        #expect(throws: TensorError.self) { try other.restore(from: folder + "/run") }
    }
}
