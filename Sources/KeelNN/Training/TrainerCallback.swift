import Keel

/// Looks on at a training, and may end it or change its learning rate.
public protocol TrainerCallback<Network> {
    associatedtype Network

    /// After each step of the optimiser.
    mutating func afterStep(_ network: Network, _ progress: inout TrainingProgress) throws
    /// After each epoch and its evaluation.
    mutating func afterEpoch(_ network: Network, _ progress: inout TrainingProgress) throws

    /// What it has to remember in a checkpoint.
    var notes: [String: String] { get set }
}

extension TrainerCallback {
    public mutating func afterStep(_ network: Network, _ progress: inout TrainingProgress) throws {}
    public mutating func afterEpoch(_ network: Network, _ progress: inout TrainingProgress) throws {}
    public var notes: [String: String] {
        get { [:] }
        set {}
    }
}

extension TrainingProgress {
    /// A measure of the last evaluation, or, as `training_loss`, the last epoch's loss.
    func measure(_ name: String) throws(TensorError) -> Double {
        if let value = measures[name] ?? (name == "training_loss" ? epochLoss : nil) { return value }
        let known = (measures.keys.sorted() + ["training_loss"]).joined(separator: ", ")
        throw TensorError(.argument(primitive: "Trainer", name: "measure", given: name, allowed: known))
    }
}

/// Ends a training whose measure hasn't got better for `patience` epochs; and, if asked, writes each best network to a file.
public struct EarlyStopping<Network: Module>: TrainerCallback {
    public let measure: String
    public let patience: Int
    /// By how much a measure has to be better than the best.
    public let margin: Double
    public let isLowerBetter: Bool
    public let bestPath: String?
    private var best = Double.nan, worse = 0

    public init(on measure: String, patience: Int, margin: Double = 0, isLowerBetter: Bool = true, savingBestTo bestPath: String? = nil) {
        self.measure = measure
        self.patience = patience
        self.margin = margin
        self.isLowerBetter = isLowerBetter
        self.bestPath = bestPath
    }

    public mutating func afterEpoch(_ network: Network, _ progress: inout TrainingProgress) throws {
        let value = try progress.measure(measure)
        if best.isNaN || (isLowerBetter ? value < best - margin : value > best + margin) {
            best = value
            worse = 0
            if let bestPath { try network.save(to: bestPath) }
        } else {
            worse += 1
            if worse >= patience { progress.isStopped = true }
        }
    }

    public var notes: [String: String] {
        get { ["best": "\(best)", "worse": "\(worse)"] }
        set {
            best = newValue["best"].flatMap { Double($0) } ?? .nan
            worse = newValue["worse"].flatMap { Int($0) } ?? 0
        }
    }
}

/// Lowers the learning rate of a training without a schedule by a `Plateau` of a measure.
public struct LoweringOnPlateau<Network: Module>: TrainerCallback {
    public let measure: String
    private var plateau: Plateau

    public init(on measure: String, _ plateau: Plateau) {
        self.measure = measure
        self.plateau = plateau
    }

    public mutating func afterEpoch(_ network: Network, _ progress: inout TrainingProgress) throws {
        progress.learningRate = plateau.record(try progress.measure(measure))
    }

    public var notes: [String: String] {
        get { plateau.notes }
        set { plateau.notes = newValue }
    }
}

/// Tells how the training goes: after every so many steps, and after each epoch.
public struct ProgressReport<Network: Module>: TrainerCallback {
    public let everySteps: Int
    private let write: (String) -> Void

    public init(everySteps: Int, to write: @escaping (String) -> Void = { print($0) }) {
        self.everySteps = max(everySteps, 1)
        self.write = write
    }

    public mutating func afterStep(_ network: Network, _ progress: inout TrainingProgress) {
        guard progress.step % everySteps == 0 else { return }
        write("step \(progress.step)  epoch \(progress.epoch)  loss \(rounded(progress.loss))  learning rate \(rounded(progress.learningRate))")
    }

    public mutating func afterEpoch(_ network: Network, _ progress: inout TrainingProgress) {
        let measures = progress.measures.sorted { $0.key < $1.key }.map { "  \($0.key) \(rounded($0.value))" }.joined()
        write("epoch \(progress.epoch)  training loss \(rounded(progress.epochLoss))\(measures)")
    }

    /// With four digits.
    private func rounded(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return "\(value)" }
        var scale = 1.0
        while abs(value) * scale < 1000 { scale *= 10 }
        return "\((value * scale).rounded() / scale)"
    }
}
