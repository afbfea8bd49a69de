import Keel

/// What the rows' random numbers of -2...2 become bytes by.
private let scale = ByteScale(covering: -2...2)

/// Inputs of a recurrent layer of so many gates: x, for each direction two matrices and some biases, then some states.
private func recurrentShapes(_ gates: Int, _ directions: Int, _ batch: Int, _ time: Int, _ features: Int, _ hidden: Int) -> [Shape] {
    var shapes: [Shape] = [[batch, time, features]]
    for _ in 0..<directions {
        let rows = gates * hidden
        shapes.append([rows, features])
        shapes.append([rows, hidden])
        for _ in 0..<(gates == 3 ? 2 : 1) { shapes.append([rows]) }
    }
    let state: Shape = [directions, batch, hidden]
    for _ in 0..<(gates == 4 ? 2 : 1) { shapes.append(state) }
    return shapes
}

/// The outputs of some kind as one row of numbers.
private func joined(_ outputs: [Tensor]) throws -> Tensor {
    var parts: [Tensor] = []
    for output in outputs { parts.append(try output.flattened()) }
    return try .concatenated(parts)
}

private func lstm(_ inputs: [Tensor], _ directions: Int, hasState: Bool = true, lengths: [Int64]? = nil, _ scale: ByteScale?) throws -> Tensor {
    var parts: [(input: Tensor, recurrent: Tensor, bias: Tensor)] = []
    for first in stride(from: 1, to: 3 * directions, by: 3) { parts.append((inputs[first], inputs[first + 1], inputs[first + 2])) }
    let h = inputs[inputs.count - 2], c = inputs[inputs.count - 1], ends = try lengths.map { try Tensor($0).moved(to: inputs[0].device) }
    return try joined(inputs[0].quantisedLSTM(parts, state: hasState ? (h: h, c: c) : nil, lengths: ends, input: scale))
}

private func gru(_ inputs: [Tensor], _ directions: Int, hasState: Bool = true, lengths: [Int64]? = nil, _ scale: ByteScale?) throws -> Tensor {
    var parts: [(input: Tensor, recurrent: Tensor, inputBias: Tensor, recurrentBias: Tensor)] = []
    for first in stride(from: 1, to: 4 * directions, by: 4) { parts.append((inputs[first], inputs[first + 1], inputs[first + 2], inputs[first + 3])) }
    let state = inputs[inputs.count - 1], ends = try lengths.map { try Tensor($0).moved(to: inputs[0].device) }
    return try joined(inputs[0].quantisedGRU(parts, state: hasState ? state : nil, lengths: ends, input: scale))
}

