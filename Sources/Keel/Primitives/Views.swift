import KeelKernels

/// The same tensor. A place to stop at on the way back through a graph.
struct Identity: Primitive {
    static var onnxName: String? { "Identity" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }
    func view(_ input: Tensor) throws(TensorError) -> Tensor? { input.detached() }
    static var kernels: Kernels<Identity> { .copying }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, g.outputGradient) }
}

/// The same numbers, dense and in row-major order.
struct Contiguous: Primitive {
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }
    static var takesBlocked: Bool { true }
    static var kernels: Kernels<Contiguous> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in move(inputs[0], to: outputs[0]) },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard case .blocked(let block) = inputs[0].layout else {
                    move(inputs[0], to: outputs[0])
                    return true
                }
                let input = inputs[0]
                var positions = 1
                for axis in 2..<input.rank { positions *= input.size(axis) }
                keel_unblock_f32(
                    Int64(input.size(0)), Int64(input.size(1)), Int64(positions), block, outputs[0].pointer(Float.self),
                    input.pointer(Float.self))
                return true
            })
    }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, g.outputGradient) }
}

/// The same numbers in the same order under another shape. One size may be left open: `-1` becomes what is left over.
///
/// - Gradient: `dy` in the input's shape.
/// - Errors: `TensorError.elementCount`.
/// - Source: ONNX `Reshape`, opset 14.
struct Reshape: Primitive {
    let shape: Shape
    static var onnxName: String? { "Reshape" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Reshape { Reshape(shape: try shape.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let input = inputs[0]
        guard input.shape.product == shape.product else {
            throw .shape(primitive: Self.name, expected: "as many elements as \(shape) has", input.shape)
        }
        return SpecList(TensorSpec(shape, input.dtype))
    }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        let from = input.descriptor
        guard from.isDense else { return nil }
        let count = try shape.elementCount()
        return Tensor(input.storage, Descriptor(TensorSpec(shape, from.dtype), strides: shape.denseStrides, offset: from.offset, count: count))
    }

    static var kernels: Kernels<Reshape> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in move(inputs[0], to: outputs[0]) },
            cpu: { _, inputs, outputs throws(TensorError) in
                move(inputs[0], to: outputs[0])
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient.reshaped(g.shape(0))) }
}

/// The axes in another order: axis `i` of the result is axis `order[i]` of the input.
///
/// - Gradient: `dy` with the order undone.
/// - Source: ONNX `Transpose`, opset 13.
struct Permute: Primitive {
    let order: [Int]
    static var onnxName: String? { "Transpose" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let input = inputs[0]
        guard order.sorted() == Array(0..<input.shape.rank) else {
            throw .argument(primitive: Self.name, name: "order", given: "\(order)", allowed: "each axis of \(input.shape) once")
        }
        var shape = Shape()
        for axis in order { shape.append(input.shape[axis]) }
        return SpecList(TensorSpec(shape, input.dtype))
    }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        let from = input.descriptor
        var shape = Shape(), strides = Strides(repeating: 0)
        for (place, axis) in order.enumerated() {
            shape.append(from.shape[axis])
            strides[place] = from.strides[axis]
        }
        return Tensor(input.storage, Descriptor(TensorSpec(shape, from.dtype), strides: strides, offset: from.offset, count: from.count))
    }

    static var kernels: Kernels<Permute> { .copying }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        var back = order
        for (place, axis) in order.enumerated() { back[axis] = place }
        try g.set(0, try g.outputGradient.permuted(back))
    }
}

