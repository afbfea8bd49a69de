public import Keel

/// A running mean of a store's parameters, which often judges better than the parameters themselves.
///
/// - Source: Polyak and Juditsky, 1992; the slow start as in TensorFlow's `ExponentialMovingAverage`.
public struct ExponentialMovingAverage {
    public let parameters: ParameterStore
    /// The share of the mean that an update keeps.
    public let decay: Double
    private let startsSlowly: Bool
    private let updates: Tensor
    private let values: Tensor
    private let tables: [Tensor]

    /// Begins with the parameters as they are.
    ///
    /// - Parameter startsSlowly: whether update `n` keeps at most `(1 + n) / (10 + n)`, so that the first weights are soon forgotten.
    public init(_ parameters: ParameterStore, decay: Double = 0.999, startsSlowly: Bool = false) throws(TensorError) {
        guard (0..<1).contains(decay) else {
            throw TensorError(.argument(primitive: "ExponentialMovingAverage", name: "decay", given: "\(decay)", allowed: "0..<1"))
        }
        self.parameters = parameters
        self.decay = decay
        self.startsSlowly = startsSlowly
        updates = try Tensor(Int64(0))
        func copy(_ tensor: Tensor) throws(TensorError) -> Tensor {
            let own = try Tensor.zeros(tensor.shape)
            try own.assign(tensor)
            return own
        }
        values = try copy(parameters.values)
        var tables: [Tensor] = []
        for table in parameters.tables { tables.append(try copy(table.parameter)) }
        self.tables = tables
    }

    /// Moves the mean towards the parameters; after each step of the optimiser.
    public func update() throws(TensorError) {
        let count = try updates.item(Int64.self)
        let kept = startsSlowly ? min(decay, Double(1 + count) / Double(10 + count)) : decay
        try updates.assign(Tensor(count + 1))
        try values.updateRunning(towards: parameters.values, momentum: 1 - kept)
        for (mean, table) in zip(tables, parameters.tables) { try mean.updateRunning(towards: table.parameter.detached(), momentum: 1 - kept) }
    }

    /// Sets the mean of what was taken out to zero, so that it is as sparse as the network.
    public func mask(_ pruning: Pruning) throws(TensorError) { try values.assign(pruning.kept(values)) }

    /// A copy of the store's layer with the mean instead of the parameters; what isn't in the store, as buffers, is as the layer has it.
    public func applied<M: Module>(to layer: M) throws(TensorError) -> M {
        var means: [String: Tensor] = [:]
        for part in parameters.parts { means[part.name] = try parameters.view(of: values, part) }
        for (mean, table) in zip(tables, parameters.tables) { means[table.name] = mean }
        var copy = try layer.copied()
        try copy.forEachState { (name, kind, tensor) throws(TensorError) in
            if kind == .parameter, let mean = means[name] { try tensor.assign(mean) }
        }
        return copy
    }

    /// Visits the mean by the parameters' names, and the number of updates. To change them, `assign` to them.
    public func forEachState(_ body: (_ name: String, _ tensor: Tensor) throws(TensorError) -> Void) throws(TensorError) {
        try body("updates", updates)
        for part in parameters.parts { try body("mean.\(part.name)", try parameters.view(of: values, part)) }
        for (mean, table) in zip(tables, parameters.tables) { try body("mean.\(table.name)", mean) }
    }
}
