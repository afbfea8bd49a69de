public import Keel

/// Adam whose step for each parameter is as long, relative to the learning rate, as the parameter itself: for large batches.
///
/// - Source: You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, 2020.
public struct LAMB: Optimizer {
    public let learningRate: Tensor
    private let stepNumber: Tensor
    private let one: Tensor
    private let moments: Moments
    private let steps: [(range: Range<Int>, step: LAMBStep)]

    public var parameters: ParameterStore { moments.parameters }

    public init(
        _ parameters: ParameterStore, learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-6,
        weightDecay: Double = 0.01
    ) throws(TensorError) {
        try parameters.refuseTables("LAMB")
        try checkSettings("LAMB", learningRate: learningRate, shares: [("beta1", beta1), ("beta2", beta2)], epsilon: epsilon, weightDecay: weightDecay)
        self.learningRate = try Tensor(Float(learningRate))
        stepNumber = try Tensor(Int64(0))
        one = try Tensor(Int64(1))
        moments = try Moments(["first", "second"], of: parameters)
        steps = parameters.parts.map { part in
            let decay = part.group.decays ? weightDecay : 0
            let step = LAMBStep(beta1: beta1, beta2: beta2, epsilon: epsilon, decay: decay, rateFactor: part.group.rateFactor)
            return (part.start..<part.start + part.count, step)
        }
    }

    public func step() throws(TensorError) {
        try stepNumber.assign(stepNumber + one)
        for (range, step) in steps { try moments.run(step, over: range, learningRate, stepNumber) }
    }

    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try body("learning_rate", learningRate)
        try body("step", stepNumber)
        try moments.forEachState(body)
    }
}
