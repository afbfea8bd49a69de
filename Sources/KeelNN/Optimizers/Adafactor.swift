public import Keel

/// Adam's rates from the sums of rows and columns alone: for `n` by `m` weights it keeps `n + m` numbers instead of `2 * n * m`.
///
/// The learning rate is an upper bound: a step moves a parameter by that share of its own root mean square, at most by `1 / √step` of it.
/// It is made of Keel's ordinary primitives and so takes several passes over the weights.
///
/// - Source: Shazeer and Stern, 2018, with the settings of torch's `Adafactor`; parameters of three and more axes are matrices of their last two.
public struct Adafactor: Optimizer {
    public let parameters: ParameterStore
    public let learningRate: Tensor
    private let stepNumber: Tensor
    private let one: Tensor
    private let weightDecay, decayPower, epsilon, leastScale, threshold: Double
    private let variances: [Variance]

    /// The running mean of squared gradients.
    private enum Variance {
        /// Rows `[..., n, 1]` and columns `[..., 1, m]`.
        case factored(rows: Tensor, columns: Tensor)
        case whole(Tensor)
    }

    /// - Parameters:
    ///   - decayPower: the running mean takes `step^decayPower` of each new square.
    ///   - epsilon: the least that a root mean square counts as.
    ///   - leastScale: the least that a parameter's root mean square counts as.
    ///   - threshold: an update whose root mean square is larger is scaled down to it.
    public init(
        _ parameters: ParameterStore, learningRate: Double = 0.01, decayPower: Double = -0.8, epsilon: Double = Double(Float.ulpOfOne),
        leastScale: Double = 1e-3, threshold: Double = 1, weightDecay: Double = 0
    ) throws(TensorError) {
        try parameters.refuseTables("Adafactor")
        try checkSettings("Adafactor", learningRate: learningRate, epsilon: epsilon, weightDecay: weightDecay)
        guard decayPower <= 0, leastScale >= 0, threshold > 0 else {
            throw TensorError(
                .argument(
                    primitive: "Adafactor", name: "decayPower, leastScale and threshold", given: "\(decayPower), \(leastScale) and \(threshold)",
                    allowed: "at most 0, 0 and more, above 0"))
        }
        self.parameters = parameters
        self.learningRate = try Tensor(Float(learningRate))
        (self.weightDecay, self.decayPower, self.epsilon) = (weightDecay, decayPower, epsilon)
        (self.leastScale, self.threshold) = (leastScale, threshold)
        stepNumber = try Tensor(Int64(0))
        one = try Tensor(Int64(1))
        var variances: [Variance] = []
        for part in parameters.parts {
            guard part.shape.rank > 1, let sizes = part.shape.sizes else {
                variances.append(.whole(try .zeros(part.shape)))
                continue
            }
            variances.append(
                .factored(rows: try .zeros(Shape(sizes.dropLast() + [1])), columns: try .zeros(Shape(sizes.dropLast(2) + [1, sizes[sizes.count - 1]]))))
        }
        self.variances = variances
    }

    public func step() throws(TensorError) {
        try stepNumber.assign(stepNumber + one)
        let step = try stepNumber.cast(to: .float32), share = try step.power(decayPower), bound = try step.power(-0.5)
        for (part, variance) in zip(parameters.parts, variances) where part.count > 0 {
            let value = try parameters.view(of: parameters.values, part), gradient = try parameters.view(of: parameters.gradients, part)
            let rate = try learningRate * part.group.rateFactor
            let scale = try value.rootMeanSquare().clipped(from: leastScale, to: .infinity) * rate.minimum(bound)
            let deviation = try estimate(variance, gradient, share).clipped(from: epsilon * epsilon, to: .infinity).squareRoot()
            let direction = try gradient / deviation
            let length = try (direction.rootMeanSquare() / threshold).clipped(from: 1, to: .infinity)
            let kept = part.group.decays ? try value * (1 - rate * weightDecay) : value
            try value.assign(kept - direction * (scale / length))
        }
    }

    /// Moves the running mean by `share` towards the gradient's squares.
    ///
    /// - Returns: what it makes of each number's mean square.
    private func estimate(_ variance: Variance, _ gradient: Tensor, _ share: Tensor) throws(TensorError) -> Tensor {
        let square = try gradient.squared()
        switch variance {
        case .whole(let whole):
            try whole.assign(whole + (square - whole) * share)
            return whole
        case .factored(let rows, let columns):
            try rows.assign(rows + (square.mean([-1], keepingAxes: true) - rows) * share)
            try columns.assign(columns + (square.mean([-2], keepingAxes: true) - columns) * share)
            return try rows * columns / rows.mean([-2], keepingAxes: true).clipped(from: epsilon, to: .infinity)
        }
    }

    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try body("learning_rate", learningRate)
        try body("step", stepNumber)
        for (part, variance) in zip(parameters.parts, variances) {
            switch variance {
            case .whole(let whole): try body("variance.\(part.name)", whole)
            case .factored(let rows, let columns):
                try body("rows.\(part.name)", rows)
                try body("columns.\(part.name)", columns)
            }
        }
    }
}

extension Tensor {
    fileprivate func rootMeanSquare() throws(TensorError) -> Tensor { try squared().mean().squareRoot() }
}
