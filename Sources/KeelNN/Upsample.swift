public import Keel

/// A picture `factor` times as high and wide, `[n, c, h, w]` → `[n, c, factor·h, factor·w]`, or a sequence as much longer.
public struct Upsample: Layer {
    public let factor: Int
    public let interpolation: Interpolation

    public init(_ factor: Int, _ interpolation: Interpolation = .nearest(.roundPreferFloor)) {
        self.factor = factor
        self.interpolation = interpolation
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try x.upsampled(by: factor, interpolation) }
    public mutating func forEachState(_ body: StateVisitor) {}
}
