import Keel

private func vision(_ name: String, _ primitives: [String], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_vision"
    return golden
}

/// The regions of `golden_vision.py`: boxes and the pictures that they lie in.
private func aligned(_ x: Tensor, scale: Double, samples: Int?, isHalfPixel: Bool) throws(TensorError) -> Tensor {
    let boxes = try Tensor([0.5, 1, 6.5, 5, 0.5, 0, 2, 3.25, 3, 1, 6, 5, 2, 2, 2.5, 2.25], [4, 4]).cast(to: x.dtype).moved(to: x.device)
    let pictures = try Tensor([Int64(0), 1, 1, 0]).moved(to: x.device)
    return try x.regionAligned(boxes: boxes, pictures: pictures, to: (2, 3), scale: scale, samples: samples, isHalfPixel: isHalfPixel)
}

private func corners(_ boxes: Tensor) throws(TensorError) -> Tensor {
    let half = try boxes.sliced(-1, from: 2).magnitude() * 0.5 + 0.2, centre = try boxes.sliced(-1, to: 2)
    return try .concatenated([centre - half, centre + half], axis: -1)
}

/// The cases of `golden_vision.py`.
let visionGoldenCases: [GoldenCase] = [
    vision("atan", ["Atan"]) { x throws(TensorError) in try x[0].arctangent() },
    vision("groupNorm", ["GroupNormalization", "GroupNormGradient"]) { x throws(TensorError) in
        try x[0].groupNormalised(groups: 3, scale: x[1], bias: x[2], epsilon: 1e-3)
    },
    vision("instanceNorm", ["GroupNormalization"]) { x throws(TensorError) in try x[0].instanceNormalised(scale: x[1], bias: x[2], epsilon: 1e-3) },
    vision("rmsNorm", ["RMSNormalization", "RMSNormGradient"]) { x throws(TensorError) in try x[0].rmsNormalised(scale: x[1], epsilon: 1e-3) },
    vision("adaptiveMaxPool", ["AdaptiveMaxPool2D", "MaxPool2DGradient"]) { x throws(TensorError) in try x[0].adaptiveMaxPool2D(to: (3, 2)) },
    vision("adaptiveAveragePool", ["MatMul"]) { x throws(TensorError) in try x[0].adaptiveAveragePool2D(to: (3, 2)) },
    vision("maxPool1D", ["MaxPool"]) { x throws(TensorError) in try x[0].maxPool1D(3, stride: 2, padding: 1) },
    vision("averagePool1D", ["AveragePool"]) { x throws(TensorError) in try x[0].averagePool1D(3, stride: 2, padding: 1) },
    vision("convTranspose", ["Conv2DInputGradient", "ChannelAffine"]) { x throws(TensorError) in
        try x[0].convTranspose2D(x[1], bias: x[2], sliding: Sliding(stride: 2, padding: 1), outputPadding: (1, 1))
    },
    vision("convTransposeGrouped", ["Conv2DInputGradient"]) { x throws(TensorError) in
        try x[0].convTranspose2D(x[1], sliding: Sliding(dilation: 2), outputPadding: (1, 1), groups: 2)
    },
    vision("conv1D", ["Conv"]) { x throws(TensorError) in try x[0].conv1D(x[1], bias: x[2], padding: (4, 0), dilation: 2, groups: 2) },
    vision("convTranspose1D", ["Conv2DInputGradient"]) { x throws(TensorError) in
        try x[0].convTranspose1D(x[1], stride: 3, padding: (1, 1), outputPadding: 2)
    },
    vision("resizeLinear", ["Resize", "ResizeGradient"]) { x throws(TensorError) in try x[0].resized(to: (7, 3)) },
    vision("resizeAligned", ["Resize", "ResizeGradient"]) { x throws(TensorError) in try x[0].resized(to: (7, 3), coordinates: .alignCorners) },
    vision("resizeNearest", ["Resize", "ResizeGradient"]) { x throws(TensorError) in
        try x[0].resized(to: (7, 3), .nearest, coordinates: .asymmetric)
    },
    vision("resizeNearestExact", ["Resize", "ResizeGradient"]) { x throws(TensorError) in try x[0].resized(to: (7, 3), .nearest(.roundPreferCeil)) },
    vision("regionAlign", ["RoiAlign", "RegionAlignGradient"]) { x throws(TensorError) in
        try aligned(x[0], scale: 0.5, samples: 2, isHalfPixel: true)
    },
    vision("regionAlignAdaptive", ["RoiAlign", "RegionAlignGradient"]) { x throws(TensorError) in
        try aligned(x[0], scale: 1, samples: nil, isHalfPixel: false)
    },
    vision("boxGeneralized", ["Max", "Min", "Relu"]) { x throws(TensorError) in try corners(x[0]).boxLoss(corners(x[1]), .generalised) },
    vision("boxDistance", ["Max", "Min", "Relu"]) { x throws(TensorError) in try corners(x[0]).boxLoss(corners(x[1]), .distance) },
    vision("boxComplete", ["Atan"]) { x throws(TensorError) in try corners(x[0]).boxLoss(corners(x[1]), .complete) },
    vision("sigmoidFocal", ["LogisticLoss"]) { x throws(TensorError) in try x[0].sigmoidFocalLoss(x[1]) },
    vision("softmaxFocal", ["LogSoftmax", "Pow"]) { x throws(TensorError) in try x[0].softmaxFocalLoss(x[1], focus: 1.5) },
    vision("dice", ["Div"]) { x throws(TensorError) in try x[0].diceLoss(x[1]) },
]
