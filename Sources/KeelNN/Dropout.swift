public import Keel

/// Drops numbers when training, each with probability `rate`, and scales the others up; does nothing when predicting.
///
/// - Source: Srivastava et al., 2014.
public struct Dropout: Layer {
    public let rate: Double

    public init(_ rate: Double) throws(TensorError) {
        guard rate >= 0, rate < 1 else { throw TensorError(.argument(primitive: "Dropout", name: "rate", given: "\(rate)", allowed: "0..<1")) }
        self.rate = rate
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor { try context.dropped(x, rate: rate) }
    public mutating func forEachState(_ body: StateVisitor) {}
}
