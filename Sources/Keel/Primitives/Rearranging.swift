// What turns, cuts and repeats tensors, as views where it can be.

/// The order along some axes turned round; a view.
///
/// - Gradient: `dy` turned back.
/// - Source: ONNX `Slice`, opset 13, with a step of -1.
struct Flip: Primitive {
    static var isLinear: Bool { true }
    let axes: AxisSet
    static var takesHalf: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }

    func view(_ input: Tensor) throws(TensorError) -> Tensor? {
        let from = input.descriptor
        var (strides, offset) = (from.strides, from.offset)
        for axis in 0..<from.shape.rank where axes.contains(axis) {
            if from.count > 0 { offset += (from.shape[axis].bits - 1) * strides[axis] }
            strides[axis] = -strides[axis]
        }
        return Tensor(input.storage, Descriptor(from.spec, strides: strides, offset: offset, count: from.count))
    }

    static var kernels: Kernels<Flip> { .copying }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(self, g.outputGradient)) }
}

/// A tensor cut along an axis into parts of these sizes; views.
///
/// - Gradient: the parts' `dy` joined again, zeros where there is none.
/// - Errors: `TensorError.argument` unless the sizes are 0 and more and add up to the axis.
/// - Source: ONNX `Split`, opset 13.
struct Split: Primitive {
    let axis: Int
    let sizes: [Int]
    static var onnxName: String? { "Split" }
    static var takesHalf: Bool { true }
    static var isLinear: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        var shape = inputs[0].shape
        let place = try shape.place(of: axis, in: Self.name)
        let size = try shape.size(place)
        guard !sizes.isEmpty, sizes.allSatisfy({ $0 >= 0 }), sizes.reduce(0, +) == size else {
            throw .argument(primitive: Self.name, name: "sizes", given: "\(sizes)", allowed: "0 and more, \(size) in all")
        }
        var specs = SpecList()
        for size in sizes {
            shape[place] = Dimension(size)
            specs.append(TensorSpec(shape, inputs[0].dtype))
        }
        return specs
    }

    func views(_ input: Tensor) throws(TensorError) -> [Tensor]? {
        var (parts, start): ([Tensor], Int) = ([], 0)
        for size in sizes {
            let slice = Slice(axis: axis, start: start, end: start + size, step: 1)
            guard let part = try slice.view(input) else { return nil }
            parts.append(part)
            start += size
        }
        return parts
    }

    static var kernels: Kernels<Split> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                guard let parts = try p.views(inputs[0]) else { preconditionFailure("a split is always a view") }
                for (i, part) in parts.enumerated() { move(part, to: outputs[i]) }
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let shape = g.shape(0), place = try shape.place(of: axis, in: Self.name)
        var (parts, known): ([Tensor?], Tensor?) = ([], nil)
        for i in sizes.indices {
            let part = g.gradientOfOutput(i)
            parts.append(part)
            known = known ?? part
        }
        guard let known else { return }
        var joined: [Tensor] = []
        for (part, size) in zip(parts, sizes) {
            if let part {
                joined.append(part)
            } else {
                var missing = shape
                missing[place] = Dimension(size)
                joined.append(try Tensor.zeros(Shape(), known.dtype, on: known.device).expanded(to: missing))
            }
        }
        try g.set(0, try Tensor.concatenated(joined, axis: place))
    }
}

extension Tensor {
    /// With the order along `axes` turned round; a view.
    public func flipped(_ axes: [Int]) throws(TensorError) -> Tensor {
        var set = AxisSet()
        for axis in axes { set.insert(try shape.place(of: axis, in: Flip.name)) }
        return try apply(Flip(axes: set), descriptor.isBlocked ? contiguous() : self)
    }

    /// Moved on by some positions along an axis; what goes out at the end comes in at the front. Negative amounts go back.
    public func rolled(by amount: Int, axis: Int) throws(TensorError) -> Tensor {
        let n = try shape.size(try shape.place(of: axis, in: "Roll"))
        guard n > 0, amount % n != 0 else { return self }
        let first = n - (amount % n + n) % n
        let parts = try split([first, n - first], axis: axis)
        return try Tensor.concatenated([parts[1], parts[0]], axis: axis)
    }

    /// Cut along an axis into parts of these sizes; views.
    public func split(_ sizes: [Int], axis: Int = 0) throws(TensorError) -> [Tensor] {
        try applyMany(Split(axis: axis, sizes: sizes), [descriptor.isBlocked ? try contiguous() : self])
    }

