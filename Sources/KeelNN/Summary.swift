public import Keel

/// What each layer of a module costs in one prediction: its parameters, what it gives, its floating-point operations and its memory.
///
/// Which layer a primitive belongs to is told by the parameters that it reads; what reads none, as an activation or a pooling, counts to the
/// layer before it.
public struct Summary: Sendable, CustomStringConvertible {
    public struct Row: Sendable, Hashable {
        /// The layer's path, empty for the module's own parameters.
        public let layer: String
        /// How many numbers are trained, and the bytes of these and of the buffers.
        public fileprivate(set) var parameters = 0, stateBytes = 0
        /// What its last primitive gave; nil for a layer that wasn't run.
        public fileprivate(set) var output: Shape?
        public fileprivate(set) var flops = 0
        /// The bytes of all that its primitives gave: what a backward pass may have to keep.
        public fileprivate(set) var activationBytes = 0
    }

    public fileprivate(set) var rows: [Row] = []

    public var parameters: Int { rows.reduce(0) { $0 + $1.parameters } }
    public var flops: Int { rows.reduce(0) { $0 + $1.flops } }
    public var stateBytes: Int { rows.reduce(0) { $0 + $1.stateBytes } }
    public var activationBytes: Int { rows.reduce(0) { $0 + $1.activationBytes } }

    public var description: String {
        var table = TextTable(["layer", "output", "parameters", "FLOPs", "state", "activations"])
        for row in rows {
            table.add([
                row.layer.isEmpty ? "(own)" : row.layer, row.output.map { "\($0)" } ?? "-", grouped(row.parameters), grouped(row.flops),
                byteText(row.stateBytes), byteText(row.activationBytes),
            ])
        }
        table.addTotal(["in all", "", grouped(parameters), grouped(flops), byteText(stateBytes), byteText(activationBytes)])
        return table.description
    }

    /// Digits in groups of three.
    private func grouped(_ count: Int) -> String {
        let digits = Array("\(count)")
        return digits.enumerated().map { ($0 > 0 && (digits.count - $0) % 3 == 0 ? "," : "") + String($1) }.joined()
    }

    fileprivate mutating func row(of layer: String) -> Int {
        if let place = rows.firstIndex(where: { $0.layer == layer }) { return place }
        rows.append(Row(layer: layer))
        return rows.count - 1
    }
}

/// What a layer's parts cost with this input: `print(try summary(net, input: x))`.
public func summary(_ layer: some Layer, input: Tensor) throws -> Summary {
    try summary(of: layer) { layer in try layer(input, in: .prediction) }
}

/// The same for a module that is called otherwise: `body` calls it once.
public func summary<M: Module>(of module: M, _ body: (M) throws -> Tensor) throws -> Summary {
    var summary = Summary(), named = module
    try named.forEachState { (name, kind, tensor) throws(TensorError) in
        let place = summary.row(of: name.lastIndex(of: ".").map { String(name[..<$0]) } ?? "")
        if kind == .parameter { summary.rows[place].parameters += tensor.count }
        summary.rows[place].stateBytes += tensor.count * tensor.dtype.width
        if tensor.dtype.isFloat { tensor = tensor.detached().requiringGradient(named: name) }
    }
    let run = try profile { try noGrad { () throws(TensorError) in Result { try body(named) } }.get() }
    var place: Int?
    for event in run.profile.events {
        if let layer = event.layer { place = summary.row(of: layer) }
        guard let place, let output = event.outputs.first else { continue }
        summary.rows[place].output = output.shape
        summary.rows[place].flops += event.flops
        summary.rows[place].activationBytes += event.outputs.reduce(0) { $0 + ((try? $1.shape.elementCount()) ?? 0) * $1.dtype.width }
    }
    return summary
}
