// The transposed convolution: `Conv2DInputGradient` under its own name.

extension Tensor {
    /// Two-dimensional transposed convolution: what goes back through `conv2D` with the same weights, as a layer of its own.
    ///
    /// - Shapes: self `[n, c, h, w]`, `weight [c, k / groups, kh, kw]`, `bias [k]` → `[n, k, oh, ow]` with
    ///   `oh = (h - 1)·stride - top - bottom + dilation·(kh - 1) + 1 + outputPadding`.
    /// - Parameters:
    ///   - sliding: of the convolution that this one transposes.
    ///   - outputPadding: rows and columns more at the bottom and the right, of those that the stride leaves open.
    /// - Errors: `TensorError.rank`; `TensorError.shape` where channels don't fit; `TensorError.argument` for an output padding that is
    ///   neither less than the stride nor than the dilation, and for padding that leaves nothing.
    /// - Source: Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016. ONNX `ConvTranspose`, opset 11.
    public func convTranspose2D(
        _ weight: Tensor, bias: Tensor? = nil, sliding: Sliding = Sliding(), outputPadding: (height: Int, width: Int) = (0, 0), groups: Int = 1
    ) throws(TensorError) -> Tensor {
        let name = "ConvTranspose"
        guard rank == 4 else { throw .rank(primitive: name, expected: "a picture [n, c, h, w]", shape) }
        guard weight.rank == 4 else { throw .rank(primitive: name, expected: "weights [c, k / groups, kh, kw]", weight.shape) }
        try sliding.check(name)
        let (channels, kernel) = (try weight.shape.size(0), (height: try weight.shape.size(2), width: try weight.shape.size(3)))
        guard groups >= 1, groups <= Swift.max(channels, 1), channels % groups == 0, try shape.size(1) == channels, kernel.height >= 1, kernel.width >= 1 else {
            throw .shape(primitive: name, expected: "weights [c, k / \(groups), kh, kw] that fit \(shape), c a multiple of \(groups)", weight.shape)
        }
        guard (0..<Swift.max(sliding.stride.height, sliding.dilation.height)).contains(outputPadding.height),
            (0..<Swift.max(sliding.stride.width, sliding.dilation.width)).contains(outputPadding.width)
        else {
            throw .argument(
                primitive: name, name: "output padding", given: "\(outputPadding.height) x \(outputPadding.width)",
                allowed: "0 and more, less than the stride or the dilation")
        }
        let outputs = try weight.shape.size(1) * groups
        if let bias, bias.shape != [outputs] { throw .shape(primitive: name, expected: "a bias [\(outputs)]", bias.shape) }

        // Output padding takes away padding after; what is more than that lies beyond the last window but one stride, or stays empty.
        var convolution = sliding
        convolution.padding.bottom = Swift.max(0, sliding.padding.bottom - outputPadding.height)
        convolution.padding.right = Swift.max(0, sliding.padding.right - outputPadding.width)
        let moreHeight = Swift.max(0, outputPadding.height - sliding.padding.bottom), moreWidth = Swift.max(0, outputPadding.width - sliding.padding.right)
        let inReachHeight = Swift.min(moreHeight, sliding.stride.height - 1), inReachWidth = Swift.min(moreWidth, sliding.stride.width - 1)
        let size = Shape(
            shape[0], Dimension(outputs),
            try convolution.inputSize(shape[2], kernel: kernel.height, more: inReachHeight, isHeight: true, name),
            try convolution.inputSize(shape[3], kernel: kernel.width, more: inReachWidth, isHeight: false, name))
        var y = try apply(Conv2DInputGradient(convolution: Conv2D(sliding: convolution, groups: groups), input: size), self, weight)
        if moreHeight > inReachHeight { y = try y.padded(2, before: 0, after: moreHeight - inReachHeight) }
        if moreWidth > inReachWidth { y = try y.padded(3, before: 0, after: moreWidth - inReachWidth) }
        guard let bias else { return y }
        return try y.channelAffine(factor: Tensor.ones([outputs], y.dtype, on: y.device), shift: bias)
    }

    /// One-dimensional transposed convolution: `convTranspose2D` of pictures of height 1.
    ///
    /// - Shapes: self `[n, c, l]`, `weight [c, k / groups, kl]`, `bias [k]` → `[n, k, ol]` with
    ///   `ol = (l - 1)·stride - before - after + dilation·(kl - 1) + 1 + outputPadding`.
    /// - Errors: as `convTranspose2D`.
    public func convTranspose1D(
        _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: (before: Int, after: Int) = (0, 0), outputPadding: Int = 0,
        dilation: Int = 1, groups: Int = 1
    ) throws(TensorError) -> Tensor {
        guard weight.rank == 3 else { throw .rank(primitive: "ConvTranspose", expected: "weights [c, k / groups, kl]", weight.shape) }
        return try asPicture("ConvTranspose") { x throws(TensorError) in
            try x.convTranspose2D(
                weight.withAxis(2), bias: bias, sliding: .along(stride: stride, padding: padding, dilation: dilation),
                outputPadding: (0, outputPadding), groups: groups)
        }
    }
}

extension Sliding {
    /// The size of a picture that gives `size` windows, of those the smallest and `more`: `outputSize` the other way round.
    fileprivate func inputSize(_ size: Dimension, kernel: Int, more: Int, isHeight: Bool, _ primitive: String) throws(TensorError) -> Dimension {
        let taken = isHeight ? padding.top + padding.bottom : padding.left + padding.right
        let step = isHeight ? stride.height : stride.width
        let added = (isHeight ? dilation.height : dilation.width) * (kernel - 1) + 1 + more - taken - step
        if let number = size.number, number == 0 || number * step + added < 1 {
            throw .argument(
                primitive: primitive, name: isHeight ? "height" : "width", given: "\(number) with \(taken) of padding",
                allowed: "so much that something is left")
        }
        return (size * Dimension(step)).offset(by: added)
    }
}