/// Axes of size 1, and axes that are missing at the front, stretched to `shape`.
///
/// - Gradient: `dy` summed over what was stretched.
/// - Source: ONNX `Expand`, opset 13.
struct Expand: Primitive {
    let shape: Shape
    static var onnxName: String? { "Expand" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> Expand { Expand(shape: try shape.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        guard try inputs[0].shape.broadcast(with: shape, in: Self.name) == shape else {
            throw TensorError(.notBroadcastable(primitive: Self.name, inputs[0].shape, shape))
        }
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        let from = input.descriptor
        var strides = Strides(repeating: 0)
        let shift = shape.rank - from.shape.rank
        for axis in 0..<from.shape.rank where from.shape[axis] == shape[axis + shift] { strides[axis + shift] = from.strides[axis] }
        let count = try shape.elementCount()
        return Tensor(input.storage, Descriptor(TensorSpec(shape, from.dtype), strides: strides, offset: from.offset, count: count))
    }

    static var kernels: Kernels<Expand> { .copying }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try g.outputGradient.summed(to: g.shape(0))) }
}

/// Every `step`-th position from `start` up to `end` along one axis.
///
/// - Gradient: `dy` at those positions, 0 elsewhere.
/// - Errors: `TensorError.argument` unless `0 <= start <= end <= size` and `step >= 1`.
/// - Source: ONNX `Slice`, opset 13, along one axis with a positive step.
struct Slice: Primitive {
    let axis: Int
    let start: Int
    let end: Int
    let step: Int
    static var onnxName: String? { "Slice" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        let axis = try shape.place(of: axis, in: Self.name)
        let size = try shape.size(axis)
        guard start >= 0, start <= end, end <= size, step >= 1 else {
            throw .argument(primitive: Self.name, name: "range", given: "\(start)..<\(end) by \(step)", allowed: "within 0..<\(size), forwards")
        }
        shape[axis] = Dimension((end - start + step - 1) / step)
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        let from = input.descriptor
        var shape = from.shape, strides = from.strides
        let axis = try shape.place(of: axis, in: Self.name)
        shape[axis] = Dimension((end - start + step - 1) / step)
        let offset = from.offset + (shape[axis].bits == 0 ? 0 : start * strides[axis])
        strides[axis] *= step
        return Tensor(
            input.storage, Descriptor(TensorSpec(shape, from.dtype), strides: strides, offset: offset, count: try shape.elementCount()))
    }

    static var takesBlocked: Bool { true }

    static var kernels: Kernels<Slice> {
        let copying = Kernels<Slice>.copying
        return Kernels(
            reference: copying.reference,
            cpu: { p, inputs, outputs throws(TensorError) in
                if outputs[0].descriptor.isBlocked {
                    p.cutBlocked(inputs[0], into: outputs[0])
                } else {
                    try copying.reference(p, Operands(try inputs[0].unblocked()), outputs)
                }
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let size = try g.shape(0).size(axis)
        let place = try g.shape(0).place(of: axis, in: Self.name)
        try g.set(0, try apply(Unslice(axis: place, start: start, step: step, size: size), g.outputGradient))
    }
}

/// Its input at every `step`-th position from `start` of an axis of `size`, and 0 elsewhere: what a slice's gradient is, and,
/// with step 1, padding.
///
/// - Gradient: the slice of `dy`.
struct Unslice: Primitive {
    let axis: Int
    let start: Int
    let step: Int
    let size: Int
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        let place = try shape.place(of: axis, in: Self.name)
        let count = try shape.size(place)
        guard start >= 0, step >= 1, count == 0 || start + (count - 1) * step < size else {
            throw .argument(primitive: Self.name, name: "size", given: size, allowed: "room for \(count) positions from \(start) by \(step)")
        }
        shape[place] = Dimension(size)
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    static var kernels: Kernels<Unslice> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.place(inputs[0], in: outputs[0]) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.place(inputs[0], in: outputs[0])
                return true
            })
    }

    private func place(_ input: Tensor, in output: Tensor) throws(TensorError) {
        try output.fill(0)
        guard input.count > 0 else { return }
        let place = try output.shape.place(of: axis, in: Self.name)
        var strides = output.descriptor.strides
        let offset = output.descriptor.offset + start * strides[place]
        strides[place] *= step
        move(input, to: Tensor(output.storage, Descriptor(input.spec, strides: strides, offset: offset, count: input.count)))
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let count = try g.shape(0).size(axis)
        try g.set(0, try apply(Slice(axis: axis, start: start, end: count == 0 ? start : start + (count - 1) * step + 1, step: step), g.outputGradient))
    }
}

