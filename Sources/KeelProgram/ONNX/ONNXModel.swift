import Foundation
internal import Keel
internal import Synchronization

/// What reading and running a model from elsewhere may take.
public struct ONNXLimits: Sendable {
    /// Bytes that all values of an execution take together, and those of the initialisers; a value that would take more by itself isn't begun.
    public var bytes = 4 << 30
    /// Nodes that an execution computes, those of loops counted each time.
    public var steps = 20_000_000
    /// Looked at between nodes and passes of loops, and within nodes whose loops are Swift's (trees, support vectors, words); within others `work` bounds what begins.
    public var time = Duration.seconds(600)
    /// Multiplications, or numbers looked at, of one convolution, pooling, matrix product, sum of products, resizing, suppression or alignment.
    public var work = 1 << 45
    /// How deep graphs and functions lie in each other.
    public var depth = 32

    static let sparseElements = 1 << 28
    /// Nodes of a traced model, whose loops a program would hold turn by turn.
    static let tracedSteps = 50_000
    /// Positions along one axis, also of tensors that hold nothing: what operators compute of sizes then fits an `Int`.
    static let axis = 1 << 31
    /// Elements that a tensor which holds nothing would have with each empty axis taken as 1.
    static let emptyElements = 1 << 29

    public init() {}
}

/// A model of the ONNX format, ready to be run on tensors.
///
/// - Source: the ONNX specification, IR version 13; operator sets of `ai.onnx` up to 28 and `ai.onnx.ml` up to 5.
public final class ONNXModel: Sendable {
    /// The newest operator sets that are known. Sets before 7 are taken as far as their operators' forms are known (see `unsupported`).
    public static let newestOpset = 28, newestMLOpset = 5

    /// An input or output: its name, kind and sizes (nil where they are open).
    public struct Port: Sendable, Hashable {
        public let name: String
        public let kind: ElementKind?
        /// Nil where the rank isn't said.
        public let sizes: [Size]?

        /// How long an axis is; nil where that is open, and then it may have a name.
        public struct Size: Sendable, Hashable {
            public let size: Int?
            public let name: String?

            public init(size: Int?, name: String?) {
                self.size = size
                self.name = name
            }
        }
    }

    /// An operator of a model that can't be computed, and why.
    public struct Unsupported: Sendable, Hashable {
        public let domain: String, type: String
        public let opset: Int
        public let reason: String
        /// How many nodes there are of it.
        public let count: Int
    }

    /// The inputs that a run must be given: those of the graph without an initialiser.
    public let inputs: [Port]
    public let outputs: [Port]
    public let opsets: [String: Int]
    public let producer: String
    /// The files that its tensors' external data is to be read from, as the model names them.
    public let externalFiles: Set<String>
    public let unsupported: [Unsupported]
    public let limits: ONNXLimits

    let graph: ONNX.Graph
    let functions: [FunctionKey: ONNX.Function]
    package let initializers: [String: ONNXValue]
    /// What operators made of their nodes' attributes, by the outputs' names (`OperatorCall.prepared`).
    let prepared = Mutex<[String: any Sendable]>([:])
    let external: ExternalData

    struct FunctionKey: Hashable {
        let domain: String, name: String, overload: String
    }

    /// - Throws: `ONNXError`: whatever is wrong with the file, but for operators that can't be computed.
    public convenience init(reading path: String, limits: ONNXLimits = ONNXLimits()) throws {
        let folder = (path as NSString).deletingLastPathComponent
        try self.init(MappedBytes(path: path), .folder(folder.isEmpty ? "." : folder), limits)
    }

    /// With external data in these files: paths by the names that the model calls them.
    public convenience init(reading path: String, files: [String: String], limits: ONNXLimits = ONNXLimits()) throws {
        try self.init(MappedBytes(path: path), .paths(files), limits)
    }

    /// Of a file's bytes; external data can't be read then.
    public convenience init(_ bytes: [UInt8], limits: ONNXLimits = ONNXLimits()) throws {
        try self.init(MappedBytes(copying: bytes), .none, limits)
    }

