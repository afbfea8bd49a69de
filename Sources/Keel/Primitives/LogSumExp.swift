extension Tensor {
    /// `ln Σ e^x` over `axes`, or over all; -infinity of nothing but -infinity.
    ///
    /// - Numerics: subtracts the largest number first. That counts as a constant in the gradient: the result doesn't depend on it.
    public func logSumExp(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        let limit = Double(Float.greatestFiniteMagnitude)
        let most = try detached().max(axes, keepingAxes: true).clipped(from: -limit, to: limit)
        let sum = try (self - most).exp().sum(axes, keepingAxes: true).log() + most
        return keepingAxes ? sum : try sum.sum(axes)
    }

    /// `ln(e^a + e^b)` number by number, broadcast.
    public func logAddExp(_ other: Tensor) throws(TensorError) -> Tensor {
        let shape = try shape.broadcast(with: other.shape, in: "logAddExp")
        return try Tensor.stacked([expanded(to: shape), other.expanded(to: shape)]).logSumExp([0])
    }
}
