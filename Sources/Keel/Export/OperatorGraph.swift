/// A program as operators of ONNX: nodes in their order, and constants; all values by their names.
package struct OperatorGraph {
    package enum Attribute: Sendable {
        case int(Int)
        case ints([Int])
        case float(Double)
        case text(String)
        case graph(Inner)
    }

    /// A graph within a node, which sees the names around it.
    package struct Inner: Sendable {
        package let nodes: [Node]
        package let inputs, outputs: [(name: String, spec: TensorSpec)]
    }

    package struct Node: Sendable {
        package let type: String
        package fileprivate(set) var inputs: [String]
        package fileprivate(set) var outputs: [String]
        package let attributes: [(name: String, value: Attribute)]

        /// Whether a graph within it reads the value.
        fileprivate func sees(_ value: String) -> Bool {
            attributes.contains { _, attribute in
                guard case .graph(let inner) = attribute else { return false }
                return inner.nodes.contains { $0.inputs.contains(value) || $0.sees(value) }
            }
        }
    }

    /// Of `ai.onnx`.
    package let opset: Int
    package private(set) var nodes: [Node] = []
    package private(set) var constants: [(name: String, tensor: Tensor)] = []

    /// The names of inputs and outputs, and all names.
    private let ports: Set<String>
    private var taken: Set<String>
    private var counts: [String: Int] = [:]
    private var known: [Small: String] = [:]
    private let symbols: [String: (input: String, axis: Int)]
    private var dimensions: [Dimension: String] = [:]

    /// A constant of few bytes, which is there once.
    private struct Small: Hashable {
        let spec: TensorSpec
        let bytes: [UInt8]
    }

    /// - Parameters:
    ///   - ports: the names of inputs and outputs.
    ///   - weights: names that only `weight` gives.
    ///   - symbols: which input's axis each is the size of.
    package init(opset: Int, ports: Set<String>, weights: Set<String>, symbols: [String: (input: String, axis: Int)]) {
        (self.opset, self.ports, taken, self.symbols) = (opset, ports, ports.union(weights), symbols)
    }

    /// A name like `wanted` that nothing has yet.
    private mutating func unique(_ wanted: String) -> String {
        var name = wanted
        while !taken.insert(name).inserted {
            counts[wanted, default: 0] += 1
            name = "\(wanted)_\(counts[wanted] ?? 0)"
        }
        return name
    }

    // Nodes. An input that is left out is "", an attribute nil.

    package mutating func node(_ type: String, _ inputs: [String], _ attributes: KeyValuePairs<String, Attribute?> = [:]) -> String {
        node(type, inputs, outputs: 1, attributes)[0]
    }

    package mutating func node(
        _ type: String, _ inputs: [String], outputs count: Int, _ attributes: KeyValuePairs<String, Attribute?> = [:]
    ) -> [String] {
        let outputs = (0..<count).map { _ in unique(type.lowercased()) }
        let given = attributes.compactMap { name, value in value.map { (name: name, value: $0) } }
        nodes.append(Node(type: type, inputs: inputs, outputs: outputs, attributes: given))
        return outputs
    }

    /// Calls a value by an output's name.
    ///
    /// - Returns: whether that is its only name from now on. What is an input, a constant, another output or read by a graph within a node keeps its own
    ///   beside it.
    package mutating func name(_ value: String, asOutput name: String) -> Bool {
        guard !ports.contains(value), !nodes.contains(where: { $0.sees(value) }), let maker = nodes.firstIndex(where: { $0.outputs.contains(value) }) else {
            nodes.append(Node(type: "Identity", inputs: [value], outputs: [name], attributes: []))
            return false
        }
        nodes[maker].outputs = nodes[maker].outputs.map { $0 == value ? name : $0 }
        for place in nodes.indices { nodes[place].inputs = nodes[place].inputs.map { $0 == value ? name : $0 } }
        for (dimension, known) in dimensions where known == value { dimensions[dimension] = name }
        return true
    }

    // Graphs within nodes.

    /// What there is before a graph within a node begins.
    package struct Outside {
        fileprivate let nodes: [Node]
        fileprivate let dimensions: [Dimension: String]
    }

    /// From here to `endInner` nodes are those of a graph within a node.
    package mutating func beginInner() -> Outside {
        defer { nodes = [] }
        return Outside(nodes: nodes, dimensions: dimensions)
    }

    /// The name of an input of a graph within a node.
    package mutating func innerInput() -> String { unique("inner") }

    package mutating func endInner(
        _ outside: Outside, inputs: [(name: String, spec: TensorSpec)], outputs: [(name: String, spec: TensorSpec)]
    ) -> Inner {
        // What goes out has to be made within.
        let made = outputs.map { (name: node("Identity", [$0.name]), spec: $0.spec) }
        defer { (nodes, dimensions) = (outside.nodes, outside.dimensions) }
        return Inner(nodes: nodes, inputs: inputs, outputs: made)
    }

    // Constants.

    package mutating func constant(_ tensor: Tensor) throws(TensorError) -> String {
        var small: Small?
        if tensor.count * tensor.dtype.width <= 64 {
            let key = Small(spec: tensor.spec, bytes: try tensor.withBytes { Array($0) })
            if let name = known[key] { return name }
            small = key
        }
        let name = unique("constant")
        constants.append((name, tensor))
        if let small { known[small] = name }
        return name
    }

    /// A constant with a name of its own, which it is given once; where an input or output has that name, with one like it.
    package mutating func weight(_ tensor: Tensor, named wanted: String) -> String {
        let name = ports.contains(wanted) ? unique(wanted) : wanted
        constants.append((name, tensor))
        return name
    }

    mutating func number(_ value: Double, _ dtype: DType) throws(TensorError) -> String { try constant(.full(value, [], dtype)) }

    mutating func ints(_ numbers: [Int]) throws(TensorError) -> String { try constant(Tensor(numbers)) }

    // Sizes, of which symbols are known when the model runs.

    /// A dimension as an int64 `[1]`.
    mutating func dimension(_ dimension: Dimension) throws(TensorError) -> String {
        if let number = dimension.number { return try ints([number]) }
        if let name = dimensions[dimension] { return name }
        var sum: String?
        for (parts, factor) in dimension.terms {
            var term = parts.isEmpty || factor != 1 ? try ints([factor]) : nil
            for part in parts {
                let size =
                    switch part {
                    case .symbol(let name): try symbol(name)
                    case .quotient(let dividend, let divisor): node("Div", [try self.dimension(dividend), try ints([divisor])])
                    }
                term = term.map { node("Mul", [$0, size]) } ?? size
            }
            guard let term else { continue }
            sum = sum.map { node("Add", [$0, term]) } ?? term
        }
        guard let sum else { throw .symbolicDimension(dimension) }
        dimensions[dimension] = sum
        return sum
    }

    private mutating func symbol(_ name: String) throws(TensorError) -> String {
        let dimension = Dimension.symbol(name)
        if let known = dimensions[dimension] { return known }
        guard let (input, axis) = symbols[name] else { throw .symbolicDimension(dimension) }
        let size = node("Slice", [node("Shape", [input]), try ints([axis]), try ints([axis + 1])])
        dimensions[dimension] = size
        return size
    }

    /// All sizes, as an int64 `[rank]`.
    mutating func sizes(_ shape: Shape) throws(TensorError) -> String {
        if let sizes = shape.sizes { return try ints(sizes) }
        var parts: [String] = []
        for axis in 0..<shape.rank { parts.append(try dimension(shape[axis])) }
        return parts.count == 1 ? parts[0] : node("Concat", parts, ["axis": .int(0)])
    }

    // What operators have in different forms in different opsets, or need often.

    /// The same numbers under a shape of which at most one size is left for the operator to find, if others are symbols of no need.
    package mutating func reshape(_ x: String, to shape: Shape) throws(TensorError) -> String {
        let open = (0..<shape.rank).filter { shape[$0].isSymbolic }
        let holdsNothing = (0..<shape.rank).contains { shape[$0].number == 0 }
        if open.count == 1, !holdsNothing {
            return node("Reshape", [x, try ints((0..<shape.rank).map { shape[$0].number ?? -1 })])
        }
        guard holdsNothing else { return node("Reshape", [x, try sizes(shape)]) }
        guard opset >= 14 else { throw .argument(primitive: "Reshape", name: "shape", given: shape, allowed: "no size of 0 before opset 14") }
        return node("Reshape", [x, try sizes(shape)], ["allowzero": .int(1)])
    }

    mutating func transpose(_ x: String, _ order: [Int]) -> String { node("Transpose", [x], ["perm": .ints(order)]) }

    mutating func unsqueeze(_ x: String, _ axes: [Int]) throws(TensorError) -> String { node("Unsqueeze", [x, try ints(axes)]) }

    mutating func squeeze(_ x: String, _ axes: [Int]) throws(TensorError) -> String { node("Squeeze", [x, try ints(axes)]) }

    mutating func slice(_ x: String, axis: Int, from start: Int, to end: Int, step: Int = 1) throws(TensorError) -> String {
        node("Slice", [x, try ints([start]), try ints([end]), try ints([axis]), try ints([step])])
    }

    mutating func cast(_ x: String, to dtype: DType) -> String { node("Cast", [x], ["to": .int(dtype.onnxKind)]) }

    /// A reduction, whose axes are an attribute up to opset 17, but of sums.
    mutating func reduce(_ type: String, _ x: String, axes: [Int], keepsAxes: Bool) throws(TensorError) -> String {
        guard type == "ReduceSum" || opset >= 18 else {
            return node(type, [x], ["axes": .ints(axes), "keepdims": .int(keepsAxes ? 1 : 0)])
        }
        return node(type, [x, try ints(axes)], ["keepdims": .int(keepsAxes ? 1 : 0)])
    }
}

extension DType {
    /// Its number in `TensorProto.DataType`.
    package var onnxKind: Int {
        switch self {
        case .float32: 1
        case .uint8: 2
        case .int32: 6
        case .int64: 7
        case .bool: 9
        case .float16: 10
        case .float64: 11
        case .bfloat16: 16
        }
    }
}
