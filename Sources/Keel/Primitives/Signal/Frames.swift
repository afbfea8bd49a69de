import KeelKernels

/// Windows of `length` numbers every `hop` numbers along the last axis, as a view; what is left over at the end is left out.
///
/// - Shapes: `x [..., t]` → `[..., (t - length) / hop + 1, length]`.
/// - Gradient: `OverlapAdd`.
/// - Errors: `TensorError.argument` unless `1 <= length <= t` and `hop >= 1`.
struct Frames: Primitive {
    let length, hop: Int

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let shape = inputs[0].shape
        guard shape.rank >= 1, shape.rank < Shape.maximumRank else { throw .rank(primitive: Self.name, expected: "one to seven axes", shape) }
        let count = try shape.size(-1)
        guard length >= 1, length <= count else {
            throw .argument(primitive: Self.name, name: "length", given: length, allowed: "1...\(count) for \(shape)")
        }
        guard hop >= 1 else { throw .argument(primitive: Self.name, name: "hop", given: hop, allowed: "1 and more") }
        return SpecList(TensorSpec(shape.dropLast(1) + [(count - length) / hop + 1, length], inputs[0].dtype))
    }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        let from = input.descriptor, last = from.shape.rank - 1
        var strides = from.strides
        strides[last] = from.strides[last] * hop
        strides[last + 1] = from.strides[last]
        let spec = try outputs(SpecList(from.spec))[0]
        return Tensor(input.storage, Descriptor(spec, strides: strides, offset: from.offset, count: try spec.shape.elementCount()))
    }

    static var kernels: Kernels<Frames> { .copying }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(OverlapAdd(hop: hop, count: try g.shape(0).size(-1)), g.outputGradient))
    }
}

/// Windows every `hop` numbers added up where they overlap.
///
/// - Shapes: `x [..., frames, length]` → `[..., count]`, which is `(frames - 1) hop + length` at least.
/// - Gradient: `Frames`.
/// - Errors: `TensorError.argument` where `count` is less than that, or `hop` less than 1.
struct OverlapAdd: Primitive {
    let hop, count: Int

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let shape = inputs[0].shape
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        guard shape.rank >= 2 else { throw .rank(primitive: Self.name, expected: "[..., frames, length]", shape) }
        guard hop >= 1 else { throw .argument(primitive: Self.name, name: "hop", given: hop, allowed: "1 and more") }
        let (frames, length) = (try shape.size(-2), try shape.size(-1)), least = frames == 0 ? 0 : (frames - 1) * hop + length
        guard count >= least else { throw .argument(primitive: Self.name, name: "count", given: count, allowed: "\(least) and more") }
        return SpecList(TensorSpec(shape.dropLast(2) + [count], inputs[0].dtype))
    }

    static var kernels: Kernels<OverlapAdd> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.add(inputs[0], outputs[0], with: keel_reference_overlap_add) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.add(inputs[0], outputs[0], with: keel_overlap_add)
                return true
            })
    }

    private func add(
        _ input: Tensor, _ output: Tensor,
        with kernel: (keel_dtype, Int64, Int64, Int64, Int64, Int64, UnsafeMutableRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        let x = try input.contiguous()
        kernel(
            x.dtype.kernel, Int64(x.matrixCount), Int64(x.size(-2)), Int64(x.size(-1)), Int64(hop), Int64(count), output.bytes, x.bytes)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (frames, length) = (try g.shape(0).size(-2), try g.shape(0).size(-1))
        guard frames > 0, length > 0 else {
            try g.set(0, try Tensor.zeros(g.shape(0), g.outputGradient.dtype, on: g.outputGradient.device))
            return
        }
        try g.set(0, try g.outputGradient.sliced(-1, to: (frames - 1) * hop + length).frames(length, hop: hop))
    }
}

extension Tensor {
    /// Windows of `length` numbers every `hop` numbers along the last axis; a view.
    ///
    /// - Shapes: `[..., t]` → `[..., (t - length) / hop + 1, length]`.
    public func frames(_ length: Int, hop: Int) throws(TensorError) -> Tensor { try apply(Frames(length: length, hop: hop), self) }

    /// Windows every `hop` numbers, added up where they overlap: what undoes `frames`, but for the weights that overlaps make.
    ///
    /// - Shapes: `[..., frames, length]` → `[..., (frames - 1) hop + length]`.
    public func overlapAdded(hop: Int) throws(TensorError) -> Tensor {
        guard rank >= 2 else { throw .rank(primitive: OverlapAdd.name, expected: "[..., frames, length]", shape) }
        let frames = try shape.size(-2)
        return try apply(OverlapAdd(hop: hop, count: frames == 0 ? 0 : Swift.max((frames - 1) * hop + shape.size(-1), 0)), self)
    }
}
