public import Keel

/// Drops numbers when training, each with probability `rate`, and scales the others up; does nothing when predicting.
///
/// - Source: Srivastava et al., 2014.
public struct Dropout: Layer {
    public let rate: Double

    public init(_ rate: Double) throws(TensorError) {
        self.rate = try checkedRate(rate, in: "Dropout")
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try context.dropped(x, rate: rate) }
    public mutating func forEachState(_ body: StateVisitor) {}
}

/// A share of numbers that a layer drops.
func checkedRate(_ rate: Double, in layer: String) throws(TensorError) -> Double {
    guard rate >= 0, rate < 1 else { throw TensorError(.argument(primitive: layer, name: "rate", given: "\(rate)", allowed: "0..<1")) }
    return rate
}