/// Tensors one after the other along an axis.
///
/// - Shapes: equal but for that axis.
/// - Gradient: each input's part of `dy`.
/// - Source: ONNX `Concat`, opset 13.
struct Concatenate: Primitive {
    let axis: Int
    static var onnxName: String? { "Concat" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        let place = try shape.place(of: axis, in: Self.name)
        for i in 1..<max(inputs.count, 1) {
            let other = inputs[i]
            guard other.dtype == inputs[0].dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, inputs[0].dtype, other.dtype)) }
            guard other.shape.rank == shape.rank, (0..<shape.rank).allSatisfy({ $0 == place || other.shape[$0] == shape[$0] }) else {
                throw .shape(primitive: Self.name, expected: "\(inputs[0].shape) but for axis \(place)", other.shape)
            }
            shape[place] = shape[place] + other.shape[place]
        }
        return SpecList(TensorSpec(shape, inputs[0].dtype))
    }

    static var kernels: Kernels<Concatenate> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.join(inputs, into: outputs[0]) },
            cpu: { p, inputs, outputs throws(TensorError) in
                if outputs[0].descriptor.isBlocked { p.joinBlocked(inputs, into: outputs[0]) } else { try p.join(inputs, into: outputs[0]) }
                return true
            })
    }

    private func join(_ inputs: Operands, into output: Tensor) throws(TensorError) {
        let place = try output.shape.place(of: axis, in: Self.name)
        var start = 0
        for i in 0..<inputs.count {
            let input = try inputs[i].unblocked()
            let offset = output.descriptor.offset + start * output.stride(place)
            start += input.size(place)
            guard input.count > 0 else { continue }
            move(input, to: Tensor(output.storage, Descriptor(input.spec, strides: output.descriptor.strides, offset: offset, count: input.count)))
        }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let place = try g.shape(0).place(of: axis, in: Self.name)
        var start = 0
        for i in 0..<g.inputCount {
            let size = try g.shape(i).size(place)
            if g.wants(i) { try g.set(i, try g.outputGradient.sliced(place, from: start, to: start + size)) }
            start += size
        }
    }
}

/// The same numbers as another kind. Floats become integers by truncation and saturate, NaN becomes 0; what isn't 0 is true. To a narrower
/// float they are rounded to nearest, ties to even, and beyond the largest one become infinite; a NaN stays one. Half floats come from
/// other kinds than float32, and become such, by way of it.
///
/// - Gradient: `dy` cast back, between floats.
/// - Source: ONNX `Cast`, opset 13; IEEE 754-2019, sections 3.6 and 4.3.1.
struct Cast: Primitive {
    let dtype: DType
    static var onnxName: String? { "Cast" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(TensorSpec(inputs[0].shape, dtype)) }

    static var kernels: Kernels<Cast> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                try cast(inputs[0], to: outputs[0], widen: keel_reference_widen, narrow: keel_reference_narrow)
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                try cast(inputs[0], to: outputs[0], widen: keel_widen, narrow: keel_narrow)
                return true
            })
    }

    private static func cast(
        _ input: Tensor, to output: Tensor, widen: (keel_half, Int64, UnsafeMutablePointer<Float>?, UnsafePointer<UInt16>?) -> Void,
        narrow: (keel_half, Int64, UnsafeMutablePointer<UInt16>?, UnsafePointer<Float>?) -> Void
    ) throws(TensorError) {
        let plain = try input.contiguous(), count = Int64(input.count)
        if let half = input.dtype.half {
            guard output.dtype != .float32 else { return widen(half, count, output.pointer(Float.self), plain.pointer(UInt16.self)) }
            let single = try Tensor(undefined: TensorSpec(input.shape, .float32), on: input.storage.place)
            widen(half, count, single.pointer(Float.self), plain.pointer(UInt16.self))
            try cast(single, to: output, widen: widen, narrow: narrow)
        } else if let half = output.dtype.half {
            guard input.dtype != .float32 else { return narrow(half, count, output.pointer(UInt16.self), plain.pointer(Float.self)) }
            let single = try Tensor(undefined: TensorSpec(input.shape, .float32), on: input.storage.place)
            try cast(plain, to: single, widen: widen, narrow: narrow)
            narrow(half, count, output.pointer(UInt16.self), single.pointer(Float.self))
        } else {
            keel_cast(output.dtype.kernel, input.dtype.kernel, count, output.bytes, plain.bytes)
        }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        // Only floats are recorded, and only floats want gradients.
        try g.set(0, try g.outputGradient.cast(to: g.dtype(0)))
    }
}

