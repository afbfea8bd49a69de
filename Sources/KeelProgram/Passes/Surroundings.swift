internal import Keel

/// What passes that look for chains of nodes ask of a graph: who makes a value, who reads it, what it means. It tells of the graph as it was.
struct Surroundings {
    private let graph: Graph
    private let makers: [Int?]
    private let readers: [[Int]]
    private let uses: [Int]
    private let updates: [Int]

    init(_ graph: Graph) {
        self.graph = graph
        makers = graph.makers
        uses = graph.uses
        updates = graph.updatesBefore
        var readers = [[Int]](repeating: [], count: graph.specs.count)
        for (place, node) in graph.nodes.enumerated() { for value in Set(node.inputs) { readers[value].append(place) } }
        self.readers = readers
    }

    /// The node with a single output that makes the value.
    func maker(_ value: Graph.Value) -> Int? {
        guard let maker = makers[value], graph.nodes[maker].outputs.count == 1 else { return nil }
        return maker
    }

    func readers(_ value: Graph.Value) -> [Int] { readers[value] }
    func inputs(_ place: Int) -> [Graph.Value] { graph.nodes[place].inputs }
    func outputs(_ place: Int) -> [Graph.Value] { graph.nodes[place].outputs }

    /// The node that makes the value, if nothing else reads it and the state is the same at `place`, where it is to run instead.
    func own(_ value: Graph.Value, at place: Int) -> Int? {
        guard uses[value] == 1, let maker = maker(value), updates[maker] == updates[place] else { return nil }
        return maker
    }

    /// The only node that reads the value, which isn't given away.
    func onlyReader(_ value: Graph.Value) -> Int? { uses[value] == 1 ? readers[value].first : nil }

    /// The node that makes the value, if nothing reads it but the node at `place`, where it is to run instead and the state is the same.
    func own(_ value: Graph.Value, of place: Int) -> Int? {
        guard readers[value] == [place], uses[value] == inputs(place).count(where: { $0 == value }), let maker = maker(value), areAlike(maker, place)
        else { return nil }
        return maker
    }

    /// Whether both see the same state.
    func areAlike(_ a: Int, _ b: Int) -> Bool { updates[a] == updates[b] }

    func meaning(_ place: Int) -> Meaning? {
        let node = graph.nodes[place]
        guard node.outputs.count == 1, let first = node.inputs.first else { return nil }
        return node.primitive.meaning(of: graph.specs[first])
    }

    /// The number that a constant of one float is.
    func number(_ value: Graph.Value) -> Double? {
        guard let constant = graph.constants[value], constant.dtype.isFloat, (try? constant.shape.elementCount()) == 1 else { return nil }
        return try? constant.reshaped([]).cast(to: .float64).item(Double.self)
    }

    /// What the value is but for a constant factor.
    func scaled(_ value: Graph.Value) -> (factor: Double, value: Graph.Value) {
        guard let place = maker(value), let meaning = meaning(place) else { return (1, value) }
        let node = graph.nodes[place]
        func times(_ factor: Double, _ input: Int) -> (factor: Double, value: Graph.Value) {
            guard graph.specs[node.inputs[input]] == graph.specs[value] else { return (1, value) }
            let inner = scaled(node.inputs[input])
            return (factor * inner.factor, inner.value)
        }
        switch meaning {
        case .scale(let factor, 0): return times(factor, 0)
        case .negate: return times(-1, 0)
        case .divide: return number(node.inputs[1]).map { times(1 / $0, 0) } ?? (1, value)
        case .multiply:
            if let factor = number(node.inputs[1]) { return times(factor, 0) }
            if let factor = number(node.inputs[0]) { return times(factor, 1) }
            return (1, value)
        default: return (1, value)
        }
    }
}
