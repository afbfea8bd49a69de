import Keel
import Testing

/// A case of `golden.py`, or one like it, and the primitives that it runs forwards and backwards.
struct GoldenCase: Sendable, CustomStringConvertible {
    let description: String
    let primitives: [String]
    var file = "golden"
    var tolerance: Float = 5e-6
    let function: @Sendable ([Tensor]) throws(TensorError) -> Tensor

    init(_ name: String, _ primitives: [String], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) {
        description = name
        self.primitives = primitives
        self.function = function
    }
}

private func lstm(_ x: [Tensor], directions: Int) throws(TensorError) -> Tensor {
    var weights: [(input: Tensor, recurrent: Tensor, bias: Tensor)] = []
    for d in 0..<directions {
        let first = 1 + 3 * d
        weights.append((x[first], x[first + 1], x[first + 2]))
    }
    let made = try x[0].lstm(weights, state: (x[x.count - 2], x[x.count - 1]))
    return try .concatenated([made.y.flattened(), made.h.flattened(), made.c.flattened()])
}

private let goldenCases: [GoldenCase] = [
    GoldenCase("exp", ["Exp"]) { x throws(TensorError) in try x[0].exp() },
    GoldenCase("log", ["Log"]) { x throws(TensorError) in try x[0].log() },
    GoldenCase("sqrt", ["Sqrt"]) { x throws(TensorError) in try x[0].squareRoot() },
    GoldenCase("abs", ["Abs"]) { x throws(TensorError) in try x[0].magnitude() },
    GoldenCase("sign", ["Sign"]) { x throws(TensorError) in try x[0].sign() },
    GoldenCase("reciprocal", ["Reciprocal"]) { x throws(TensorError) in try x[0].reciprocal() },
    GoldenCase("erf", ["Erf"]) { x throws(TensorError) in try x[0].erf() },
    GoldenCase("clip", ["Clip", "ClipGradient"]) { x throws(TensorError) in try x[0].clipped(from: -1, to: 1.5) },
    GoldenCase("neg", ["Neg"]) { x throws(TensorError) in try x[0].negated() },
    GoldenCase("scale", ["Scale"]) { x throws(TensorError) in try x[0] * 3 + 1 },
    GoldenCase("relu", ["Relu", "ReluGradient"]) { x throws(TensorError) in try x[0].relu() },
    GoldenCase("leakyRelu", ["LeakyRelu", "LeakyReluGradient"]) { x throws(TensorError) in try x[0].leakyRelu(slope: 0.1) },
    GoldenCase("tanh", ["Tanh", "TanhGradient"]) { x throws(TensorError) in try x[0].tanh() },
    GoldenCase("sigmoid", ["Sigmoid", "SigmoidGradient"]) { x throws(TensorError) in try x[0].sigmoid() },
    GoldenCase("silu", ["Silu", "SiluGradient"]) { x throws(TensorError) in try x[0].silu() },
    GoldenCase("gelu", ["Gelu", "GeluGradient"]) { x throws(TensorError) in try x[0].gelu() },
    GoldenCase("add", ["Add"]) { x throws(TensorError) in try x[0] + x[1] },
    GoldenCase("sub", ["Sub"]) { x throws(TensorError) in try x[0] - x[1] },
    GoldenCase("mul", ["Mul"]) { x throws(TensorError) in try x[0] * x[1] },
    GoldenCase("div", ["Div"]) { x throws(TensorError) in try x[0] / x[1] },
    GoldenCase("pow", ["Pow"]) { x throws(TensorError) in try x[0].power(x[1]) },
    GoldenCase("maximum", ["Max", "Compare"]) { x throws(TensorError) in try x[0].maximum(x[1]) },
    GoldenCase("minimum", ["Min", "Compare"]) { x throws(TensorError) in try x[0].minimum(x[1]) },
    GoldenCase("where", ["Where"]) { x throws(TensorError) in try x[0].isLess(than: x[1]).select(x[0] * 2, x[1]) },
    GoldenCase("transpose", ["Transpose", "Contiguous"]) { x throws(TensorError) in try x[0].permuted([2, 0, 1]).contiguous() },
    GoldenCase("reshape", ["Reshape"]) { x throws(TensorError) in try x[0].reshaped([2, 6]) },
    GoldenCase("expand", ["Expand"]) { x throws(TensorError) in try x[0].expanded(to: [2, 3, 4]) },
    GoldenCase("slice", ["Slice", "Unslice"]) { x throws(TensorError) in try x[0].sliced(1, from: 1, to: 6, step: 2) },
    GoldenCase("pad", ["Unslice"]) { x throws(TensorError) in try x[0].padded(1, before: 2, after: 1) },
    GoldenCase("concat", ["Concat"]) { x throws(TensorError) in try Tensor.concatenated([x[0], x[1], x[0]], axis: 1) },
    GoldenCase("sum", ["ReduceSum"]) { x throws(TensorError) in try x[0].sum([0, 2]) },
    GoldenCase("mean", ["ReduceMean", "DivideBySize"]) { x throws(TensorError) in try x[0].mean([-1], keepingAxes: true) },
    GoldenCase("max", ["ReduceMax"]) { x throws(TensorError) in try x[0].max([1]) },
    GoldenCase("min", ["ReduceMin"]) { x throws(TensorError) in try x[0].min([1]) },
    GoldenCase("matmul", ["MatMul"]) { x throws(TensorError) in try x[0].matmul(x[1]) },
    GoldenCase("matmulStack", ["MatMul"]) { x throws(TensorError) in try x[0].matmul(x[1]) },
    GoldenCase("affine", ["Affine"]) { x throws(TensorError) in try x[0].affine(x[1], bias: x[2]) },
    GoldenCase("conv", ["Conv", "Conv2DInputGradient", "Conv2DWeightGradient"]) { x throws(TensorError) in
        try x[0].conv2D(x[1], bias: x[2], sliding: Sliding(stride: 2, padding: 1))
    },
    GoldenCase("convGrouped", ["Conv"]) { x throws(TensorError) in try x[0].conv2D(x[1], sliding: Sliding(padding: 1, dilation: 2), groups: 2) },
    GoldenCase("convDepthwise", ["Conv"]) { x throws(TensorError) in try x[0].conv2D(x[1], sliding: Sliding(padding: 1), groups: 9) },
    GoldenCase("maxPool", ["MaxPool", "MaxPool2DGradient"]) { x throws(TensorError) in try x[0].maxPool2D(3, stride: 2, padding: 1) },
    GoldenCase("averagePool", ["AveragePool", "AveragePool2DGradient"]) { x throws(TensorError) in
        try x[0].averagePool2D(3, stride: 2, padding: 1)
    },
    GoldenCase("averagePoolInside", ["AveragePool"]) { x throws(TensorError) in
        try x[0].averagePool2D(3, stride: 2, padding: 1, countsPadding: false)
    },
    GoldenCase("batchNorm", ["BatchNorm", "BatchNormGradient"]) { x throws(TensorError) in
        try x[0].batchNormalised(scale: x[1], bias: x[2], epsilon: 1e-3).y
    },
    GoldenCase("channelAffine", ["ChannelAffine"]) { x throws(TensorError) in try x[0].channelAffine(factor: x[1], shift: x[2]) },
    GoldenCase("layerNorm", ["LayerNormalization", "LayerNormGradient"]) { x throws(TensorError) in
        try x[0].layerNormalised(scale: x[1], bias: x[2], epsilon: 1e-3)
    },
    GoldenCase("softmax", ["Softmax", "SoftmaxGradient"]) { x throws(TensorError) in try x[0].softmax() },
    GoldenCase("logSoftmax", ["LogSoftmax", "LogSoftmaxGradient"]) { x throws(TensorError) in try x[0].logSoftmax(0) },
    GoldenCase("gather", ["Gather", "ScatterAdd"]) { x throws(TensorError) in try x[0].gathered(x[1]) },
    GoldenCase("crossEntropy", ["SoftmaxCrossEntropyLoss", "SoftmaxCrossEntropyGradient"]) { x throws(TensorError) in
        try x[0].softmaxCrossEntropy(x[1], labelSmoothing: 0.1)
    },
    GoldenCase("crossEntropyWeighed", ["SoftmaxCrossEntropyLoss"]) { x throws(TensorError) in
        try x[0].softmaxCrossEntropy(x[1], classWeights: Tensor([Float(1), 2, 0.5, 1]).cast(to: x[0].dtype).moved(to: x[0].device))
    },
    GoldenCase("binaryCrossEntropy", ["LogisticLoss"]) { x throws(TensorError) in try x[0].binaryCrossEntropy(x[1]) },
    GoldenCase("meanSquaredError", ["Sub", "Mul", "ReduceMean"]) { x throws(TensorError) in try x[0].meanSquaredError(x[1]) },
    GoldenCase("lstm", ["LSTM", "LSTMGradient"]) { x throws(TensorError) in try lstm(x, directions: 1) },
    GoldenCase("lstmBoth", ["LSTM"]) { x throws(TensorError) in try lstm(x, directions: 2) },
    GoldenCase("selfAttention", ["Attention", "AttentionGradient"]) { x throws(TensorError) in try x[0].selfAttention(heads: 2) },
    GoldenCase("causalAttention", ["Attention"]) { x throws(TensorError) in try x[0].selfAttention(heads: 2, isCausal: true) },
    GoldenCase("maskedAttention", ["Attention"]) { x throws(TensorError) in
        let seen = try Tensor((0..<12).map { $0 / 4 % 3 != $0 % 4 % 2 }, [1, 3, 4]).moved(to: x[0].device)
        return try x[0].attention(to: x[1], values: x[2], heads: 3, mask: seen)
    },
    GoldenCase("conv1D", ["TemporalConv", "TemporalConvWeightGradient"]) { x throws(TensorError) in
        try x[0].temporalConv(x[1], bias: x[2], padding: (before: 4, after: 0), dilation: 2)
    },
    GoldenCase("conv1DStride", ["TemporalConv", "Unslice"]) { x throws(TensorError) in
        try x[0].temporalConv(x[1], padding: (before: 1, after: 1), stride: 2)
    },
    GoldenCase("dropout", ["Dropout"]) { x throws(TensorError) in
        try x[0].dropout(0.4, random: Tensor([Int64(3), 9]).moved(to: x[0].device), draw: 2)
    },
] + visionGoldenCases + indexingGoldenCases + autogradGoldenCases + sequenceGoldenCases + lossGoldenCases + functionGoldenCases + signalGoldenCases + convolutionGoldenCases

