public import Keel

/// Gradient descent by gradients that are divided by the root of their running mean square; weight decay is added to the gradient.
///
/// - Source: Hinton, *Neural Networks for Machine Learning*, lecture 6e, 2012; centred: Graves, 2013; defaults and epsilon's place as in torch.
public struct RMSprop: Optimizer {
    public let learningRate: Tensor
    private let moments: Moments
    private let steps: [(range: Range<Int>, step: RMSpropStep)]

    public var parameters: ParameterStore { moments.parameters }

    /// - Parameters:
    ///   - smoothing: the running mean's share that each step keeps.
    ///   - isCentred: whether the running mean of the gradients is taken off: then it is their deviation that divides.
    public init(
        _ parameters: ParameterStore, learningRate: Double, smoothing: Double = 0.99, momentum: Double = 0, epsilon: Double = 1e-8,
        weightDecay: Double = 0, isCentred: Bool = false
    ) throws(TensorError) {
        try parameters.refuseTables("RMSprop")
        let shares = [("smoothing", smoothing), ("momentum", momentum)]
        try checkSettings("RMSprop", learningRate: learningRate, shares: shares, epsilon: epsilon, weightDecay: weightDecay)
        self.learningRate = try Tensor(Float(learningRate))
        moments = try Moments(["square"] + (momentum > 0 ? ["velocity"] : []) + (isCentred ? ["mean"] : []), of: parameters)
        steps = parameters.runs.map { run in
            let step = RMSpropStep(
                smoothing: smoothing, momentum: momentum, epsilon: epsilon, decay: run.group.decays ? weightDecay : 0,
                rateFactor: run.group.rateFactor, isCentred: isCentred)
            return (run.range, step)
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