    init(_ file: MappedBytes, _ external: ExternalData, _ limits: ONNXLimits) throws {
        let model = try ONNX.Model(ProtobufReader(file.bytes), file)
        guard let graph = model.graph else { throw ONNXError.graph("the file holds no graph: it isn't an ONNX model") }
        guard !model.opsets.isEmpty else { throw ONNXError.graph("the model names no operator set") }
        self.limits = limits
        self.graph = graph
        self.external = external
        producer = model.producer
        opsets = try Self.versions(model.opsets)

        var functions: [FunctionKey: ONNX.Function] = [:]
        for function in model.functions {
            let key = FunctionKey(domain: function.domain, name: function.name, overload: function.overload)
            guard functions.updateValue(function, forKey: key) == nil else { throw ONNXError.graph("the function \(function.name) is there twice") }
            _ = try Self.versions(function.opsets)
        }
        self.functions = functions

        guard !graph.outputs.isEmpty else { throw ONNXError.graph("the graph has no output") }
        var checker = GraphChecker(functions: functions, limits: limits)
        try checker.check(graph, outer: nil, opsets, depth: 0)
        for function in model.functions { try checker.check(function) }
        unsupported = checker.unsupported

        var initializers: [String: ONNXValue] = [:]
        var bytes = 0
        func count(_ more: Int, _ tensor: ONNX.TensorData) throws {
            let (sum, overflow) = bytes.addingReportingOverflow(more)
            guard !overflow, sum <= limits.bytes else {
                throw ONNXError.limit(place: "tensor '\(tensor.label)'", "the initialisers take more than \(limits.bytes) bytes")
            }
            bytes = sum
        }
        for data in graph.initializers {
            try count(data.valueBytes, data)
            initializers[data.name] = try ONNXValue(data, in: external)
        }
        for sparse in graph.sparseInitializers {
            try count(sparse.valueBytes, sparse.values)
            initializers[sparse.values.name] = try ONNXValue(sparse, in: external)
        }
        self.initializers = initializers
        let tensors = graph.tensors + model.functions.flatMap(\.nodes).tensors
        externalFiles = Set(tensors.filter(\.isExternal).compactMap { $0.external["location"] })
        inputs = graph.inputs.filter { initializers[$0.name] == nil }.map(Port.init)
        outputs = graph.outputs.map(Port.init)
    }

    private static func versions(_ sets: [ONNX.OperatorSet]) throws -> [String: Int] {
        var versions: [String: Int] = [:]
        for set in sets {
            // Exporters name a set twice, under both of its names; they have to agree.
            if let other = versions.updateValue(Int(set.version), forKey: set.domain), other != set.version {
                throw ONNXError.graph("the operator set '\(set.domain)' is named twice, with the versions \(other) and \(set.version)")
            }
            let newest = set.domain == "" ? newestOpset : set.domain == "ai.onnx.ml" ? newestMLOpset : Int.max
            guard set.version >= 1, set.version <= newest else {
                throw ONNXError.opset(domain: set.domain, version: Int(set.version), allowed: "1...\(newest)")
            }
        }
        return versions
    }

    /// Runs the graph.
    ///
    /// - Parameter values: by the inputs' names. An input with an initialiser may be left out.
    /// - Returns: by the outputs' order.
    /// - Throws: `ONNXError`: an input that is missing or doesn't fit, an operator that isn't supported, a node whose inputs don't fit it, a limit.
    public func run(_ values: [String: ONNXValue]) throws -> [ONNXValue] {
        for port in inputs {
            guard let value = values[port.name] else {
                throw ONNXError.input(name: port.name, "is missing")
            }
            try port.check(value)
        }
        for name in values.keys where !graph.inputs.contains(where: { $0.name == name }) {
            throw ONNXError.input(name: name, "isn't one of the model's: \(inputs.map(\.name).joined(separator: ", "))")
        }
        let execution = ModelRun(self)
        return try execution.run(graph, opsets, initializers.merging(values) { $1 }, outer: nil, depth: 0)
    }
}

extension ONNXModel.Port {
    init(_ info: ONNX.ValueInfo) {
        name = info.name
        guard case .tensor(let kind, let dimensions)? = info.type else {
            (self.kind, sizes) = (nil, nil)
            return
        }
        self.kind = ElementKind(rawValue: kind)
        sizes = dimensions?.map { dimension in
            switch dimension {
            // Some exporters write -1 for what they leave open.
            case .size(let size): Size(size: size >= 0 ? Int(size) : nil, name: nil)
            case .parameter(let name): Size(size: nil, name: name)
            case .unknown: Size(size: nil, name: nil)
            }
        }
    }

    func check(_ value: ONNXValue) throws {
        guard let kind, let given = value.kind, let shape = value.shape else { return }
        guard given == kind else { throw ONNXError.input(name: name, "is \(given), the model takes \(kind)") }
        guard let sizes else { return }
        let fits = sizes.count == shape.rank && zip(0..<shape.rank, sizes).allSatisfy { $1.size == nil || $1.size == shape[$0].number }
        guard fits else {
            let wanted = sizes.map { $0.size.map(String.init) ?? $0.name ?? "?" }.joined(separator: ", ")
            throw ONNXError.input(name: name, "has the shape \(shape), the model takes [\(wanted)]")
        }
    }
}

extension ONNX.Graph {
    /// All that the file holds for it, and for the graphs inside it.
    fileprivate var tensors: [ONNX.TensorData] { initializers + sparseInitializers.flatMap(\.parts) + nodes.tensors }
}

extension [ONNX.Node] {
    fileprivate var tensors: [ONNX.TensorData] {
        var tensors: [ONNX.TensorData] = []
        for attribute in flatMap(\.attributes) {
            if let tensor = attribute.tensor { tensors.append(tensor) }
            if let sparse = attribute.sparseTensor { tensors += sparse.parts }
            if let graph = attribute.graph { tensors += graph.tensors }
            tensors += attribute.tensors
            for graph in attribute.graphs { tensors += graph.tensors }
        }
        return tensors
    }
}

