import Keel

/// Boxes within, across and far beyond a small picture; empty and turned ones; and what isn't a number.
private func aligned(_ x: Tensor, samples: Int?, scale: Double = 1, isHalfPixel: Bool) throws -> Tensor {
    let sides: [Float] = [0.5, 1, 6.5, 5, -3, -2, 2, 3.3, 2, 2, 2, 2, 4, 1, 3000, 9, 5, 5, 1, 2, .nan, 1, 2, .infinity]
    let boxes = try Tensor(sides, [6, 4]).cast(to: x.dtype).moved(to: x.device)
    let pictures = try Tensor([Int64(0), 1, -1, 0, 1, 0]).moved(to: x.device)
    return try x.regionAligned(boxes: boxes, pictures: pictures, to: (2, 3), scale: scale, samples: samples, isHalfPixel: isHalfPixel)
}

/// Boxes of some size around any four numbers' first two.
private func boxes(_ x: Tensor) throws -> Tensor {
    try Tensor.concatenated([x.sliced(-1, to: 2), x.sliced(-1, from: 2).magnitude() + 0.3], axis: -1).cornersFromCentres()
}

/// Normalisation, pooling, convolution, interpolation and detection beyond what `PrimitiveCases` has.
let visionCases: [PrimitiveCase] = [
    .unary(["Atan"]) { try $0.arctangent() },
    PrimitiveCase(
        names: ["GroupNormalization", "GroupNormGradient", "Identity"],  // the second derivative goes through its decomposition
        shapes: [[[3, 6, 4, 2], [6], [6]], [[2, 3, 5], [3], [3]], [[4, 9], [9], [9]], [[0, 3, 2], [3], [3]], [[2, 33, 3, 1], [33], [33]], [[2, 48, 9, 5], [48], [48]]],
        tolerance: 2e-4, rejects: [([[3, 4, 2], [4], [4]], "divisor of the 4 channels"), ([[3, 3, 2], [4], [3]], "[3]"), ([[3, 3, 0], [3], [3]], "one number at least"), ([[3], [3], [3]], "[n, c, ...]")]
    ) { try $0[0].groupNormalised(groups: 3, scale: $0[1], bias: $0[2], epsilon: 1e-3) },
    PrimitiveCase(
        names: ["GroupNormalization"], shapes: [[[3, 5, 4, 2], [5], [5]], [[1, 1, 7], [1], [1]], [[2, 20, 6], [20], [20]]], tolerance: 2e-4,
        rejects: [([[3, 3], [3], [3]], "with positions")]
    ) { try $0[0].instanceNormalised(scale: $0[1], bias: $0[2], epsilon: 1e-3) },
    // A convolution's result stays channel-blocked; a group may end within a block of lanes, and lanes are left over.
    PrimitiveCase(
        names: ["Conv", "GroupNormalization", "GroupNormGradient"], shapes: [[[2, 4, 8, 8], [20, 4, 3, 3], [20], [20]]], isTwiceDifferentiable: false, tolerance: 1e-3
    ) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1)).groupNormalised(groups: 5, scale: $0[2], bias: $0[3]).sigmoid()
        return try (x.adaptiveMaxPool2D(to: (3, 5)) + x.adaptiveAveragePool2D(to: (3, 5))).instanceNormalised(scale: $0[3], bias: $0[2])
    },
    PrimitiveCase(
        names: ["RMSNormalization", "RMSNormGradient"], shapes: [[[3, 5], [5]], [[2, 3, 70], [70]], [[1, 1], [1]], [[0, 4], [4]], [[7], [7]], [[70, 130], [130]]],
        tolerance: 2e-4, rejects: [([[3, 5], [4]], "[5]"), ([[3, 0], [0]], "one number at least")]
    ) { try $0[0].rmsNormalised(scale: $0[1], epsilon: 1e-3) },

    PrimitiveCase(
        names: ["AdaptiveMaxPool2D", "MaxPool2DGradient", "MaxPool2DPick"],
        shapes: [[[2, 3, 7, 5]], [[1, 1, 1, 1]], [[0, 2, 4, 4]], [[2, 2, 9, 4]], [[1, 3, 40, 33]]],
        rejects: [([[2, 3, 4]], "picture [n, c, h, w]"), ([[2, 3, 0, 4]], "one number at least")]
    ) { try $0[0].adaptiveMaxPool2D(to: (3, 2)) },
    PrimitiveCase(
        names: ["MatMul", "AveragePool"], shapes: [[[2, 3, 7, 5]], [[1, 1, 1, 1]], [[0, 2, 4, 4]], [[2, 2, 9, 4]], [[1, 3, 40, 33]]],
        rejects: [([[2, 3, 4]], "picture [n, c, h, w]"), ([[2, 3, 0, 4]], "one number at least")]
    ) { try $0[0].adaptiveAveragePool2D(to: (3, 2)) + $0[0].adaptiveAveragePool2D(to: (1, 1)) },
    PrimitiveCase(
        names: ["MaxPool", "AveragePool"], shapes: [[[2, 3, 9]], [[1, 1, 4]], [[0, 2, 4]]], rejects: [([[2, 3]], "sequence [n, c, l]"), ([[1, 1, 0]], "window is 3 long")]
    ) {
        let windows = try $0[0].maxPool1D(3, stride: 2, padding: 1) * $0[0].averagePool1D(3, stride: 2, padding: 1, countsPadding: false)
        let few = try $0[0].adaptiveMaxPool1D(to: 2) + $0[0].adaptiveAveragePool1D(to: 2)
        return try Tensor.concatenated([windows, few, $0[0].globalAveragePool1D().withAxis(2), $0[0].globalMaxPool1D().withAxis(2)], axis: 2)
    },
    PrimitiveCase(names: ["MaxPool", "AveragePool"], shapes: [[[2, 3, 6, 9]], [[1, 1, 2, 3]]], rejects: [([[1, 1, 1, 3]], "window is 2 long")]) {
        let sliding = Sliding(stride: (2, 1), padding: (0, 1, 0, 1))
        return try $0[0].maxPool2D(kernel: (2, 3), sliding: sliding) * $0[0].averagePool2D(kernel: (2, 3), sliding: sliding)
    },

    PrimitiveCase(
        names: ["Conv2DInputGradient", "ChannelAffine"],
        shapes: [[[2, 4, 5, 3], [4, 3, 3, 3], [3]], [[1, 17, 2, 2], [17, 19, 2, 4], [19]], [[1, 1, 1, 1], [1, 1, 3, 2], [1]], [[0, 2, 4, 4], [2, 3, 3, 3], [3]]],
        tolerance: 1e-4,
        rejects: [
            ([[2, 4, 5, 3], [3, 3, 3, 3], [3]], "c a multiple of 1"), ([[2, 4], [4, 3, 3, 3], [3]], "picture [n, c, h, w]"), ([[2, 4, 5, 3], [4, 3, 3], [3]], "kh, kw]"),
            ([[2, 4, 5, 3], [4, 3, 3, 3], [4]], "a bias [3]"), ([[2, 4, 0, 3], [4, 3, 3, 3], [3]], "something is left"), ([[2, 4, 1, 3], [4, 3, 1, 3], [3]], "something is left"),
        ]
    ) { try $0[0].convTranspose2D($0[1], bias: $0[2], sliding: Sliding(stride: 2, padding: 1), outputPadding: (1, 1)) },
    PrimitiveCase(names: ["Conv2DInputGradient"], shapes: [[[2, 6, 4, 5], [6, 2, 3, 2]], [[1, 3, 3, 1], [3, 3, 2, 3]]], tolerance: 1e-4) {
        try $0[0].convTranspose2D($0[1], sliding: Sliding(stride: (1, 2), padding: (0, 1, 1, 0), dilation: (3, 2)), outputPadding: (2, 1), groups: 3)
    },
    PrimitiveCase(
        names: ["Conv", "Conv2DInputGradient"], shapes: [[[2, 4, 9], [6, 2, 3], [6], [6, 2, 4]], [[1, 2, 5], [2, 1, 1], [2], [2, 1, 1]]], tolerance: 1e-4,
        rejects: [([[2, 9], [6, 2, 3], [6], [6, 2, 4]], "sequence [n, c, l]"), ([[2, 4, 9], [6, 2, 3, 1], [6], [6, 2, 4]], "groups, kl]"), ([[2, 4, 9], [6, 2, 3], [6], [6, 2]], "groups, kl]")]
    ) {
        let hidden = try $0[0].conv1D($0[1], bias: $0[2], stride: 2, padding: (4, 0), dilation: 2, groups: 2)
        return try hidden.convTranspose1D($0[3], stride: 2, padding: (0, 1), outputPadding: 1, groups: 2)
    },
    // Depthwise and dilated, forwards and back, at channel counts that leave lanes over.
    PrimitiveCase(
        names: ["Conv", "Conv2DInputGradient", "Conv2DWeightGradient"], shapes: [[[2, 11, 9, 8], [11, 1, 3, 3]], [[1, 24, 7, 7], [24, 1, 2, 3]], [[1, 1, 5, 5], [1, 1, 1, 1]]],
        tolerance: 1e-4
    ) {
        let groups = try $0[0].shape.size(1)
        let x = try $0[0].conv2D($0[1], sliding: Sliding(stride: (2, 1), padding: (2, 2, 2, 2), dilation: (2, 3)), groups: groups)
        return try x.convTranspose2D($0[1], sliding: Sliding(stride: (2, 1), padding: (0, 1, 0, 1), dilation: (2, 3)), groups: groups)
    },
    PrimitiveCase(
        names: ["Resize", "ResizeGradient"], shapes: [[[2, 3, 4, 5]], [[1, 1, 1, 1]], [[0, 2, 4, 4]], [[1, 2, 9, 17]]],
        rejects: [([[2, 3, 4]], "picture [n, c, h, w]"), ([[2, 3, 0, 4]], "one number at least")]
    ) {
        let parts = [
            try $0[0].resized(to: (6, 11)), try $0[0].resized(to: (6, 11), coordinates: .alignCorners), try $0[0].resized(to: (6, 11), coordinates: .asymmetric),
            try $0[0].resized(to: (3, 1), coordinates: .alignCorners).expanded(to: [$0[0].shape.size(0), $0[0].shape.size(1), 3, 11]),
            try $0[0].upsampled(by: 3, .linear).resized(to: (2, 11)),
        ]
        return try Tensor.concatenated(parts, axis: 2)
    },
    PrimitiveCase(names: ["Resize", "ResizeGradient"], shapes: [[[2, 3, 4, 5]], [[1, 1, 1, 1]], [[1, 2, 9, 17]]]) { x in
        let roundings: [Interpolation.Rounding] = [.floor, .ceil, .roundPreferFloor, .roundPreferCeil]
        var parts: [Tensor] = []
        for coordinates in [Interpolation.Coordinates.halfPixel, .alignCorners, .asymmetric] {
            for rounding in roundings { parts.append(try x[0].resized(to: (7, 11), .nearest(rounding), coordinates: coordinates)) }
        }
        return try Tensor.concatenated(parts + [x[0].upsampled(by: 2).resized(to: (3, 11), .nearest, coordinates: .asymmetric)], axis: 2)
    },
    PrimitiveCase(
        names: ["Resize", "ResizeGradient"], shapes: [[[2, 3, 5]], [[1, 1, 1]], [[1, 2, 70]]], rejects: [([[2, 3]], "sequence [n, c, l]")]
    ) {
        let x = $0[0], parts = [try x.resized(to: 11), try x.resized(to: 11, .nearest, coordinates: .asymmetric), try x.resized(to: 3), try x.upsampled(by: 3)]
        return try Tensor.concatenated(parts, axis: 2)
    },
    PrimitiveCase(names: ["Conv", "Resize"], shapes: [[[2, 3, 5, 4], [20, 3, 3, 3]]], isTwiceDifferentiable: false, tolerance: 1e-4) {
        let x = try $0[0].conv2D($0[1], sliding: Sliding(padding: 1))
        return try x.upsampled(by: 2) * x.resized(to: (10, 8)) + x.convTranspose2D($0[1].resized(to: (4, 4)).expanded(to: [20, 3, 4, 4]), sliding: Sliding(stride: 2, padding: 1)).sum([1], keepingAxes: true)
    },

    PrimitiveCase(
        names: ["RoiAlign", "RegionAlignGradient"], shapes: [[[2, 3, 7, 6]], [[2, 1, 1, 1]], [[2, 20, 12, 9]], [[2, 0, 3, 3]]],
        rejects: [([[1, 3, 7, 6]], "index 1 at position 1"), ([[2, 3, 7]], "picture [n, c, h, w]"), ([[2, 3, 0, 6]], "one number at least")]
    ) {
        try Tensor.concatenated([
            aligned($0[0], samples: 2, scale: 0.5, isHalfPixel: true), aligned($0[0], samples: nil, isHalfPixel: true), aligned($0[0], samples: nil, isHalfPixel: false),
        ])
    },
    PrimitiveCase(
        names: ["NonMaximumSuppression"], shapes: [[[2, 40, 4], [2, 3, 40]], [[1, 1, 4], [1, 1, 1]], [[1, 0, 4], [1, 2, 0]], [[0, 3, 4], [0, 2, 3]], [[3, 700, 4], [3, 40, 700]]],
        isDifferentiable: false,
        rejects: [([[2, 40, 3], [2, 3, 40]], "boxes ["), ([[2, 40, 4], [2, 3, 30]], "scores [2, classes, 40]"), ([[40, 4], [2, 3, 40]], "boxes [n, count, 4]")]
    ) {
        let boxes = try boxes($0[0]), (n, count) = (try $0[0].shape.size(0), try $0[0].shape.size(1))
        let labels = try Tensor((0..<(n * count)).map { Int64($0 * 7 % 3) }, [n, count]).moved(to: boxes.device)
        let all = try boxes.nonMaximumSuppression(scores: $0[1], overlap: 0.3, leastScore: -1, most: 25)
        let apart = try boxes.nonMaximumSuppression(scores: $0[1], labels: labels, overlap: 0.1, most: 9)
        return try Tensor.concatenated([all.chosen, all.counts.withAxis(2), apart.chosen, apart.counts.withAxis(2)], axis: 2).cast(to: .float32)
    },
    PrimitiveCase(
        names: ["Max", "Min", "Relu", "Div"], shapes: [[[6, 4], [6, 4]], [[0, 4], [0, 4]], [[2, 3, 4], [2, 3, 4]]],
        rejects: [([[6, 4], [5, 4]], "targets [6, 4]")]
    ) {
        let (a, b) = (try boxes($0[0]), try boxes($0[1]))
        return try Tensor.stacked([a.boxLoss(b, .overlap), a.boxLoss(b, .generalised), a.boxLoss(b, .distance), a.boxAreas()])
    },
    // The weight of the aspect's part counts as a constant, so that differences don't tell the gradient; golden values do.
    PrimitiveCase(names: ["Atan"], shapes: [[[6, 4], [6, 4]]], isDifferentiable: false) { try boxes($0[0]).boxLoss(boxes($0[1]), .complete) },
    PrimitiveCase(names: ["Div"], shapes: [[[6, 4], [5, 4]], [[1, 4], [0, 4]]], rejects: [([[2, 6, 4], [5, 4]], "boxes [n, 4]")]) {
        try boxes($0[0]).boxOverlaps(with: boxes($0[1])) + boxes($0[0]).centresFromCorners().sum()
    },
    PrimitiveCase(names: ["LogisticLoss", "Pow"], shapes: [[[7], [7]], [[2, 3], [2, 3]], [[0], [0]]], rejects: [([[3], [2]], "targets [3]")]) {
        let targets = try $0[1].sigmoid()
        let balanced = try $0[0].sigmoidFocalLoss(targets) + $0[0].sigmoidFocalLoss(targets, balance: nil, focus: 1)
        return try balanced + $0[0].sigmoidFocalLoss(targets, balance: 0.5, focus: 1.5) * $0[0].sigmoidFocalLoss(targets, focus: 0)
    },
    PrimitiveCase(names: ["LogSoftmax", "Pow"], shapes: [[[6, 4]], [[1, 2]]], rejects: [([[6]], "logits [rows, classes]")]) {
        let (rows, classes) = (try $0[0].shape.size(0), try $0[0].shape[-1].value())
        let labels = try Tensor((0..<rows).map { Int64($0 * 7 % classes) }).moved(to: $0[0].device)
        return try $0[0].softmaxFocalLoss(labels) + $0[0].softmaxFocalLoss(labels, focus: 0.5) + $0[0].softmaxFocalLoss(labels, focus: 0)
    },
    PrimitiveCase(
        names: ["Div"], shapes: [[[2, 3, 4, 2], [2, 3, 4, 2]], [[1, 1, 0], [1, 1, 0]], [[1, 2, 1], [1, 2, 1]]],
        rejects: [([[2, 3], [2, 3]], "probabilities [n, c, ...]"), ([[2, 3, 1], [2, 3, 2]], "targets [2, 3, 1]")]
    ) { try $0[0].sigmoid().diceLoss($0[1].sigmoid()) },
]
