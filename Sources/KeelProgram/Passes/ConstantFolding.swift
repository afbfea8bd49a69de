internal import Keel

extension Pass {
    /// Computes what depends on constants alone, unless the result is much larger than what it is made of.
    public static let constantFolding = Pass("constant-folding") { graph throws(TensorError) in
        var kept: [Graph.Node] = []
        for node in graph.nodes {
            let inputs = node.inputs.compactMap { graph.constants[$0] }
            guard !node.isUpdate, inputs.count == node.inputs.count, graph.isSmall(node) else {
                kept.append(node)
                continue
            }
            for (value, tensor) in zip(node.outputs, try node.run(inputs)) { graph.constants[value] = tensor }
        }
        defer { graph.nodes = kept }
        return kept.count < graph.nodes.count
    }
}

extension Graph {
    /// Whether the node's outputs have numbers as sizes and at most a mebibyte more than the inputs.
    fileprivate func isSmall(_ node: Node) -> Bool {
        func bytes(_ values: [Value]) -> Int? {
            var sum = 0
            for value in values {
                guard let count = try? specs[value].shape.elementCount() else { return nil }
                sum += count * specs[value].dtype.width
            }
            return sum
        }
        guard let made = bytes(node.outputs), let read = bytes(node.inputs) else { return false }
        return made <= read + 1 << 20
    }
}
