public import Keel

/// Adam; weight decay is added to the gradient, as torch has it. `AdamW` decouples it.
///
/// - Tables: as `AdamW`.
/// - Source: Kingma and Ba, 2015.
public struct Adam: Optimizer {
    private let adam: AdamW

    public var parameters: ParameterStore { adam.parameters }
    public var learningRate: Tensor { adam.learningRate }
    public var scratch: [Tensor] { adam.scratch }

    public init(
        _ parameters: ParameterStore, learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0
    ) throws(TensorError) {
        adam = try AdamW(
            "Adam", parameters, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay,
            isDecoupled: false)
    }

    public func step() throws(TensorError) { try adam.step() }

    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try adam.forEachState(body)
    }
}

/// Adam with decoupled weight decay.
///
/// - Tables: of a sparse table only the rows that have a gradient move, without decay, and only their moments change.
/// - Source: Loshchilov and Hutter, 2019.
public struct AdamW: Optimizer {
    public let learningRate: Tensor
    private let name: String
    private let stepNumber: Tensor
    private let one: Tensor
    private let moments: Moments
    private let steps: [(range: Range<Int>, step: AdamStep)]
    /// For each table: its moments, and scratch.
    private let tables: [(first: Tensor, second: Tensor, marks: Tensor, step: LazyAdamStep)]

    public var parameters: ParameterStore { moments.parameters }
    public var scratch: [Tensor] { tables.map(\.marks) }

    public init(
        _ parameters: ParameterStore, learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0.01
    ) throws(TensorError) {
        try self.init(
            "AdamW", parameters, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay,
            isDecoupled: true)
    }

    fileprivate init(
        _ name: String, _ parameters: ParameterStore, learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
        isDecoupled: Bool
    ) throws(TensorError) {
        try checkSettings(name, learningRate: learningRate, shares: [("beta1", beta1), ("beta2", beta2)], epsilon: epsilon, weightDecay: weightDecay)
        self.name = name
        self.learningRate = try Tensor(Float(learningRate))
        stepNumber = try Tensor(Int64(0))
        one = try Tensor(Int64(1))
        moments = try Moments(["first", "second"], of: parameters)
        steps = parameters.runs.map { run in
            let decay = run.group.decays ? weightDecay : 0
            let step = AdamStep(
                beta1: beta1, beta2: beta2, epsilon: epsilon, decay: decay, rateFactor: run.group.rateFactor, isDecoupled: isDecoupled)
            return (run.range, step)
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
        for (range, step) in steps { try moments.run(step, over: range, learningRate, stepNumber) }
        for (table, own) in zip(parameters.tables, tables) {
            let found = table.parameter.rowGradients
            guard table.parameter.gradient == nil else {
                throw TensorError(.custom("\(name): the sparse table '\(table.name)' has a dense gradient: it was used otherwise than by looking up rows"))
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
        try moments.forEachState(body)
        for (table, own) in zip(parameters.tables, tables) {
            try body("first.\(table.name)", own.first)
            try body("second.\(table.name)", own.second)
        }
    }
}
