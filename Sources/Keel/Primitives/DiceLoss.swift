extension Tensor {
    /// One minus the Dice coefficient of probabilities and targets, the mean over pictures and classes: for segmentation, where most of a
    /// picture is background.
    ///
    /// - Shapes: self `[n, c, ...]`, probabilities (a sigmoid's or a softmax'); `targets` alike, in 0...1 → scalar in 0...1.
    /// - Parameter smoothing: added above and below, `1 - (2·Σ p·t + s) / (Σ p + Σ t + s)`, so that a class that isn't in a picture and isn't
    ///   found there either costs nothing.
    /// - Errors: `TensorError.rank`, `TensorError.shape`; `TensorError.argument` for a smoothing that isn't above 0.
    /// - Source: Milletari, Navab and Ahmadi, *V-Net*, 2016.
    public func diceLoss(_ targets: Tensor, smoothing: Double = 1) throws(TensorError) -> Tensor {
        guard rank >= 3 else { throw .rank(primitive: "diceLoss", expected: "probabilities [n, c, ...]", shape) }
        guard targets.shape == shape else { throw .shape(primitive: "diceLoss", expected: "targets \(shape)", targets.shape) }
        guard smoothing > 0 else { throw .argument(primitive: "diceLoss", name: "smoothing", given: smoothing, allowed: "above 0") }
        let positions = Array(2..<rank)
        let both = try (self * targets).sum(positions) * 2 + smoothing
        let each = try (self + targets).sum(positions) + smoothing
        return try (1 - both / each).mean()
    }
}
