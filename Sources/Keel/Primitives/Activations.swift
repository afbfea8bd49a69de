import KeelKernels

/// `max(x, 0)`; NaN stays. Gradient: `dy` where `y > 0`. Source: ONNX `Relu`, opset 14.
struct Relu: UnaryElementwise {
    static var onnxName: String? { "Relu" }
    static var function: keel_unary_op { KEEL_RELU }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(ReluGradient(), g.outputGradient, g.output(0))) }
}

/// `dy` where `y > 0`, else 0; of `(dy, y)`.
struct ReluGradient: BinaryElementwise {
    static var function: keel_binary_op { KEEL_RELU_GRADIENT }
    static var gradientReads: Reads { .input(1) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        if g.wants(0) { try g.set(0, try apply(self, g.outputGradient, g.input(1))) }
        if g.wants(1) { try g.set(1, try g.outputGradient * 0) }
    }
}

/// `x` above 0, `slope * x` below. Source: ONNX `LeakyRelu`, opset 16.
struct LeakyRelu: UnaryElementwise {
    let slope: Double
    static var onnxName: String? { "LeakyRelu" }
    static var function: keel_unary_op { KEEL_LEAKY_RELU }
    static var gradientReads: Reads { .input(0) }
    var constants: (Double, Double) { (slope, 0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(LeakyReluGradient(slope: slope), g.outputGradient, g.input(0)))
    }
}

/// `dy`, times `slope` where `x < 0`; of `(dy, x)`.
struct LeakyReluGradient: BinaryElementwise {
    let slope: Double
    static var function: keel_binary_op { KEEL_LEAKY_RELU_GRADIENT }
    static var gradientReads: Reads { .input(1) }
    var constants: (Double, Double) { (slope, 0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        if g.wants(0) { try g.set(0, try apply(self, g.outputGradient, g.input(1))) }
        if g.wants(1) { try g.set(1, try g.outputGradient * 0) }
    }
}

/// The hyperbolic tangent. Gradient: `dy * (1 - y²)`. Source: ONNX `Tanh`, opset 13.
struct Tanh: UnaryElementwise {
    static var onnxName: String? { "Tanh" }
    static var function: keel_unary_op { KEEL_TANH }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(TanhGradient(), g.outputGradient, g.output(0))) }
}

/// `dy * (1 - y²)` of `(dy, y)`.
struct TanhGradient: BinaryElementwise {
    static var function: keel_binary_op { KEEL_TANH_GRADIENT }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, y, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(self, d, y).summed(to: dy.shape)) }
        if g.wants(1) { try g.set(1, try (d * dy * y * -2).summed(to: y.shape)) }
    }
}

/// `1 / (1 + e^-x)`. Gradient: `dy * y * (1 - y)`. Source: ONNX `Sigmoid`, opset 13.
struct Sigmoid: UnaryElementwise {
    static var onnxName: String? { "Sigmoid" }
    static var function: keel_unary_op { KEEL_SIGMOID }
    static var gradientReads: Reads { .output(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(SigmoidGradient(), g.outputGradient, g.output(0))) }
}

/// `dy * y * (1 - y)` of `(dy, y)`.
struct SigmoidGradient: BinaryElementwise {
    static var function: keel_binary_op { KEEL_SIGMOID_GRADIENT }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, y, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(self, d, y).summed(to: dy.shape)) }
        if g.wants(1) { try g.set(1, try (d * dy * (1 - y * 2)).summed(to: y.shape)) }
    }
}

/// `x * sigmoid(x)`, also called swish.
struct Silu: UnaryElementwise {
    static var function: keel_unary_op { KEEL_SILU }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(SiluGradient(), g.outputGradient, g.input(0))) }
}

/// `dy * s * (1 + x * (1 - s))` with `s = sigmoid(x)`; of `(dy, x)`.
struct SiluGradient: BinaryElementwise {
    static var function: keel_binary_op { KEEL_SILU_GRADIENT }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, x, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(self, d, x).summed(to: dy.shape)) }
        if g.wants(1) {
            let s = try x.sigmoid()
            let curve = try s * (1 - s) * (x * (1 - s * 2) + 2)
            try g.set(1, try (d * dy * curve).summed(to: x.shape))
        }
    }
}

/// `x * Φ(x)` with the normal distribution function Φ, exact (through erf). Source: ONNX `Gelu`, opset 20.
struct Gelu: UnaryElementwise {
    static var onnxName: String? { "Gelu" }
    static var function: keel_unary_op { KEEL_GELU }
    static var gradientReads: Reads { .input(0) }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(GeluGradient(), g.outputGradient, g.input(0))) }
}

/// `dy * (Φ(x) + x * φ(x))` of `(dy, x)`.
struct GeluGradient: BinaryElementwise {
    static var function: keel_binary_op { KEEL_GELU_GRADIENT }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, x, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(self, d, x).summed(to: dy.shape)) }
        if g.wants(1) {
            let square = try x * x
            let curve = try (square * -0.5).exp() * (2 - square) * 0.3989422804014327
            try g.set(1, try (d * dy * curve).summed(to: x.shape))
        }
    }
}

/// `Gelu` by its approximation with tanh, `x / 2 * (1 + tanh(√(2/π) * (x + 0.044715 x³)))`.
///
/// - Source: Hendrycks and Gimpel, 2016; ONNX `Gelu`, opset 20, with `approximate` tanh.
struct GeluTanh: UnaryElementwise {
    static var function: keel_unary_op { KEEL_GELU_TANH }
    static var gradientReads: Reads { .input(0) }

    /// With `u = 2 √(2/π) (x + 0.044715 x³)` it is `x * sigmoid(u)`.
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let x = g.input(0), square = try x * x, doubled = 2 * (2 / Double.pi).squareRoot()
        let s = try (x * (square * (0.044715 * doubled) + doubled)).sigmoid()
        try g.set(0, try g.outputGradient * (s + x * s * (1 - s) * (square * (3 * 0.044715 * doubled) + doubled)))
    }
}

extension Tensor {
    /// `gelu` by its approximation with tanh (Hendrycks and Gimpel, 2016).
    public func geluTanh() throws(TensorError) -> Tensor { try apply(GeluTanh(), self) }
    public func relu() throws(TensorError) -> Tensor { try apply(Relu(), self) }
    /// ReLU with a ceiling of 6.
    public func relu6() throws(TensorError) -> Tensor { try clipped(from: 0, to: 6) }
    public func leakyRelu(slope: Double = 0.01) throws(TensorError) -> Tensor { try apply(LeakyRelu(slope: slope), self) }
    public func tanh() throws(TensorError) -> Tensor { try apply(Tanh(), self) }
    public func sigmoid() throws(TensorError) -> Tensor { try apply(Sigmoid(), self) }
    public func silu() throws(TensorError) -> Tensor { try apply(Silu(), self) }
    public func gelu() throws(TensorError) -> Tensor { try apply(Gelu(), self) }
}
