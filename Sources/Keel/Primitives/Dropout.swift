import KeelKernels

/// Each number kept with probability `1 - rate` and then divided by it, else 0.
///
/// - Shapes: `x`, and `random [2]` int64: a key and a counter. Which numbers go depends on these, on `draw` and on the number's place,
///   and on nothing else. They are inputs, so that a program draws anew each time it runs.
/// - Gradient: the same dropout of `dy`.
/// - Source: Srivastava et al., 2014. ONNX `Dropout`, opset 13.
struct Dropout: Primitive {
    let rate: Double
    /// Tells the dropouts of one network apart.
    let draw: Int
    static var onnxName: String? { "Dropout" }
    static var gradientReads: Reads { .input(1) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        guard inputs[1] == TensorSpec([2], .int64) else { throw .shape(primitive: Self.name, expected: "a key and a counter, int64[2]", inputs[1].shape) }
        guard rate >= 0, rate < 1 else { throw .argument(primitive: Self.name, name: "rate", given: rate, allowed: "0..<1") }
        return SpecList(inputs[0])
    }

    static var kernels: Kernels<Dropout> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), random = try inputs[1].contiguous().pointer(Int64.self)
                let (key, stream) = (UInt64(bitPattern: random[0]), p.stream(random[1]))
                if x.dtype == .float32 {
                    keel_reference_dropout_f32(key, stream, Int64(x.count), p.rate, outputs[0].pointer(Float.self), x.pointer(Float.self))
                } else {
                    keel_reference_dropout_f64(key, stream, Int64(x.count), p.rate, outputs[0].pointer(Double.self), x.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous(), random = try inputs[1].contiguous().pointer(Int64.self)
                keel_dropout_f32(
                    UInt64(bitPattern: random[0]), p.stream(random[1]), Int64(x.count), Float(p.rate), outputs[0].pointer(Float.self),
                    x.pointer(Float.self))
                return true
            })
    }

    /// Counter in the low 44 bits, draw in the next 19; the top bit keeps these streams apart from those of `Philox`.
    private func stream(_ counter: Int64) -> UInt64 {
        1 << 63 | UInt64(draw & 0x7ffff) << 44 | UInt64(bitPattern: counter) & 0xfff_ffff_ffff
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(self, g.outputGradient, g.input(1))) }
}

extension Tensor {
    /// Each number kept with probability `1 - rate` and divided by it, else 0; drawn from `random`, a key and a counter (int64 `[2]`).
    /// `draw` tells the calls apart that share them.
    public func dropout(_ rate: Double, random: Tensor, draw: Int) throws(TensorError) -> Tensor {
        rate == 0 ? self : try apply(Dropout(rate: rate, draw: draw), self, random)
    }
}