@Test(arguments: goldenCases)
func valuesAndGradientsAreThoseOfTorch(_ golden: GoldenCase) throws {
    let file = try GoldenFile(golden.file), name = golden.description
    let given = try file.tensors(name + "/in")
    let out = try file.tensor(name + "/out"), seed = try file.tensor(name + "/seed"), gradients = try file.tensors(name + "/grad")
    for device in [CPU.shared, Reference.shared] as [any Device] {
        for dtype in [DType.float32, .float64] {
            let inputs = try given.map { try $0.dtype.isFloat ? $0.cast(to: dtype).moved(to: device).requiringGradient() : $0.moved(to: device) }
            let floats = inputs.filter(\.dtype.isFloat)
            let y = try golden.function(inputs)
            let what = "\(name), \(device.name), \(dtype)"
            try expectGolden(y.moved(to: CPU.shared), out, what, tolerance: golden.tolerance)
            let found = try y.gradients(of: floats, seed: seed.cast(to: dtype).moved(to: device))
            #expect(found.count == gradients.count, "\(what)")
            for (i, (a, b)) in zip(found, gradients).enumerated() {
                try expectGolden(a.moved(to: CPU.shared), b, "\(what), gradient \(i)", tolerance: golden.tolerance)
            }
        }
    }
}

