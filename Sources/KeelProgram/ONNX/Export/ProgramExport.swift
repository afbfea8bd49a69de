import Foundation
public import Keel

extension Program {
    /// The operator sets of `ai.onnx` that programs are exported to.
    public static let exportedOpsets = 13...21

    /// Writes the program as a model of the ONNX format, which other runtimes run. Symbols become named dimensions.
    ///
    /// Constants are weights of the model. Where they take too much for one file (a message holds 2 GB), they lie in `<path>.weights` beside it. State that
    /// the program only reads is exported as it now is.
    ///
    /// - Parameters:
    ///   - weights: tensors by the names that the model is to have for them, such as a network's `state()`; constants with the same numbers get their
    ///     names. Others are numbered.
    /// - Throws: `ONNXError.notExportable` for a primitive that no operators of the opset stand for, with the line that called it when it was traced, and for
    ///   updates of state; `ONNXError.opset`; `ONNXError.graph` for names that are used twice; `ONNXError.file`.
    public func writeONNX(to path: String, opset: Int = 17, weights: [(name: String, tensor: Tensor)] = []) throws {
        var model = try onnx(opset: opset, weights: weights)
        let bytes = model.graph?.initializers.reduce(0) { $0 + ($1.numbers.map { $0.count * $0.dtype.width } ?? 0) } ?? 0
        if bytes > ONNX.Model.inlineBytes { try model.moveWeights(to: path + ".weights") }
        var writer = ProtobufWriter()
        model.write(to: &writer)
        try NewFile.write(to: path) { file in try writer.forEachPiece { try file.write($0) } }
    }

    /// The program as an ONNX model, whose weights are with it.
    package func onnx(opset: Int = 17, weights: [(name: String, tensor: Tensor)] = []) throws -> ONNX.Model {
        guard Self.exportedOpsets.contains(opset) else {
            throw ONNXError.opset(domain: "", version: opset, allowed: "\(Self.exportedOpsets.lowerBound)...\(Self.exportedOpsets.upperBound) for an export")
        }
        var export = try ProgramExport(graph, opset, weights)
        try export.addConstants()
        for node in graph.nodes { try export.add(node) }
        export.nameOutputs()
        return export.model
    }
}

/// A program on its way to an ONNX model: each of its nodes becomes operators, as `Exportable` says.
struct ProgramExport {
    /// The program, or one within it while that is added.
    private var graph: Graph
    var operators: OperatorGraph
    /// What each value is called among the operators.
    private var names: [Graph.Value: String] = [:]
    private var weights: [TensorSpec: [(name: String, tensor: Tensor)]] = [:]

    init(_ graph: Graph, _ opset: Int, _ weights: [(name: String, tensor: Tensor)]) throws {
        self.graph = graph
        var taken: Set<String> = [], symbols: [String: (input: String, axis: Int)] = [:]
        for port in graph.inputs + graph.outputs {
            guard !port.name.isEmpty, taken.insert(port.name).inserted else {
                throw ONNXError.graph("an ONNX model's inputs and outputs have names of their own, '\(port.name)' is empty or comes twice")
            }
        }
        for port in graph.inputs {
            names[port.value] = port.name
            let shape = graph.specs[port.value].shape
            for axis in 0..<shape.rank {
                if let symbol = shape[axis].soleSymbol, symbols[symbol] == nil { symbols[symbol] = (port.name, axis) }
            }
        }
        operators = OperatorGraph(opset: opset, ports: taken, weights: Set(weights.map(\.name)), symbols: symbols)
        for (name, tensor) in weights { self.weights[tensor.spec, default: []].append((name, tensor.detached())) }
    }

    mutating func addConstants() throws {
        for (value, tensor) in graph.constants.sorted(by: { $0.key < $1.key }) { names[value] = try name(of: tensor) }
    }

    /// The name of the weight with the same numbers, each given once; else a number.
    private mutating func name(of constant: Tensor) throws -> String {
        for (place, weight) in (weights[constant.spec] ?? []).enumerated() {
            let isSame = try constant.withBytes { a throws(TensorError) in try weight.tensor.withBytes { b in a.elementsEqual(b) } }
            guard isSame else { continue }
            weights[constant.spec]?.remove(at: place)
            return operators.weight(constant, named: weight.name)
        }
        return try operators.constant(constant)
    }

    mutating func add(_ node: Graph.Node) throws {
        let name = type(of: node.primitive).name
        func refuse(_ what: String) -> ONNXError { .notExportable(primitive: name, line: node.origin?.callersLine, what) }
        if let state = graph.states.first(where: { $0.first == node.inputs[0] }), let shown = try node.primitive.shown(of: state.memory) {
            names[node.outputs[0]] = try self.name(of: shown.contiguous())
            return
        }
        guard !node.isUpdate else { throw refuse("it updates the program's state, and models have none") }
        if let nesting = node.primitive as? any Nesting {
            for (value, name) in zip(node.outputs, try nesting.export(node.inputs.map(self.name(of:)), to: &self)) { names[value] = name }
            return
        }
        guard let primitive = node.primitive as? any Exportable else { throw refuse("no operators stand for it") }
        let own = node.outputs.dropLast(node.residuals)
        let call = ExportCall(
            inputs: node.inputs.map(name(of:)), specs: node.inputs.map { graph.specs[$0] }, outputs: own.map { graph.specs[$0] })
        let made: [String]
        do { made = try primitive.export(call, to: &operators) } catch { throw refuse(error.facts) }
        for (value, name) in zip(own, made) { names[value] = name }
    }

