internal import Keel

/// One run of a model on eager tensors: node after node, each value let go after its last use.
///
/// It belongs to the thread that runs it.
final class ModelRun {
    let model: ONNXModel
    private var steps = 0
    private var bytes = 0
    private let clock = ContinuousClock()
    private let deadline: ContinuousClock.Instant
    /// How many random operators without a seed were computed: each has a stream of its own.
    var draws: UInt64 = 0
    /// Whether it is run once, on tensors without numbers, to make a program.
    let isTracing: Bool
    private let stepLimit: Int
    /// Is told of each node once it is computed, those of inner graphs and functions too: what it read, and what it made.
    var computed: ((_ node: ONNX.Node, _ inputs: [ONNXValue], _ made: [ONNXValue]) throws -> Void)?

    init(_ model: ONNXModel, isTracing: Bool = false) {
        self.model = model
        self.isTracing = isTracing
        stepLimit = isTracing ? min(model.limits.steps, ONNXLimits.tracedSteps) : model.limits.steps
        deadline = clock.now + model.limits.time
    }

    /// The values that a graph's nodes see: its own, and those of the graphs around it.
    final class Scope {
        var values: [String: ONNXValue]
        let outer: Scope?
        let opsets: [String: Int]
        let depth: Int
        /// What a function's attributes were given.
        let attributes: [String: ONNX.Attribute]
        /// While a model is traced: what was rounded to bytes, by the names of the bytes.
        var rounded: [String: Rounded] = [:]

        struct Rounded {
            let x: Tensor
            /// Nil where it was that of the numbers' own range; then scale and zero have these names.
            let scale: ByteScale?
            let names: [String]
        }

        init(_ values: [String: ONNXValue], outer: Scope?, _ opsets: [String: Int], depth: Int, attributes: [String: ONNX.Attribute]) {
            (self.values, self.outer, self.opsets, self.depth, self.attributes) = (values, outer, opsets, depth, attributes)
        }

        subscript(name: String) -> ONNXValue? { values[name] ?? outer?[name] }
    }

    /// Whether a value of so many bytes may be begun.
    func reserve(_ bytes: Int, for node: ONNX.Node) throws {
        guard bytes <= model.limits.bytes - min(self.bytes, model.limits.bytes) else {
            throw ONNXError.limit(place: "node \(node.label)", "would make a value of \(bytes) bytes, the limit is \(model.limits.bytes) for all")
        }
    }

    /// Counts a node, or one pass of a loop, and looks at the limits.
    func step(at node: ONNX.Node) throws {
        steps += 1
        guard steps <= stepLimit else {
            throw ONNXError.tooLong(place: "node \(node.label)", "the execution took more than \(stepLimit) nodes")
        }
        try checkTime(at: node)
    }

    func checkTime(at node: ONNX.Node) throws {
        if clock.now > deadline {
            throw ONNXError.tooLong(place: "node \(node.label)", "the execution took longer than \(model.limits.time)")
        }
    }

    private func hold(_ more: Int, _ tensor: ONNX.TensorData) throws {
        guard more <= model.limits.bytes - bytes else {
            throw ONNXError.limit(place: "tensor '\(tensor.label)'", "the values take more than \(model.limits.bytes) bytes")
        }
        bytes += more
    }

    func run(
        _ graph: ONNX.Graph, _ opsets: [String: Int], _ values: [String: ONNXValue], outer: Scope?, depth: Int,
        attributes: [String: ONNX.Attribute] = [:]
    ) throws -> [ONNXValue] {
        var values = values
        let before = bytes
        defer { bytes = before }
        if outer != nil {
            // The graph's constants are there while it runs.
            for data in graph.initializers where values[data.name] == nil {
                try hold(data.valueBytes, data)
                values[data.name] = try ONNXValue(data, in: model.external)
            }
            for sparse in graph.sparseInitializers where values[sparse.values.name] == nil {
                try hold(sparse.valueBytes, sparse.values)
                values[sparse.values.name] = try ONNXValue(sparse, in: model.external)
            }
        }
        let scope = Scope(values, outer: outer, opsets, depth: depth, attributes: attributes)
        return try run(graph.nodes, scope, graph.outputs.map(\.name))
    }

