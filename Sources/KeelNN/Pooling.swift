public import Keel

/// The largest number in each window of a picture; the stride is the kernel's size unless given.
public struct MaxPool2D: Layer {
    public let kernel, stride, padding: Int

    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.maxPool2D(kernel, stride: stride, padding: padding)
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The mean of each window of a picture; the stride is the kernel's size unless given.
public struct AveragePool2D: Layer {
    public let kernel, stride, padding: Int

    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.averagePool2D(kernel, stride: stride, padding: padding)
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The mean of each channel's picture: `[n, c, h, w]` → `[n, c]`.
public struct GlobalAveragePool2D: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try x.globalAveragePool2D() }
    public mutating func forEachState(_ body: StateVisitor) {}
}
