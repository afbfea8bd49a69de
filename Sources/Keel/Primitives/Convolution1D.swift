extension Tensor {
    /// One-dimensional convolution: `conv2D` of pictures of height 1.
    ///
    /// - Shapes: self `[n, c, l]`, `weight [k, c / groups, kl]`, `bias [k]` → `[n, k, ol]` with
    ///   `ol = ⌊(l + before + after - dilation·(kl - 1) - 1) / stride⌋ + 1`.
    /// - Parameter padding: zeros before and after the sequence; `(dilation·(kl - 1), 0)` makes a causal convolution, in which no
    ///   result depends on a later number.
    /// - Errors: as `conv2D`.
    /// - Source: ONNX `Conv`, opset 11.
    public func conv1D(
        _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: (before: Int, after: Int) = (0, 0), dilation: Int = 1, groups: Int = 1
    ) throws(TensorError) -> Tensor {
        guard weight.rank == 3 else { throw .rank(primitive: Conv2D.name, expected: "weights [k, c / groups, kl]", weight.shape) }
        return try asPicture(Conv2D.name) { x throws(TensorError) in
            try x.conv2D(weight.withAxis(2), bias: bias, sliding: .along(stride: stride, padding: padding, dilation: dilation), groups: groups)
        }
    }
}
