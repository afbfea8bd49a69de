public import Keel

/// Stochastic gradient descent with momentum; weight decay is added to the gradient, as torch has it.
///
/// - Source: Sutskever et al., 2013, for Nesterov's momentum.
public struct SGD: Optimizer {
    public let learningRate: Tensor
    private let moments: Moments
    private let steps: [(range: Range<Int>, step: SGDStep)]

    public var parameters: ParameterStore { moments.parameters }

    public init(
        _ parameters: ParameterStore, learningRate: Double, momentum: Double = 0, weightDecay: Double = 0, isNesterov: Bool = false
    ) throws(TensorError) {
        try parameters.refuseTables("SGD")
        try checkSettings("SGD", learningRate: learningRate, shares: [("momentum", momentum)], weightDecay: weightDecay)
        self.learningRate = try Tensor(Float(learningRate))
        moments = try Moments(["velocity"], of: parameters)
        steps = parameters.runs.map { run in
            (run.range, SGDStep(momentum: momentum, decay: run.group.decays ? weightDecay : 0, rateFactor: run.group.rateFactor, isNesterov: isNesterov))
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
