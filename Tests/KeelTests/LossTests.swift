import Foundation
import Keel
import Testing

private func numbers(_ shape: Shape, seed: UInt64, _ range: ClosedRange<Float> = -2...2) throws -> Tensor {
    var generator = Philox(seed: seed)
    return try .uniform(shape, in: range, using: &generator)
}

/// A loss of two tensors, in the shape that it has without reduction.
private struct Loss: Sendable, CustomStringConvertible {
    let description: String
    let function: @Sendable (Tensor, Tensor, LossReduction) throws -> Tensor

    init(_ name: String, _ function: @escaping @Sendable (Tensor, Tensor, LossReduction) throws -> Tensor) {
        description = name
        self.function = function
    }
}

private func marks(_ x: Tensor, below: Double = 1) throws -> Tensor {
    try Tensor((0..<x.shape.size(0)).map { $0 % 2 == 0 ? 1 : below }).cast(to: x.dtype)
}

private let losses: [Loss] = [
    Loss("huber") { try $0.huberLoss($1, delta: 0.8, reduction: $2) },
    Loss("smoothL1") { try $0.smoothL1Loss($1, beta: 0, reduction: $2) },
    Loss("quantile") { try $0.quantileLoss($1, 0.3, reduction: $2) },
    Loss("poisson") { try $0.poissonLoss($1.magnitude(), isFull: true, reduction: $2) },
    Loss("gaussian") { try $0.gaussianLoss($1, variances: $1.exp(), reduction: $2) },
    Loss("klDivergence") { try $0.logSoftmax().klDivergence($1.softmax(), reduction: $2) },
    Loss("hinge") { try $0.hingeLoss($1, reduction: $2) },
    Loss("marginRanking") { try $0.marginRankingLoss($1, $1.tanh(), margin: 0.2, reduction: $2) },
    Loss("multiMargin") { try ($0 + $1).multiMarginLoss(Tensor((0..<$0.shape.size(0)).map { Int64($0 % 3) }), power: 2, reduction: $2) },
    Loss("triplet") { try $0.tripletMarginLoss($1, $0.tanh(), power: 1, swaps: true, reduction: $2) },
    Loss("contrastive") { try $0.contrastiveLoss($1, areAlike: marks($0, below: 0), margin: 3, reduction: $2) },
    Loss("cosineEmbedding") { try $0.cosineEmbeddingLoss($1, marks($0, below: -1), reduction: $2) },
    Loss("infoNCE") { try $0.infoNCE($1, isSymmetric: true, reduction: $2) },
    Loss("softCrossEntropy") { try $0.softmaxCrossEntropy(probabilities: $1.softmax(), reduction: $2) },
    Loss("binaryCrossEntropy") { try $0.binaryCrossEntropy($1.sigmoid(), positiveWeight: Tensor(3.0).cast(to: $0.dtype), reduction: $2) },
    Loss("meanSquaredError") { try $0.meanSquaredError($1, reduction: $2) },
    Loss("meanAbsoluteError") { try $0.meanAbsoluteError($1, reduction: $2) },
]

/// Sums of twenty numbers in another order.
@Test(arguments: losses)
private func meanAndSumAreThoseOfTheLosses(_ loss: Loss) throws {
    let (a, b) = (try numbers([5, 4], seed: 1), try numbers([5, 4], seed: 2))
    let each = try loss.function(a, b, .none), values = try each.elements()
    let sum = try loss.function(a, b, .sum).item(), mean = try loss.function(a, b, .mean).item()
    #expect(values.allSatisfy { $0.isFinite })
    #expect(each.shape == [5, 4] || each.shape == [5])
    #expect(abs(sum - values.reduce(0, +)) <= 1e-5 * max(1, abs(sum)))
    #expect(abs(mean - sum / Float(values.count)) <= 1e-5 * max(1, abs(mean)))
}

