/// A learning rate that is lowered whenever a measure hasn't got better for a while.
///
/// - Source: as torch's `ReduceLROnPlateau` with a relative threshold.
public struct Plateau: Sendable, Hashable, Codable {
    public let factor: Double
    /// So many measures in a row may be no better than the best before the rate is lowered.
    public let patience: Int
    /// By what share of the best a measure has to beat it.
    public let threshold: Double
    /// For so many measures after a lowering, none counts against it.
    public let cooldown: Int
    public let minimum: Double
    public let isLowerBetter: Bool

    public private(set) var learningRate: Double
    private var best: Double?
    private var worse = 0, cooling = 0

    public init(
        from learningRate: Double, factor: Double = 0.1, patience: Int = 10, threshold: Double = 1e-4, cooldown: Int = 0, minimum: Double = 0,
        isLowerBetter: Bool = true
    ) {
        self.learningRate = learningRate
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.cooldown = cooldown
        self.minimum = minimum
        self.isLowerBetter = isLowerBetter
    }

    /// Takes a measure, as the loss on validation data after an epoch; NaN is no better than anything.
    ///
    /// - Returns: the learning rate from now on.
    @discardableResult
    public mutating func record(_ measure: Double) -> Double {
        if isBetter(measure) {
            best = measure
            worse = 0
        } else {
            worse += 1
        }
        if cooling > 0 {
            cooling -= 1
            worse = 0
        }
        if worse > patience {
            // A change in the last digits isn't worth one.
            if learningRate - max(learningRate * factor, minimum) > 1e-8 { learningRate = max(learningRate * factor, minimum) }
            cooling = cooldown
            worse = 0
        }
        return learningRate
    }

    /// What changes, as text.
    var notes: [String: String] {
        get { ["learning_rate": "\(learningRate)", "best": best.map { "\($0)" } ?? "none", "worse": "\(worse)", "cooling": "\(cooling)"] }
        set {
            learningRate = newValue["learning_rate"].flatMap { Double($0) } ?? learningRate
            best = newValue["best"].flatMap { Double($0) }
            worse = newValue["worse"].flatMap { Int($0) } ?? 0
            cooling = newValue["cooling"].flatMap { Int($0) } ?? 0
        }
    }

    private func isBetter(_ measure: Double) -> Bool {
        guard let best else { return !measure.isNaN }
        return isLowerBetter ? measure < best * (1 - threshold) : measure > best * (1 + threshold)
    }
}
