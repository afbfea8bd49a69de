// Losses between estimates and targets, number by number. Self are the estimates.

extension Tensor {
    /// The squared difference.
    public func meanSquaredError(_ targets: Tensor, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try reduction.of((self - targets).squared())
    }

    /// The distance.
    public func meanAbsoluteError(_ targets: Tensor, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try reduction.of((self - targets).magnitude())
    }

    /// Half the squared difference up to a distance of `delta`, from there on a straight line: outliers pull with a bounded force.
    ///
    /// - Shapes: self any, `targets` alike → as self for `.none`, else a scalar.
    /// - Errors: `TensorError.shape`; `TensorError.argument` for a delta that isn't above 0.
    /// - Source: Huber, *Robust estimation of a location parameter*, 1964.
    public func huberLoss(_ targets: Tensor, delta: Double = 1, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try checkAlike(targets, "huberLoss")
        guard delta > 0 else { throw .argument(primitive: "huberLoss", name: "delta", given: delta, allowed: "above 0") }
        let distance = try (self - targets).magnitude(), near = try distance.clipped(from: 0, to: delta)
        return try reduction.of(near * (distance - near * 0.5))
    }

    /// As `huberLoss`, over `beta`: from there on its slope is 1. With a beta of 0 it is the distance.
    ///
    /// - Source: Girshick, *Fast R-CNN*, 2015.
    public func smoothL1Loss(_ targets: Tensor, beta: Double = 1, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        guard beta >= 0 else { throw .argument(primitive: "smoothL1Loss", name: "beta", given: beta, allowed: "0 and more") }
        try checkAlike(targets, "smoothL1Loss")
        return try beta == 0 ? meanAbsoluteError(targets, reduction: reduction) : huberLoss(targets, delta: beta, reduction: reduction) / beta
    }

    /// The pinball loss, least where a share `quantile` of the targets lies below the estimate.
    ///
    /// - Shapes: self any, `targets` alike → as self for `.none`, else a scalar.
    /// - Errors: `TensorError.shape`; `TensorError.argument` for a quantile outside 0...1.
    /// - Source: Koenker and Bassett, *Regression quantiles*, 1978.
    public func quantileLoss(_ targets: Tensor, _ quantile: Double, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try checkAlike(targets, "quantileLoss")
        guard (0...1).contains(quantile) else { throw .argument(primitive: "quantileLoss", name: "quantile", given: quantile, allowed: "0...1") }
        let short = try targets - self
        return try reduction.of((short * quantile).maximum(short * (quantile - 1)))
    }

    /// The pinball loss of several quantiles at once: self `[..., quantiles]`, `targets [...]` → as self for `.none`, else a scalar.
    public func quantileLoss(_ targets: Tensor, quantiles: [Double], reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        guard rank >= 1, shape[-1] == Dimension(quantiles.count), targets.shape == shape.dropLast(1) else {
            throw .shape(primitive: "quantileLoss", expected: "estimates \(targets.shape) with an axis of \(quantiles.count) quantiles", shape)
        }
        var losses: [Tensor] = []
        for (i, quantile) in quantiles.enumerated() { losses.append(try at(i, axis: -1).quantileLoss(targets, quantile, reduction: .none)) }
        return try reduction.of(.stacked(losses, axis: -1))
    }

    /// The negative log-likelihood of counts under Poisson distributions.
    ///
    /// - Shapes: self any, `targets` alike → as self for `.none`, else a scalar.
    /// - Unit: nats.
    /// - Parameters:
    ///   - isLogarithm: self are the logarithms of the rates, and not the rates.
    ///   - isFull: with `ln(targets!)`, by Stirling's formula above 1, which doesn't depend on the estimates.
    /// - Numerics: 1e-8 is added to a rate before its logarithm is taken.
    /// - Errors: `TensorError.shape`.
    public func poissonLoss(
        _ targets: Tensor, isLogarithm: Bool = true, isFull: Bool = false, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        try checkAlike(targets, "poissonLoss")
        var losses = try isLogarithm ? exp() - targets * self : self - targets * (self + 1e-8).log()
        if isFull {
            let counts = try targets.clipped(from: 1, to: .infinity), logarithm = try counts.log()
            let stirling = try counts * logarithm - counts + (logarithm + 1.8378770664093453) * 0.5  // ln 2π
            losses = try losses + stirling.filled(with: 0, where: targets.isAtMost(Tensor.ones([], dtype, on: device)))
        }
        return try reduction.of(losses)
    }

    /// The negative log-likelihood of targets under normal distributions with these means and variances, without the constant `ln(2π) / 2`.
    ///
    /// - Shapes: self any, `targets` and `variances` alike → as self for `.none`, else a scalar.
    /// - Unit: nats.
    /// - Numerics: variances count as `epsilon` at least.
    /// - Errors: `TensorError.shape`.
    /// - Source: Nix and Weigend, *Estimating the mean and variance of the target probability distribution*, 1994.
    public func gaussianLoss(
        _ targets: Tensor, variances: Tensor, epsilon: Double = 1e-6, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        try checkAlike(targets, "gaussianLoss")
        try checkAlike(variances, "gaussianLoss", "variances")
        let variance = try variances.clipped(from: epsilon, to: .infinity)
        return try reduction.of((variance.log() + (self - targets).squared() / variance) * 0.5)
    }

    /// The Kullback-Leibler divergence of distributions from those that log-probabilities give: `Σ p * (ln p - ln q)` over the last axis.
    ///
    /// - Shapes: self `[..., classes]` log-probabilities, `targets` alike, probabilities → `[...]` for `.none`, else a scalar; the mean is that of
    ///   the distributions.
    /// - Unit: nats a distribution.
    /// - Parameter isLogarithm: the targets are log-probabilities, too.
    /// - Numerics: a target of 0 adds 0.
    /// - Errors: `TensorError.rank`, `TensorError.shape`.
    /// - Source: Kullback and Leibler, 1951.
    public func klDivergence(_ targets: Tensor, isLogarithm: Bool = false, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        guard rank >= 1 else { throw .rank(primitive: "klDivergence", expected: "log-probabilities [..., classes]", shape) }
        try checkAlike(targets, "klDivergence")
        // The logarithm of 0 is infinite, and nothing times that isn't 0.
        let logarithm = try isLogarithm ? targets.clipped(from: -1e4, to: .infinity) : targets.clipped(from: 1e-38, to: .infinity).log()
        return try reduction.of(((isLogarithm ? targets.exp() : targets) * (logarithm - self)).sum([-1]))
    }
}