/// In float64 with a step of 1e-5 a central difference is right to about 1e-9; the inputs are away from kinks.
@Test(arguments: losses)
private func slopesOfLossesAreThoseOfDifferences(_ loss: Loss) throws {
    let inputs = try [numbers([5, 4], seed: 3), numbers([5, 4], seed: 4)].map { try $0.cast(to: .float64) }
    let directions = try [numbers([5, 4], seed: 5), numbers([5, 4], seed: 6)].map { try $0.cast(to: .float64) }
    func value(_ by: Double) throws -> Double {
        try loss.function(inputs[0] + directions[0] * by, inputs[1] + directions[1] * by, .sum).item(Double.self)
    }
    let variables = inputs.map { $0.requiringGradient() }
    let slopes = try loss.function(variables[0], variables[1], .sum).gradients(of: variables)
    let found = try (slopes[0] * directions[0] + slopes[1] * directions[1]).sum().item(Double.self)
    let expected = try (value(1e-5) - value(-1e-5)) / 2e-5
    #expect(abs(found - expected) <= 1e-6 * max(1, abs(expected)), "\(found), by differences \(expected)")
}

/// A class that the target rules out.
@Test func aTargetOfZeroAddsNothing() throws {
    let estimates = try Tensor([Float(0.2), 0.8], [1, 2]).log(), target = try Tensor([-Float.infinity, 0], [1, 2])
    #expect(abs(try estimates.klDivergence(target, isLogarithm: true).item() + log(0.8)) < 1e-6)
    #expect(abs(try estimates.klDivergence(target.exp()).item() + log(0.8)) < 1e-6)
}

@Test func rowsThatAreIgnoredCostNothing() throws {
    let x = try numbers([4, 3], seed: 1).requiringGradient(), labels = try Tensor([Int32(1), 9, 2, 9])
    let each = try x.softmaxCrossEntropy(labels, ignoring: 9, reduction: .none)
    #expect(try each.elements().map { $0 == 0 } == [false, true, false, true])
    let rows = try x.detached().gathered(Tensor([Int64(0), 2]))
    let mean = try x.softmaxCrossEntropy(labels, ignoring: 9), own = try rows.softmaxCrossEntropy(Tensor([Int64(1), 2]))
    #expect(try mean.item() == own.item())
    let slope = try mean.gradients(of: [x])[0]
    #expect(try slope.at(1).elements() + slope.at(3).elements() == [Float](repeating: 0, count: 6))
    #expect(try x.softmaxCrossEntropy(Tensor([Int64](repeating: 9, count: 4)), ignoring: 9).item().isNaN)
    let refusal = #expect(throws: TensorError.self) { try x.softmaxCrossEntropy(labels, ignoring: -1) }
    #expect(refusal?.description == "label 9 of row 1 isn't in 0..<3")
}

@Test func theNormOfNothingHasNoSlope() throws {
    for power in [1.0, 2, 3, .infinity] {
        let x = try Tensor.zeros([2, 3]).requiringGradient(), norm = try x.vectorNorm(power, [1])
        #expect(try norm.elements() == [0, 0])
        #expect(try norm.sum().gradients(of: [x])[0].elements().allSatisfy { $0 == 0 })
    }
    #expect(try Tensor([Float(0), 0]).normalised().elements() == [0, 0])
}

@Test func sumsOfNothingAndOfInfinitiesAreThemselves() throws {
    let x = try Tensor([-.infinity, -.infinity, 1000, .infinity, -1000, 3] as [Float], [3, 2])
    #expect(try x.logSumExp([1]).elements() == [-.infinity, .infinity, 3])
    #expect(try Tensor([-.infinity] as [Float]).logAddExp(Tensor([-.infinity, 2] as [Float])).elements() == [-.infinity, 2])
}

