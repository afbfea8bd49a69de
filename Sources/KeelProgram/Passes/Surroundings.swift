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

    /// What the value is but for a constant factor. A chain of factors may be as long as the program.
    func scaled(_ value: Graph.Value) -> (factor: Double, value: Graph.Value) {
        var (factor, value) = (1.0, value)
        while let place = maker(value), let meaning = meaning(place) {
            let operands = inputs(place)
            let own: (factor: Double, of: Graph.Value)? =
                switch meaning {
                case .scale(let factor, 0): (factor, operands[0])
                case .negate: (-1, operands[0])
                case .divide: number(operands[1]).map { (1 / $0, operands[0]) }
                case .multiply: number(operands[1]).map { ($0, operands[0]) } ?? number(operands[0]).map { ($0, operands[1]) }
                default: nil
                }
            guard let own, graph.specs[own.of] == graph.specs[value] else { break }
            factor *= own.factor
            value = own.of
        }
        return (factor, value)
    }
}
