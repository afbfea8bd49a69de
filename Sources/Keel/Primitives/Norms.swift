// Lengths, distances and angles of vectors.

extension Tensor {
    /// `(Σ |x|^power)^(1 / power)` over `axes`, or over all; the largest `|x|` for a power of infinity. Its gradient at 0 is 0.
    ///
    /// - Errors: `TensorError.argument` for a power below 1.
    public func vectorNorm(_ power: Double = 2, _ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        guard power >= 1 else { throw .argument(primitive: "vectorNorm", name: "power", given: power, allowed: "1 and more") }
        let sizes = power == 2 ? self : try magnitude()
        if power == 1 { return try sizes.sum(axes, keepingAxes: keepingAxes) }
        if power == .infinity { return try sizes.max(axes, keepingAxes: keepingAxes) }
        let sum = try (power == 2 ? squared() : sizes.power(power)).sum(axes, keepingAxes: keepingAxes)
        // The root's slope at 0 has no bound.
        let isZero = try sum.equals(Tensor.zeros([], dtype, on: device)), safe = try sum.filled(with: 1, where: isZero)
        return try (power == 2 ? safe.squareRoot() : safe.power(1 / power)).filled(with: 0, where: isZero)
    }

    /// Over their length along an axis, which counts as 1e-12 at least.
    public func normalised(_ axis: Int = -1) throws(TensorError) -> Tensor {
        try self / vectorNorm(2, [axis], keepingAxes: true).clipped(from: 1e-12, to: .infinity)
    }

    /// The norm of the difference of vectors: `[..., features]` each → `[...]`. 1e-6 is added to each number's difference.
    ///
    /// - Errors: `TensorError.rank`, `TensorError.shape`; `TensorError.argument` for a power below 1.
    public func pairwiseDistance(_ other: Tensor, power: Double = 2) throws(TensorError) -> Tensor {
        guard rank >= 1 else { throw .rank(primitive: "pairwiseDistance", expected: "vectors [..., features]", shape) }
        try checkAlike(other, "pairwiseDistance", "other vectors")
        return try (self - other + 1e-6).vectorNorm(power, [-1])
    }

    /// The cosine of the angle between vectors along an axis, by which the shape is shorter. Lengths count as 1e-8 at least.
    ///
    /// - Errors: `TensorError.shape`, `TensorError.axisOutOfRange`.
    public func cosineSimilarity(_ other: Tensor, axis: Int = -1) throws(TensorError) -> Tensor {
        try checkAlike(other, "cosineSimilarity", "other vectors")
        func length(_ x: Tensor) throws(TensorError) -> Tensor { try x.vectorNorm(2, [axis]).clipped(from: 1e-8, to: .infinity) }
        return try (self * other).sum([axis]) / (length(self) * length(other))
    }
}
