import Keel

private func loss(_ name: String, _ primitives: [String] = [], _ function: @escaping @Sendable ([Tensor]) throws(TensorError) -> Tensor) -> GoldenCase {
    var golden = GoldenCase(name, primitives, function)
    golden.file = "golden_losses"
    return golden
}

/// Constants of a case, in the dtype and on the device of its inputs.
private func constant(_ numbers: [Double], _ shape: Shape? = nil, like x: Tensor) throws(TensorError) -> Tensor {
    try Tensor(numbers, shape ?? [numbers.count]).cast(to: x.dtype).moved(to: x.device)
}

private func weights(like x: Tensor) throws(TensorError) -> Tensor { try constant([1, 2, 0.5, 1.5], like: x) }
private func signs(like x: Tensor) throws(TensorError) -> Tensor { try constant([1, -1, -1, 1, -1, 1, 1, -1, 1, 1, -1, -1], [3, 4], like: x) }

private let crossEntropy = ["SoftmaxCrossEntropyLoss", "SoftmaxCrossEntropyGradient"]

/// The cases of `golden_losses.py`.
let lossGoldenCases: [GoldenCase] = [
    loss("crossEntropyNone", crossEntropy) { x throws(TensorError) in try x[0].softmaxCrossEntropy(x[1], reduction: .none) },
    loss("crossEntropyMean", crossEntropy) { x throws(TensorError) in try x[0].softmaxCrossEntropy(x[1]) },
    loss("crossEntropySum", crossEntropy) { x throws(TensorError) in try x[0].softmaxCrossEntropy(x[1], reduction: .sum) },
    loss("crossEntropyNoneAll", crossEntropy) { x throws(TensorError) in
        try x[0].softmaxCrossEntropy(x[1], classWeights: weights(like: x[0]), labelSmoothing: 0.1, ignoring: -100, reduction: .none)
    },
    loss("crossEntropyMeanAll", crossEntropy) { x throws(TensorError) in
        try x[0].softmaxCrossEntropy(x[1], classWeights: weights(like: x[0]), labelSmoothing: 0.1, ignoring: -100)
    },
    loss("crossEntropySumAll", crossEntropy) { x throws(TensorError) in
        try x[0].softmaxCrossEntropy(x[1], classWeights: weights(like: x[0]), labelSmoothing: 0.1, ignoring: -100, reduction: .sum)
    },
    loss("crossEntropyIgnoring", crossEntropy) { x throws(TensorError) in try x[0].softmaxCrossEntropy(x[1], labelSmoothing: 0.2, ignoring: -100) },
    loss("crossEntropySteps", crossEntropy) { x throws(TensorError) in
        try x[0].softmaxCrossEntropy(x[1], classWeights: weights(like: x[0]), reduction: .none)
    },
    loss("crossEntropyShares") { x throws(TensorError) in try x[0].softmaxCrossEntropy(probabilities: x[1]) },
    loss("binaryCrossEntropyPositive", ["LogisticLoss"]) { x throws(TensorError) in
        try x[0].binaryCrossEntropy(x[1], positiveWeight: weights(like: x[0]) * 2, reduction: .none)
    },
    loss("meanSquaredErrorSum") { x throws(TensorError) in try x[0].meanSquaredError(x[1], reduction: .sum) },
    loss("meanAbsoluteError") { x throws(TensorError) in try x[0].meanAbsoluteError(x[1], reduction: .none) },
    loss("huber") { x throws(TensorError) in try x[0].huberLoss(x[1], delta: 0.7) },
    loss("huberNone") { x throws(TensorError) in try x[0].huberLoss(x[1], delta: 1.3, reduction: .none) },
    loss("smoothL1") { x throws(TensorError) in try x[0].smoothL1Loss(x[1], beta: 0.7, reduction: .sum) },
    loss("quantile") { x throws(TensorError) in try x[0].quantileLoss(x[1], 0.8) },
    loss("quantiles") { x throws(TensorError) in try x[0].quantileLoss(x[1], quantiles: [0.1, 0.5, 0.9], reduction: .none) },
    loss("poisson") { x throws(TensorError) in try x[0].poissonLoss(x[1], reduction: .none) },
    loss("poissonRate") { x throws(TensorError) in try x[0].poissonLoss(x[1], isLogarithm: false, isFull: true) },
    loss("gaussian") { x throws(TensorError) in try x[0].gaussianLoss(x[1], variances: x[2], reduction: .none) },
    loss("klDivergence") { x throws(TensorError) in try x[0].logSoftmax().klDivergence(x[1]) },
    loss("klDivergenceLog") { x throws(TensorError) in
        try x[0].logSoftmax().klDivergence(x[1].logSoftmax(), isLogarithm: true, reduction: .none)
    },
    loss("hinge") { x throws(TensorError) in try x[0].hingeLoss(signs(like: x[0])) },
    loss("multiMargin") { x throws(TensorError) in try x[0].multiMarginLoss(x[1]) },
    loss("multiMarginAll") { x throws(TensorError) in
        try x[0].multiMarginLoss(x[1], margin: 1.5, power: 2, classWeights: weights(like: x[0]), reduction: .none)
    },
    loss("marginRanking") { x throws(TensorError) in try x[0].marginRankingLoss(x[1], signs(like: x[0]), margin: 0.3, reduction: .sum) },
    loss("triplet") { x throws(TensorError) in try x[0].tripletMarginLoss(x[1], x[2]) },
    loss("tripletAll") { x throws(TensorError) in try x[0].tripletMarginLoss(x[1], x[2], margin: 2, power: 3, swaps: true, reduction: .none) },
    loss("contrastive") { x throws(TensorError) in
        try x[0].contrastiveLoss(x[1], areAlike: constant([1, 0, 0], like: x[0]), margin: 4, reduction: .none)
    },
    loss("cosineEmbedding") { x throws(TensorError) in
        try x[0].cosineEmbeddingLoss(x[1], constant([1, -1, -1], like: x[0]), margin: -0.5, reduction: .none)
    },
    loss("infoNCE") { x throws(TensorError) in try x[0].infoNCE(x[1], temperature: 0.2) },
    loss("infoNCESymmetric") { x throws(TensorError) in try x[0].infoNCE(x[1], temperature: 0.2, isSymmetric: true) },
    loss("cosineSimilarity") { x throws(TensorError) in try x[0].cosineSimilarity(x[1], axis: 0) },
    loss("norm") { x throws(TensorError) in try x[0].vectorNorm(2, [1]) },
    loss("normThree") { x throws(TensorError) in try x[0].vectorNorm(3, [0], keepingAxes: true) },
    loss("normOne") { x throws(TensorError) in try x[0].vectorNorm(1) },
    loss("normLargest") { x throws(TensorError) in try x[0].vectorNorm(.infinity, [1]) },
]
