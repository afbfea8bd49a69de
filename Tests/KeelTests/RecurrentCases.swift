import Keel

/// A GRU's inputs: x, and input weights, recurrent weights and two biases for each direction, then the state.
private func gruShapes(_ directions: Int, batch: Int, time: Int, features: Int, hidden: Int) -> [Shape] {
    let direction: [Shape] = [[3 * hidden, features], [3 * hidden, hidden], [3 * hidden], [3 * hidden]]
    return [[batch, time, features]] + (0..<directions).flatMap { _ in direction } + [[directions, batch, hidden]]
}

private func gru(_ inputs: [Tensor], _ directions: Int, hasState: Bool = true, lengths: [Int64]? = nil) throws -> Tensor {
    var weights: [(input: Tensor, recurrent: Tensor, inputBias: Tensor, recurrentBias: Tensor)] = []
    for d in 0..<directions {
        let first = 1 + 4 * d
        weights.append((inputs[first], inputs[first + 1], inputs[first + 2], inputs[first + 3]))
    }
    let state = inputs[1 + 4 * directions], ends = try lengths.map { try Tensor($0).moved(to: inputs[0].device) }
    let (y, h) = try inputs[0].gru(weights, state: hasState ? state : nil, lengths: ends)
    return try .concatenated([y.flattened(), h.flattened() * 2, state.flattened()])
}

/// Rows of gated recurrent units. Sums over some steps of some hundred products: tolerances are a little wider than elsewhere.
let recurrentCases: [PrimitiveCase] = [
    PrimitiveCase(
        names: ["GRU", "GRUGradient"],
        shapes: [
            gruShapes(1, batch: 3, time: 4, features: 2, hidden: 5), gruShapes(1, batch: 1, time: 1, features: 1, hidden: 1),
            gruShapes(1, batch: 0, time: 2, features: 3, hidden: 4), gruShapes(1, batch: 2, time: 3, features: 0, hidden: 2),
            gruShapes(1, batch: 13, time: 5, features: 19, hidden: 33), gruShapes(1, batch: 8, time: 2, features: 70, hidden: 80),
        ],
        range: -0.6...0.6, tolerance: 5e-5,
        rejects: [
            ([[2, 3], [3, 3], [3, 1], [3], [3], [1, 2, 1]], "[batch, time, features]"), ([[2, 0, 3], [3, 3], [3, 1], [3], [3], [1, 2, 1]], "a step"),
            ([[2, 2, 3], [3, 2], [3, 1], [3], [3], [1, 2, 1]], "input weights [3, 3]"), ([[2, 2, 3], [3, 3], [4, 1], [3], [3], [1, 2, 1]], "recurrent weights [3, 1]"),
            ([[2, 2, 3], [3, 3], [3, 1], [3], [4], [1, 2, 1]], "a bias [3]"), ([[2, 2, 3], [3, 3], [3, 1], [3], [3], [1, 3, 1]], "a state [1, 2, 1]"),
        ]
    ) { try gru($0, 1) },
    PrimitiveCase(
        names: ["GRU", "GRUGradient"],
        shapes: [gruShapes(2, batch: 3, time: 4, features: 2, hidden: 3), gruShapes(2, batch: 7, time: 6, features: 17, hidden: 20)],
        range: -0.6...0.6, tolerance: 5e-5
    ) { try gru($0, 2, hasState: false) },
    PrimitiveCase(
        names: ["GRU", "GRUGradient"], shapes: [gruShapes(2, batch: 4, time: 5, features: 3, hidden: 6)], range: -0.6...0.6, tolerance: 5e-5
    ) { try gru($0, 2, lengths: [5, 0, 3, 1]) },
    // Whole tiles of rows end before the others do.
    PrimitiveCase(
        names: ["GRU", "GRUGradient"], shapes: [gruShapes(1, batch: 14, time: 4, features: 3, hidden: 18)], range: -0.6...0.6, tolerance: 5e-5
    ) { try gru($0, 1, lengths: (0..<14).map { $0 < 7 ? 4 : $0 % 3 }) },
]