extension Kernels {
    /// For primitives that are views: copies, where a view can't serve.
    static var copying: Kernels {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                guard let view = try p.view(inputs[0]) else { preconditionFailure("\(P.name) is always a view") }
                move(view, to: outputs[0])
            })
    }
}

/// Copies numbers between tensors with as many elements, in row-major order of each.
func move(_ from: Tensor, to: Tensor) {
    guard from.count > 0 else { return }
    if from.shape == to.shape {
        var walk = keel_walk(copying: from.descriptor, to: to.descriptor)
        keel_copy(Int32(from.dtype.width), &walk, to.bytes, from.bytes)
    } else {
        // Shapes differ only where the target is dense: it can be written in the source's shape.
        let target = Descriptor(from.spec, strides: from.shape.denseStrides, offset: to.descriptor.offset, count: from.count)
        var walk = keel_walk(copying: from.descriptor, to: target)
        keel_copy(Int32(from.dtype.width), &walk, to.bytes, from.bytes)
    }
}

extension Tensor {
    /// Dense and in row-major order: itself, if it is already.
    public func contiguous() throws(TensorError) -> Tensor { descriptor.isDense ? self : try apply(Contiguous(), self) }

    /// The same numbers in the same order under another shape; a view where the tensor is dense.
    public func reshaped(_ shape: Shape) throws(TensorError) -> Tensor {
        if shape == self.shape { return self }
        if descriptor.isBlocked { return try apply(Reshape(shape: shape), contiguous()) }
        return try apply(Reshape(shape: shape), self)
    }

    /// As `reshaped`, where one size may be -1: it becomes what the others leave over.
    public func reshaped(_ sizes: [Int]) throws(TensorError) -> Tensor {
        guard let open = sizes.firstIndex(of: -1) else { return try reshaped(Shape(checking: sizes)) }
        var sizes = sizes
        sizes[open] = 1
        var target = try Shape(checking: sizes)
        let rest = try target.elementCount()
        guard rest > 0, shape.sizes == nil || count % rest == 0 else { throw TensorError(.elementCount(given: count, target)) }
        guard let left = shape.product.divided(exactlyBy: Dimension(rest)) else { throw .symbolicDimension(shape.product) }
        target[open] = left
        return try reshaped(target)
    }

    /// Axes `first...last` as one.
    public func flattened(from first: Int = 0, through last: Int = -1) throws(TensorError) -> Tensor {
        let (a, b) = (try shape.place(of: first, in: "Flatten"), try shape.place(of: last, in: "Flatten"))
        guard a <= b else { throw .argument(primitive: "Flatten", name: "axes", given: "\(first)...\(last)", allowed: "an ascending range") }
        var flat = shape.axes(0..<a)
        flat.append(shape.axes(a..<(b + 1)).product)
        return try reshaped(flat + shape.axes((b + 1)..<rank))
    }

    /// The axes in another order; a view.
    public func permuted(_ order: [Int]) throws(TensorError) -> Tensor {
        if descriptor.isBlocked { return try apply(Permute(order: order), contiguous()) }
        return try apply(Permute(order: order), self)
    }

    /// The last two axes, or the two named, exchanged; a view.
    public func transposed(_ a: Int = -1, _ b: Int = -2) throws(TensorError) -> Tensor {
        let (i, j) = (try shape.place(of: a, in: "Transpose"), try shape.place(of: b, in: "Transpose"))
        var order = Array(0..<rank)
        order.swapAt(i, j)
        return try permuted(order)
    }

