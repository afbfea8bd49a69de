internal import Keel

extension Pass {
    /// Computes once what is computed twice: the same primitive of the same values. Constants with the same numbers are one.
    public static let commonSubexpressions = Pass("common-subexpressions") { graph throws(TensorError) in
        let constants = try graph.equalConstants()
        graph.replace(constants)
        for value in constants.keys { graph.constants[value] = nil }

        var first: [Computation: Graph.Node] = [:], replacements: [Graph.Value: Graph.Value] = [:], kept: [Graph.Node] = []
        for var node in graph.nodes {
            node.inputs = node.inputs.map { replacements[$0] ?? $0 }
            let computation = Computation(primitive: AnyHashable(node.primitive), inputs: node.inputs, residuals: node.residuals)
            if let same = first[computation] {
                for (value, other) in zip(node.outputs, same.outputs) { replacements[value] = other }
            } else {
                first[computation] = node
                kept.append(node)
            }
        }
        graph.nodes = kept
        graph.replace(replacements)
        return !constants.isEmpty || !replacements.isEmpty
    }

    private struct Computation: Hashable {
        let primitive: AnyHashable
        let inputs: [Graph.Value]
        let residuals: Int
    }
}

extension Graph {
    /// For each constant that an earlier one equals, bit for bit, that one.
    fileprivate func equalConstants() throws(TensorError) -> [Value: Value] {
        let ordered = constants.sorted { $0.key < $1.key }
        // Few begin alike: the others aren't read any further.
        var alike: [Beginning: Int] = [:], beginnings: [Beginning] = []
        for (_, tensor) in ordered {
            let beginning = try Beginning(spec: tensor.spec, bytes: tensor.withBytes { Array($0.prefix(64)) })
            beginnings.append(beginning)
            alike[beginning, default: 0] += 1
        }
        var first: [Numbers: Value] = [:], replacements: [Value: Value] = [:]
        for ((value, tensor), beginning) in zip(ordered, beginnings) where alike[beginning] != 1 {
            let numbers = try Numbers(tensor)
            if let earlier = first[numbers] { replacements[value] = earlier } else { first[numbers] = value }
        }
        return replacements
    }

    private struct Beginning: Hashable {
        let spec: TensorSpec
        let bytes: [UInt8]
    }
}

/// A constant, to be found by its numbers, which are read once for that, and then only where another one has the same hash.
private struct Numbers: Hashable {
    private let tensor: Tensor
    private let hash: Int

    init(_ tensor: Tensor) throws(TensorError) {
        self.tensor = tensor
        var hasher = Hasher()
        hasher.combine(tensor.spec)
        try tensor.withBytes { hasher.combine(bytes: $0) }
        hash = hasher.finalize()
    }

    static func == (a: Numbers, b: Numbers) -> Bool {
        guard a.hash == b.hash, a.tensor.spec == b.tensor.spec else { return false }
        let isSame = try? a.tensor.withBytes { x throws(TensorError) in
            try b.tensor.withBytes { y in x.elementsEqual(y) }
        }
        return isSame ?? false
    }

    func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}
