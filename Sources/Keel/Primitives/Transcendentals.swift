import KeelKernels

/// `e^x - 1`, to all digits near 0. Gradient: `dy * (y + 1)`.
struct Expm1: UnaryElementwise {
    static var function: keel_unary_op { KEEL_EXPM1 }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * (g.output(0) + 1)) }
}

/// `ln(1 + x)`, to all digits near 0; -inf at -1, NaN below. Gradient: `dy / (1 + x)`.
struct Log1p: UnaryElementwise {
    static var function: keel_unary_op { KEEL_LOG1P }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient / (g.input(0) + 1)) }
}

/// The sine of an angle in radians. Gradient: `dy * cos x`. Source: ONNX `Sin`, opset 7.
struct Sine: UnaryElementwise {
    static var onnxName: String? { "Sin" }
    static var function: keel_unary_op { KEEL_SIN }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * g.input(0).cosine()) }
}

/// The cosine of an angle in radians. Gradient: `-dy * sin x`. Source: ONNX `Cos`, opset 7.
struct Cosine: UnaryElementwise {
    static var onnxName: String? { "Cos" }
    static var function: keel_unary_op { KEEL_COS }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try (g.outputGradient * g.input(0).sine()).negated()) }
}

/// The hyperbolic sine. Gradient: `dy * cosh x`. Source: ONNX `Sinh`, opset 9.
struct HyperbolicSine: UnaryElementwise {
    static var onnxName: String? { "Sinh" }
    static var function: keel_unary_op { KEEL_SINH }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * g.input(0).hyperbolicCosine()) }
}

/// The hyperbolic cosine. Gradient: `dy * sinh x`. Source: ONNX `Cosh`, opset 9.
struct HyperbolicCosine: UnaryElementwise {
    static var onnxName: String? { "Cosh" }
    static var function: keel_unary_op { KEEL_COSH }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * g.input(0).hyperbolicSine()) }
}

/// The angle of the point `(x, y)`, of `(y, x)` broadcast, in radians, in -π...π.
///
/// - Gradient: `dy * x / (x² + y²)` and `-dy * y / (x² + y²)`.
struct Arctangent2: BinaryElementwise {
    static var function: keel_binary_op { KEEL_ARCTANGENT2 }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (y, x) = (g.input(0), g.input(1)), slope = try g.outputGradient / (x.squared() + y.squared())
        if g.wants(0) { try g.set(0, try (slope * x).summed(to: y.shape)) }
        if g.wants(1) { try g.set(1, try (slope * y).negated().summed(to: x.shape)) }
    }
}

extension Tensor {
    /// `e^x - 1`, to all digits near 0.
    public func expm1() throws(TensorError) -> Tensor { try apply(Expm1(), self) }
    /// `ln(1 + x)`, to all digits near 0.
    public func log1p() throws(TensorError) -> Tensor { try apply(Log1p(), self) }

    // Angles are in radians.
    public func sine() throws(TensorError) -> Tensor { try apply(Sine(), self) }
    public func cosine() throws(TensorError) -> Tensor { try apply(Cosine(), self) }
    public func tangent() throws(TensorError) -> Tensor { try sine() / cosine() }
    /// NaN outside -1...1, where its slope has no bound.
    public func arcsine() throws(TensorError) -> Tensor { try (self / ((1 - self) * (1 + self)).squareRoot()).arctangent() }
    /// NaN outside -1...1, where its slope has no bound.
    public func arccosine() throws(TensorError) -> Tensor { try ((1 - self) / (1 + self)).squareRoot().arctangent() * 2 }
    /// Of y: the angle of the point `(x, y)`, in -π...π, broadcast.
    public func arctangent(over x: Tensor) throws(TensorError) -> Tensor { try apply(Arctangent2(), self, x) }

    public func hyperbolicSine() throws(TensorError) -> Tensor { try apply(HyperbolicSine(), self) }
    public func hyperbolicCosine() throws(TensorError) -> Tensor { try apply(HyperbolicCosine(), self) }
}
