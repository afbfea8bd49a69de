import KeelKernels

/// `e^x`. Gradient: `dy * y`. Source: ONNX `Exp`, opset 13.
struct Exp: UnaryElementwise {
    static var onnxName: String? { "Exp" }
    static var function: keel_unary_op { KEEL_EXP }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * g.output(0)) }
}

/// The natural logarithm; -inf at 0, NaN below. Gradient: `dy / x`. Source: ONNX `Log`, opset 13.
struct Log: UnaryElementwise {
    static var onnxName: String? { "Log" }
    static var function: keel_unary_op { KEEL_LOG }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient / g.input(0)) }
}

/// The square root; NaN below 0. Gradient: `dy / 2y`. Source: ONNX `Sqrt`, opset 13.
struct Sqrt: UnaryElementwise {
    static var onnxName: String? { "Sqrt" }
    static var function: keel_unary_op { KEEL_SQRT }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient / (g.output(0) * 2)) }
}

/// The distance from 0. Gradient: `dy * sign(x)`, 0 at 0. Source: ONNX `Abs`, opset 13.
struct Abs: UnaryElementwise {
    static var onnxName: String? { "Abs" }
    static var function: keel_unary_op { KEEL_ABS }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * g.input(0).sign()) }
}

/// -1, 0 or 1. Gradient: 0. Source: ONNX `Sign`, opset 13.
struct Sign: UnaryElementwise {
    static var onnxName: String? { "Sign" }
    static var function: keel_unary_op { KEEL_SIGN }
    static var takesIntegers: Bool { true }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient * 0) }
}

/// `1 / x`. Gradient: `-dy * y²`. Source: ONNX `Reciprocal`, opset 13.
struct Reciprocal: UnaryElementwise {
    static var onnxName: String? { "Reciprocal" }
    static var function: keel_unary_op { KEEL_RECIPROCAL }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let y = g.output(0)
        try g.set(0, try (g.outputGradient * y * y).negated())
    }
}

/// The error function. Gradient: `dy * 2/√π * e^(-x²)`. Source: ONNX `Erf`, opset 13.
struct Erf: UnaryElementwise {
    static var onnxName: String? { "Erf" }
    static var function: keel_unary_op { KEEL_ERF }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let x = g.input(0)
        try g.set(0, try g.outputGradient * (x * x).negated().exp() * 1.1283791670955126)
    }
}

/// `x` kept within limits.
///
/// - Gradient: `dy` strictly between the limits, else 0.
/// - Source: ONNX `Clip`, opset 13.
struct Clip: UnaryElementwise {
    let least: Double
    let most: Double
    static var onnxName: String? { "Clip" }
    static var function: keel_unary_op { KEEL_CLIP }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { .input(0) }
    var constants: (Double, Double) { (least, most) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(ClipGradient(least: least, most: most), g.outputGradient, g.input(0)))
    }
}

/// `dy` where `x` lies strictly between the limits, else 0; of `(dy, x)`.
struct ClipGradient: BinaryElementwise {
    let least: Double
    let most: Double
    static var function: keel_binary_op { KEEL_CLIP_GRADIENT }
    static var gradientReads: Reads { .input(1) }
    var constants: (Double, Double) { (least, most) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        if g.wants(0) { try g.set(0, try apply(self, g.outputGradient, g.input(1))) }
        if g.wants(1) { try g.set(1, try g.outputGradient * 0) }
    }
}

extension Tensor {
    public func exp() throws(TensorError) -> Tensor { try apply(Exp(), self) }
    public func log() throws(TensorError) -> Tensor { try apply(Log(), self) }
    public func squareRoot() throws(TensorError) -> Tensor { try apply(Sqrt(), self) }
    public func magnitude() throws(TensorError) -> Tensor { try apply(Abs(), self) }
    public func sign() throws(TensorError) -> Tensor { try apply(Sign(), self) }
    public func reciprocal() throws(TensorError) -> Tensor { try apply(Reciprocal(), self) }
    public func erf() throws(TensorError) -> Tensor { try apply(Erf(), self) }
    public func clipped(from least: Double, to most: Double) throws(TensorError) -> Tensor { try apply(Clip(least: least, most: most), self) }
    public func squared() throws(TensorError) -> Tensor { try self * self }
}
