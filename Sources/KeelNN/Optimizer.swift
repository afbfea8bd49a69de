public import Keel

/// Moves a store's parameters against their gradients.
///
/// Whatever changes from step to step, the learning rate and the step number, is a tensor that is written in place: a traced
/// program reads it anew each time it runs.
public protocol Optimizer {
    var parameters: ParameterStore { get }
    /// A scalar.
    var learningRate: Tensor { get }

    /// One update of all parameters from the gradients as they are.
    func step() throws(TensorError)

    /// Visits the optimiser's own state: learning rate, step number, and a tensor of each parameter's shape for each moment,
    /// named `<moment>.<parameter>`. The tensors are views: to change them, `assign` to them.
    func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError)
}

extension Optimizer {
    public func setLearningRate(_ rate: Double) throws(TensorError) { try learningRate.assign(Tensor(Float(rate))) }
}

/// Stochastic gradient descent with momentum; weight decay is added to the gradient, as torch has it.
public struct SGD: Optimizer {
    public let parameters: ParameterStore
    public let learningRate: Tensor
    private let velocity: Tensor
    private let steps: [(range: Range<Int>, step: SGDStep)]

    public init(
        _ parameters: ParameterStore, learningRate: Double, momentum: Double = 0, weightDecay: Double = 0, isNesterov: Bool = false
    ) throws(TensorError) {
        guard parameters.tables.isEmpty else {
            throw TensorError(.argument(primitive: "SGD", name: "parameters", given: "sparse tables", allowed: "dense parameters; AdamW takes tables"))
        }
        try check("SGD", learningRate: learningRate, shares: [("momentum", momentum)], weightDecay: weightDecay)
        self.parameters = parameters
        self.learningRate = try Tensor(Float(learningRate))
        velocity = try .zeros(parameters.values.shape)
        steps = parameters.runs.map { run in
            (run.range, SGDStep(momentum: momentum, decay: run.group.decays ? weightDecay : 0, rateFactor: run.group.rateFactor, isNesterov: isNesterov))
        }
    }

    public func step() throws(TensorError) {
        for (range, step) in steps {
            try update(step, [try parameters.values.part(range), try velocity.part(range), try parameters.gradients.part(range), learningRate])
        }
    }

    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try body("learning_rate", learningRate)
        for part in parameters.parts { try body("velocity.\(part.name)", try parameters.view(of: velocity, part)) }
    }
}

/// Adam with decoupled weight decay; with `weightDecay: 0` it is Adam.
///
/// Of a sparse table only the rows that have a gradient move, without decay, and only their moments change.
///
/// - Source: Loshchilov and Hutter, 2019; Kingma and Ba, 2015.
public struct AdamW: Optimizer {
    public let parameters: ParameterStore
    public let learningRate: Tensor
    private let stepNumber, first, second: Tensor
    private let one: Tensor
    private let steps: [(range: Range<Int>, step: AdamWStep)]
    /// For each table: its moments, and scratch.
    private let tables: [(first: Tensor, second: Tensor, marks: Tensor, step: LazyAdamStep)]

    public init(
        _ parameters: ParameterStore, learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0.01
    ) throws(TensorError) {
        try check("AdamW", learningRate: learningRate, shares: [("beta1", beta1), ("beta2", beta2)], weightDecay: weightDecay)
        guard epsilon > 0 else { throw TensorError(.argument(primitive: "AdamW", name: "epsilon", given: "\(epsilon)", allowed: "above 0")) }
        self.parameters = parameters
        self.learningRate = try Tensor(Float(learningRate))
        stepNumber = try Tensor(Int64(0))
        one = try Tensor(Int64(1))
        first = try .zeros(parameters.values.shape)
        second = try .zeros(parameters.values.shape)
        steps = parameters.runs.map { run in
            (
                run.range,
                AdamWStep(
                    beta1: beta1, beta2: beta2, epsilon: epsilon, decay: run.group.decays ? weightDecay : 0, rateFactor: run.group.rateFactor)
            )
        }
        var tables: [(first: Tensor, second: Tensor, marks: Tensor, step: LazyAdamStep)] = []
        for table in parameters.tables {
            let shape = table.parameter.shape
            tables.append(
                (
                    try .zeros(shape), try .zeros(shape), try .full(-1, [try shape.size(0)], .int32),
                    LazyAdamStep(beta1: beta1, beta2: beta2, epsilon: epsilon, rateFactor: table.group.rateFactor)
                ))
        }
        self.tables = tables
    }

    public func step() throws(TensorError) {
        try stepNumber.assign(stepNumber + one)
        for (range, step) in steps {
            try update(
                step,
                [
                    try parameters.values.part(range), try first.part(range), try second.part(range), try parameters.gradients.part(range),
                    learningRate, stepNumber,
                ])
        }
        for (table, own) in zip(parameters.tables, tables) {
            let found = table.parameter.rowGradients
            guard table.parameter.gradient == nil else {
                throw TensorError(.custom("AdamW: the sparse table '\(table.name)' has a dense gradient: it was used otherwise than by looking up rows"))
            }
            guard let only = found.first else { continue }
            let isOne = found.count == 1
            let indices = isOne ? only.indices : try Tensor.concatenated(found.map { $0.indices })
            let rows = isOne ? only.values : try Tensor.concatenated(found.map { $0.values })
            try update(own.step, [table.parameter, own.first, own.second, own.marks, indices, rows, learningRate, stepNumber])
        }
    }

    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try body("learning_rate", learningRate)
        try body("step", stepNumber)
        for part in parameters.parts {
            try body("first.\(part.name)", try parameters.view(of: first, part))
            try body("second.\(part.name)", try parameters.view(of: second, part))
        }
        for (table, own) in zip(parameters.tables, tables) {
            try body("first.\(table.name)", own.first)
            try body("second.\(table.name)", own.second)
        }
    }
}

private func check(_ name: String, learningRate: Double, shares: [(String, Double)], weightDecay: Double) throws(TensorError) {
    guard learningRate >= 0, learningRate.isFinite else {
        throw TensorError(.argument(primitive: name, name: "learningRate", given: "\(learningRate)", allowed: "0 and more"))
    }
    for (share, value) in shares where !(0..<1).contains(value) {
        throw TensorError(.argument(primitive: name, name: share, given: "\(value)", allowed: "0..<1"))
    }
    guard weightDecay >= 0, weightDecay.isFinite else {
        throw TensorError(.argument(primitive: name, name: "weightDecay", given: "\(weightDecay)", allowed: "0 and more"))
    }
}

extension Tensor {
    /// A part of flat memory, as a view.
    fileprivate func part(_ range: Range<Int>) throws(TensorError) -> Tensor {
        range.count == count ? self : try sliced(0, from: range.lowerBound, to: range.upperBound)
    }
}