    /// With an axis of size 1 put in before `axis`.
    public func withAxis(_ axis: Int) throws(TensorError) -> Tensor {
        let place = axis < 0 ? axis + rank + 1 : axis
        guard place >= 0, place <= rank, rank < Shape.maximumRank else { throw .axisOutOfRange(primitive: "Unsqueeze", axis: axis, shape) }
        return try reshaped(shape.axes(0..<place) + [1] + shape.axes(place..<rank))
    }

    /// Without the axis, whose size is 1.
    public func withoutAxis(_ axis: Int) throws(TensorError) -> Tensor {
        let place = try shape.place(of: axis, in: "Squeeze")
        guard shape[place] == Dimension(1) else { throw .shape(primitive: "Squeeze", expected: "size 1 along axis \(axis)", shape) }
        return try reshaped(shape.axes(0..<place) + shape.axes((place + 1)..<rank))
    }

    /// Stretched along axes of size 1, and along new ones at the front; a view.
    public func expanded(to shape: Shape) throws(TensorError) -> Tensor {
        if shape == self.shape { return self }
        return try apply(Expand(shape: shape), descriptor.isBlocked ? contiguous() : self)
    }

    /// Every `step`-th position from `start` up to `end` (the axis' end if left out) along an axis; a view. Negative positions
    /// count from the end.
    public func sliced(_ axis: Int, from start: Int = 0, to end: Int? = nil, step: Int = 1) throws(TensorError) -> Tensor {
        let size = try shape.size(try shape.place(of: axis, in: Slice.name))
        let first = start < 0 ? start + size : start
        let last = end.map { $0 < 0 ? $0 + size : $0 } ?? size
        let step = Swift.min(step, Swift.max(size, 1))  // no step reaches further
        return try apply(Slice(axis: axis, start: first, end: last, step: step), descriptor.isBlocked ? contiguous() : self)
    }

    /// The tensor at one position of an axis, without that axis; a view where the axis has a number for its size.
    public func at(_ position: Int, axis: Int = 0) throws(TensorError) -> Tensor {
        // How many positions there are is known only when a program runs, which then counts from either end.
        guard let size = shape[try shape.place(of: axis, in: Slice.name)].number else { return try gathered(Tensor(Int64(position)), axis: axis) }
        let place = position < 0 ? position + size : position
        return try sliced(axis, from: place, to: place + 1).withoutAxis(axis)
    }

    public static func concatenated(_ tensors: [Tensor], axis: Int = 0) throws(TensorError) -> Tensor {
        guard !tensors.isEmpty else { throw .argument(primitive: Concatenate.name, name: "tensors", given: "none", allowed: "one at least") }
        return try apply(Concatenate(axis: axis), tensors)
    }

    /// Tensors of one shape along a new axis.
    public static func stacked(_ tensors: [Tensor], axis: Int = 0) throws(TensorError) -> Tensor {
        var lifted: [Tensor] = []
        for tensor in tensors { lifted.append(try tensor.withAxis(axis)) }
        return try concatenated(lifted, axis: axis)
    }

    /// With `before` and `after` zeros put on along an axis.
    public func padded(_ axis: Int, before: Int, after: Int) throws(TensorError) -> Tensor {
        guard before >= 0, after >= 0 else {
            throw .argument(primitive: "Pad", name: "amounts", given: "\(before), \(after)", allowed: "0 and more")
        }
        let size = try shape.size(try shape.place(of: axis, in: "Pad"))
        guard Swift.max(before, after) <= Shape.maximumCount else { throw .invalidShape([before, size, after]) }
        return try apply(Unslice(axis: axis, start: before, step: 1, size: before + size + after), self)
    }

    public func cast(to dtype: DType) throws(TensorError) -> Tensor { dtype == self.dtype ? self : try apply(Cast(dtype: dtype), self) }
}
