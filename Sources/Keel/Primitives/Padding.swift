import KeelKernels

/// What stands beyond the edges of `a b c d`.
public enum PaddingMode: Hashable, Sendable {
    /// `v v a b c d v v`
    case constant(Double)
    /// `c b a b c d c b`
    case reflect
    /// `a a a b c d d d`
    case edge
    /// `c d a b c d a b`
    case wrap

    fileprivate var kernel: keel_pad_mode {
        switch self {
        case .constant: KEEL_PAD_CONSTANT
        case .reflect: KEEL_PAD_REFLECT
        case .edge: KEEL_PAD_EDGE
        case .wrap: KEEL_PAD_WRAP
        }
    }
}

/// `x` with elements put on before and after it along each axis.
///
/// - Gradient: each element's `dy`, and that of its images.
/// - Errors: `TensorError.argument` for negative amounts, and where a reflection is as wide as the axis or an edge is one of nothing.
/// - Source: ONNX `Pad`, opset 19.
struct Pad: Primitive {
    let before: [Int]
    let after: [Int]
    let mode: PaddingMode
    static var onnxName: String? { "Pad" }
    static var takesHalf: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        guard before.count == shape.rank, after.count == shape.rank else {
            throw .rank(primitive: Self.name, expected: "as many axes as amounts, \(before.count)", shape)
        }
        for axis in 0..<shape.rank {
            let most: Int? = switch mode {
            case .constant: nil
            case .reflect: shape[axis].number.map { max($0 - 1, 0) }
            case .edge, .wrap: shape[axis].number == 0 ? 0 : nil
            }
            let amounts = [before[axis], after[axis]]
            guard amounts.allSatisfy({ $0 >= 0 && $0 <= most ?? $0 }) else {
                throw .argument(
                    primitive: Self.name, name: "padding of axis \(axis)", given: "\(before[axis]), \(after[axis])",
                    allowed: most.map { "0...\($0) in \(inputs[0].shape)" } ?? "0 and more")
            }
            shape[axis] = shape[axis].offset(by: before[axis] + after[axis])
        }
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    static var kernels: Kernels<Pad> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.pad(inputs[0], outputs[0], with: keel_reference_pad) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.pad(inputs[0], outputs[0], with: keel_pad)
                return true
            })
    }

    private func pad(
        _ input: Tensor, _ output: Tensor,
        with kernel: (Int32, UnsafePointer<keel_padding>?, UnsafeMutableRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        guard output.count > 0 else { return }
        let x = try input.contiguous()
        var padding = keel_padding()
        padding.mode = mode.kernel
        // Neighbouring axes without padding are one.
        var sizes: [Int64] = [], low: [Int64] = [], high: [Int64] = []
        for axis in 0..<x.rank {
            let isPlain = before[axis] == 0 && after[axis] == 0
            if isPlain, let last = sizes.last, low.last == 0, high.last == 0 {
                sizes[sizes.count - 1] = last * Int64(x.size(axis))
            } else {
                sizes.append(Int64(x.size(axis)))
                low.append(Int64(before[axis]))
                high.append(Int64(after[axis]))
            }
        }
        if sizes.isEmpty { (sizes, low, high) = ([1], [0], [0]) }
        padding.rank = Int32(sizes.count)
        withUnsafeMutableBytes(of: &padding.sizes) { $0.copyBytes(from: sizes.withUnsafeBytes { Array($0) }) }
        withUnsafeMutableBytes(of: &padding.before) { $0.copyBytes(from: low.withUnsafeBytes { Array($0) }) }
        withUnsafeMutableBytes(of: &padding.after) { $0.copyBytes(from: high.withUnsafeBytes { Array($0) }) }
        var number = 0.0
        if case .constant(let value) = mode { number = value }
        let value = try Tensor.full(number, Shape(), x.dtype)
        kernel(Int32(x.dtype.width), &padding, output.bytes, x.bytes, value.bytes)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        var dy = g.outputGradient
        if case .constant = mode {
            let shape = g.shape(0)
            for axis in 0..<shape.rank where before[axis] + after[axis] > 0 {
                dy = try dy.sliced(axis, from: before[axis], to: before[axis] + shape.size(axis))
            }
        } else {
            for axis in before.indices where before[axis] + after[axis] > 0 {
                dy = try apply(Unpad(axis: axis, before: before[axis], after: after[axis], mode: mode), dy)
            }
        }
        try g.set(0, dy)
    }
}

/// What lies beyond the edges along an axis added to what it is an image of: the gradient of `Pad`, but for constants.
///
/// - Shapes: `[..., before + n + after, ...]` → `[..., n, ...]`.
/// - Gradient: `dy`, padded.
struct Unpad: Primitive {
    static var isLinear: Bool { true }
    let axis: Int
    let before: Int
    let after: Int
    let mode: PaddingMode

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        let place = try shape.place(of: axis, in: Self.name)
        guard inputs[0].dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", inputs[0].dtype) }
        if let size = shape[place].number, size < before + after {
            throw .shape(primitive: Self.name, expected: "\(before + after) elements at least along axis \(place)", shape)
        }
        shape[place] = shape[place].offset(by: -before - after)
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    static var kernels: Kernels<Unpad> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.fold(inputs[0], outputs[0], with: keel_reference_unpad) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.fold(inputs[0], outputs[0], with: keel_unpad)
                return true
            })
    }

    private func fold(
        _ input: Tensor, _ output: Tensor,
        with kernel: (keel_dtype, keel_pad_mode, Int64, Int64, Int64, Int64, Int64, UnsafeMutableRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        guard output.count > 0 else { return }
        let dy = try input.contiguous()
        let (outer, n, inner) = output.shape.split(at: try output.shape.place(of: axis, in: Self.name))
        kernel(dy.dtype.kernel, mode.kernel, Int64(outer), Int64(n), Int64(inner), Int64(before), Int64(after), output.bytes, dy.bytes)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        var (low, high) = ([Int](repeating: 0, count: g.shape(0).rank), [Int](repeating: 0, count: g.shape(0).rank))
        low[axis] = before
        high[axis] = after
        try g.set(0, try apply(Pad(before: low, after: high, mode: mode), g.outputGradient))
    }
}

extension Tensor {
    /// With elements put on before and after the last axes, one pair of amounts for each, in the axes' order.
    ///
    /// A picture `[n, c, h, w]` with 1 above and below and 2 on the left and right: `padded([(1, 1), (2, 2)], .reflect)`.
    public func padded(_ amounts: [(before: Int, after: Int)], _ mode: PaddingMode = .constant(0)) throws(TensorError) -> Tensor {
        guard amounts.count <= rank else { throw .rank(primitive: Pad.name, expected: "\(amounts.count) axes at least", shape) }
        let others = [Int](repeating: 0, count: rank - amounts.count)
        return try apply(Pad(before: others + amounts.map(\.before), after: others + amounts.map(\.after), mode: mode), self)
    }
}
