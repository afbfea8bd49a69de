public import Keel

/// All axes from `first` on as one: `[n, c, h, w]` → `[n, c * h * w]`, as a `Linear` after pictures takes them.
public struct Flatten: Layer {
    public let first: Int

    public init(from first: Int = 1) { self.first = first }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try x.flattened(from: first) }
    public mutating func forEachState(_ body: StateVisitor) {}
}
