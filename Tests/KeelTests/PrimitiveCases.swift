import Keel
import Testing

/// What the tests know of one primitive, or of one with the primitives that its gradient runs: a function of tensors, the shapes to
/// try it with, and what it must refuse.
struct PrimitiveCase: Sendable, CustomStringConvertible {
    let names: [String]
    let shapes: [[Shape]]
    var range: ClosedRange<Float> = -2...2
    var isDifferentiable = true
    var isTwiceDifferentiable = true
    /// Relative to the largest result.
    var tolerance: Float = 2e-5
    var rejects: [([Shape], String)] = []
    let function: @Sendable ([Tensor]) throws -> Tensor

    var description: String { names.joined(separator: ", ") }

    func sample(_ shapes: [Shape], seed: UInt64) throws -> [Tensor] {
        var generator = Philox(seed: seed)
        return try shapes.map { try .uniform($0, in: range, using: &generator) }
    }

    static let unaryShapes: [[Shape]] = [[[7]], [[2, 1, 3]], [[0]], [[]], [[3, 300]]]

    static func unary(
        _ names: [String], range: ClosedRange<Float> = -2...2, twice: Bool = true, _ function: @escaping @Sendable (Tensor) throws -> Tensor
    ) -> PrimitiveCase {
        PrimitiveCase(
            names: names, shapes: unaryShapes, range: range, isTwiceDifferentiable: twice,
            function: { try function($0[0]) })
    }

    static func binary(
        _ names: [String], range: ClosedRange<Float> = -2...2, twice: Bool = true, _ function: @escaping @Sendable (Tensor, Tensor) throws -> Tensor
    ) -> PrimitiveCase {
        PrimitiveCase(
            names: names, shapes: [[[7], [7]], [[2, 3, 4], [4]], [[3, 1], [1, 5]], [[], [2, 2]], [[0, 3], [3]], [[2, 3, 4], [3, 1]], [[300, 5], [300, 5]]],
            range: range, isTwiceDifferentiable: twice, rejects: [([[2], [3]], "broadcast")], function: { try function($0[0], $0[1]) })
    }
}

private func labels(_ count: Int, below n: Int) throws -> Tensor { try Tensor((0..<count).map { Int64($0 * 7 % n) }) }

