import Keel
import KeelNN

private func sequence(_ name: String, _ primitives: [String], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_sequences"
    return golden
}

/// The layers' weights of a case, in torch's order.
private func weights(_ x: [Tensor], layers: Int, directions: Int) -> [[[Tensor]]] {
    (0..<layers).map { layer in
        (0..<directions).map { d in Array(x[(1 + 4 * (layer * directions + d))..<(5 + 4 * (layer * directions + d))]) }
    }
}

private func gru(_ x: [Tensor], layers: Int = 1, directions: Int, lengths: [Int64]? = nil) throws(TensorError) -> Tensor {
    let ends = lengths == nil ? nil : try Tensor(lengths ?? []).moved(to: x[0].device)
    var y = x[0], last: [Tensor] = []
    for (i, layer) in weights(x, layers: layers, directions: directions).enumerated() {
        let state = try x[x.count - 1].sliced(0, from: i * directions, to: (i + 1) * directions)
        let made = try y.gru(layer.map { ($0[0], $0[1], $0[2], $0[3]) }, state: state, lengths: ends)
        y = made.y
        last.append(made.h)
    }
    return try .concatenated([y.flattened(), Tensor.concatenated(last).flattened()])
}

private func lstm(_ x: [Tensor], layers: Int, directions: Int, lengths: [Int64]) throws(TensorError) -> Tensor {
    let ends = try Tensor(lengths).moved(to: x[0].device)
    var y = x[0], hs: [Tensor] = [], cs: [Tensor] = []
    for (i, layer) in weights(x, layers: layers, directions: directions).enumerated() {
        let range = i * directions..<(i + 1) * directions
        let h = try x[x.count - 2].sliced(0, from: range.lowerBound, to: range.upperBound)
        let c = try x[x.count - 1].sliced(0, from: range.lowerBound, to: range.upperBound)
        var each: [(input: Tensor, recurrent: Tensor, bias: Tensor)] = []
        for d in layer { each.append((d[0], d[1], try d[2] + d[3])) }
        let made = try y.lstm(each, state: (h, c), lengths: ends)
        y = made.y
        hs.append(made.h)
        cs.append(made.c)
    }
    return try .concatenated([y.flattened(), Tensor.concatenated(hs).flattened(), Tensor.concatenated(cs).flattened()])
}

/// The cases of `golden_sequences.py`.
let sequenceGoldenCases: [GoldenCase] = [
    sequence("gru11", ["GRU", "GRUGradient"]) { x throws(TensorError) in try gru(x, directions: 1) },
    sequence("gru21", ["GRU", "GRUGradient"]) { x throws(TensorError) in try gru(x, directions: 2) },
    sequence("gru22p", ["GRU", "GRUGradient"]) { x throws(TensorError) in try gru(x, layers: 2, directions: 2, lengths: [2, 4, 1]) },
    sequence("lstm22p", ["LSTM", "LSTMGradient"]) { x throws(TensorError) in try lstm(x, layers: 2, directions: 2, lengths: [2, 4, 1]) },
    sequence("padSequences", ["Pad", "Concat"]) { x throws(TensorError) in try Tensor.padded(sequences: x, value: 0.5).padded },
    sequence("ctcNone", ["CTCLoss"]) { x throws(TensorError) in
        try x[0].logSoftmax().ctcLoss(x[1], inputLengths: x[2], targetLengths: x[3], reduction: .none)
    },
    sequence("ctcMean", ["CTCLoss"]) { x throws(TensorError) in
        try x[0].logSoftmax().ctcLoss(x[1], inputLengths: x[2], targetLengths: x[3], blank: 4)
    },
    sequence("ctcZeroInfinity", ["CTCLoss"]) { x throws(TensorError) in
        try x[0].logSoftmax().ctcLoss(x[1], inputLengths: x[2], targetLengths: x[3], zeroesInfinity: true, reduction: .sum)
    },
    sequence("crf", ["CRFLogPartition"]) { x throws(TensorError) in
        try x[0].crfLogLikelihood(x[4], transitions: x[1], start: x[2], end: x[3], lengths: x[5])
    },
    sequence("logSumExp", ["Exp", "Log", "ReduceMax"]) { x throws(TensorError) in try x[0].logSumExp([0, 2]) },
    sequence("logAddExp", ["Exp", "Log", "ReduceMax"]) { x throws(TensorError) in try x[0].logAddExp(x[1]) },
]
