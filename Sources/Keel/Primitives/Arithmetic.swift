import KeelKernels

/// `a + b`, broadcast.
///
/// - Gradient: `dy` for both, summed over the axes each was stretched along.
/// - Errors: `TensorError.notBroadcastable`, `TensorError.dtypesDiffer`, `TensorError.dtype` for bool.
/// - Source: ONNX `Add`, opset 14.
struct Add: BinaryElementwise {
    static var onnxName: String? { "Add" }
    static var isLinear: Bool { true }
    static var function: keel_binary_op { KEEL_ADD }
    static var takesIntegers: Bool { true }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let dy = g.outputGradient
        if g.wants(0) { try g.setSummed(0, dy) }
        if g.wants(1) { try g.setSummed(1, dy) }
    }
}

/// `a - b`, broadcast.
///
/// - Gradient: `dy` and `-dy`.
/// - Source: ONNX `Sub`, opset 14.
struct Subtract: BinaryElementwise {
    static var onnxName: String? { "Sub" }
    static var isLinear: Bool { true }
    static var function: keel_binary_op { KEEL_SUBTRACT }
    static var takesIntegers: Bool { true }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let dy = g.outputGradient
        if g.wants(0) { try g.set(0, try dy.summed(to: g.shape(0))) }
        if g.wants(1) { try g.set(1, try dy.summed(to: g.shape(1)).negated()) }
    }
}

/// `a * b`, broadcast.
///
/// - Gradient: `dy * b` and `dy * a`.
/// - Source: ONNX `Mul`, opset 14.
struct Multiply: BinaryElementwise {
    static var onnxName: String? { "Mul" }
    static var function: keel_binary_op { KEEL_MULTIPLY }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { [.input(0), .input(1)] }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (a, b, dy) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try (dy * b).summed(to: a.shape)) }
        if g.wants(1) { try g.set(1, try (dy * a).summed(to: b.shape)) }
    }

    func tangents(_ t: borrowing TangentContext) throws(TensorError) -> [Tensor?]? {
        var parts: [Tensor?] = [nil, nil]
        for i in 0..<2 { if let tangent = t.tangent(i) { parts[i] = try tangent * t.input(1 - i) } }
        return [try t.sum(parts[0], parts[1])]
    }
}

/// `a / b`, broadcast. Integers truncate; an integer divided by zero is 0.
///
/// - Gradient: `dy / b` and `-dy * y / b`.
/// - Source: ONNX `Div`, opset 14.
struct Divide: BinaryElementwise {
    static var onnxName: String? { "Div" }
    static var function: keel_binary_op { KEEL_DIVIDE }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { [.input(1), .output(0)] }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (b, dy) = (g.input(1), g.outputGradient)
        let slope = try dy / b
        if g.wants(0) { try g.set(0, try slope.summed(to: g.shape(0))) }
        if g.wants(1) { try g.set(1, try (slope * g.output(0)).negated().summed(to: b.shape)) }
    }

    /// `(ta - y * tb) / b`
    func tangents(_ t: borrowing TangentContext) throws(TensorError) -> [Tensor?]? {
        var change: Tensor?
        if let tangent = t.tangent(1) { change = try (tangent * t.output(0)).negated() }
        guard let sum = try t.sum(t.tangent(0), change) else { return [nil] }
        return [try sum / t.input(1)]
    }
}

/// `a ^ b`, broadcast.
///
/// - Gradient: `dy * b * a^(b - 1)`, 0 where both are 0, and `dy * y * ln a`, 0 where `a` is 0 and `b` isn't negative, NaN where `a` is
///   negative. These are torch's conventions.
/// - Source: ONNX `Pow`, opset 15.
struct Power: BinaryElementwise {
    static var onnxName: String? { "Pow" }
    static var function: keel_binary_op { KEEL_POWER }
    static var gradientReads: Reads { [.input(0), .input(1), .output(0)] }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (a, b, dy) = (g.input(0), g.input(1), g.outputGradient)
        let zero = try Tensor.zeros(Shape(), a.dtype, on: a.device), one = try Tensor.ones(Shape(), a.dtype, on: a.device)
        // A base that would make 0 * infinity is replaced before, not after: so derivatives of higher order are numbers too.
        if g.wants(0) {
            let isFlat = try a.equals(zero).and(b.equals(zero))
            try g.set(0, try (dy * b * isFlat.select(one, a).power(b - 1)).summed(to: a.shape))
        }
        if g.wants(1) {
            let isFlat = try a.equals(zero).and(b.isAtLeast(zero))
            try g.set(1, try (dy * g.output(0) * isFlat.select(one, a).log()).summed(to: b.shape))
        }
    }
}

