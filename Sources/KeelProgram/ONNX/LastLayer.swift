// Where the graph of a classifier or an estimator ends: its scores before a last softmax, and what its last linear layer reads.

/// The last linear layer of a graph, in whose place another can stand.
package struct LastLayer: Hashable, Sendable {
    /// The value that it reads.
    package let features: String
    /// Whether it is a `Conv` of single places, which reads planes; a `Gemm` or a `MatMul` otherwise.
    package let isConvolution: Bool
}

extension ONNXModel {
    /// The value of which a last softmax over the classes, or a last sigmoid, makes an output; nil where there is none. Behind it there may be changes of shape:
    /// they leave the numbers in their order.
    package func logits(of output: String) -> String? { logits(of: output, GraphIndex(graph)) }

    private func logits(of output: String, _ index: GraphIndex) -> String? {
        var name = output
        while let node = index.producer(of: name), node.domain.isEmpty, let input = node.inputs.first {
            switch node.type {
            case "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze": name = input
            case "Sigmoid": return input
            case "Softmax", "LogSoftmax":
                let axis = node.attributes.first { $0.name == "axis" }?.int ?? (opsets[""] ?? 0 < 13 ? 1 : -1)
                return axis == 1 || axis == -1 ? input : nil
            default: return nil
            }
        }
        return nil
    }

    /// Whether an output is made of a softmax or a sigmoid by nothing but choices, sums, limits and changes of shape.
    package func isOfChances(_ output: String) -> Bool {
        let index = GraphIndex(graph)
        var names = [output], seen: Set<String> = []
        while let name = names.popLast() {
            guard seen.insert(name).inserted, let node = index.producer(of: name), node.domain.isEmpty else { continue }
            switch node.type {
            case "Sigmoid", "HardSigmoid", "Softmax": return true
            case "Identity", "Dropout", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Gather", "Slice", "Split", "Clip", "Min", "Max",
                "Add", "Sub", "Sum", "Mean", "ReduceMean", "ReduceSum":
                names += node.inputs
            default: break
            }
        }
        return false
    }

    /// The last linear layer with weights of its own before an output. Behind it there may only be what a layer in its place can do without: a bias or another
    /// scale, a mean over places, a change of shape, a rectifier. Nil where the model ends otherwise.
    package func lastLayer(before output: String) -> LastLayer? {
        let index = GraphIndex(graph)
        var name = logits(of: output, index) ?? output
        while let node = index.producer(of: name), node.domain.isEmpty, let input = node.inputs.first {
            switch node.type {
            case "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Relu", "GlobalAveragePool", "AveragePool", "ReduceMean": name = input
            case "Add", "Sub", "Mul", "Div":
                let others = node.inputs.filter { !index.isWeight($0) }
                guard node.inputs.count == 2, others.count == 1 else { return nil }
                name = others[0]
            case "Gemm":
                let isTurned = node.attributes.contains { $0.name == "transA" && $0.int != 0 }
                return !isTurned && index.hasWeight(node) ? LastLayer(features: input, isConvolution: false) : nil
            case "MatMul": return index.hasWeight(node) ? LastLayer(features: input, isConvolution: false) : nil
            case "Conv": return index.isOfSinglePlaces(node) ? LastLayer(features: input, isConvolution: true) : nil
            default: return nil
            }
        }
        return nil
    }
}

/// Nodes and initialisers by the values' names, so that a way back through a graph takes as long as it has steps.
private struct GraphIndex {
    private let nodes: [ONNX.Node]
    private let producers: [String: Int]
    private let initializers: [String: ONNX.TensorData]

    init(_ graph: ONNX.Graph) {
        nodes = graph.nodes
        producers = Dictionary(nodes.indices.flatMap { at in graph.nodes[at].outputs.map { ($0, at) } }, uniquingKeysWith: { first, _ in first })
        initializers = Dictionary(graph.initializers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func producer(of name: String) -> ONNX.Node? { producers[name].map { nodes[$0] } }

    /// Whether a value is an initialiser or a `Constant`, or one turned around.
    func isWeight(_ name: String) -> Bool {
        var name = name
        while initializers[name] == nil {
            guard let node = producer(of: name) else { return false }
            if node.type == "Constant" { return true }
            guard ["Transpose", "Identity"].contains(node.type), let input = node.inputs.first else { return false }
            name = input
        }
        return true
    }

    func hasWeight(_ node: ONNX.Node) -> Bool { node.inputs.count > 1 && isWeight(node.inputs[1]) }

    /// Whether a convolution looks at one place at a time, at all of them, and at all channels.
    func isOfSinglePlaces(_ node: ONNX.Node) -> Bool {
        guard node.inputs.count > 1, let weight = initializers[node.inputs[1]], weight.dims.dropFirst(2).allSatisfy({ $0 == 1 }) else { return false }
        return node.attributes.allSatisfy { attribute in
            switch attribute.name {
            case "group": attribute.int == 1
            case "strides": attribute.ints.allSatisfy { $0 == 1 }
            case "pads": attribute.ints.allSatisfy { $0 == 0 }
            default: true
            }
        }
    }
}
