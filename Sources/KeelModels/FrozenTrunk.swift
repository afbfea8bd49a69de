public import Keel
public import KeelNN

/// A trunk that stays as it is, bit for bit, and a head that is trained: what a few examples are enough for.
///
/// ```swift
/// let trunk = try EfficientNetLite.pretrained(in: store).trunk
/// var network = try FrozenTrunk(trunk, head: Linear(1280, classes, using: &generator))
/// let parameters = try ParameterStore(&network)  // the head's alone
/// ```
///
/// The trunk predicts even while the head trains, so its running statistics stay too; its parameters count as buffers, and no gradient goes back into it.
public struct FrozenTrunk<Trunk: Layer, Head: Layer>: Layer {
    public private(set) var trunk: Trunk
    public var head: Head

    /// - Parameter trunk: is copied: what is loaded into this network later is overwritten in place.
    public init(_ trunk: Trunk, head: Head) throws(TensorError) {
        self.trunk = try trunk.copied()
        self.head = head
    }

    public func callAsFunction(_ x: Tensor, in context: Context) throws(TensorError) -> Tensor {
        let features = try noGrad { () throws(TensorError) in try trunk(x, in: .prediction) }
        return try head(features, in: context)
    }

    public mutating func forEachState(_ body: StateVisitor) throws(TensorError) {
        try trunk.forEachState { (name, _, tensor) throws(TensorError) in try body("trunk.\(name)", .buffer, &tensor) }
        try head.forEachState(body, under: "head")
    }
}
