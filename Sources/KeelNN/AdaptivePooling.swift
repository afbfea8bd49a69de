public import Keel

/// The mean of each of `height` by `width` windows that together cover a picture of any size: `[n, c, h, w]` → `[n, c, height, width]`.
public struct AdaptiveAveragePool2D: Layer {
    public let height, width: Int

    public init(_ height: Int, _ width: Int) {
        self.height = height
        self.width = width
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try x.adaptiveAveragePool2D(to: (height, width)) }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The largest number in each of `height` by `width` windows that together cover a picture of any size: `[n, c, h, w]` →
/// `[n, c, height, width]`.
public struct AdaptiveMaxPool2D: Layer {
    public let height, width: Int

    public init(_ height: Int, _ width: Int) {
        self.height = height
        self.width = width
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try x.adaptiveMaxPool2D(to: (height, width)) }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// The largest number of each channel's picture: `[n, c, h, w]` → `[n, c]`.
public struct GlobalMaxPool2D: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try x.globalMaxPool2D() }
    public mutating func forEachState(_ body: StateVisitor) {}
}
