import Keel
import Testing

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

private func ctc(_ x: Tensor, blank: Int, inputLengths: [Int64]?, _ reduction: LossReduction) throws -> Tensor {
    let classes = try x.shape.size(-1)
    // Repeats, an empty target, and room that isn't used, in which anything may stand.
    let targets = try Tensor(([1, 1, 2] + [-7, -7, 99] + [2, 1, -1]).map { $0 == blank ? Int64(classes - 1) : $0 }, [3, 3]).moved(to: x.device)
    return try x.logSoftmax().ctcLoss(
        targets, inputLengths: try inputLengths.map { try Tensor($0).moved(to: x.device) },
        targetLengths: Tensor([Int64(3), 0, 2]).moved(to: x.device), blank: blank, reduction: reduction)
}

/// A linear chain's log-likelihood of tags that depend on the sizes alone.
private func chain(_ inputs: [Tensor], lengths: [Int64]? = nil) throws -> Tensor {
    let sizes = try #require(inputs[0].shape.sizes), count = sizes[0] * sizes[1]
    let tags = try Tensor((0..<count).map { Int64($0 * 7 % 5 % sizes[sizes.count - 1]) }, [sizes[0], sizes[1]]).moved(to: inputs[0].device)
    return try inputs[0].crfLogLikelihood(
        tags, transitions: inputs[1], start: inputs[2], end: inputs[3], lengths: lengths.map { try Tensor($0).moved(to: inputs[0].device) })
}

/// Rows of gated recurrent units, CTC and linear chains. Sums over some steps of some hundred products: tolerances are a little wider than elsewhere.
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
    PrimitiveCase(names: ["CTCLoss"], shapes: [[[3, 7, 4]], [[3, 5, 3]], [[3, 40, 30]]], rejects: [([[2, 3]], "[batch, time, classes]")]) {
        try ctc($0[0], blank: 0, inputLengths: nil, .mean)
    },
    PrimitiveCase(names: ["CTCLoss"], shapes: [[[3, 9, 4]]], rejects: [([[2, 9, 4]], "targets [2, labels]")]) {
        try ctc($0[0], blank: 3, inputLengths: [9, 0, 4], .none)
    },
    PrimitiveCase(names: ["CTCLoss"], shapes: [[[1, 1, 2]], [[1, 300, 5]]]) {
        let one = try Tensor([Int64(1)]).moved(to: $0[0].device)
        return try $0[0].logSoftmax().ctcLoss(one.withAxis(0), targetLengths: one, reduction: .none)
    },
    PrimitiveCase(names: ["CTCLoss"], shapes: [[[0, 4, 3]]]) {
        try $0[0].logSoftmax().ctcLoss(
            Tensor.zeros([0, 2], .int64).moved(to: $0[0].device), targetLengths: Tensor.zeros([0], .int64).moved(to: $0[0].device), reduction: .none)
    },
    PrimitiveCase(
        names: ["CRFLogPartition"],
        shapes: [
            [[2, 4, 3], [3, 3], [3], [3]], [[1, 1, 1], [1, 1], [1], [1]], [[3, 0, 2], [2, 2], [2], [2]], [[0, 3, 2], [2, 2], [2], [2]],
            [[5, 30, 20], [20, 20], [20], [20]],
        ],
        rejects: [
            ([[2, 3], [3, 3], [3], [3]], "[batch, time, tags]"), ([[2, 3, 4], [3, 4], [4], [4]], "transitions [4, 4]"),
            ([[2, 3, 4], [4, 4], [3], [4]], "start [4]"), ([[2, 3, 4], [4, 4], [4], [3]], "end [4]"),
        ]
    ) { try chain($0) },
    PrimitiveCase(names: ["CRFLogPartition"], shapes: [[[4, 5, 3], [3, 3], [3], [3]], [[4, 5, 17], [17, 17], [17], [17]]]) {
        try chain($0, lengths: [5, 0, 1, 3])
    },
    PrimitiveCase(names: ["Viterbi"], shapes: [[[2, 4, 3], [3, 3], [3], [3]], [[0, 4, 2], [2, 2], [2], [2]], [[1, 4, 1], [1, 1], [1], [1]], [[5, 30, 20], [20, 20], [20], [20]]], isDifferentiable: false) {
        let lengths = try (0..<$0[0].shape.size(0)).map { Int64($0 == 1 ? 2 : 4) }
        return try $0[0].crfDecoded(transitions: $0[1], start: $0[2], end: $0[3], lengths: Tensor(lengths).moved(to: $0[0].device)).cast(to: .float32)
    },
]
