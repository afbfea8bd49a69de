import Keel
import Testing

/// A call that must be refused, and the whole text of the refusal.
struct Rejection: Sendable, CustomStringConvertible {
    let text: String
    let call: @Sendable () throws -> Void

    init(_ text: String, _ call: @escaping @Sendable () throws -> Void) {
        self.text = text
        self.call = call
    }
    var description: String { text }
}

private func zeros(_ sizes: Int..., dtype: DType = .float32) throws -> Tensor { try .zeros(Shape(sizes), dtype) }

let rejections: [Rejection] = [
    // Shapes that don't go together.
    Rejection("Add: [2] and [3] don't broadcast: aligned at the end, each pair of axes must be equal or have a 1") { _ = try zeros(2) + zeros(3) },
    Rejection("Compare: [2] and [3] don't broadcast: aligned at the end, each pair of axes must be equal or have a 1") {
        _ = try zeros(2).equals(zeros(3))
    },
    Rejection("Where: [3] and [2] don't broadcast: aligned at the end, each pair of axes must be equal or have a 1") {
        _ = try zeros(2, dtype: .bool).select(zeros(3), zeros(3))
    },
    Rejection("Expand: [2] and [3] don't broadcast: aligned at the end, each pair of axes must be equal or have a 1") { _ = try zeros(2).expanded(to: [3]) },
    Rejection("Expand: [2, 3] and [3] don't broadcast: aligned at the end, each pair of axes must be equal or have a 1") {
        _ = try zeros(2, 3).expanded(to: [3])
    },
    Rejection("MatMul: the inner dimensions of [2, 3] and [4, 5] differ: the last axis of the first must equal the last but one of the second") {
        _ = try zeros(2, 3).matmul(zeros(4, 5))
    },
    Rejection("MatMul: needs two axes at least, was given [3]") { _ = try zeros(3).matmul(zeros(3, 4)) },
    Rejection("Reshape: needs as many elements as [2, 6] has, was given [5]") { _ = try zeros(5).reshaped(Shape([2, 6])) },
    Rejection("5 elements don't fill the shape [1, 2]") { _ = try zeros(5).reshaped([-1, 2]) },
    Rejection("Concat: needs [2, 3] but for axis 1, was given [3, 3]") { _ = try Tensor.concatenated([zeros(2, 3), zeros(3, 3)], axis: 1) },
    Rejection("Concat: tensors is none, allowed is one at least") { _ = try Tensor.concatenated([]) },
    Rejection("Conv: needs a picture [n, c, h, w], was given [2, 3]") { _ = try zeros(2, 3).conv2D(zeros(4, 3, 3, 3)) },
    Rejection("Conv: needs weights [k, c / groups, kh, kw], was given [4]") { _ = try zeros(1, 2, 5, 5).conv2D(zeros(4)) },
    Rejection("Conv: needs weights [k, c / 1, kh, kw] that fit [1, 2, 5, 5], k a multiple of 1, was given [4, 3, 3, 3]") {
        _ = try zeros(1, 2, 5, 5).conv2D(zeros(4, 3, 3, 3))
    },
    Rejection("Conv: needs weights [k, c / 2, kh, kw] that fit [1, 2, 5, 5], k a multiple of 2, was given [3, 1, 3, 3]") {
        _ = try zeros(1, 2, 5, 5).conv2D(zeros(3, 1, 3, 3), groups: 2)
    },
    Rejection("Conv: needs a bias [4], was given [3]") { _ = try zeros(1, 2, 5, 5).conv2D(zeros(4, 2, 3, 3), bias: zeros(3)) },
    Rejection("Conv: window is 3 long, allowed is at most the padded picture's 2") { _ = try zeros(1, 2, 2, 5).conv2D(zeros(4, 2, 3, 3)) },
    Rejection("MaxPool: needs a picture [n, c, h, w], was given [2, 3]") { _ = try zeros(2, 3).maxPool2D(2) },
    Rejection("MaxPool: window is 3 long, allowed is at most the padded picture's 2") { _ = try zeros(1, 1, 2, 2).maxPool2D(3) },
    Rejection("AveragePool: kernel is 0 x 0, allowed is 1 and more") { _ = try zeros(1, 1, 2, 2).averagePool2D(0, stride: 1) },
    Rejection("GlobalAveragePool: needs a picture [n, c, h, w], was given [2]") { _ = try zeros(2).globalAveragePool2D() },
    Rejection("BatchNorm: needs [n, c, ...], was given [3]") {
        _ = try zeros(3).batchNormalised(scale: zeros(3), bias: zeros(3), epsilon: 1e-5)
    },
    Rejection("BatchNorm: needs [5], was given [4]") { _ = try zeros(3, 5).batchNormalised(scale: zeros(4), bias: zeros(5), epsilon: 1e-5) },
    Rejection("BatchNorm: needs one number at least for each channel, was given [0, 5]") {
        _ = try zeros(0, 5).batchNormalised(scale: zeros(5), bias: zeros(5), epsilon: 1e-5)
    },
    Rejection("ChannelAffine: needs [5], was given [4]") { _ = try zeros(3, 5).channelAffine(factor: zeros(5), shift: zeros(4)) },
    Rejection("LayerNormalization: needs [5], was given [4]") { _ = try zeros(3, 5).layerNormalised(scale: zeros(5), bias: zeros(4)) },
    Rejection("LayerNormalization: needs a last axis of one number at least, was given [3, 0]") {
        _ = try zeros(3, 0).layerNormalised(scale: zeros(0), bias: zeros(0))
    },
    Rejection("Viterbi: needs transitions [3, 3], was given [2, 3]") {
        _ = try zeros(1, 4, 3).crfDecoded(transitions: zeros(2, 3), start: zeros(3), end: zeros(3))
    },
    Rejection("SoftmaxCrossEntropyLoss: needs logits [rows, classes], was given [6]") { _ = try zeros(6).softmaxCrossEntropy(zeros(6, dtype: .int64)) },
    Rejection("SoftmaxCrossEntropyLoss: needs labels [6], was given [5]") { _ = try zeros(6, 2).softmaxCrossEntropy(zeros(5, dtype: .int64)) },
    Rejection("SoftmaxCrossEntropyLoss: needs float32 weights [2], was given [3]") {
        _ = try zeros(6, 2).softmaxCrossEntropy(zeros(6, dtype: .int64), classWeights: zeros(3))
    },

    // Kinds of numbers.
    Rejection("Affine: float32 and int64 don't mix; cast one of them") { _ = try zeros(1, 2).affine(zeros(1, 2, dtype: .int64)) },
    Rejection("QuantisedAffine: needs weights of uint8, was given float32") { _ = try zeros(1, 2).quantisedAffine(zeros(1, 2), scales: zeros(1), input: nil) },
    Rejection("QuantisedAffine: needs float32, was given float64") {
        _ = try zeros(1, 2, dtype: .float64).quantisedAffine(zeros(1, 2, dtype: .uint8), scales: zeros(1), input: nil)
    },
    Rejection("QuantisedAffine: needs a scale for each of the weights' rows, [3, 2], was given [2]") {
        _ = try zeros(1, 2).quantisedAffine(zeros(3, 2, dtype: .uint8), scales: zeros(2), input: nil)
    },
    Rejection("QuantisedAffine: weights of an output is 131073, allowed is 131072 at most") {
        _ = try zeros(1, 131_073).quantisedAffine(zeros(1, 131_073, dtype: .uint8), scales: zeros(1), input: nil)
    },
    Rejection("ByteWeightAffine: needs scales of float32, was given int64") {
        _ = try zeros(1, 2).byteWeightAffine(zeros(1, 2, dtype: .uint8), scales: zeros(1, dtype: .int64))
    },
    Rejection("QuantisedRecurrent: needs float32, was given float64") {
        let weights = try (input: zeros(4, 2), recurrent: zeros(4, 1), bias: zeros(4, dtype: .float64))
        _ = try zeros(1, 1, 2, dtype: .float64).quantisedLSTM([weights], input: nil)
    },
    Rejection("QuantisedConv2D: needs weights of uint8, was given float32") {
        _ = try zeros(1, 1, 2, 2).quantisedConv2D(zeros(1, 1, 1, 1), scales: zeros(1), input: ByteScale(covering: 0...1))
    },
    Rejection("Add: needs numbers, was given bool") { _ = try zeros(2, dtype: .bool) + zeros(2, dtype: .bool) },
    Rejection("Exp: needs floats, was given int64") { _ = try zeros(2, dtype: .int64).exp() },
    Rejection("Relu: needs numbers, was given bool") { _ = try zeros(2, dtype: .bool).relu() },
    Rejection("MatMul: float32 and float64 don't mix; cast one of them") { _ = try zeros(2, 2).matmul(zeros(2, 2, dtype: .float64)) },
    Rejection("MatMul: needs floats, was given int32") { _ = try zeros(2, 2, dtype: .int32).matmul(zeros(2, 2, dtype: .int32)) },
    Rejection("Conv: float32 and float64 don't mix; cast one of them") { _ = try zeros(1, 1, 3, 3).conv2D(zeros(1, 1, 3, 3, dtype: .float64)) },
    Rejection("MaxPool: needs floats, was given uint8") { _ = try zeros(1, 1, 3, 3, dtype: .uint8).maxPool2D(2) },
    Rejection("Softmax: needs floats, was given int64") { _ = try zeros(2, dtype: .int64).softmax() },
    Rejection("Where: needs a bool condition, was given float32") { _ = try zeros(2).select(zeros(2), zeros(2)) },
    Rejection("ReduceSum: needs numbers, was given bool") { _ = try zeros(2, dtype: .bool).sum() },
    Rejection("ReduceMean: needs floats, was given int64") { _ = try zeros(2, dtype: .int64).mean() },
    Rejection("Gather: needs int64 or int32 indices, was given float32") { _ = try zeros(3, 2).gathered(zeros(2)) },
    Rejection("SoftmaxCrossEntropyLoss: needs int64 or int32 labels, was given float32") { _ = try zeros(6, 2).softmaxCrossEntropy(zeros(6)) },
    Rejection("elements: needs int64, was given float32") { _ = try zeros(2).elements(Int64.self) },
    Rejection("elements: needs float64, was given bfloat16") { _ = try zeros(2, dtype: .bfloat16).elements(Double.self) },
    Rejection("MatMul: bfloat16 and float32 don't mix; cast one of them") { _ = try zeros(2, 2, dtype: .bfloat16).matmul(zeros(2, 2)) },
    Rejection("MatMul: float16 and bfloat16 don't mix; cast one of them") {
        _ = try zeros(2, 2, dtype: .float16).matmul(zeros(2, 2, dtype: .bfloat16))
    },
    Rejection("MatMul: the inner dimensions of [2, 3] and [2, 3] differ: the last axis of the first must equal the last but one of the second") {
        _ = try zeros(2, 3, dtype: .float16).matmul(zeros(2, 3, dtype: .float16))
    },
    Rejection("LayerNormalization: bfloat16 and float32 don't mix; cast one of them") {
        _ = try zeros(2, 3, dtype: .bfloat16).layerNormalised(scale: zeros(3), bias: zeros(3), epsilon: 1e-5)
    },
    Rejection("SoftmaxCrossEntropyLoss: needs float16 weights [2], was given [2]") {
        _ = try zeros(6, 2, dtype: .float16).softmaxCrossEntropy(zeros(6, dtype: .int64), classWeights: zeros(2))
    },
    Rejection("Gather: needs int64 or int32 indices, was given float16") { _ = try zeros(2).gathered(zeros(2, dtype: .float16)) },

    Rejection("Norm: needs floats, was given int64") { _ = try zeros(2, dtype: .int64).norm() },

    // Axes, indices and arguments.
    Rejection("CumulativeExtreme: [2] has no axis 1") { _ = try zeros(2).cumulativeMax(1) },
    Rejection("ReduceSum: [2, 3] has no axis 2") { _ = try zeros(2, 3).sum([2]) },
    Rejection("Softmax: [2, 3] has no axis -3") { _ = try zeros(2, 3).softmax(-3) },
    Rejection("Transpose: order is [0, 0], allowed is each axis of [2, 3] once") { _ = try zeros(2, 3).permuted([0, 0]) },
    Rejection("Slice: range is 1..<5 by 1, allowed is within 0..<3, forwards") { _ = try zeros(2, 3).sliced(1, from: 1, to: 5) },
    Rejection("Slice: range is 0..<3 by 0, allowed is within 0..<3, forwards") { _ = try zeros(2, 3).sliced(1, step: 0) },
    Rejection("Pad: amounts is -1, 0, allowed is 0 and more") { _ = try zeros(2).padded(0, before: -1, after: 0) },
    Rejection("Squeeze: needs size 1 along axis 0, was given [2]") { _ = try zeros(2).withoutAxis(0) },
    Rejection("ReduceMax: needs an element at least along axis 1, was given [2, 0]") { _ = try zeros(2, 0).max([1]) },
    Rejection("ArgMax: needs an element at least along axis -1, was given [0]") { _ = try zeros(0).argMax() },
    Rejection("Gather: index 4 at position 1 isn't in -2..<2") { _ = try zeros(2, 3).gathered(Tensor([Int64(0), 4])) },
    Rejection("OneHot: index -5 at position 0 isn't in -4..<4") { _ = try Tensor([Int64(-5)]).oneHot(4) },
    Rejection("OneHot: depth is 0, allowed is 1 and more") { _ = try Tensor([Int64(0)]).oneHot(0) },
    Rejection("label 2 of row 1 isn't in 0..<2") { _ = try zeros(2, 2).softmaxCrossEntropy(Tensor([Int64(0), 2])) },
    Rejection("label -1 of row 0 isn't in 0..<2") { _ = try zeros(2, 2).softmaxCrossEntropy(Tensor([Int32(-1), 0])) },
    Rejection("SoftmaxCrossEntropyLoss: smoothing is 1.0, allowed is 0..<1") {
        _ = try zeros(1, 2).softmaxCrossEntropy(Tensor([Int64(0)]), labelSmoothing: 1)
    },
    Rejection("Dropout: rate is 1.0, allowed is 0..<1") { _ = try zeros(2).dropout(1, random: Tensor([Int64(1), 2]), draw: 0) },
    Rejection("Dropout: needs a key and a counter, int64[2], was given [1]") { _ = try zeros(2).dropout(0.5, random: Tensor([Int64(1)]), draw: 0) },
    Rejection("[-1] is no shape: at most eight sizes, none negative, and a product of at most 2^59") { _ = try Shape(checking: [-1]) },
    Rejection("[4611686018427387904, 4] is no shape: at most eight sizes, none negative, and a product of at most 2^59") { _ = try zeros(1 << 62, 4) },
    Rejection("[0, 4611686018427387904, 4] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try zeros(0).reshaped(Shape([0, 1 << 62, 4]))
    },
    Rejection("[2147483648, 1, 2147483648, 1] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try zeros(1, 1).tiled([1 << 31, 1 << 31])
    },
    Rejection("[4, 9223372036854775807, 1] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try zeros(4, 1).tiled([1, Int.max]).flattened()
    },
    Rejection("[2, 9223372036854775807] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try zeros(2, 1).expanded(to: Shape([2, Int.max]))
    },
    Rejection("[9223372036854775807, 2, 1] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try zeros(2).padded(0, before: Int.max, after: 1)
    },
    Rejection("[2, 9223372036854775807] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try Tensor([Int64(0), 1]).oneHot(Int.max)
    },
    Rejection("[9223372036854775807] is no shape: at most eight sizes, none negative, and a product of at most 2^59") {
        _ = try Tensor.linspace(from: 0, to: 1, count: Int.max)
    },
    Rejection("range: count is -1, allowed is 0 and more, ending within int64") { _ = try Tensor.range(-1) },
    Rejection("no memory for 4611686018427387904 bytes") { _ = try zeros(1 << 59, dtype: .float64) },
    Rejection("full: value is 300.0, allowed is 0...255 for uint8") { _ = try Tensor.full(300, [2], .uint8) },
    Rejection("full: value is -1.0, allowed is 0...255 for uint8") { try zeros(2, dtype: .uint8).setInPlace(to: -1) },
    Rejection("full: value is nan, allowed is -2147483648...2147483647 for int32") { _ = try Tensor.full(.nan, [2], .int32) },
    Rejection("full: value is inf, allowed is -9223372036854775808...9223372036854775807 for int64") { _ = try Tensor.full(.infinity, [2], .int64) },
    Rejection("MaxPool: dilation is (height: 2, width: 2), allowed is 1") {
        _ = try zeros(1, 1, 5, 5).maxPool2D(kernel: (2, 2), sliding: Sliding(dilation: 2))
    },
    Rejection("2 elements don't fill the shape [3]") { _ = try Tensor([Float(1), 2], [3]) },
    Rejection("needs a tensor with one element, was given [2]") { _ = try zeros(2).item() },
    Rejection("Add: inputs lie on the devices cpu and reference; move one of them") { _ = try zeros(2) + zeros(2).moved(to: Reference.shared) },

    // Gradients and updates.
    Rejection("the result doesn't depend on anything that requires a gradient") { try zeros().backward() },
    Rejection("a variable doesn't depend on anything that requires a gradient") {
        _ = try zeros().requiringGradient().exp().gradients(of: [zeros()])
    },
    Rejection("needs a tensor with one element, was given [2]") { try zeros(2).requiringGradient().exp().backward() },
    Rejection("backward: needs a seed of [2], was given [3]") { try zeros(2).requiringGradient().exp().backward(seed: zeros(3)) },
    Rejection("Assign: needs [2], was given [3]") { try zeros(2).assign(zeros(3)) },
    Rejection("Assign: float32 and int64 don't mix; cast one of them") { try zeros(2).assign(zeros(2, dtype: .int64)) },
    Rejection("Assign: bfloat16 and float32 don't mix; cast one of them") { try zeros(2, dtype: .bfloat16).assign(zeros(2)) },
    Rejection("ScaleInPlace: needs float32 and a float32 factor, was given bfloat16") { try zeros(2, dtype: .bfloat16).scaleInPlace(by: zeros()) },
    Rejection("SGDStep: needs float32, was given bfloat16") {
        let half = try zeros(2, dtype: .bfloat16)
        try update(SGDStep(momentum: 0, decay: 0, rateFactor: 1, isNesterov: false), [half, half, half, zeros()])
    },
    Rejection("ScaleInPlace: needs float32 and a float32 factor, was given float64") { try zeros(2, dtype: .float64).scaleInPlace(by: zeros()) },
    Rejection("SGDStep: needs flat [2], was given [3]") {
        try update(SGDStep(momentum: 0, decay: 0, rateFactor: 1, isNesterov: false), [zeros(2), zeros(3), zeros(2), zeros()])
    },
    Rejection("Accumulate: needs float32[3], was given [2]") { try zeros(2).parameter(named: "w", gradient: zeros(3)).sum().backward() },
    Rejection("RunningStatistic: needs float32[2], was given [3]") { try zeros(2).updateRunning(towards: zeros(3), momentum: 0.1) },
    Rejection("AdagradStep: needs flat [2], was given [3]") {
        try update(AdagradStep(epsilon: 1e-8, decay: 0, rateFactor: 1), [zeros(2), zeros(3), zeros(2), zeros()])
    },
    Rejection("RMSpropStep: needs flat [2], was given [1, 2]") {
        let step = RMSpropStep(smoothing: 0.9, momentum: 0, epsilon: 1e-8, decay: 0, rateFactor: 1, isCentred: false)
        try update(step, [zeros(2), zeros(2), zeros(1, 2), zeros()])
    },
    Rejection("LAMBStep: needs a scalar int64, was given []") {
        let step = LAMBStep(beta1: 0.9, beta2: 0.9, epsilon: 1e-8, decay: 0, rateFactor: 1)
        try update(step, [zeros(2), zeros(2), zeros(2), zeros(2), zeros(), zeros()])
    },
    Rejection("LazyAdamStep: needs int32 marks [4], was given [3]") {
        let step = LazyAdamStep(beta1: 0.9, beta2: 0.9, epsilon: 1e-8, rateFactor: 1), table = try zeros(4, 2), number = try zeros(dtype: .int64)
        try update(step, [table, zeros(4, 2), zeros(4, 2), zeros(3, dtype: .int32), zeros(1, dtype: .int64), zeros(1, 2), zeros(), number])
    },
    Rejection("AdamStep: needs a scalar int64, was given []") {
        let step = AdamStep(beta1: 0.9, beta2: 0.9, epsilon: 1e-8, decay: 0, rateFactor: 1, isDecoupled: true)
        try update(step, [zeros(2), zeros(2), zeros(2), zeros(2), zeros(), zeros()])
    },
]

@Test(arguments: rejections)
func aWrongCallIsRefusedWithTheReason(_ rejection: Rejection) throws {
    let error = #expect(throws: TensorError.self) { try rejection.call() }
    #expect(error?.description == rejection.text)
}
