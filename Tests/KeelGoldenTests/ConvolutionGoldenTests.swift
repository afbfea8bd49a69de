import Keel

private func convolution(_ name: String, _ primitives: [String], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_conv"
    return golden
}

/// The cases of `golden_conv.py`.
let convolutionGoldenCases: [GoldenCase] = [
    convolution("batchNormRelu6", ["BatchNorm", "BatchNormGradient"]) { x throws(TensorError) in
        try x[0].batchNormalised(scale: x[1] * 2, bias: x[2] * 2, epsilon: 1e-3, rectifier: .relu6).y
    },
    convolution("batchNormAdded", ["BatchNorm", "BatchNormGradient"]) { x throws(TensorError) in
        try x[0].batchNormalised(scale: x[1], bias: x[2], epsilon: 1e-3, adding: x[3], rectifier: .relu).y
    },
    convolution("depthwiseWide", ["Conv", "Conv2DWeightGradient"]) { x throws(TensorError) in
        try x[0].conv2D(x[1], sliding: Sliding(stride: 2, padding: 2), groups: 9)
    },
]