/// What has no golden values of its own: whole numbers and bools, copies, the second derivative of max pooling, what
/// `TrainingGoldenTests` covers, lazy Adam, which moves rows as AdamW does, what programs fuse, which is compared with its parts,
/// and the approximated GELU, which `LayerGoldenTests` covers.
private let others: Set<String> = [
    "Identity", "Move", "Cast", "RectifiedConv2D", "ConvolutionChain", "ActivatedAffine", "QuantisedAffine", "ByteWeightAffine", "QuantisedConv2D", "QuantisedRecurrent", "ElementwiseChain", "GeluTanh", "ArgMax", "OneHot", "MaxPool2DPick", "NonMaximumSuppression", "NonZero", "Viterbi", "Eigenvalues", "Accumulate", "Assign",
    "ScaleInPlace", "SGDStep", "AdamStep", "LazyAdamStep", "AdagradStep", "RMSpropStep", "LAMBStep", "RunningStatistic", "FakeQuantised", "ByteTable",
]

@Test func everyFloatPrimitiveHasGoldenValues() throws {
    let covered = Set(goldenCases.flatMap(\.primitives))
    #expect(Set(primitives.map { $0.name }).subtracting(others) == covered)
    let files = Set(goldenCases.map(\.file))
    let written = Set(try files.flatMap { try GoldenFile($0).names }.filter { $0.hasSuffix("/out") }.map { String($0.dropLast(4)) })
    #expect(written == Set(goldenCases.map(\.description)))
}
