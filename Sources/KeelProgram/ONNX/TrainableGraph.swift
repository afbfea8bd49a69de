package import Keel

/// Why training can't go on from a model of elsewhere.
package enum UntrainableModel: Error, Equatable, Sendable, CustomStringConvertible {
    /// It doesn't take what it would be trained with.
    case input(String)
    /// It doesn't answer with a score for each class, or with a number.
    case output(String)
    /// Operators between weights and the output through which no gradient goes: of each the first node, and how many more there are.
    case operators([String])
    case noWeights
    /// An initialiser that the output needs holds NaN.
    case notNumbers(initializer: String)
    /// A new last layer is asked for, and where the model's own is can't be told.
    case noLastLayer
    case weights(bytes: Int, limit: Int)
    /// It can't be run as training runs it.
    case run(String)

    package var description: String { text.withoutControls }

    private var text: String {
        switch self {
        case .input(let what), .output(let what): what
        case .operators(let nodes): "no gradient goes through \(nodes.joined(separator: ", "))"
        case .notNumbers(let name): "its initialiser '\(name)' holds NaN, which no training gets rid of"
        case .noWeights: "no float32 initialiser reaches its output"
        case .noLastLayer: "it doesn't end in a Gemm or MatMul of [batch, features], or in a 1 x 1 Conv, with weights of its own, in whose place a new last layer could stand"
        case .weights(let bytes, let limit): "its weights take \(bytes) bytes; models of up to \(limit) are trained further"
        case .run(let what): "it can't be run as training does, with several examples at once and backwards: \(what)"
        }
    }
}

