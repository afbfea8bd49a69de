public import Keel

/// The flat memory of a network's state: all parameters in one run, their gradients in another, buffers in a third, so that an
/// optimiser's step is one pass over memory.
///
/// Making a store replaces the layer's tensors by views of that memory. Parameters then require gradients, and `backward` adds
/// to the flat gradients. Copies of the layer share the memory; `copied` gives one that doesn't.
public final class ParameterStore {
    /// A parameter's name, shape, and place in the flat memory.
    public struct Part: Sendable {
        public let name: String
        public let shape: Shape
        let start, count: Int
        let group: ParameterGroup
    }

    /// A parameter whose rows are looked up, in memory of its own; its gradients are rows.
    public struct Table: Sendable {
        public let name: String
        /// The parameter, as the layer has it.
        public let parameter: Tensor
        let group: ParameterGroup
    }

    public let parts: [Part]
    public let tables: [Table]
    /// All parameters, flat. Between two there may be a few numbers that belong to none and stay 0.
    public let values: Tensor
    /// The sums of their gradients since they were last cleared, flat.
    public let gradients: Tensor

    /// - Parameters:
    ///   - groups: how a parameter is trained; nil keeps it as it is and spares its gradient.
    /// - Throws: `TensorError.dtype` for a parameter that isn't float32: a step is often less than half a unit of a half float. A layer that was
    ///   loaded in one is trained as `layer.cast(to: .float32)`.
    public init<M: Module>(
        _ layer: inout M, groups: (_ name: String, _ shape: Shape) -> ParameterGroup? = { _, _ in ParameterGroup() }
    ) throws(TensorError) {
        var parts: [Part] = [], length = 0, sparse: [String: ParameterGroup] = [:]
        for state in try layer.state() where state.kind == .parameter {
            guard let group = groups(state.name, state.tensor.shape) else { continue }
            guard state.tensor.dtype == .float32 else {
                throw TensorError(.dtype(primitive: "ParameterStore", expected: "float32 for '\(state.name)'", state.tensor.dtype))
            }
            guard !group.isSparse else {
                sparse[state.name] = group
                continue
            }
            parts.append(Part(name: state.name, shape: state.tensor.shape, start: length, count: state.tensor.count, group: group))
            length += (state.tensor.count + 15) / 16 * 16  // whole cache lines
        }
        let values = try Tensor.zeros([length]), gradients = try Tensor.zeros([length])
        self.parts = parts
        self.values = values
        self.gradients = gradients
        var next = 0, tables: [Table] = []
        try layer.forEachState { (name, kind, tensor) throws(TensorError) in
            guard kind == .parameter else {
                // Buffers are updated in place too, so they need memory of their own.
                let own = try Tensor.zeros(tensor.shape, tensor.dtype, on: tensor.device)
                try own.assign(tensor)
                tensor = own
                return
            }
            if let group = sparse[name] {
                let own = try Tensor.zeros(tensor.shape)
                try own.assign(tensor)
                tensor = own.table(named: name)
                tables.append(Table(name: name, parameter: tensor, group: group))
                return
            }
            guard next < parts.count, parts[next].name == name else {
                tensor = tensor.detached()
                return
            }
            let part = parts[next]
            next += 1
            let view = try values.sliced(0, from: part.start, to: part.start + part.count).reshaped(part.shape)
            try view.assign(tensor)
            let gradient = try gradients.sliced(0, from: part.start, to: part.start + part.count).reshaped(part.shape)
            tensor = view.parameter(named: name, gradient: gradient)
        }
        self.tables = tables
    }

    /// How many numbers are trained.
    public var count: Int { parts.reduce(0) { $0 + $1.count } + tables.reduce(0) { $0 + $1.parameter.count } }

    public func clearGradients() throws(TensorError) {
        try gradients.setInPlace(to: 0)
        for table in tables { table.parameter.clearGradient() }
    }

    /// The length of all gradients taken as one vector, a scalar; rows of tables don't count, and aren't clipped.
    public func gradientNorm() throws(TensorError) -> Tensor { try gradients.norm() }

    /// Shortens the gradients to a length of at most `norm`: multiplies them by `min(1, norm / length)`. No number is read back, so a
    /// traced program clips as its own gradients ask for. With a NaN among them, or an infinity, they don't become finite.
    ///
    /// - Returns: the length they had, a scalar.
    /// - Throws: `TensorError.argument` unless `norm` is above 0.
    @discardableResult
    public func clipGradients(toNorm norm: Double) throws(TensorError) -> Tensor {
        guard norm > 0 else { throw TensorError(.argument(primitive: "clipGradients", name: "norm", given: "\(norm)", allowed: "above 0")) }
        let length = try gradientNorm()
        try gradients.scaleInPlace(by: (length.reciprocal() * norm).minimum(Tensor(Float(1))))
        return length
    }

    /// Keeps each number of the gradients within `-limit...limit`; rows of tables stay as they are.
    ///
    /// - Throws: `TensorError.argument` unless `limit` is above 0.
    public func clipGradients(toValue limit: Double) throws(TensorError) {
        guard limit > 0 else { throw TensorError(.argument(primitive: "clipGradients", name: "limit", given: "\(limit)", allowed: "above 0")) }
        try gradients.assign(gradients.clipped(from: -limit, to: limit))
    }

    /// The parameter's own part of flat memory that is laid out like `values`.
    func view(of flat: Tensor, _ part: Part) throws(TensorError) -> Tensor {
        try flat.sliced(0, from: part.start, to: part.start + part.count).reshaped(part.shape)
    }

    /// Runs of neighbouring parameters that are trained alike.
    var runs: [(range: Range<Int>, group: ParameterGroup)] {
        var runs: [(range: Range<Int>, group: ParameterGroup)] = []
        for part in parts {
            let end = part.start + (part.count + 15) / 16 * 16
            if let last = runs.last, last.group == part.group {
                runs[runs.count - 1].range = last.range.lowerBound..<end
            } else {
                runs.append((part.start..<end, part.group))
            }
        }
        return runs
    }
}

/// How some of the parameters are trained, relative to the optimiser's settings.
public struct ParameterGroup: Hashable, Sendable {
    /// Multiplies the learning rate.
    public var rateFactor: Double
    /// Whether weight decay applies; often it doesn't to biases and normalisations.
    public var decays: Bool
    /// Whether this is a table of which each batch looks up a few rows, as of an embedding: its gradients stay rows, and an optimiser moves
    /// those rows only, without weight decay.
    public var isSparse: Bool

    public init(rateFactor: Double = 1, decays: Bool = true, isSparse: Bool = false) {
        self.rateFactor = rateFactor
        self.decays = decays
        self.isSparse = isSparse
    }
}