extension ONNX.SparseTensor {
    fileprivate var parts: [ONNX.TensorData] { [values, indices] }
}

/// Checks graphs before anything is computed: each name is made once and before it is read, and each operator is known.
private struct GraphChecker {
    let functions: [ONNXModel.FunctionKey: ONNX.Function]
    let limits: ONNXLimits
    private struct Key: Hashable {
        let domain: String, type: String
        let opset: Int
        let reason: String
    }
    private var found: [Key: Int] = [:]
    /// Functions that call each other, on the way of being checked.
    private var calls: [ONNXModel.FunctionKey] = []
    private var checked: Set<ONNXModel.FunctionKey> = []

    init(functions: [ONNXModel.FunctionKey: ONNX.Function], limits: ONNXLimits) {
        self.functions = functions
        self.limits = limits
    }

    var unsupported: [ONNXModel.Unsupported] {
        found.map { ONNXModel.Unsupported(domain: $0.domain, type: $0.type, opset: $0.opset, reason: $0.reason, count: $1) }
            .sorted { ($0.domain, $0.type, $0.reason) < ($1.domain, $1.type, $1.reason) }
    }

    /// The names that nodes see: those of their graph so far, and of the graphs around it.
    final class Names {
        var own: Set<String> = []
        let outer: Names?
        init(_ own: Set<String> = [], outer: Names?) { (self.own, self.outer) = (own, outer) }
        func contains(_ name: String) -> Bool { own.contains(name) || outer?.contains(name) ?? false }
    }

    mutating func check(_ graph: ONNX.Graph, outer: Names?, _ opsets: [String: Int], depth: Int) throws {
        guard depth <= limits.depth else {
            throw ONNXError.tooDeep(place: "graph '\(graph.name)'", "graphs lie more than \(limits.depth) deep in each other")
        }
        let names = Names(outer: outer)
        for input in graph.inputs {
            guard names.own.insert(input.name).inserted else { throw ONNXError.definedTwice(value: input.name) }
        }
        var constants: Set<String> = []
        for name in graph.initializers.map(\.name) + graph.sparseInitializers.map(\.values.name) {
            guard !name.isEmpty else { throw ONNXError.graph("an initialiser of graph '\(graph.name)' has no name") }
            guard constants.insert(name).inserted else { throw ONNXError.definedTwice(value: name) }
            names.own.insert(name)
        }
        try check(graph.nodes, names, opsets, depth)
        for output in graph.outputs where !names.contains(output.name) {
            throw ONNXError.graph("nothing makes the output '\(output.name)' of graph '\(graph.name)'")
        }
    }

    mutating func check(_ function: ONNX.Function) throws {
        let key = ONNXModel.FunctionKey(domain: function.domain, name: function.name, overload: function.overload)
        guard !checked.contains(key) else { return }
        guard !calls.contains(key) else { throw ONNXError.graph("the function \(function.name) calls itself") }
        guard calls.count < limits.depth else {
            throw ONNXError.tooDeep(place: "function \(function.name)", "functions lie more than \(limits.depth) deep in each other")
        }
        calls.append(key)
        var opsets: [String: Int] = [:]
        for set in function.opsets { opsets[set.domain] = Int(set.version) }
        let names = Names(Set(function.inputs), outer: nil)
        try check(function.nodes, names, opsets, 0)
        for output in function.outputs where !names.contains(output) {
            throw ONNXError.graph("nothing makes the output '\(output)' of function \(function.name)")
        }
        calls.removeLast()
        checked.insert(key)
    }

    private mutating func check(_ nodes: [ONNX.Node], _ names: Names, _ opsets: [String: Int], _ depth: Int) throws {
        for node in nodes {
            for name in node.inputs where !name.isEmpty && !names.contains(name) {
                throw ONNXError.notDefined(value: name, node: node.label)
            }
            var attributes: Set<String> = []
            for attribute in node.attributes where !attributes.insert(attribute.name).inserted {
                throw ONNXError.node(name: node.name, operator: node.type, "has the attribute '\(attribute.name)' twice")
            }
            if let function = functions[ONNXModel.FunctionKey(domain: node.domain, name: node.type, overload: node.overload)] {
                try check(function)
            } else {
                let opset = opsets[node.domain] ?? 0
                if let reason = Operators.reasonAgainst(node, opset) {
                    found[Key(domain: node.domain, type: node.type, opset: opset, reason: reason), default: 0] += 1
                }
            }
            let graphs = node.attributes.flatMap { ($0.graph.map { [$0] } ?? []) + $0.graphs }
            for graph in graphs { try check(graph, outer: names, opsets, depth: depth + 1) }
            for name in node.outputs where !name.isEmpty {
                guard names.own.insert(name).inserted else { throw ONNXError.definedTwice(value: name) }
            }
        }
    }
}
