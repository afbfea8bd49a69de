extension DType {
    /// The kind of number that two kinds have in common: what arithmetic, comparisons and choices between tensors of both are done in.
    ///
    /// Floats take in whole numbers, and these take in bools; of two kinds of one sort the wider one takes in the other. Floats that are equally
    /// wide, but different, meet in float32. Nothing else is promoted: products, convolutions and layers want one dtype.
    ///
    /// |  | bool | uint8 | int32 | int64 | bfloat16 | float16 | float32 | float64 |
    /// |---|---|---|---|---|---|---|---|---|
    /// | **bool** | bool | uint8 | int32 | int64 | bfloat16 | float16 | float32 | float64 |
    /// | **uint8** | uint8 | uint8 | int32 | int64 | bfloat16 | float16 | float32 | float64 |
    /// | **int32** | int32 | int32 | int32 | int64 | bfloat16 | float16 | float32 | float64 |
    /// | **int64** | int64 | int64 | int64 | int64 | bfloat16 | float16 | float32 | float64 |
    /// | **bfloat16** | bfloat16 | bfloat16 | bfloat16 | bfloat16 | bfloat16 | float32 | float32 | float64 |
    /// | **float16** | float16 | float16 | float16 | float16 | float32 | float16 | float32 | float64 |
    /// | **float32** | float32 | float32 | float32 | float32 | float32 | float32 | float32 | float64 |
    /// | **float64** | float64 | float64 | float64 | float64 | float64 | float64 | float64 | float64 |
    ///
    /// - Source: as PyTorch's `torch.promote_types`, for these kinds.
    public func promoted(with other: DType) -> DType {
        if self == other { return self }
        if isFloat != other.isFloat { return isFloat ? self : other }
        if width != other.width { return width > other.width ? self : other }
        if isFloat { return .float32 }
        return self == .bool ? other : self
    }
}

extension Tensor {
    /// Both in the kind of number that they have in common.
    func promoted(with other: Tensor) throws(TensorError) -> (Tensor, Tensor) {
        let common = dtype.promoted(with: other.dtype)
        return (try cast(to: common), try other.cast(to: common))
    }
}
