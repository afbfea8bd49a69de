public import Keel

/// Gradient descent where each number's rate falls with the sum of its squared gradients so far; weight decay is added to the gradient.
///
/// - Source: Duchi, Hazan and Singer, 2011.
public struct Adagrad: Optimizer {
    public let learningRate: Tensor
    private let moments: Moments
    private let steps: [(range: Range<Int>, step: AdagradStep)]

    public var parameters: ParameterStore { moments.parameters }

    /// - Parameter initialSum: where the sums of squares begin.
    public init(
        _ parameters: ParameterStore, learningRate: Double, initialSum: Double = 0, epsilon: Double = 1e-10, weightDecay: Double = 0
    ) throws(TensorError) {
        try parameters.refuseTables("Adagrad")
        try checkSettings("Adagrad", learningRate: learningRate, epsilon: epsilon, weightDecay: weightDecay)
        guard initialSum >= 0, initialSum.isFinite else {
            throw TensorError(.argument(primitive: "Adagrad", name: "initialSum", given: "\(initialSum)", allowed: "0 and more"))
        }
        self.learningRate = try Tensor(Float(learningRate))
        moments = try Moments(["sum"], of: parameters, initially: initialSum)
        steps = parameters.runs.map { run in
            (run.range, AdagradStep(epsilon: epsilon, decay: run.group.decays ? weightDecay : 0, rateFactor: run.group.rateFactor))
        }
    }

    public func step() throws(TensorError) {
        for (range, step) in steps { try moments.run(step, over: range, learningRate) }
    }

    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try body("learning_rate", learningRate)
        try moments.forEachState(body)
    }
}
