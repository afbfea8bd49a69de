import Keel

/// An LSTM's inputs: x, and input weights, recurrent weights and bias for each direction, then both states.
private func lstmShapes(_ directions: Int, batch: Int, time: Int, features: Int, hidden: Int) -> [Shape] {
    let direction: [Shape] = [[4 * hidden, features], [4 * hidden, hidden], [4 * hidden]]
    let state: Shape = [directions, batch, hidden]
    return [[batch, time, features]] + (0..<directions).flatMap { _ in direction } + [state, state]
}

private func lstm(_ inputs: [Tensor], _ directions: Int, hasState: Bool = true, lengths: [Int64]? = nil) throws -> Tensor {
    var weights: [(input: Tensor, recurrent: Tensor, bias: Tensor)] = []
    for d in 0..<directions {
        let first = 1 + 3 * d
        weights.append((inputs[first], inputs[first + 1], inputs[first + 2]))
    }
    let state = (h: inputs[1 + 3 * directions], c: inputs[2 + 3 * directions])
    let ends = try lengths.map { try Tensor($0).moved(to: inputs[0].device) }
    let (y, h, c) = try inputs[0].lstm(weights, state: hasState ? state : nil, lengths: ends)
    return try .concatenated([y.flattened(), h.flattened() * 2, c.flattened() * 3, state.h.flattened(), state.c.flattened()])
}

