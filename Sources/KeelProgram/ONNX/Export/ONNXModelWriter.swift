package import Keel

/// A model of the ONNX format put together operator by operator: for what is no program, such as trees over a table's columns. Programs may be parts of it.
///
/// Values go by their names, and the batch is the first axis of each input and output.
package struct ONNXModelWriter {
    package enum Attribute: Sendable {
        case int(Int)
        case float(Float)
        case text(String)
        case ints([Int])
        case floats([Float])
        case texts([String])
        case tensor(Tensor)
    }

    private var graph = ONNX.Graph()
    private let opsets: [(domain: String, version: Int)]
    private var taken: Set<String>
    /// How many names of each sort there are.
    private var counts: [String: Int] = [:]

    /// - Parameter ports: the names of all inputs and outputs.
    package init(opset: Int, mlOpset: Int, ports: [String]) {
        opsets = [("", opset), ("ai.onnx.ml", mlOpset)]
        taken = Set(ports)
        graph.name = "model"
    }

    /// Sizes behind the batch's.
    package mutating func input(_ name: String, _ kind: ElementKind, _ sizes: [Int]) { graph.inputs.append(.init(name, kind, sizes)) }
    package mutating func output(_ name: String, _ kind: ElementKind, _ sizes: [Int]) { graph.outputs.append(.init(name, kind, sizes)) }

    /// - Parameter output: what the value is called; a name of its own where it is left out.
    /// - Returns: the value's name.
    @discardableResult
    package mutating func node(
        _ type: String, _ inputs: [String], _ attributes: [(name: String, value: Attribute)], domain: String = "", as output: String? = nil
    ) -> String {
        var node = ONNX.Node()
        (node.type, node.domain, node.inputs) = (type, domain, inputs)
        let name = output ?? unique(type.lowercased())
        (node.name, node.outputs) = (name, [name])
        node.attributes = attributes.map { ONNX.Attribute($0.name, $0.value) }
        graph.nodes.append(node)
        return name
    }

    @discardableResult
    package mutating func node(
        _ type: String, _ inputs: [String], _ attributes: KeyValuePairs<String, Attribute> = [:], domain: String = "", as output: String? = nil
    ) -> String {
        node(type, inputs, attributes.map { (name: $0.key, value: $0.value) }, domain: domain, as: output)
    }

    package mutating func constant(_ tensor: Tensor) -> String {
        let name = unique("constant")
        graph.initializers.append(ONNX.TensorData(name, tensor))
        return name
    }

    private mutating func unique(_ wanted: String) -> String {
        var name = wanted
        while !taken.insert(name).inserted {
            counts[wanted, default: 0] += 1
            name = "\(wanted)_\(counts[wanted, default: 0])"
        }
        return name
    }

    /// The operators that stand for a program, and its weights.
    ///
    /// - Parameters:
    ///   - inputs: what it is given, in the order of its inputs.
    ///   - weights: as `Program.writeONNX` takes them; what the model has already is called otherwise.
    /// - Returns: the names of what it gives.
    /// - Throws: as `Program.writeONNX`.
    package mutating func program(_ program: Program, of inputs: [String], weights: [(name: String, tensor: Tensor)] = []) throws -> [String] {
        precondition(inputs.count == program.inputs.count, "a program is given as many values as it takes")
        guard let made = try program.onnx(opset: opsets[0].version, weights: weights).graph else { preconditionFailure("a program has a graph") }
        var names = Dictionary(uniqueKeysWithValues: zip(made.inputs.map(\.name), inputs))
        for var weight in made.initializers {
            let name = unique(weight.name)
            names[weight.name] = name
            weight.name = name
            graph.initializers.append(weight)
        }
        for var node in made.nodes {
            node.inputs = node.inputs.map { names[$0] ?? $0 }
            node.outputs = node.outputs.map { output in
                // An output that nobody wants has no name.
                let name = output.isEmpty ? "" : unique(output)
                names[output] = name
                return name
            }
            node.name = node.outputs.first ?? ""
            graph.nodes.append(node)
        }
        return made.outputs.map { names[$0.name] ?? $0.name }
    }

    package func bytes() throws -> [UInt8] {
        var model = ONNX.Model()
        // The first whose `TreeEnsemble` is of one form for all.
        model.irVersion = 10
        model.producer = "Keel"
        model.opsets = opsets.map { ONNX.OperatorSet(domain: $0.domain, version: Int64($0.version)) }
        model.graph = graph
        var writer = ProtobufWriter()
        model.write(to: &writer)
        return try writer.allBytes()
    }
}

extension ONNX.ValueInfo {
    fileprivate init(_ name: String, _ kind: ElementKind, _ sizes: [Int]) {
        self.init()
        self.name = name
        type = .tensor(kind: kind.rawValue, [.parameter("batch")] + sizes.map { .size(Int64($0)) })
    }
}

extension ONNX.Attribute {
    fileprivate init(_ name: String, _ value: ONNXModelWriter.Attribute) {
        self.init()
        self.name = name
        switch value {
        case .float(let number): (type, float) = (1, number)
        case .int(let number): (type, int) = (2, Int64(number))
        case .text(let text): (type, string) = (3, Array(text.utf8))
        case .tensor(let tensor): (type, self.tensor) = (4, ONNX.TensorData("", tensor))
        case .floats(let numbers): (type, floats) = (6, numbers)
        case .ints(let numbers): (type, ints) = (7, numbers.map(Int64.init))
        case .texts(let texts): (type, strings) = (8, texts.map { Array($0.utf8) })
        }
    }
}