private func refusal(_ body: () throws -> Tensor) -> String? { #expect(throws: TensorError.self) { try body() }?.description }

@Test func lossesRefuseWhatDoesNotFit() throws {
    let x = try numbers([3, 4], seed: 1), other = try numbers([4, 3], seed: 1), labels = try Tensor([Int64(0), 1, 2])
    #expect(refusal { try x.huberLoss(other) } == "huberLoss: needs targets [3, 4], was given [4, 3]")
    #expect(refusal { try x.huberLoss(x, delta: 0) } == "huberLoss: delta is 0.0, allowed is above 0")
    #expect(refusal { try x.smoothL1Loss(x, beta: -1) } == "smoothL1Loss: beta is -1.0, allowed is 0 and more")
    #expect(refusal { try x.quantileLoss(x, 1.5) } == "quantileLoss: quantile is 1.5, allowed is 0...1")
    #expect(refusal { try x.quantileLoss(labels, quantiles: [0.5]) } == "quantileLoss: needs estimates [3] with an axis of 1 quantiles, was given [3, 4]")
    #expect(refusal { try x.poissonLoss(other) } == "poissonLoss: needs targets [3, 4], was given [4, 3]")
    #expect(refusal { try x.gaussianLoss(x, variances: other) } == "gaussianLoss: needs variances [3, 4], was given [4, 3]")
    #expect(refusal { try x.klDivergence(other) } == "klDivergence: needs targets [3, 4], was given [4, 3]")
    #expect(refusal { try x.hingeLoss(other) } == "hingeLoss: needs targets [3, 4], was given [4, 3]")
    #expect(refusal { try x.multiMarginLoss(Tensor([Int64(0)])) } == "multiMarginLoss: needs labels [3], was given [1]")
    #expect(refusal { try x.multiMarginLoss(labels, power: 3) } == "multiMarginLoss: power is 3, allowed is 1 or 2")
    #expect(refusal { try x.marginRankingLoss(other, x) } == "marginRankingLoss: needs other scores [3, 4], was given [4, 3]")
    #expect(refusal { try x.tripletMarginLoss(x, other) } == "pairwiseDistance: needs other vectors [3, 4], was given [4, 3]")
    #expect(refusal { try x.contrastiveLoss(x, areAlike: x) } == "contrastiveLoss: needs marks [3], was given [3, 4]")
    #expect(refusal { try x.cosineEmbeddingLoss(x, x) } == "cosineEmbeddingLoss: needs targets [3], was given [3, 4]")
    #expect(refusal { try x.infoNCE(x, temperature: 0) } == "infoNCE: temperature is 0.0, allowed is above 0")
    #expect(refusal { try x.softmaxCrossEntropy(probabilities: other) } == "softmaxCrossEntropy: needs targets [3, 4], was given [4, 3]")
    #expect(refusal { try x.vectorNorm(0.5) } == "vectorNorm: power is 0.5, allowed is 1 and more")
}

/// What lies along another axis than the last counts as if it had been moved there.
@Test func classesOfPixelsLieAlongTheirAxis() throws {
    var generator = Philox(seed: 8)
    let maps = try Tensor.normal([2, 3, 4, 5], using: &generator).requiringGradient()
    let labels = try Tensor.integers([2, 4, 5], in: 0..<3, using: &generator), weights = try Tensor([Float(1), 2, 0.5])
    for reduction in LossReduction.allCases {
        let found = try maps.softmaxCrossEntropy(labels, axis: 1, classWeights: weights, labelSmoothing: 0.1, ignoring: 2, reduction: reduction)
        let expected = try maps.permuted([0, 2, 3, 1]).softmaxCrossEntropy(labels, classWeights: weights, labelSmoothing: 0.1, ignoring: 2, reduction: reduction)
        #expect(found.shape == (reduction == .none ? [2, 4, 5] : []))
        #expect(try found.elements() == expected.elements())
        #expect(try found.sum().gradients(of: [maps])[0].elements() == expected.sum().gradients(of: [maps])[0].elements())
    }
    let shares = try Tensor.uniform([2, 3, 4, 5], using: &generator)
    let found = try maps.softmaxCrossEntropy(probabilities: shares, axis: -3).item()
    // Sums in another order.
    let expected = try maps.permuted([0, 2, 3, 1]).softmaxCrossEntropy(probabilities: shares.permuted([0, 2, 3, 1])).item()
    #expect(abs(found - expected) < 1e-5)
    #expect(throws: TensorError(.axisOutOfRange(primitive: "SoftmaxCrossEntropyLoss", axis: 4, maps.shape))) { try maps.softmaxCrossEntropy(labels, axis: 4) }
}