/// Rows of the primitives over sequences. Sums over some steps of some hundred products: tolerances are a little wider than elsewhere.
let sequenceCases: [PrimitiveCase] = [
    PrimitiveCase(
        names: ["LSTM", "LSTMGradient"],
        shapes: [
            lstmShapes(1, batch: 3, time: 4, features: 2, hidden: 5), lstmShapes(1, batch: 1, time: 1, features: 1, hidden: 1),
            lstmShapes(1, batch: 0, time: 2, features: 3, hidden: 4), lstmShapes(1, batch: 2, time: 3, features: 0, hidden: 2),
            lstmShapes(1, batch: 13, time: 5, features: 19, hidden: 33), lstmShapes(1, batch: 8, time: 2, features: 70, hidden: 80),
        ],
        range: -0.6...0.6, tolerance: 5e-5,
        rejects: [
            ([[2, 3], [4, 3], [4, 1], [4]] + [[1, 2, 1], [1, 2, 1]], "[batch, time, features]"),
            ([[2, 0, 3], [4, 3], [4, 1], [4]] + [[1, 2, 1], [1, 2, 1]], "a step"),
            ([[2, 2, 3], [4, 2], [4, 1], [4]] + [[1, 2, 1], [1, 2, 1]], "input weights"),
            ([[2, 2, 3], [4, 3], [4, 1], [4]] + [[1, 2, 1], [1, 3, 1]], "a state"),
        ]
    ) { try lstm($0, 1) },
    PrimitiveCase(
        names: ["LSTM", "LSTMGradient"],
        shapes: [lstmShapes(2, batch: 3, time: 4, features: 2, hidden: 3), lstmShapes(2, batch: 7, time: 6, features: 17, hidden: 20)],
        range: -0.6...0.6, tolerance: 5e-5
    ) { try lstm($0, 2, hasState: false) },
    PrimitiveCase(
        names: ["LSTM", "LSTMGradient"], shapes: [lstmShapes(2, batch: 4, time: 5, features: 3, hidden: 6)], range: -0.6...0.6, tolerance: 5e-5
    ) { try lstm($0, 2, lengths: [5, 0, 3, 1]) },
    // A part of sequences whose steps come first.
    PrimitiveCase(
        names: ["LSTM", "LSTMGradient"], shapes: [[[7, 4, 5]] + lstmShapes(2, batch: 4, time: 5, features: 3, hidden: 6).dropFirst()],
        range: -0.6...0.6, tolerance: 5e-5
    ) { v in
        let x = try v[0].sliced(0, from: 1, to: 6).sliced(2, from: 1, to: 4).transposed(0, 1)
        return try lstm([x] + v.dropFirst(), 2, lengths: [5, 0, 3, 1])
    },
    PrimitiveCase(
        names: ["Attention", "AttentionGradient"],
        shapes: [[[2, 5, 18]], [[1, 1, 6]], [[0, 4, 6]], [[3, 70, 120]], [[1, 150, 42]]], tolerance: 5e-5,
        rejects: [([[2, 5]], "[batch, time, features]"), ([[2, 5, 8]], "heads")]
    ) { try $0[0].selfAttention(heads: 2) },
    // With a bias it is made of these.
    PrimitiveCase(
        names: ["MatMul", "Softmax"],
        shapes: [[[2, 3, 6], [2, 5, 6], [2, 5, 6], [2, 3, 5]], [[1, 1, 2], [1, 1, 2], [1, 1, 2], [1]], [[2, 40, 34], [2, 90, 34], [2, 90, 34], [2, 1, 1, 90]]],
        tolerance: 5e-5,
        rejects: [
            ([[2, 3, 6], [2, 5, 6], [2, 5, 6], [3, 2, 3, 5]], "broadcast"), ([[1, 3, 6], [1, 5, 6], [1, 5, 6], [2, 2, 3, 5]], "a bias that broadcasts to [1, 2, 3, 5]"),
            ([[2, 3, 6], [2, 5, 4], [2, 5, 6], [5]], "needs [2, 5, 6]"),
        ]
    ) { try $0[0].attention(to: $0[1], values: $0[2], heads: 2, isCausal: true, bias: $0[3]) },
    PrimitiveCase(names: ["Attention", "AttentionGradient"], shapes: [[[2, 5, 18]], [[1, 1, 6]], [[2, 70, 96]]], tolerance: 5e-5) {
        try $0[0].selfAttention(heads: 2, isCausal: true)
    },
    // Keys and queries of different number; some queries see nothing at all.
    PrimitiveCase(
        names: ["Attention", "AttentionGradient"], shapes: [[[2, 3, 6], [2, 5, 6], [2, 5, 6]], [[2, 40, 34], [2, 90, 34], [2, 90, 34]]], tolerance: 5e-5,
        rejects: [([[2, 3, 6], [2, 5, 6], [2, 4, 6]], "[2, 5, 6]")]
    ) {
        let (queries, keys) = (try $0[0].shape.size(1), try $0[1].shape.size(1))
        let seen = (0..<2 * queries * keys).map { $0 / keys % 3 != 1 && $0 % 7 != 2 }
        return try $0[0].attention(to: $0[1], values: $0[2], heads: 2, mask: Tensor(seen, [2, queries, keys]).moved(to: $0[0].device))
    },
    PrimitiveCase(
        names: ["Attention", "AttentionGradient"], shapes: [[[2, 7, 8], [2, 4, 8], [2, 4, 8]], [[2, 130, 8], [2, 4, 8], [2, 4, 8]]], tolerance: 5e-5
    ) {
        let mask = try Tensor([true, true, false, true, false, false, false, false], [2, 4]).moved(to: $0[0].device)
        return try $0[0].attention(to: $0[1], values: $0[2], heads: 1, mask: mask, isCausal: true)
    },
    PrimitiveCase(
        names: ["TemporalConv", "TemporalConvWeightGradient"],
        shapes: [
            [[2, 7, 3], [4, 3, 3], [4]], [[1, 1, 1], [1, 1, 3], [1]], [[0, 5, 2], [3, 2, 3], [3]], [[3, 20, 70], [35, 70, 3], [35]],
            [[2, 11, 16], [80, 16, 3], [80]],
        ],
        tolerance: 5e-5,
        rejects: [
            ([[2, 7], [4, 3, 3], [4]], "[batch, time, features]"), ([[2, 7, 2], [4, 3, 3], [4]], "weights [filters, 2, taps]"),
            ([[2, 7, 3], [4, 3, 3], [3]], "a bias [4]"), ([[2, 7, 3], [4, 3, 1], [4]], "padding"),
        ]
    ) { try $0[0].temporalConv($0[1], bias: $0[2], padding: (before: 4, after: 0), dilation: 2) },
    PrimitiveCase(
        names: ["TemporalConv", "TemporalConvWeightGradient", "Unslice"], shapes: [[[2, 9, 3], [4, 3, 4]], [[2, 50, 18], [33, 18, 4]]], tolerance: 5e-5,
        rejects: [([[2, 1, 3], [4, 3, 4]], "steps at least")]
    ) { try $0[0].temporalConv($0[1], padding: (before: 1, after: 1), stride: 2) },
]