    /// The nodes of a program within the program, of values with these names.
    ///
    /// - Returns: what its outputs are called.
    mutating func add(_ program: Program, of inputs: [String]) throws -> [String] {
        let outside = (graph: graph, names: names)
        defer { (graph, names) = outside }
        (graph, names) = (program.graph, [:])
        for (port, name) in zip(graph.inputs, inputs) { names[port.value] = name }
        try addConstants()
        for node in graph.nodes { try add(node) }
        return graph.outputs.map { name(of: $0.value) }
    }

    private func name(of value: Graph.Value) -> String {
        guard let name = names[value] else { preconditionFailure("value \(value) is read before it is made, or is a residual that a forward pass reads") }
        return name
    }

    /// Calls what goes out by the outputs' names.
    mutating func nameOutputs() {
        for port in graph.outputs {
            let value = name(of: port.value)
            guard operators.name(value, asOutput: port.name) else { continue }
            for (other, name) in names where name == value { names[other] = port.name }
        }
    }

    var model: ONNX.Model {
        var onnx = ONNX.Graph()
        onnx.name = "program"
        onnx.nodes = operators.nodes.map(ONNX.Node.init)
        onnx.initializers = operators.constants.map { ONNX.TensorData($0.name, $0.tensor) }
        onnx.inputs = graph.inputs.map { ONNX.ValueInfo($0.name, graph.specs[$0.value]) }
        onnx.outputs = graph.outputs.map { ONNX.ValueInfo($0.name, graph.specs[$0.value]) }
        var model = ONNX.Model()
        model.producer = "Keel"
        model.opsets = [ONNX.OperatorSet(domain: "", version: Int64(operators.opset))]
        model.irVersion = operators.opset >= 21 ? 10 : operators.opset >= 19 ? 9 : operators.opset >= 15 ? 8 : 7
        model.graph = onnx
        return model
    }
}

extension ONNX.Model {
    /// Bytes of weights that are written into the model's own file.
    static let inlineBytes = 1 << 30

    /// Moves the weights into a file of their bytes alone.
    package mutating func moveWeights(to path: String) throws {
        guard var graph else { return }
        var offset = 0
        let location = (path as NSString).lastPathComponent
        try NewFile.write(to: path) { file in
            for place in graph.initializers.indices {
                guard let numbers = graph.initializers[place].numbers, numbers.count * numbers.dtype.width >= 1024 else { continue }
                let bytes = numbers.count * numbers.dtype.width
                let done = try numbers.withBytes { (bytes) throws(TensorError) in Result { try file.write(bytes) } }
                try done.get()
                graph.initializers[place].lie(in: location, at: offset..<(offset + bytes))
                offset += bytes
            }
        }
        self.graph = graph
    }
}

extension ONNX.TensorData {
    /// Makes its numbers those bytes of a file beside the model's.
    mutating func lie(in file: String, at bytes: Range<Int>) {
        numbers = nil
        isExternal = true
        external = ["location": file, "offset": "\(bytes.lowerBound)", "length": "\(bytes.count)"]
    }

    package init(_ name: String, _ tensor: Tensor) {
        self.init()
        self.name = name
        numbers = tensor
        kind = Int64(tensor.dtype.onnxKind)
        dims = (tensor.shape.sizes ?? []).map(Int64.init)
    }
}

extension ONNX.ValueInfo {
    fileprivate init(_ name: String, _ spec: TensorSpec) {
        self.init()
        self.name = name
        let sizes = (0..<spec.shape.rank).map { axis -> ONNX.Dimension in
            let dimension = spec.shape[axis]
            return dimension.number.map { .size(Int64($0)) } ?? .parameter(dimension.description.replacing("·", with: "*"))
        }
        type = .tensor(kind: Int64(spec.dtype.onnxKind), sizes)
    }
}

extension ONNX.Graph {
    fileprivate init(_ inner: OperatorGraph.Inner) {
        self.init()
        name = "inner"
        nodes = inner.nodes.map(ONNX.Node.init)
        inputs = inner.inputs.map { ONNX.ValueInfo($0.name, $0.spec) }
        outputs = inner.outputs.map { ONNX.ValueInfo($0.name, $0.spec) }
    }
}

extension ONNX.Node {
    fileprivate init(_ node: OperatorGraph.Node) {
        self.init()
        name = node.outputs[0]
        type = node.type
        inputs = node.inputs
        outputs = node.outputs
        attributes = node.attributes.map(ONNX.Attribute.init)
    }
}

extension ONNX.Attribute {
    fileprivate init(_ attribute: (name: String, value: OperatorGraph.Attribute)) {
        self.init()
        name = attribute.name
        switch attribute.value {
        case .float(let number): (type, float) = (1, Float(number))
        case .int(let number): (type, int) = (2, Int64(number))
        case .text(let text): (type, string) = (3, Array(text.utf8))
        case .graph(let inner): (type, graph) = (5, ONNX.Graph(inner))
        case .ints(let numbers): (type, ints) = (7, numbers.map(Int64.init))
        }
    }
}