let primitiveCases: [PrimitiveCase] = [
    .binary(["Add"]) { try $0 + $1 },
    .binary(["Sub"]) { try $0 - $1 },
    .binary(["Mul"]) { try $0 * $1 },
    .binary(["Div"], range: 0.5...2) { try $0 / $1 },
    .binary(["Pow"], range: 0.5...2) { try $0.power($1) },
    .binary(["Max"]) { try $0.maximum($1) },
    .binary(["Min"]) { try $0.minimum($1) },
    .unary(["Scale"]) { try $0 * 3 + 1 },
    PrimitiveCase(names: ["Move"], shapes: [[[7]], [[2, 3]], [[0, 2]], [[1]], [[40, 50]]]) {
        try $0[0].transposed(0, -1).moved(to: Reference.shared).moved(to: CPU.shared).moved(to: $0[0].device)
    },
    .unary(["Neg"]) { try $0.negated() },
    .unary(["Exp"]) { try $0.exp() },
    .unary(["Log"], range: 0.2...4) { try $0.log() },
    .unary(["Sqrt"], range: 0.2...4) { try $0.squareRoot() },
    .unary(["Abs"]) { try $0.magnitude() },
    .unary(["Sign"]) { try $0.sign() },
    .unary(["Reciprocal"], range: 0.5...2) { try $0.reciprocal() },
    .unary(["Erf"]) { try $0.erf() },
    .unary(["Clip", "ClipGradient"]) { try $0.clipped(from: -1, to: 1.5) },
    .unary(["Relu", "ReluGradient"]) { try $0.relu() },
    .unary(["LeakyRelu", "LeakyReluGradient"]) { try $0.leakyRelu(slope: 0.1) },
    .unary(["Tanh", "TanhGradient"]) { try $0.tanh() },
    .unary(["Sigmoid", "SigmoidGradient"]) { try $0.sigmoid() },
    .unary(["Silu", "SiluGradient"]) { try $0.silu() },
    .unary(["Gelu", "GeluGradient"]) { try $0.gelu() },
    .unary(["GeluTanh"]) { try $0.geluTanh() },
    PrimitiveCase(
        names: ["ElementwiseChain"],
        shapes: [[[7], [7]], [[2, 3, 4], [4]], [[3, 1], [1, 5]], [[], [2, 2]], [[0, 3], [3]], [[2, 3, 4], [3, 1]], [[300, 5], [300, 5]], [[2, 70_000], [1]]],
        isDifferentiable: false, rejects: [([[2], [3]], "broadcast")]
    ) { try Tensor.sampleChain($0[0], $0[1]) },
    // Blocked, with lanes of padding.
    PrimitiveCase(names: ["ElementwiseChain", "Conv"], shapes: [[[2, 3, 7, 6], [20, 3, 3, 3]]], isDifferentiable: false, tolerance: 1e-4) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1))
        return try Tensor.sampleChain(x, x * 2).conv2D(Tensor.ones([1, 20, 1, 1], x.dtype, on: x.device))
    },
    PrimitiveCase(names: ["Compare"], shapes: [[[7], [7]], [[2, 3], [3]], [[0], [1]], [[40, 50], [50]]], isDifferentiable: false) {
        try $0[0].isLess(than: $0[1]).cast(to: .float32)
    },
    .binary(["Where"]) { a, b in try a.isLess(than: b).select(a * 2, b) },
    PrimitiveCase(names: ["Contiguous", "Transpose"], shapes: [[[3, 4]], [[2, 3, 4]], [[1, 1]], [[0, 2]], [[40, 50]]]) {
        try $0[0].transposed().contiguous()
    },
    PrimitiveCase(names: ["Reshape"], shapes: [[[3, 4]], [[12]]], rejects: [([[5]], "elements")]) { try $0[0].reshaped(Shape([2, 6])) },
    PrimitiveCase(names: ["Expand"], shapes: [[[3, 1]], [[1]], [[]]], rejects: [([[2]], "broadcast")]) { try $0[0].expanded(to: [2, 3, 4]) },
    PrimitiveCase(names: ["Expand"], shapes: [[[300, 1]], [[1, 70]], [[300, 70]]]) { try $0[0].expanded(to: [2, 300, 70]) },
    PrimitiveCase(names: ["Slice", "Unslice"], shapes: [[[3, 7]], [[2, 5]]], rejects: [([[2, 2]], "range")]) {
        try $0[0].sliced(1, from: 1, to: 5, step: 2)
    },
    PrimitiveCase(names: ["Unslice"], shapes: [[[3, 2]], [[0, 2]]]) { try $0[0].padded(1, before: 2, after: 1) },
    PrimitiveCase(names: ["Concat"], shapes: [[[2, 3], [2, 1]], [[2, 3], [2, 0]]], rejects: [([[2, 3], [3, 3]], "axis")]) {
        try Tensor.concatenated([$0[0], $0[1], $0[0]], axis: 1)
    },
    .unary(["Cast"]) { try $0.cast(to: .float64).cast(to: $0.dtype) },
    PrimitiveCase(names: ["ReduceSum"], shapes: [[[2, 3, 4]], [[1, 1, 1]], [[0, 3, 2]], [[3, 70, 5]]]) { try $0[0].sum([0, 2]) },
    PrimitiveCase(names: ["ReduceMean", "DivideBySize"], shapes: [[[2, 3, 4]], [[5, 3, 80]], [[0, 3]], [[3, 1]]]) { try $0[0].mean([-1], keepingAxes: true) },
    PrimitiveCase(names: ["ReduceMax"], shapes: [[[2, 3, 4]], [[3, 100, 7]], [[1, 1, 1]]], rejects: [([[2, 0, 3]], "an element")]) { try $0[0].max([1]) },
    PrimitiveCase(names: ["ReduceMin"], shapes: [[[2, 3, 4]], [[3, 7, 100]], [[1, 1, 1]]], rejects: [([[2, 3, 0]], "an element")]) { try $0[0].min([2], keepingAxes: true) },
    PrimitiveCase(names: ["Norm"], shapes: [[[7]], [[2, 3]], [[3, 300]], [[0]], [[]]]) { try $0[0].norm() },
    PrimitiveCase(names: ["ArgMax"], shapes: [[[2, 3, 4]], [[1]], [[40, 300]]], isDifferentiable: false, rejects: [([[0]], "an element")]) {
        try $0[0].argMax().cast(to: .float32) + $0[0].argMin().cast(to: .float32)
    },
    PrimitiveCase(
        names: ["MatMul"],
        shapes: [[[2, 3], [3, 4]], [[5, 2, 3], [3, 4]], [[5, 2, 3], [5, 3, 4]], [[1, 2, 3], [5, 3, 1]], [[2, 0], [0, 3]], [[0, 2], [2, 3]], [[3, 0, 2], [2, 4]], [[33, 65], [65, 17]]],
        rejects: [([[2, 3], [4, 5]], "inner dimensions"), ([[3], [3, 4]], "two axes")]
    ) { try $0[0].matmul($0[1]) },
    // Matrices that lie transposed have gradients that do.
    PrimitiveCase(names: ["MatMul"], shapes: [[[3, 2], [4, 3]], [[5, 3, 2], [5, 4, 3]]]) { try $0[0].transposed().matmul($0[1].transposed()) },
    PrimitiveCase(
        names: ["Affine"], shapes: [[[3, 5], [4, 5], [4]], [[2, 3, 5], [1, 5], [1]], [[7], [33, 7], [33]], [[0, 5], [4, 5], [4]], [[2, 0], [3, 0], [3]]],
        rejects: [([[3, 5], [4, 4], [4]], "weights [n, 5]"), ([[3, 5], [4, 5], [5]], "a bias [4]"), ([[3, 5], [5], [4]], "weights [n, k]")]
    ) { try $0[0].affine($0[1], bias: $0[2]) },
    PrimitiveCase(names: ["Affine"], shapes: [[[3, 5], [4, 5]], [[2, 0], [3, 0]]]) { try $0[0].affine($0[1]) },
    // One row, whose product reads the weights as they lie, in bands where there are many; some; bands of columns, and of rows.
    PrimitiveCase(
        names: ["ActivatedAffine"],
        shapes: [
            [[3, 5], [4, 5], [4]], [[1, 67], [33, 67], [33]], [[1, 101], [10_007, 101], [10_007]], [[7], [3, 7], [3]], [[2, 7, 48], [130, 48], [130]], [[300, 70], [140, 70], [140]],
            [[0, 5], [4, 5], [4]], [[2, 0], [3, 0], [3]], [[1, 0], [3, 0], [3]],
        ],
        isDifferentiable: false, rejects: [([[3, 5], [4, 4], [4]], "weights [n, 5]")]
    ) { try $0[0].affine($0[1], bias: $0[2], .relu) },
    PrimitiveCase(names: ["ActivatedAffine"], shapes: [[[3, 5], [4, 5]], [[1, 5], [4, 5]], [[2, 0], [3, 0]], [[1, 0], [3, 0]]], isDifferentiable: false) {
        try $0[0].affine($0[1], bias: nil, .none)
    },
    // Zeros that are passed over, and a row without any; several stretches of 512; one panel, some, and threads' bands of them. Of several rows none is.
    PrimitiveCase(
        names: ["ActivatedAffine"],
        shapes: [
            [[1, 67], [133, 67], [133]], [[1, 1200], [130, 1200], [130]], [[1, 101], [10_007, 101], [10_007]], [[7], [80, 7], [80]], [[7], [3, 7], [3]],
            [[3, 5], [64, 5], [64]], [[0, 5], [4, 5], [4]], [[1, 0], [64, 0], [64]],
        ],
        isDifferentiable: false
    ) {
        $0[1].keepForms()
        return try $0[0].relu().affine($0[1], bias: $0[2], .relu, skipsZeros: true)
    },
    PrimitiveCase(names: ["ActivatedAffine"], shapes: [[[1, 5], [96, 5]], [[1, 20], [112, 20]], [[1, 1], [65, 1]]], isDifferentiable: false) {
        $0[1].keepForms()
        return try $0[0].affine($0[1], bias: nil, .none, skipsZeros: true)
    },
    PrimitiveCase(
        names: ["Conv", "Conv2DInputGradient", "Conv2DWeightGradient"],
        shapes: [
            [[2, 3, 7, 6], [4, 3, 3, 3], [4]], [[1, 17, 5, 5], [19, 17, 1, 1], [19]], [[1, 1, 3, 3], [1, 1, 3, 3], [1]],
            [[0, 2, 4, 4], [3, 2, 3, 3], [3]], [[3, 9, 4, 1], [1, 9, 3, 3], [1]],
        ],
        tolerance: 1e-4, rejects: [([[1, 2, 5, 5], [4, 3, 3, 3], [4]], "weights"), ([[2, 3], [4, 3, 3, 3], [4]], "picture")]
    ) { try $0[0].conv2D($0[1], bias: $0[2], sliding: Sliding(padding: 1)) },
    // The same algorithms and roundings with what follows them: channels that fill no block, each its own, and Winograd's.
    PrimitiveCase(
        names: ["RectifiedConv2D"],
        shapes: [
            [[2, 3, 7, 6], [4, 3, 3, 3], [4], [2, 4, 7, 6]], [[1, 17, 5, 5], [19, 17, 3, 3], [19], [1, 19, 5, 5]],
            [[2, 16, 5, 5], [24, 16, 3, 3], [24], [2, 24, 5, 5]], [[3, 32, 18, 21], [48, 32, 3, 3], [48], [3, 48, 18, 21]], [[0, 2, 4, 4], [3, 2, 3, 3], [3], [0, 3, 4, 4]],
        ],
        isDifferentiable: false, tolerance: 1e-4, rejects: [([[1, 2, 5, 5], [4, 2, 3, 3], [4], [1, 4, 4, 4]], "an addend [1, 4, 5, 5]")]
    ) { try $0[0].conv2D($0[1], bias: $0[2], sliding: Sliding(padding: 1), adding: $0[3], .relu) },
    PrimitiveCase(
        names: ["RectifiedConv2D"], shapes: [[[2, 24, 9, 7], [24, 1, 3, 3], [24]], [[2, 19, 5, 5], [19, 1, 3, 3], [19]]], isDifferentiable: false,
        tolerance: 1e-4
    ) { try ($0[0] * 3).conv2D($0[1], bias: $0[2], sliding: Sliding(stride: 2, padding: 1), groups: $0[2].count, adding: nil, .relu6) },
    PrimitiveCase(
        names: ["RectifiedConv2D"], shapes: [[[2, 32, 18, 21], [32, 32, 3, 3], [2, 32, 18, 21]], [[2, 5, 6, 6], [7, 5, 3, 3], [2, 7, 6, 6]]],
        isDifferentiable: false, tolerance: 1e-4
    ) { try $0[0].conv2D($0[1], bias: nil, sliding: Sliding(padding: 1), adding: $0[2], .relu6) },
    // Two of five pictures at a time, with what is added and without; no picture, and fewer than are taken.
    PrimitiveCase(
        names: ["ConvolutionChain"],
        shapes: [
            [[5, 16, 9, 7], [48, 16, 1, 1], [48], [48, 1, 3, 3], [48], [16, 48, 1, 1], [16]], [[5, 3, 6, 6], [7, 3, 1, 1], [7], [7, 1, 3, 3], [7], [3, 7, 1, 1], [3]],
            [[1, 8, 4, 4], [16, 8, 1, 1], [16], [16, 1, 3, 3], [16], [8, 16, 1, 1], [8]], [[0, 3, 4, 4], [6, 3, 1, 1], [6], [6, 1, 3, 3], [6], [3, 6, 1, 1], [3]],
        ],
        isDifferentiable: false, tolerance: 1e-4,
        rejects: [([[1, 3, 4, 4], [6, 3, 1, 1], [6], [6, 1, 3, 3], [6], [3, 5, 1, 1], [3]], "weights"), ([[1, 3, 4, 4], [6, 3, 1, 1], [6], [6, 1, 3, 3], [6], [4, 6, 1, 1], [4]], "an addend")]
    ) { v in
        try v[0].convolutionChain(
            [(v[1], v[2], Sliding(), 1, .relu6), (v[3], v[4], Sliding(padding: 1), v[3].shape[0].number ?? 1, .relu6), (v[5], v[6], Sliding(), 1, .none)],
            addsInput: true, pictures: 2)
    },
    PrimitiveCase(
        names: ["ConvolutionChain"], shapes: [[[3, 24, 10, 9], [24, 1, 5, 5], [19, 24, 1, 1]], [[4, 5, 5, 5], [5, 1, 5, 5], [2, 5, 1, 1]]], isDifferentiable: false,
        tolerance: 1e-4
    ) { v in
        try v[0].convolutionChain(
            [(v[1], nil, Sliding(stride: 2, padding: 2), v[1].shape[0].number ?? 1, .relu), (v[2], nil, Sliding(), 1, .relu6)], addsInput: false, pictures: 2)
    },
    // Large enough for Winograd's algorithm, whose rounding is some times the direct sum's.
    PrimitiveCase(
        names: ["Conv", "Conv2DInputGradient", "Conv2DWeightGradient"], shapes: [[[3, 32, 18, 21], [48, 32, 3, 3], [48]]], isTwiceDifferentiable: false,
        tolerance: 1e-4
    ) { try $0[0].conv2D($0[1], bias: $0[2], sliding: Sliding(padding: 1)) },
    PrimitiveCase(names: ["Conv"], shapes: [[[2, 6, 9, 8], [6, 2, 3, 3]], [[1, 3, 6, 7], [9, 1, 2, 3]]], tolerance: 1e-4) {
        try $0[0].conv2D($0[1], sliding: Sliding(stride: 2, padding: 1, dilation: 2), groups: 3)
    },
    // Depthwise, as their weights' gradient has a kernel of its own: strides, kernels that reach over the whole picture, plain inputs.
    PrimitiveCase(names: ["Conv"], shapes: [[[2, 20, 9, 6], [20, 1, 5, 5]], [[1, 8, 3, 2], [8, 1, 4, 7]], [[3, 9, 7, 8], [9, 1, 1, 2]]], tolerance: 1e-4) {
        try $0[0].conv2D($0[1], sliding: Sliding(stride: 2, padding: 3), groups: $0[0].shape.sizes?[1] ?? 1)
    },
    PrimitiveCase(names: ["Conv"], shapes: [[[2, 20, 6, 6], [20, 1, 5, 5]]], tolerance: 1e-4) {
        try $0[0].conv2D($0[1], sliding: Sliding(padding: 2), groups: 20).relu()
    },
    PrimitiveCase(
        names: ["MaxPool", "MaxPool2DGradient", "MaxPool2DPick"], shapes: [[[2, 3, 6, 5]], [[1, 1, 3, 3]], [[0, 2, 4, 4]], [[2, 0, 4, 4]]], rejects: [([[2, 3]], "picture")]
    ) { try $0[0].maxPool2D(3, stride: 2, padding: 1) },
    PrimitiveCase(names: ["AveragePool", "AveragePool2DGradient"], shapes: [[[2, 3, 6, 5]], [[1, 1, 3, 3]], [[0, 2, 4, 4]]]) {
        try $0[0].averagePool2D(3, stride: 2, padding: 1) + $0[0].averagePool2D(3, stride: 2, padding: 1, countsPadding: false)
    },
    PrimitiveCase(
        names: ["BatchNorm", "BatchNormGradient", "Identity"],  // the second derivative goes through its decomposition, behind identities
        shapes: [[[3, 5, 4, 2], [5], [5]], [[8, 3], [3], [3]], [[70, 2, 3], [2], [2]], [[2, 33, 3, 1], [33], [33]], [[4, 1, 1, 1], [1], [1]]], tolerance: 2e-4,
        rejects: [([[3, 5, 2], [4], [5]], "[5]"), ([[0, 5], [5], [5]], "one number at least")]
    ) { try $0[0].batchNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-3).y },
    // Its rectifier, without and with an addend, in every form of the kernels: plain, one group, 8 lanes with some left over, 16.
    PrimitiveCase(
        names: ["BatchNorm", "BatchNormGradient"], shapes: [[[3, 5, 4, 2], [5], [5]], [[8, 3], [3], [3]], [[9, 40], [40], [40]], [[4, 1, 1, 1], [1], [1]]],
        tolerance: 2e-4
    ) { try $0[0].batchNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-3, rectifier: .relu6).y },
    PrimitiveCase(
        names: ["BatchNorm", "BatchNormGradient"],
        shapes: [[[3, 5, 4, 2], [5], [5], [3, 5, 4, 2]], [[8, 3], [3], [3], [8, 3]], [[9, 40], [40], [40], [9, 40]]], tolerance: 2e-4,
        rejects: [([[3, 5, 2], [5], [5], [3, 5, 1]], "an addend [3, 5, 2]")]
    ) { try $0[0].batchNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-3, adding: $0[3], rectifier: .relu).y },
    PrimitiveCase(
        names: ["BatchNorm", "BatchNormGradient"], shapes: [[[2, 3, 4], [3], [3], [2, 3, 4]], [[5, 16], [16], [16], [5, 16]]], tolerance: 2e-4
    ) { try $0[0].batchNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-3, adding: $0[3]).y },
    PrimitiveCase(
        names: ["Conv", "BatchNorm", "BatchNormGradient"], shapes: [[[2, 20, 8, 8], [20, 20, 3, 3], [20], [20]], [[2, 3, 9, 7], [32, 3, 3, 3], [32], [32]]],
        isTwiceDifferentiable: false, tolerance: 1e-3
    ) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1))
        let y = try x.batchNormalised(scale: $0[2], bias: $0[3], epsilon: 1e-3, rectifier: .relu).y
        return try y.batchNormalised(scale: $0[2], bias: $0[3], epsilon: 1e-3, adding: x, rectifier: .relu6).y.contiguous()
    },
    // Joined and cut while they lie blocked: between blocks, and within them.
    PrimitiveCase(
        names: ["Concat", "Slice"], shapes: [[[2, 3, 9, 7], [32, 3, 3, 3]], [[2, 3, 9, 7], [28, 3, 3, 3]]], isTwiceDifferentiable: false, tolerance: 1e-4
    ) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1))
        let joined = try Tensor.concatenated([x, x * 2], axis: 1) * 3
        return try joined.sliced(1, from: 16, to: 48).relu().flattened(from: 1) + joined.sliced(-3, from: 3, to: 5).sum([-3, -2, -1]).reshaped([2, 1])
    },
    PrimitiveCase(names: ["ChannelAffine"], shapes: [[[3, 5, 4, 2], [5], [5]], [[8, 3], [3], [3]], [[0, 3], [3], [3]]]) {
        try $0[0].channelAffine(factor: $0[1], shift: $0[2])
    },
    // A convolution's result stays channel-blocked: 20 channels leave lanes over, which all that follows must keep zero.
    PrimitiveCase(
        names: ["Conv", "BatchNorm", "ChannelAffine", "MaxPool", "AveragePool"], shapes: [[[2, 20, 8, 8], [20, 20, 3, 3], [20], [20]]],
        isTwiceDifferentiable: false, tolerance: 1e-3
    ) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1))
        let y = try x.batchNormalised(scale: $0[2], bias: $0[3], epsilon: 1e-3).y.sigmoid() + x
        let z = try (y * 0.5 + 1).channelAffine(factor: $0[2], shift: $0[3])
        return try (z.maxPool2D(2) * z.averagePool2D(2)).conv2D($0[1], sliding: Sliding(padding: 1)).globalAveragePool2D()
    },
    // Few channels, which may lie channels-last, and a way back that begins plain.
    PrimitiveCase(
        names: ["Conv", "BatchNorm", "Relu", "MaxPool"], shapes: [[[4, 1, 8, 8], [6, 1, 3, 3], [6], [6]], [[4, 3, 8, 8], [40, 3, 3, 3], [40], [40]]],
        isTwiceDifferentiable: false, tolerance: 1e-3
    ) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1)).batchNormalised(scale: $0[2], bias: $0[3], epsilon: 1e-3).y
        return try x.relu().maxPool2D(2).flattened(from: 1)
    },
    PrimitiveCase(
        names: ["LayerNormalization", "LayerNormGradient"], shapes: [[[3, 5], [5], [5]], [[2, 3, 70], [70], [70]], [[1, 2], [2], [2]], [[0, 4], [4], [4]]],
        tolerance: 2e-4, rejects: [([[3, 5], [4], [5]], "[5]")]
    ) { try $0[0].layerNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-3) },
    PrimitiveCase(names: ["Softmax", "SoftmaxGradient"], shapes: [[[3, 5]], [[1]], [[0, 4]], [[2, 3, 100]]]) { try $0[0].softmax() },
    PrimitiveCase(names: ["LogSoftmax", "LogSoftmaxGradient"], shapes: [[[3, 5]], [[1]], [[2, 3, 100]], [[3, 0]]]) { try $0[0].logSoftmax(0) },
    PrimitiveCase(names: ["Gather", "ScatterAdd"], shapes: [[[5, 3]], [[9, 2]], [[5, 0]], [[5]], [[5, 1]], [[70, 300]]], rejects: [([[2, 3]], "index 4")]) {
        try $0[0].gathered(Tensor([Int64(4), 0, -1, 4], [2, 2]).moved(to: $0[0].device))
    },
    PrimitiveCase(names: ["Gather", "ScatterAdd"], shapes: [[[2, 5, 3]]]) { try $0[0].gathered(Tensor([Int32(1), 1, 3]).moved(to: $0[0].device), axis: 1) },
    PrimitiveCase(names: ["OneHot"], shapes: [[[6]], [[0]], [[1]], [[300]]], isDifferentiable: false) { try labels($0[0].count, below: 4).moved(to: $0[0].device).oneHot(4) },
    PrimitiveCase(
        names: ["SoftmaxCrossEntropyLoss", "SoftmaxCrossEntropyGradient"], shapes: [[[6, 4]], [[1, 2]], [[30, 100]]],
        rejects: [([[6]], "logits")]
    ) { try $0[0].softmaxCrossEntropy(labels($0[0].count / $0[0].shape[-1].value(), below: $0[0].shape[-1].value()).moved(to: $0[0].device), labelSmoothing: 0.1) },
    PrimitiveCase(names: ["SoftmaxCrossEntropyLoss"], shapes: [[[6, 4]]]) {
        let weights = try Tensor([Float(1), 2, 0.5, 1]).cast(to: $0[0].dtype).moved(to: $0[0].device)
        return try $0[0].softmaxCrossEntropy(labels(6, below: 4).moved(to: $0[0].device), classWeights: weights)
    },
    PrimitiveCase(names: ["SoftmaxCrossEntropyLoss", "SoftmaxCrossEntropyGradient"], shapes: [[[6, 4]], [[2, 3, 4]], [[0, 4]]]) {
        let weights = try Tensor([Float(1), 2, 0.5, 1]).cast(to: $0[0].dtype).moved(to: $0[0].device)
        let rows = Shape(try #require($0[0].shape.sizes).dropLast()), count = $0[0].count / 4
        let some = try Tensor((0..<count).map { $0 % 3 == 1 ? -1 : Int64($0 % 4) }, rows).moved(to: $0[0].device)
        let losses = try $0[0].softmaxCrossEntropy(some, classWeights: weights, labelSmoothing: 0.2, ignoring: -1, reduction: .none)
        return try losses.flattened() + $0[0].softmaxCrossEntropy(some, labelSmoothing: 0.1, ignoring: -1, reduction: .sum)
    },
    PrimitiveCase(names: ["LogisticLoss"], shapes: [[[7], [7]], [[2, 3], [3]], [[1], [1]], [[40, 30], [30]]], range: 0.1...0.9) {
        try $0[0].binaryCrossEntropy($0[1])
    },
    PrimitiveCase(names: ["Dropout"], shapes: [[[300]], [[2, 5]], [[0]], [[1]]]) {
        try $0[0].dropout(0.4, random: Tensor([Int64(3), 9]).moved(to: $0[0].device), draw: 2)
    },
] + sequenceCases + visionCases + indexingCases + recurrentCases + functionCases + linearAlgebraCases + signalCases + quantisedCases
    + roundingCases
