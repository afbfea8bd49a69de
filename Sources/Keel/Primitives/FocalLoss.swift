extension Tensor {
    /// The focal loss of logits that each are a yes or no, number by number: cross-entropy that counts little where it is small already.
    ///
    /// - Shapes: self any, `targets` alike, in 0...1 → as self. Detectors add it up and divide by the number of boxes.
    /// - Unit: nats.
    /// - Parameters:
    ///   - balance: how much a yes counts (α), a no counting `1 - balance`; nil for both alike.
    ///   - focus: the power of `1 - p` by which a number of probability `p` counts (γ); 0 is cross-entropy.
    /// - Errors: `TensorError.shape`; `TensorError.argument` for a balance outside 0...1 or a negative focus.
    /// - Source: Lin et al., *Focal loss for dense object detection*, 2017.
    public func sigmoidFocalLoss(_ targets: Tensor, balance: Double? = 0.25, focus: Double = 2) throws(TensorError) -> Tensor {
        guard targets.shape == shape else { throw .shape(primitive: "sigmoidFocalLoss", expected: "targets \(shape)", targets.shape) }
        try checkFocus(focus, "sigmoidFocalLoss")
        if let balance, !(0...1).contains(balance) {
            throw .argument(primitive: "sigmoidFocalLoss", name: "balance", given: balance, allowed: "0...1")
        }
        var loss = try apply(LogisticLoss(), self, targets)
        if focus > 0 {
            let yes = try sigmoid()
            // 1 - (yes·target + (1 - yes)·(1 - target))
            let wrong = try yes + targets - yes * targets * 2
            loss = try loss * wrong.raised(to: focus)
        }
        guard let balance else { return loss }
        return try loss * (targets * (2 * balance - 1) + (1 - balance))
    }

    /// The mean focal loss between logits and class labels: `-(1 - p)^focus · ln p`, `p` being the label's probability.
    ///
    /// - Shapes: self `[rows, classes]`, `labels [rows]` int64 or int32 in `0..<classes` → scalar.
    /// - Unit: nats a row.
    /// - Errors: `TensorError.rank`, `TensorError.shape`; `TensorError.indexOutOfRange`; `TensorError.argument` for a negative focus.
    /// - Source: Lin et al., *Focal loss for dense object detection*, 2017.
    public func softmaxFocalLoss(_ labels: Tensor, focus: Double = 2) throws(TensorError) -> Tensor {
        guard rank == 2 else { throw .rank(primitive: "softmaxFocalLoss", expected: "logits [rows, classes]", shape) }
        guard labels.shape == Shape(shape[0]) else { throw .shape(primitive: "softmaxFocalLoss", expected: "labels [\(shape[0])]", labels.shape) }
        try checkFocus(focus, "softmaxFocalLoss")
        let logarithm = try (logSoftmax() * labels.oneHot(shape.size(1), dtype)).sum([1])
        if focus == 0 { return try logarithm.mean().negated() }
        return try (logarithm * (1 - logarithm.exp()).raised(to: focus)).mean().negated()
    }

    private func checkFocus(_ focus: Double, _ name: String) throws(TensorError) {
        guard focus >= 0 else { throw .argument(primitive: name, name: "focus", given: focus, allowed: "0 and more") }
    }

    /// A number of 0...1 to a power above 0. Below 1 its slope has no bound, so that 0 counts as 1e-12 then.
    private func raised(to power: Double) throws(TensorError) -> Tensor {
        if power == 1 { return self }
        if power == 2 { return try squared() }
        return try clipped(from: 1e-12, to: 1).power(power)
    }
}
