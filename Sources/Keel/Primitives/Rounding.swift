import KeelKernels

/// What the functions share that are flat but for their steps: their gradient is 0.
protocol Rounding: UnaryElementwise {}

extension Rounding {
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * 0) }
}

/// The largest whole number that isn't above. Source: ONNX `Floor`, opset 13.
struct Floor: Rounding {
    static var onnxName: String? { "Floor" }
    static var function: keel_unary_op { KEEL_FLOOR }
}

/// The smallest whole number that isn't below. Source: ONNX `Ceil`, opset 13.
struct Ceil: Rounding {
    static var onnxName: String? { "Ceil" }
    static var function: keel_unary_op { KEEL_CEIL }
}

/// The nearest whole number, the even one of two. Source: ONNX `Round`, opset 11.
struct Round: Rounding {
    static var onnxName: String? { "Round" }
    static var function: keel_unary_op { KEEL_ROUND }
}

/// Without what stands after the point.
struct Truncate: Rounding {
    static var function: keel_unary_op { KEEL_TRUNCATE }
}

/// What is left of `a / b`, with the sign of `b`, broadcast; of whole numbers over 0, 0.
///
/// - Gradient: `dy`, and `-dy * floor(a / b)`.
/// - Source: ONNX `Mod`, opset 13.
struct Remainder: BinaryElementwise {
    static var onnxName: String? { "Mod" }
    static var function: keel_binary_op { KEEL_REMAINDER }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let dy = g.outputGradient
        if g.wants(0) { try g.setSummed(0, dy) }
        if g.wants(1) { try g.set(1, try (dy * (g.input(0) / g.input(1)).floor()).negated().summed(to: g.shape(1))) }
    }
}

extension Tensor {
    public func floor() throws(TensorError) -> Tensor { try apply(Floor(), self) }
    public func ceil() throws(TensorError) -> Tensor { try apply(Ceil(), self) }
    /// To the nearest whole number, to the even one of two.
    public func rounded() throws(TensorError) -> Tensor { try apply(Round(), self) }
    /// Without what stands after the point.
    public func truncated() throws(TensorError) -> Tensor { try apply(Truncate(), self) }
    /// What is left of a division, with the sign of the divisor, broadcast.
    public func remainder(over divisor: Tensor) throws(TensorError) -> Tensor { try apply(Remainder(), self, divisor) }
}