/// The larger of two numbers, broadcast; NaN wins.
///
/// - Gradient: `dy` goes to the larger one, to the first where they are equal.
/// - Source: ONNX `Max`, opset 13, with two inputs.
struct Maximum: BinaryElementwise {
    static var onnxName: String? { "Max" }
    static var function: keel_binary_op { KEEL_MAXIMUM }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { [.input(0), .input(1)] }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try splitBetween(g, firstWins: try g.input(0).isAtLeast(g.input(1)))
    }
}

/// The smaller of two numbers, broadcast; NaN wins.
///
/// - Gradient: `dy` goes to the smaller one, to the first where they are equal.
/// - Source: ONNX `Min`, opset 13, with two inputs.
struct Minimum: BinaryElementwise {
    static var onnxName: String? { "Min" }
    static var function: keel_binary_op { KEEL_MINIMUM }
    static var takesIntegers: Bool { true }
    static var gradientReads: Reads { [.input(0), .input(1)] }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try splitBetween(g, firstWins: try g.input(0).isAtMost(g.input(1)))
    }
}

private func splitBetween(_ g: borrowing GradientContext, firstWins: Tensor) throws(TensorError) {
    let dy = g.outputGradient
    let zero = try Tensor.zeros(Shape(), dy.dtype, on: dy.device)
    if g.wants(0) { try g.set(0, try firstWins.select(dy, zero).summed(to: g.shape(0))) }
    if g.wants(1) { try g.set(1, try firstWins.select(zero, dy).summed(to: g.shape(1))) }
}

/// `factor * x + offset` with two numbers.
///
/// - Gradient: `factor * dy`.
struct Scale: UnaryElementwise {
    let factor: Double
    let offset: Double

    static var function: keel_unary_op { KEEL_SCALE }
    var constants: (Double, Double) { (factor, offset) }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(Scale(factor: factor, offset: 0), g.outputGradient))
    }
}

/// `-x`.
///
/// - Source: ONNX `Neg`, opset 13.
struct Negate: UnaryElementwise {
    static var onnxName: String? { "Neg" }
    static var function: keel_unary_op { KEEL_NEGATE }
    static var takesIntegers: Bool { true }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient.negated()) }
}

extension Tensor {
    public static func + (a: Tensor, b: Tensor) throws(TensorError) -> Tensor { try apply(Add(), a, b) }
    public static func - (a: Tensor, b: Tensor) throws(TensorError) -> Tensor { try apply(Subtract(), a, b) }
    public static func * (a: Tensor, b: Tensor) throws(TensorError) -> Tensor { try apply(Multiply(), a, b) }
    public static func / (a: Tensor, b: Tensor) throws(TensorError) -> Tensor { try apply(Divide(), a, b) }
    public static prefix func - (a: Tensor) throws(TensorError) -> Tensor { try a.negated() }

    public static func + (a: Tensor, b: Double) throws(TensorError) -> Tensor { try apply(Scale(factor: 1, offset: b), a) }
    public static func - (a: Tensor, b: Double) throws(TensorError) -> Tensor { try apply(Scale(factor: 1, offset: -b), a) }
    public static func * (a: Tensor, b: Double) throws(TensorError) -> Tensor { try apply(Scale(factor: b, offset: 0), a) }
    public static func / (a: Tensor, b: Double) throws(TensorError) -> Tensor { try apply(Scale(factor: 1 / b, offset: 0), a) }
    public static func + (a: Double, b: Tensor) throws(TensorError) -> Tensor { try apply(Scale(factor: 1, offset: a), b) }
    public static func - (a: Double, b: Tensor) throws(TensorError) -> Tensor { try apply(Scale(factor: -1, offset: a), b) }
    public static func * (a: Double, b: Tensor) throws(TensorError) -> Tensor { try apply(Scale(factor: a, offset: 0), b) }
    public static func / (a: Double, b: Tensor) throws(TensorError) -> Tensor { a == 1 ? try b.reciprocal() : try b.reciprocal() * a }

    public func negated() throws(TensorError) -> Tensor { try apply(Negate(), self) }
    /// `self ^ exponent`, broadcast.
    public func power(_ exponent: Tensor) throws(TensorError) -> Tensor { try apply(Power(), self, exponent) }
    public func power(_ exponent: Double) throws(TensorError) -> Tensor {
        try power(try Tensor.full(exponent, Shape(), dtype, on: device))
    }
    /// Number by number, the larger of the two, broadcast.
    public func maximum(_ other: Tensor) throws(TensorError) -> Tensor { try apply(Maximum(), self, other) }
    /// Number by number, the smaller of the two, broadcast.
    public func minimum(_ other: Tensor) throws(TensorError) -> Tensor { try apply(Minimum(), self, other) }
    public func maximum(_ number: Double) throws(TensorError) -> Tensor { try maximum(Tensor.full(number, Shape(), dtype, on: device)) }
    public func minimum(_ number: Double) throws(TensorError) -> Tensor { try minimum(Tensor.full(number, Shape(), dtype, on: device)) }
}
