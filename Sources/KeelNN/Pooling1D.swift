public import Keel

/// The largest number in each window of a sequence `[n, c, l]`; the stride is the kernel's size unless given.
public struct MaxPool1D: Layer {
    public let kernel, stride, padding: Int

    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.maxPool1D(kernel, stride: stride, padding: padding)
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The mean of each window of a sequence `[n, c, l]`; the stride is the kernel's size unless given.
public struct AveragePool1D: Layer {
    public let kernel, stride, padding: Int

    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        try x.averagePool1D(kernel, stride: stride, padding: padding)
    }
    public mutating func forEachState(_ body: StateVisitor) {}
}
