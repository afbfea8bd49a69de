internal import Keel

extension Program: CustomStringConvertible {
    /// The graph, a line a node: `%7 = Scale(factor: 2.0, offset: 0.0) %2 : float32[batch, 64]`. Values are `%n`, constants `$n`; of state, the
    /// value that stands for its memory before and the one after.
    public var description: String { graph.description }
}

extension Graph: CustomStringConvertible {
    package var description: String {
        var lines = ["inputs"]
        for port in inputs { lines.append("  \(name(port.value)) = \(port.name) : \(specs[port.value])") }
        if !constants.isEmpty {
            let bytes = constants.values.reduce(0) { $0 + $1.count * $1.dtype.width }
            lines.append("constants, \(bytes) bytes")
            for (value, _) in constants.sorted(by: { $0.key < $1.key }) { lines.append("  \(name(value)) : \(specs[value])") }
        }
        if !states.isEmpty {
            lines.append("state")
            for state in states { lines.append("  \(name(state.first)) -> \(name(state.last))") }
        }
        lines.append("nodes")
        for node in nodes {
            let made = node.outputs.map(name).joined(separator: " "), read = node.inputs.map { " " + name($0) }.joined()
            let kinds = node.isUpdate ? "memory" : node.outputs.map { "\(specs[$0])" }.joined(separator: " ")
            lines.append("  \(made) = \(node.title)\(read) : \(kinds)")
        }
        lines.append("outputs")
        for port in outputs { lines.append("  \(port.name) = \(name(port.value)) : \(specs[port.value])") }
        return lines.joined(separator: "\n")
    }

    private func name(_ value: Value) -> String { constants[value] == nil ? "%\(value)" : "$\(value)" }
}

extension Graph.Node {
    /// The primitive's name, with what it holds.
    fileprivate var title: String {
        let fields = Mirror(reflecting: primitive).children.map { "\($0.label ?? ""): \($0.value)" }
        let name = type(of: primitive).name
        return fields.isEmpty ? name : "\(name)(\(fields.joined(separator: ", ")))"
    }
}
