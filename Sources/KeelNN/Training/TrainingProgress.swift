/// How far a training is, and how it goes.
public struct TrainingProgress: Sendable, Hashable {
    /// Epochs that are done, batches of the next that are done, and steps of the optimiser.
    public internal(set) var epoch = 0, batch = 0, step = 0
    /// The last step's loss; NaN before the first.
    public internal(set) var loss = Double.nan
    /// The mean loss of the last epoch that is done; NaN before.
    public internal(set) var epochLoss = Double.nan
    /// What the evaluation gave at the last epoch's end.
    public internal(set) var measures: [String: Double] = [:]
    /// The last step's; without a schedule a callback may change it for the next.
    public var learningRate = 0.0
    /// Set by a callback that wants the training to end.
    public var isStopped = false

    private var lossSum = 0.0

    mutating func add(loss: Double, batches: Int) {
        self.loss = loss
        lossSum += loss * Double(batches)
        step += 1
    }

    mutating func endEpoch() {
        epochLoss = lossSum / Double(batch)
        lossSum = 0
        batch = 0
        epoch += 1
    }
}

extension TrainingProgress {
    /// As text that `init(_:)` reads; decimal numbers come back exactly.
    var notes: [String: String] {
        var notes = [
            "epoch": "\(epoch)", "batch": "\(batch)", "step": "\(step)", "loss": "\(loss)", "epoch_loss": "\(epochLoss)", "loss_sum": "\(lossSum)",
            "learning_rate": "\(learningRate)", "is_stopped": "\(isStopped)",
        ]
        for (name, value) in measures { notes["measure.\(name)"] = "\(value)" }
        return notes
    }

    init?(_ notes: [String: String]) {
        func number(_ name: String) -> Double? { notes[name].flatMap { Double($0) } }
        func count(_ name: String) -> Int? { notes[name].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil } }
        guard let epoch = count("epoch"), let batch = count("batch"), let step = count("step"), let loss = number("loss"),
            let epochLoss = number("epoch_loss"), let lossSum = number("loss_sum"), let learningRate = number("learning_rate"),
            let isStopped = notes["is_stopped"].flatMap({ Bool($0) })
        else { return nil }
        (self.epoch, self.batch, self.step) = (epoch, batch, step)
        (self.loss, self.epochLoss, self.lossSum) = (loss, epochLoss, lossSum)
        (self.learningRate, self.isStopped) = (learningRate, isStopped)
        for (name, value) in notes where name.hasPrefix("measure.") { measures[String(name.dropFirst(8))] = Double(value) }
    }
}