    private func run(_ nodes: [ONNX.Node], _ scope: Scope, _ outputs: [String]) throws -> [ONNXValue] {
        guard scope.depth <= model.limits.depth else {
            throw ONNXError.tooDeep(place: "execution", "graphs and functions lie more than \(model.limits.depth) deep in each other")
        }
        let before = bytes
        defer { bytes = before }
        var lastUse: [String: Int] = [:]
        for (place, node) in nodes.enumerated() { for name in node.inputs { lastUse[name] = place } }
        // What inner graphs read, and what goes out, stays.
        var sizes: [String: Int] = [:]
        let kept = Set(outputs).union(nodes.flatMap(\.innerReads))

        for (place, node) in nodes.enumerated() {
            try step(at: node)
            let made = try run(node, scope)
            if let computed { try computed(node, node.inputs.compactMap { scope[$0] }, made) }
            for value in made {
                if let shape = value.shape, shape.dimensions.contains(where: { $0.number ?? 0 > ONNXLimits.axis }) {
                    throw ONNXError.limit(place: "node \(node.label)", "makes a value of the shape \(shape), the limit is \(ONNXLimits.axis) along an axis")
                }
                if let shape = value.shape, !shape.isOfBoundedBreadth {
                    throw ONNXError.limit(place: "node \(node.label)", "makes a value of the shape \(shape), which holds nothing and is too large")
                }
            }
            for (name, value) in zip(node.outputs, made) where !name.isEmpty {
                scope.values[name] = value
                sizes[name] = value.bytes
                bytes += value.bytes
            }
            for name in node.outputs.dropFirst(made.count) where !name.isEmpty {
                throw ONNXError.node(name: node.name, operator: node.type, "doesn't make its output '\(name)'")
            }
            guard bytes <= model.limits.bytes else {
                throw ONNXError.limit(place: "node \(node.label)", "the values take more than \(model.limits.bytes) bytes")
            }
            for name in node.inputs + node.outputs where lastUse[name] ?? place <= place && !kept.contains(name) {
                scope.values.removeValue(forKey: name)
                bytes -= sizes.removeValue(forKey: name) ?? 0
            }
        }
        return try outputs.map { name in
            guard let value = scope[name] else { throw ONNXError.graph("nothing makes the output '\(name)'") }
            return value
        }
    }

    private func run(_ node: ONNX.Node, _ scope: Scope) throws -> [ONNXValue] {
        let inputs: [ONNXValue?] = try node.inputs.map { name in
            if name.isEmpty { return nil }
            guard let value = scope[name] else { throw ONNXError.notDefined(value: name, node: node.label) }
            return value
        }
        var attributes: [String: ONNX.Attribute] = [:]
        for attribute in node.attributes {
            if attribute.reference.isEmpty {
                attributes[attribute.name] = attribute
            } else if var given = scope.attributes[attribute.reference] {
                given.name = attribute.name
                attributes[attribute.name] = given
            }
        }
        if let function = model.functions[ONNXModel.FunctionKey(domain: node.domain, name: node.type, overload: node.overload)] {
            return try call(function, node, inputs, attributes, scope)
        }
        let opset = scope.opsets[node.domain] ?? 0
        guard let found = Operators.find(node, opset) else {
            throw ONNXError.unsupported(domain: node.domain, operator: node.type, opset: opset, Operators.reasonAgainst(node, opset) ?? "")
        }
        let call = OperatorCall(node: node, opset: opset, inputs: inputs, attributes: attributes, execution: self, scope: scope)
        do {
            if isTracing, let made = try call.ofSizes() { return made }
            return try found.compute(call)
        } catch let error as TensorError {
            if case .outOfMemory = error.reason { throw ONNXError.limit(place: "node \(node.label)", error.facts) }
            throw ONNXError.node(name: node.name, operator: node.type, error.facts)
        }
    }

    private func call(
        _ function: ONNX.Function, _ node: ONNX.Node, _ inputs: [ONNXValue?], _ attributes: [String: ONNX.Attribute], _ scope: Scope
    ) throws -> [ONNXValue] {
        guard inputs.count <= function.inputs.count else {
            throw ONNXError.node(name: node.name, operator: node.type, "has \(inputs.count) inputs, the function takes \(function.inputs.count)")
        }
        var values: [String: ONNXValue] = [:]
        for (name, value) in zip(function.inputs, inputs) { values[name] = value ?? ONNXValue.none }
        for name in function.inputs.dropFirst(inputs.count) { values[name] = ONNXValue.none }
        var opsets: [String: Int] = [:]
        for set in function.opsets { opsets[set.domain] = Int(set.version) }
        var given = attributes
        for attribute in function.defaults where given[attribute.name] == nil { given[attribute.name] = attribute }
        let inner = Scope(values, outer: nil, opsets, depth: scope.depth + 1, attributes: given)
        return try run(function.nodes, inner, function.outputs)
    }
}

extension ONNX.Node {
    /// The names that the graphs in its attributes read.
    var innerReads: [String] {
        attributes.flatMap { attribute in
            ((attribute.graph.map { [$0] } ?? []) + attribute.graphs).flatMap { graph in
                graph.nodes.flatMap { $0.inputs + $0.innerReads } + graph.outputs.map(\.name)
            }
        }
    }
}