/// A model's graph, up to one of its values, as a function of its one input and of weights that training changes.
///
/// Weights are float32 initialisers of the outermost graph that finite gradients reach. All else is as the file has it: numbers of other kinds, single numbers,
/// exponents, the tensors of `Constant` nodes and of inner graphs, and the mean and variance of `BatchNormalization`, which is computed with those and not
/// with a batch's own.
package struct TrainableGraph: Sendable {
    private let model: ONNXModel
    /// The nodes that the output needs.
    private let graph: ONNX.Graph
    private let input: String
    private let constants: [String: ONNXValue]
    /// As the file has them, in its order.
    package let weights: [(name: String, tensor: Tensor)]

    /// - Parameters:
    ///   - output: the value that it gives.
    ///   - names: of the weights.
    /// - Throws: `UntrainableModel.run` where the model has no such value or weights.
    package init(_ model: ONNXModel, upTo output: String, weights names: [String]) throws(UntrainableModel) {
        var graph = model.graph, needed: Set<String> = [output], nodes: [ONNX.Node] = []
        for node in graph.nodes.reversed() where node.outputs.contains(where: { !$0.isEmpty && needed.contains($0) }) {
            nodes.append(node)
            needed.formUnion(node.inputs)
            needed.formUnion(node.innerReads)
        }
        guard let port = model.inputs.first, model.inputs.count == 1, graph.nodes.contains(where: { $0.outputs.contains(output) }) else {
            throw .run("it has no value '\(output)', or not one input")
        }
        graph.nodes = nodes.reversed()
        graph.outputs = [ONNX.ValueInfo(name: output)]
        var weights: [(name: String, tensor: Tensor)] = []
        for name in names {
            guard case .tensor(let tensor, .float32)? = model.initializers[name] else { throw .run("'\(name)' is no float32 initialiser of it") }
            weights.append((name, tensor))
        }
        let varying = Set(names)
        self.model = model
        self.graph = graph
        self.weights = weights
        input = port.name
        constants = model.initializers.filter { needed.contains($0.key) && !varying.contains($0.key) }
    }

    /// - Parameters:
    ///   - x: as the model's input, but for the first axis: any number of examples.
    ///   - tensors: in place of `weights`, in their order.
    /// - Throws: `TensorError`; what is wrong with a node is among it as `custom`.
    package func callAsFunction(_ x: Tensor, weights tensors: [Tensor]) throws(TensorError) -> Tensor {
        precondition(tensors.count == weights.count, "a graph is given as many weights as it has")
        do {
            return try run(ModelRun(model, isTracing: x.isTraced || tensors.contains(where: \.isTraced)), x, tensors)
        } catch let error as TensorError {
            throw error
        } catch {
            throw TensorError(.custom("\(error)"))
        }
    }

    private func run(_ run: ModelRun, _ x: Tensor, _ tensors: [Tensor]) throws -> Tensor {
        var values = constants
        for (weight, tensor) in zip(weights, tensors) { values[weight.name] = .tensor(tensor, .float32) }
        values[input] = .tensor(x, .float32)
        guard case .tensor(let y, .float32)? = try run.run(graph, model.opsets, values, outer: nil, depth: 0).first else {
            throw ONNXError.graph("the value '\(graph.outputs[0].name)' isn't a float32 tensor")
        }
        return y
    }

    // MARK: What can be trained

    /// The graph with all weights that a finite gradient reaches, found by going forwards and backwards once; none are no fault.
    ///
    /// - Parameters:
    ///   - x: an example of the input, of numbers as they may come: where they are all 0, gradients are that elsewhere aren't.
    ///   - seconds: that the way forwards may take; nil: as the model's limits say.
    ///   - accept: is given the output before the way back, and throws where that is no use.
    /// - Throws: `UntrainableModel`; also where what is kept for the way back takes more than the model's limit of bytes.
    package static func probed(
        _ model: ONNXModel, upTo output: String, on x: Tensor, within seconds: Int? = nil, accept: (Tensor) throws(UntrainableModel) -> Void
    ) throws(UntrainableModel) -> TrainableGraph {
        let all = try TrainableGraph(model, upTo: output, weights: [])
        try all.requireNumbers()
        let names = all.candidates, candidate = try TrainableGraph(model, upTo: output, weights: names)
        let leaves = candidate.weights.map { $0.tensor.requiringGradient(named: $0.name) }
        let execution = ModelRun(model), start = ContinuousClock.now
        var cuts: [ONNX.Node] = [], bytes = 0
        execution.computed = { node, inputs, made in
            if node.cutsGradients(of: inputs, made) { cuts.append(node) }
            bytes += made.reduce(0) { $1.requiresGradient ? $0 + $1.bytes : $0 }
            guard bytes <= model.limits.bytes else { throw UntrainableModel.run("two examples take more than \(model.limits.bytes) bytes") }
            if let seconds, .now - start > .seconds(seconds) { throw UntrainableModel.run("two examples take longer than \(seconds) seconds") }
        }
        do {
            let y = try candidate.run(execution, x, leaves)
            guard cuts.isEmpty else { throw UntrainableModel.operators(Self.words(cuts)) }
            try accept(y)
            guard y.requiresGradient else { return all }
            try y.sum().backward()
            let finite = try zip(names, leaves).filter { _, leaf in
                guard let gradient = leaf.gradient else { return false }
                let isFinite: Bool = try gradient.isFinite()
                return isFinite
            }
            guard !finite.isEmpty else { throw UntrainableModel.run("no gradient of its weights is finite") }
            return try TrainableGraph(model, upTo: output, weights: finite.map(\.0))
        } catch let error as UntrainableModel {
            throw error
        } catch let error as TensorError {
            if case .higherOrder(let primitive) = error.reason { throw .operators([primitive]) }
            throw .run(error.facts)
        } catch {
            throw .run("\(error)")
        }
    }

    /// - Throws: `UntrainableModel.notNumbers`, the first by name.
    private func requireNumbers() throws(UntrainableModel) {
        for (name, value) in constants.sorted(by: { $0.key < $1.key }) {
            guard case .tensor(let tensor, .float32) = value else { continue }
            let hasNaN: Bool
            do {
                hasNaN = try tensor.withBytes { bytes in bytes.bindMemory(to: Float.self).contains(where: \.isNaN) }
            } catch {
                throw .run(error.facts)
            }
            guard !hasNaN else { throw .notNumbers(initializer: name) }
        }
    }

    private static func words(_ nodes: [ONNX.Node]) -> [String] {
        let byType = Dictionary(grouping: nodes.indices) { nodes[$0].type }
        return byType.values.sorted { $0[0] < $1[0] }.map { places in nodes[places[0]].label + (places.count > 1 ? " and \(places.count - 1) more" : "") }
    }

    /// Initialisers that may be weights, in the file's order.
    private var candidates: [String] {
        let read = Set(graph.nodes.flatMap { $0.inputs + $0.innerReads })
        var fixed = Set(graph.nodes.flatMap { node -> ArraySlice<String> in
            switch node.type {
            case "BatchNormalization": node.inputs.dropFirst(3)
            // An exponent has no gradient where the base is negative.
            case "Pow": node.inputs.dropFirst()
            default: []
            }
        })
        // Exporters keep one of several equal initialisers, and hand it on.
        for node in graph.nodes.reversed() where node.type == "Identity" && node.outputs.contains(where: fixed.contains) { fixed.formUnion(node.inputs) }
        return graph.initializers.map(\.name).filter { name in
            guard read.contains(name), !fixed.contains(name), case .tensor(let tensor, .float32)? = model.initializers[name] else { return false }
            // A number alone is one of the formula: an epsilon, a half, a root of two.
            return tensor.count > 1
        }
    }
}

extension ONNX.Node {
    /// What reads an input's shape, or makes numbers of their own.
    private static let shapeReaders: Set = ["Shape", "Size", "ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike"]
    /// What is flat but for its steps.
    private static let steps: Set = ["Floor", "Ceil", "Round", "Sign"]
    /// What computes with whole numbers: of those that stand for weights nothing can be learned.
    private static let quantised: Set = [
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
    ]

    /// Whether gradients of inputs are wanted, and none goes through. Conditions are no cut: where they are read, the chosen value's gradient goes on.
    fileprivate func cutsGradients(of inputs: [ONNXValue], _ made: [ONNXValue]) -> Bool {
        if Self.quantised.contains(type) { return true }
        guard inputs.contains(where: \.requiresGradient), !Self.shapeReaders.contains(type) else { return false }
        return Self.steps.contains(type) || !made.contains(where: \.requiresGradient) && !made.allSatisfy { $0.kind == .bool }
    }
}

extension ONNXValue {
    fileprivate var requiresGradient: Bool {
        switch self {
        case .tensor(let tensor, _): tensor.requiresGradient
        case .sequence(let parts): parts.contains(where: \.requiresGradient)
        case .strings, .maps, .none, .sizes: false
        }
    }
}
