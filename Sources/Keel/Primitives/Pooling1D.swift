// Pooling along one axis: that of pictures of height 1.

extension Tensor {
    /// The largest number in each window of a sequence; the stride is the kernel's size unless given.
    ///
    /// - Shapes: self `[n, c, l]` → `[n, c, ⌊(l + 2·padding - kernel) / stride⌋ + 1]`.
    public func maxPool1D(_ kernel: Int, stride: Int? = nil, padding: Int = 0) throws(TensorError) -> Tensor {
        try asPicture("MaxPool") { x throws(TensorError) in
            try x.maxPool2D(kernel: (1, kernel), sliding: .along(stride: stride ?? kernel, padding: (padding, padding)))
        }
    }

    /// The mean of each window of a sequence; the stride is the kernel's size unless given.
    ///
    /// - Shapes: self `[n, c, l]` → `[n, c, ⌊(l + 2·padding - kernel) / stride⌋ + 1]`.
    /// - Parameter countsPadding: whether the zeros of the padding count among a window's numbers.
    public func averagePool1D(_ kernel: Int, stride: Int? = nil, padding: Int = 0, countsPadding: Bool = true) throws(TensorError) -> Tensor {
        try asPicture("AveragePool") { x throws(TensorError) in
            try x.averagePool2D(
                kernel: (1, kernel), sliding: .along(stride: stride ?? kernel, padding: (padding, padding)), countsPadding: countsPadding)
        }
    }

    /// The largest number in each of `size` windows that together cover the sequence: `[n, c, l]` → `[n, c, size]`.
    public func adaptiveMaxPool1D(to size: Int) throws(TensorError) -> Tensor {
        try asPicture(AdaptiveMaxPool2D.name) { x throws(TensorError) in try x.adaptiveMaxPool2D(to: (1, size)) }
    }

    /// The mean of each of `size` windows that together cover the sequence: `[n, c, l]` → `[n, c, size]`.
    public func adaptiveAveragePool1D(to size: Int) throws(TensorError) -> Tensor {
        try asPicture("AdaptiveAveragePool2D") { x throws(TensorError) in try x.adaptiveAveragePool2D(to: (1, size)) }
    }

    /// The mean of each channel's sequence: `[n, c, l]` → `[n, c]`.
    public func globalAveragePool1D() throws(TensorError) -> Tensor {
        guard rank == 3 else { throw .rank(primitive: "GlobalAveragePool", expected: "a sequence [n, c, l]", shape) }
        return try mean([2])
    }

    /// The largest number of each channel's sequence: `[n, c, l]` → `[n, c]`.
    public func globalMaxPool1D() throws(TensorError) -> Tensor {
        guard rank == 3 else { throw .rank(primitive: "GlobalMaxPool", expected: "a sequence [n, c, l]", shape) }
        return try max([2])
    }

    /// What `body` makes of `[n, c, l]` as a picture `[n, c, 1, l]`, as a sequence again.
    func asPicture(_ name: String, _ body: (Tensor) throws(TensorError) -> Tensor) throws(TensorError) -> Tensor {
        guard rank == 3 else { throw .rank(primitive: name, expected: "a sequence [n, c, l]", shape) }
        return try body(withAxis(2)).withoutAxis(2)
    }
}

extension Sliding {
    /// A window that moves along the width alone.
    static func along(stride: Int, padding: (before: Int, after: Int), dilation: Int = 1) -> Sliding {
        Sliding(stride: (1, stride), padding: (0, padding.before, 0, padding.after), dilation: (1, dilation))
    }
}
