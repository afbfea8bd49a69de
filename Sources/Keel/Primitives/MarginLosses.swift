// Losses that ask for a margin: between classes, between pairs, or between a pair and another.

extension Tensor {
    /// The hinge loss of scores and targets of -1 or 1: `max(0, margin - target * score)`.
    ///
    /// - Shapes: self any, `targets` alike → as self for `.none`, else a scalar.
    /// - Errors: `TensorError.shape`.
    /// - Source: Cortes and Vapnik, *Support-vector networks*, 1995.
    public func hingeLoss(_ targets: Tensor, margin: Double = 1, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try checkAlike(targets, "hingeLoss")
        return try reduction.of((margin - self * targets).relu())
    }

    /// The hinge loss of scores of many classes: what each other class lacks of being `margin` below the label's, to a power, over the number of
    /// classes.
    ///
    /// - Shapes: self `[rows, classes]`, `labels [rows]` int64 or int32, `classWeights [classes]`, by which the label's counts → `[rows]` for
    ///   `.none`, else a scalar.
    /// - Errors: `TensorError.rank`, `TensorError.shape`, `TensorError.indexOutOfRange`; `TensorError.argument` for a power other than 1 or 2, or a
    ///   negative margin.
    /// - Source: Crammer and Singer, 2001; summed over classes as by Weston and Watkins, 1999.
    public func multiMarginLoss(
        _ labels: Tensor, margin: Double = 1, power: Int = 1, classWeights: Tensor? = nil, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        let name = "multiMarginLoss"
        guard rank == 2, shape[1].number != 0 else { throw .rank(primitive: name, expected: "scores [rows, classes]", shape) }
        guard labels.shape == Shape(shape[0]) else { throw .shape(primitive: name, expected: "labels [\(shape[0])]", labels.shape) }
        guard power == 1 || power == 2 else { throw .argument(primitive: name, name: "power", given: power, allowed: "1 or 2") }
        guard margin >= 0 else { throw .argument(primitive: name, name: "margin", given: margin, allowed: "0 and more") }
        let lacks = try (self - takenAlong(1, at: labels.withAxis(1)) + margin).relu()
        // The label's own lacks just the margin.
        var losses = try ((power == 1 ? lacks : lacks.squared()).sum([1]) - (power == 1 ? margin : margin * margin)) / Double(shape.size(1))
        if let classWeights { losses = try losses * classWeights.gathered(labels) }
        return try reduction.of(losses)
    }

    /// What scores lack of being `margin` above (where the target is 1) or below (-1) other scores.
    ///
    /// - Shapes: self any, `other` and `targets` alike → as self for `.none`, else a scalar.
    /// - Errors: `TensorError.shape`.
    /// - Source: Herbrich, Graepel and Obermayer, 2000.
    public func marginRankingLoss(
        _ other: Tensor, _ targets: Tensor, margin: Double = 0, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        try checkAlike(other, "marginRankingLoss", "other scores")
        try checkAlike(targets, "marginRankingLoss")
        return try reduction.of((margin - targets * (self - other)).relu())
    }

    /// What anchors lack of being `margin` nearer to what is like them than to what isn't.
    ///
    /// - Shapes: self, the anchors, `[..., features]`; `positives` and `negatives` alike → `[...]` for `.none`, else a scalar.
    /// - Parameters:
    ///   - power: of the distance: 2 is Euclid's.
    ///   - swaps: take the positive's distance to the negative where that is less than the anchor's.
    /// - Errors: `TensorError.rank`, `TensorError.shape`; `TensorError.argument` for a power below 1.
    /// - Source: Schroff et al., *FaceNet*, 2015; swapping: Balntas et al., 2016.
    public func tripletMarginLoss(
        _ positives: Tensor, _ negatives: Tensor, margin: Double = 1, power: Double = 2, swaps: Bool = false, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        let near = try pairwiseDistance(positives, power: power)
        var far = try pairwiseDistance(negatives, power: power)
        if swaps { far = try far.minimum(positives.pairwiseDistance(negatives, power: power)) }
        return try reduction.of((near - far + margin).relu())
    }

    /// The contrastive loss of pairs: half the squared distance of those alike, half of the square of what the others lack of `margin`.
    ///
    /// - Shapes: self `[..., features]`, `other` alike, `areAlike [...]` of 0 and 1 → `[...]` for `.none`, else a scalar.
    /// - Errors: `TensorError.rank`, `TensorError.shape`.
    /// - Source: Hadsell, Chopra and LeCun, 2006.
    public func contrastiveLoss(
        _ other: Tensor, areAlike: Tensor, margin: Double = 1, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        let distance = try pairwiseDistance(other)
        try distance.checkAlike(areAlike, "contrastiveLoss", "marks")
        let apart = try (margin - distance).relu().squared()
        return try reduction.of((areAlike * (distance.squared() - apart) + apart) * 0.5)
    }

    /// `1 - cosine` of pairs whose target is 1; of those whose target is -1 what their cosine has above `margin`.
    ///
    /// - Shapes: self `[..., features]`, `other` alike, `targets [...]` → `[...]` for `.none`, else a scalar.
    /// - Errors: `TensorError.rank`, `TensorError.shape`.
    public func cosineEmbeddingLoss(
        _ other: Tensor, _ targets: Tensor, margin: Double = 0, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        let cosine = try cosineSimilarity(other)
        try cosine.checkAlike(targets, "cosineEmbeddingLoss")
        let areAlike = try targets.isGreater(than: Tensor.zeros([], dtype, on: device))
        return try reduction.of(areAlike.select(1 - cosine, (cosine - margin).relu()))
    }

    /// InfoNCE: each row is to find its own among all rows of `positives`, by their cosines over a temperature.
    ///
    /// - Shapes: self `[rows, features]`, `positives` alike → `[rows]` for `.none`, else a scalar.
    /// - Unit: nats a row; guessing scores `ln(rows)`.
    /// - Parameter isSymmetric: also the other way round, the mean of both.
    /// - Errors: `TensorError.rank`, `TensorError.shape`; `TensorError.argument` for a temperature that isn't above 0.
    /// - Source: Van den Oord, Li and Vinyals, 2018; symmetric: Radford et al., *CLIP*, 2021.
    public func infoNCE(
        _ positives: Tensor, temperature: Double = 0.1, isSymmetric: Bool = false, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        guard rank == 2, shape[0].number != 0 else { throw .rank(primitive: "infoNCE", expected: "embeddings [rows, features]", shape) }
        try checkAlike(positives, "infoNCE", "positives")
        guard temperature > 0 else { throw .argument(primitive: "infoNCE", name: "temperature", given: temperature, allowed: "above 0") }
        let logits = try normalised().matmul(positives.normalised().transposed()) / temperature
        let own = try Tensor.range(shape.size(0)).moved(to: device), loss = try logits.softmaxCrossEntropy(own, reduction: reduction)
        return try isSymmetric ? (loss + logits.transposed().softmaxCrossEntropy(own, reduction: reduction)) * 0.5 : loss
    }
}
