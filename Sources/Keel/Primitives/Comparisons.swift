import KeelKernels

/// A question about two numbers, broadcast; the answer is a bool, and has no gradient.
///
/// - Source: ONNX `Equal`, `Less`, `LessOrEqual`, `Greater`, `GreaterOrEqual`, `And`, `Or`, `Xor`.
struct Compare: Primitive {
    enum Question: Int32, Hashable, Sendable, CaseIterable {
        case equal, less, lessOrEqual, greater, greaterOrEqual, and, or, xor

        var kernel: keel_comparison_op {
            switch self {
            case .equal: KEEL_EQUAL
            case .less: KEEL_LESS
            case .lessOrEqual: KEEL_LESS_OR_EQUAL
            case .greater: KEEL_GREATER
            case .greaterOrEqual: KEEL_GREATER_OR_EQUAL
            case .and: KEEL_AND
            case .or: KEEL_OR
            case .xor: KEEL_XOR
            }
        }
    }
    let question: Question

    static var name: String { "Compare" }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (a, b) = (inputs[0], inputs[1])
        guard a.dtype == b.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, a.dtype, b.dtype)) }
        return SpecList(TensorSpec(try a.shape.broadcast(with: b.shape, in: Self.name), .bool))
    }

    // The plain loop is what every device of the host runs: it is bound by memory, and no network waits for it.
    static var kernels: Kernels<Compare> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in compare(p, inputs, outputs) },
            cpu: { p, inputs, outputs throws(TensorError) in
                compare(p, inputs, outputs)
                return true
            })
    }

    private static func compare(_ p: Compare, _ inputs: Operands, _ outputs: Operands) {
        var walk = keel_walk(outputs[0], inputs)
        keel_reference_compare(
            p.question.kernel, inputs[0].dtype.kernel, &walk, outputs[0].pointer(UInt8.self), inputs[0].bytes, inputs[1].bytes)
    }
}

/// `condition ? a : b`, number by number, broadcast.
///
/// - Shapes: `condition` is bool.
/// - Gradient: `dy` to `a` where the condition holds, to `b` elsewhere.
/// - Source: ONNX `Where`, opset 16.
struct Select: Primitive {
    static var onnxName: String? { "Where" }
    static var takesHalf: Bool { true }
    static var gradientReads: Reads { .input(0) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (condition, a, b) = (inputs[0], inputs[1], inputs[2])
        guard condition.dtype == .bool else { throw .dtype(primitive: Self.name, expected: "a bool condition", condition.dtype) }
        guard a.dtype == b.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, a.dtype, b.dtype)) }
        let shape = try a.shape.broadcast(with: b.shape, in: Self.name).broadcast(with: condition.shape, in: Self.name)
        return SpecList(TensorSpec(shape, a.dtype))
    }

    static var kernels: Kernels<Select> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                var walk = keel_walk(outputs[0], inputs)
                keel_reference_select(
                    Int32(outputs[0].dtype.width), &walk, outputs[0].bytes, inputs[0].pointer(UInt8.self), inputs[1].bytes, inputs[2].bytes)
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                var walk = keel_walk(outputs[0], inputs)
                keel_select(
                    Int32(outputs[0].dtype.width), &walk, outputs[0].bytes, inputs[0].pointer(UInt8.self), inputs[1].bytes, inputs[2].bytes)
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (condition, dy) = (g.input(0), g.outputGradient)
        let zero = try Tensor.zeros(Shape(), dy.dtype, on: dy.device)
        if g.wants(1) { try g.set(1, try condition.select(dy, zero).summed(to: g.shape(1))) }
        if g.wants(2) { try g.set(2, try condition.select(zero, dy).summed(to: g.shape(2))) }
    }
}

extension Tensor {
    /// Number by number, broadcast, as bool.
    public func equals(_ other: Tensor) throws(TensorError) -> Tensor { try compared(.equal, other) }
    public func isLess(than other: Tensor) throws(TensorError) -> Tensor { try compared(.less, other) }
    public func isAtMost(_ other: Tensor) throws(TensorError) -> Tensor { try compared(.lessOrEqual, other) }
    public func isGreater(than other: Tensor) throws(TensorError) -> Tensor { try compared(.greater, other) }
    public func isAtLeast(_ other: Tensor) throws(TensorError) -> Tensor { try compared(.greaterOrEqual, other) }
    public func and(_ other: Tensor) throws(TensorError) -> Tensor { try compared(.and, other) }
    public func or(_ other: Tensor) throws(TensorError) -> Tensor { try compared(.or, other) }
    public func xor(_ other: Tensor) throws(TensorError) -> Tensor { try compared(.xor, other) }

    // With one number; tensors of whole numbers are looked at as float64.
    public func equals(_ number: Double) throws(TensorError) -> Tensor { try compared(.equal, number) }
    public func isLess(than number: Double) throws(TensorError) -> Tensor { try compared(.less, number) }
    public func isAtMost(_ number: Double) throws(TensorError) -> Tensor { try compared(.lessOrEqual, number) }
    public func isGreater(than number: Double) throws(TensorError) -> Tensor { try compared(.greater, number) }
    public func isAtLeast(_ number: Double) throws(TensorError) -> Tensor { try compared(.greaterOrEqual, number) }

    private func compared(_ question: Compare.Question, _ number: Double) throws(TensorError) -> Tensor {
        try compared(question, Tensor.full(number, Shape(), dtype.isFloat ? dtype : .float64, on: device))
    }

    private func compared(_ question: Compare.Question, _ other: Tensor) throws(TensorError) -> Tensor {
        let (a, b) = try promoted(with: other)
        return try apply(Compare(question: question), a, b)
    }

    /// For bools: `self ? a : b`, broadcast.
    public func select(_ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
        let (a, b) = try a.promoted(with: b)
        return try apply(Select(), self, a, b)
    }
}
