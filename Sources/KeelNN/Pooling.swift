public import Keel

// Pooling of sequences `[n, c, l]` and of pictures `[n, c, h, w]`: what there is of axes decides.

/// The largest number in each window, as wide along each axis; the stride is the kernel's size unless given.
public struct MaxPool: Layer {
    public let kernel, stride, padding: Int

    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        x.rank == 3 ? try x.maxPool1D(kernel, stride: stride, padding: padding) : try x.maxPool2D(kernel, stride: stride, padding: padding)
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The mean of each window, as wide along each axis; the stride is the kernel's size unless given.
public struct AveragePool: Layer {
    public let kernel, stride, padding: Int
    /// Whether the zeros of the padding count among a window's numbers.
    public let countsPadding: Bool

    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0, countsPadding: Bool = true) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
        self.countsPadding = countsPadding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        x.rank == 3
            ? try x.averagePool1D(kernel, stride: stride, padding: padding, countsPadding: countsPadding)
            : try x.averagePool2D(kernel, stride: stride, padding: padding, countsPadding: countsPadding)
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// What each channel's windows give that together cover it, whatever its size: `[n, c, h, w]` → `[n, c, height, width]`, and
/// `[n, c, l]` → `[n, c, width]` where the height is 1.
public struct AdaptivePool: Layer {
    /// What is taken of a window.
    public enum Kind: Sendable, Hashable { case max, average }

    public let kind: Kind
    public let height, width: Int

    public init(_ kind: Kind, _ height: Int, _ width: Int) {
        self.kind = kind
        self.height = height
        self.width = width
    }

    /// Of sequences.
    public init(_ kind: Kind, _ width: Int) { self.init(kind, 1, width) }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        switch (kind, x.rank == 3 && height == 1) {
        case (.max, true): try x.adaptiveMaxPool1D(to: width)
        case (.max, false): try x.adaptiveMaxPool2D(to: (height, width))
        case (.average, true): try x.adaptiveAveragePool1D(to: width)
        case (.average, false): try x.adaptiveAveragePool2D(to: (height, width))
        }
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The largest number of each channel: `[n, c, ...]` → `[n, c]`.
public struct GlobalMaxPool: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        x.rank == 3 ? try x.globalMaxPool1D() : try x.globalMaxPool2D()
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The mean of each channel: `[n, c, ...]` → `[n, c]`.
public struct GlobalAveragePool: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        x.rank == 3 ? try x.globalAveragePool1D() : try x.globalAveragePool2D()
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}