    /// Cut along an axis into equal parts; views.
    ///
    /// - Throws: `TensorError.argument` where the axis can't be cut so.
    public func split(into parts: Int, axis: Int = 0) throws(TensorError) -> [Tensor] {
        let n = try shape.size(try shape.place(of: axis, in: Split.name))
        guard parts >= 1, n % parts == 0 else {
            throw .argument(primitive: Split.name, name: "parts", given: parts, allowed: "a divisor of axis \(axis) of \(shape)")
        }
        return try split([Int](repeating: n / parts, count: parts), axis: axis)
    }

    /// The tensors at each position of an axis, without that axis; views. The way back of `stacked`.
    public func unstacked(_ axis: Int = 0) throws(TensorError) -> [Tensor] {
        let place = try shape.place(of: axis, in: Split.name), n = try shape.size(place)
        guard n > 0 else { return [] }
        var parts = try split(into: n, axis: place)
        let rest = shape.axes(0..<place) + shape.axes((place + 1)..<rank)
        for i in parts.indices { parts[i] = try parts[i].reshaped(rest) }
        return parts
    }

    /// Laid side by side `counts[axis]` times along each axis.
    public func tiled(_ counts: [Int]) throws(TensorError) -> Tensor {
        guard counts.count == rank else { throw .rank(primitive: "Tile", expected: "as many axes as counts, \(counts.count)", shape) }
        return try repeated(counts, "Tile", wholeAxes: true)
    }

    /// Each element `count` times in a row along an axis.
    public func repeated(_ count: Int, axis: Int) throws(TensorError) -> Tensor {
        var counts = [Int](repeating: 1, count: rank)
        counts[try shape.place(of: axis, in: "Repeat")] = count
        return try repeated(counts, "Repeat", wholeAxes: false)
    }

    /// One axis after the other: an axis of size 1 beside it is stretched, and the two are taken as one. The fewest elements come first.
    private func repeated(_ counts: [Int], _ name: String, wholeAxes: Bool) throws(TensorError) -> Tensor {
        guard counts.allSatisfy({ $0 >= 0 }) else { throw .argument(primitive: name, name: "counts", given: "\(counts)", allowed: "0 and more") }
        let isMany = counts.filter { $0 != 1 }.count
        guard isMany > 0 else { return self }
        if rank + isMany > Shape.maximumRank {
            guard isMany > 1, let axis = counts.lastIndex(where: { $0 != 1 }) else {
                throw .rank(primitive: name, expected: "seven axes at most", shape)
            }
            var (one, others) = ([Int](repeating: 1, count: rank), counts)
            one[axis] = counts[axis]
            others[axis] = 1
            return try repeated(one, name, wholeAxes: wholeAxes).repeated(others, name, wholeAxes: wholeAxes)
        }
        var (lifted, stretched, result) = (Shape(), Shape(), Shape())
        for axis in 0..<rank {
            let (size, count) = (shape[axis], Dimension(counts[axis]))
            result.append(size * count)
            if counts[axis] == 1 {
                lifted.append(size)
                stretched.append(size)
            } else if wholeAxes {
                (lifted, stretched) = (lifted + [1], stretched + Shape(count))
                lifted.append(size)
                stretched.append(size)
            } else {
                lifted.append(size)
                stretched.append(size)
                (lifted, stretched) = (lifted + [1], stretched + Shape(count))
            }
        }
        return try reshaped(lifted).expanded(to: stretched).reshaped(result)
    }

    /// The elements with equal positions along two axes, as a last axis; a view where these are the last ones of a dense tensor.
    ///
    /// - Shapes: `[..., m, n]` → `[..., min(m, n)]`.
    public func diagonal(_ first: Int = -2, _ second: Int = -1) throws(TensorError) -> Tensor {
        let (a, b) = (try shape.place(of: first, in: "Diagonal"), try shape.place(of: second, in: "Diagonal"))
        guard a != b else { throw .argument(primitive: "Diagonal", name: "axes", given: "\(first), \(second)", allowed: "two different ones") }
        let others = (0..<rank).filter { $0 != a && $0 != b }
        let matrices = others + [a, b] == Array(0..<rank) ? self : try permuted(others + [a, b])
        let (m, n) = (try shape.size(a), try shape.size(b))
        let count = Swift.min(m, n)
        let flat = try matrices.reshaped(matrices.shape.dropLast(2) + [m * n])
        return try flat.sliced(-1, from: 0, to: count == 0 ? 0 : (count - 1) * (n + 1) + 1, step: n + 1)
    }
}