/// Both devices round x and the weights alike and their sums are exact, so that the results differ by the rounding of functions that follow alone.
let quantisedCases: [PrimitiveCase] = [
    // One row and many, of odd lengths, and more outputs than a panel or two have.
    PrimitiveCase(
        names: ["QuantisedAffine"],
        shapes: [
            [[3, 5], [4, 5], [4]], [[1, 67], [33, 67], [33]], [[7], [3, 7], [3]], [[2, 7, 48], [130, 48], [130]], [[300, 70], [140, 70], [140]],
            [[0, 5], [4, 5], [4]], [[2, 0], [3, 0], [3]], [[2, 5], [0, 5], [0]],
        ],
        isDifferentiable: false, rejects: [([[3, 5], [4, 4], [4]], "weights [n, 5]"), ([[3, 5], [4, 5], [5]], "a bias [4]")]
    ) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 7)
        return try $0[0].quantisedAffine(weight, scales: scales, bias: $0[2], input: scale, .relu)
    },
    PrimitiveCase(names: ["QuantisedAffine"], shapes: [[[3, 5], [4, 5]], [[1, 16], [1, 16]], [[40, 30], [20, 30]]], isDifferentiable: false) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 7)
        return try $0[0].quantisedAffine(weight, scales: scales, input: nil)
    },
    PrimitiveCase(
        names: ["ByteWeightAffine"],
        shapes: [
            [[3, 5], [4, 5], [4]], [[1, 67], [33, 67], [33]], [[1, 101], [10_007, 101], [10_007]], [[7], [3, 7], [3]], [[2, 7, 48], [130, 48], [130]],
            [[300, 70], [140, 70], [140]], [[0, 5], [4, 5], [4]], [[2, 0], [3, 0], [3]], [[1, 0], [3, 0], [3]],
        ],
        isDifferentiable: false, rejects: [([[3, 5], [4, 4], [4]], "weights [n, 5]")]
    ) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 8)
        return try $0[0].byteWeightAffine(weight, scales: scales, bias: $0[2], .relu)
    },
    PrimitiveCase(names: ["ByteWeightAffine"], shapes: [[[3, 5], [4, 5]], [[1, 16], [1, 16]]], isDifferentiable: false) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 8)
        return try $0[0].byteWeightAffine(weight, scales: scales)
    },
    PrimitiveCase(
        names: ["QuantisedConv2D"],
        shapes: [
            [[2, 3, 7, 6], [4, 3, 3, 3], [4], [2, 4, 7, 6]], [[1, 17, 5, 5], [19, 17, 3, 3], [19], [1, 19, 5, 5]],
            [[2, 16, 5, 5], [24, 16, 3, 3], [24], [2, 24, 5, 5]], [[3, 32, 18, 21], [48, 32, 3, 3], [48], [3, 48, 18, 21]], [[0, 2, 4, 4], [3, 2, 3, 3], [3], [0, 3, 4, 4]],
            [[2, 0, 4, 4], [3, 0, 3, 3], [3], [2, 3, 4, 4]],
        ],
        isDifferentiable: false, rejects: [([[1, 2, 5, 5], [4, 2, 3, 3], [4], [1, 4, 4, 4]], "an addend [1, 4, 5, 5]")]
    ) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 7)
        return try $0[0].quantisedConv2D(weight, scales: scales, bias: $0[2], input: scale, sliding: Sliding(padding: 1), adding: $0[3], .relu)
    },
    // Strides, dilations, groups; each channel its own.
    PrimitiveCase(
        names: ["QuantisedConv2D"], shapes: [[[2, 24, 9, 7], [24, 1, 3, 3], [24]], [[2, 18, 9, 8], [12, 9, 3, 5], [12]], [[1, 21, 11, 11], [49, 21, 7, 7], [49]]],
        isDifferentiable: false
    ) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 7), groups = $0[0].shape.sizes?[1] == 24 ? 24 : $0[0].shape.sizes?[1] == 18 ? 2 : 1
        return try $0[0].quantisedConv2D(weight, scales: scales, bias: $0[2], input: scale, sliding: Sliding(stride: 2, padding: 3), groups: groups, .relu6)
    },
    PrimitiveCase(names: ["QuantisedConv2D"], shapes: [[[2, 5, 9, 8], [7, 5, 3, 2]], [[1, 16, 6, 6], [32, 16, 1, 1]]], isDifferentiable: false) {
        let (weight, scales) = try $0[1].quantisedWeights(bits: 7)
        return try $0[0].quantisedConv2D(weight, scales: scales, input: scale, sliding: Sliding(dilation: 2))
    },
    // A state next to the border of two bytes could become the other one on one device; among these few numbers none is.
    PrimitiveCase(
        names: ["QuantisedRecurrent"],
        shapes: [recurrentShapes(4, 1, 3, 4, 2, 5), recurrentShapes(4, 1, 1, 1, 1, 1), recurrentShapes(4, 1, 0, 2, 3, 4), recurrentShapes(4, 1, 2, 3, 0, 2)],
        range: -0.6...0.6, isDifferentiable: false, rejects: [([[2, 0, 3], [4, 3], [4, 1], [4], [1, 2, 1], [1, 2, 1]], "a step")]
    ) { try lstm($0, 1, ByteScale(covering: -0.6...0.6)) },
    PrimitiveCase(
        names: ["QuantisedRecurrent"], shapes: [recurrentShapes(4, 2, 4, 5, 3, 6), recurrentShapes(4, 2, 4, 2, 17, 20)], range: -0.6...0.6, isDifferentiable: false
    ) { try lstm($0, 2, hasState: false, lengths: [2, 0, 1, 1], nil) },
    PrimitiveCase(
        names: ["QuantisedRecurrent"],
        shapes: [recurrentShapes(3, 1, 3, 4, 2, 5), recurrentShapes(3, 1, 1, 1, 1, 1), recurrentShapes(3, 1, 0, 2, 3, 4), recurrentShapes(3, 1, 2, 3, 0, 2)],
        range: -0.6...0.6, isDifferentiable: false, rejects: [([[2, 2, 3], [3, 2], [3, 1], [3], [3], [1, 2, 1]], "input weights [3, 3]")]
    ) { try gru($0, 1, ByteScale(covering: -0.6...0.6)) },
    PrimitiveCase(
        names: ["QuantisedRecurrent"], shapes: [recurrentShapes(3, 2, 4, 5, 3, 6), recurrentShapes(3, 2, 4, 2, 17, 20)], range: -0.6...0.6, isDifferentiable: false
    ) { try gru($0, 2, hasState: false, lengths: [2, 0, 1, 1], nil) },
]
