import KeelKernels

/// The elements of `x` that `indices` names along an axis, each for its own position. Negative indices count from the end.
///
/// - Shapes: `x [..., n, ...]`, `indices [..., k, ...]` int64 or int32, equal but for the axis → as `indices`.
/// - Gradient: `dy` added up where it was taken from; indices have none.
/// - Errors: `TensorError.indexOutOfRange` with position and index.
/// - Source: ONNX `GatherElements`, opset 13.
struct TakeAlong: Primitive {
    let axis: Int
    static var onnxName: String? { "GatherElements" }
    static var takesHalf: Bool { true }
    static var gradientReads: Reads { .input(1) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkPicks(of: inputs[0].shape, inputs[1], axis, Self.name)
        return SpecList(TensorSpec(inputs[1].shape, inputs[0].dtype))
    }

    static var kernels: Kernels<TakeAlong> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.take(inputs, outputs[0], with: keel_reference_take_along) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.take(inputs, outputs[0], with: keel_take_along)
                return true
            })
    }

    private func take(
        _ inputs: Operands, _ output: Tensor,
        with kernel: (Int32, UnsafePointer<keel_picks>?, UnsafeMutableRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        let x = try inputs[0].contiguous()
        try inputs[1].withPicks(from: x.shape, axis, Self.name) { picks in kernel(Int32(x.dtype.width), picks, output.bytes, x.bytes) }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let nothing = try Tensor.zeros(Shape(), g.outputGradient.dtype, on: g.outputGradient.device).expanded(to: g.shape(0))
        try g.set(0, try apply(Scatter(axis: axis, rule: .add), nothing, g.input(1), g.outputGradient))
    }
}

/// What `scattered` does where an update meets the number that is there.
public enum ScatterRule: Hashable, Sendable {
    /// The update takes its place; of several updates of one place the last stays.
    case set
    case add
    case multiply
    /// The larger one stays; NaN wins.
    case maximum
    /// The smaller one stays; NaN wins.
    case minimum

    fileprivate var kernel: keel_scatter_op {
        switch self {
        case .set: KEEL_SCATTER_SET
        case .add: KEEL_SCATTER_ADD
        case .multiply: KEEL_SCATTER_MULTIPLY
        case .maximum: KEEL_SCATTER_MAXIMUM
        case .minimum: KEEL_SCATTER_MINIMUM
        }
    }
}

/// `x` with each update worked in at the place along an axis that its index names. Updates of one place come in ascending order of
/// their position along the axis, at any thread count. Negative indices count from the end; whole numbers wrap around.
///
/// - Shapes: `x [..., n, ...]`, `indices [..., k, ...]` int64 or int32, equal but for the axis, `updates` as `indices` → as `x`.
/// - Gradient: `set`: to what stayed; `add`: `dy` to both; `multiply`: `dy` times the other factors; `maximum` and `minimum`: in equal
///   shares to all that won.
/// - Errors: `TensorError.indexOutOfRange`; `TensorError.dtype` for arithmetic with bools.
/// - Source: ONNX `ScatterElements`, opset 18.
struct Scatter: Primitive {
    let axis: Int
    let rule: ScatterRule
    static var onnxName: String? { "ScatterElements" }
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .output(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, indices, updates) = (inputs[0], inputs[1], inputs[2])
        guard x.dtype == updates.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, updates.dtype)) }
        guard x.dtype != .bool || rule == .set else { throw .dtype(primitive: Self.name, expected: "numbers", x.dtype) }
        try checkPicks(of: x.shape, indices, axis, Self.name)
        guard updates.shape == indices.shape else { throw .shape(primitive: Self.name, expected: "updates \(indices.shape)", updates.shape) }
        return SpecList(x)
    }

    static var kernels: Kernels<Scatter> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.scatter(inputs, outputs[0], with: keel_reference_scatter) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.scatter(inputs, outputs[0], with: keel_scatter)
                return true
            })
    }

    private func scatter(
        _ inputs: Operands, _ output: Tensor,
        with kernel: (keel_scatter_op, keel_dtype, UnsafePointer<keel_picks>?, UnsafeMutableRawPointer?, UnsafeRawPointer?) -> Void
    ) throws(TensorError) {
        let updates = try inputs[2].contiguous()
        try inputs[1].withPicks(from: output.shape, axis, Self.name) { picks in
            move(inputs[0], to: output)
            kernel(rule.kernel, output.dtype.kernel, picks, output.bytes, updates.bytes)
        }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, indices, updates, dy) = (g.input(0), g.input(1), g.input(2), g.outputGradient)
        func taken(_ t: Tensor) throws(TensorError) -> Tensor { try apply(TakeAlong(axis: axis), t, indices) }
        func scattered(_ t: Tensor, onto base: Tensor, _ rule: ScatterRule) throws(TensorError) -> Tensor {
            try apply(Scatter(axis: axis, rule: rule), base, indices, t)
        }
        let zero = try Tensor.zeros(Shape(), dy.dtype, on: dy.device)
        switch rule {
        case .add:
            try g.set(0, dy)
            if g.wants(2) { try g.set(2, try taken(dy)) }
        case .set:
            if g.wants(0) { try g.set(0, try scattered(zero.expanded(to: indices.shape), onto: dy, .set)) }
            guard g.wants(2) else { return }
            // The position of the update that stayed at each place tells which ones did.
            let positions = try Tensor.range(updates.count).moved(to: dy.device).reshaped(updates.shape)
            let last = try scattered(positions, onto: Tensor.zeros(Shape(), .int64, on: dy.device).expanded(to: x.shape), .set)
            try g.set(2, try taken(last).equals(positions).select(taken(dy), zero))
        case .maximum, .minimum:
            let y = g.output(0)
            let (kept, won) = (try x.equals(y).cast(to: x.dtype), try updates.equals(taken(y)).cast(to: x.dtype))
            let share = try dy / scattered(won, onto: kept, .add).maximum(Tensor.ones(Shape(), dy.dtype, on: dy.device))
            if g.wants(0) { try g.set(0, try share * kept) }
            if g.wants(2) { try g.set(2, try taken(share) * won) }
        case .multiply:
            // A factor's gradient is dy times the product of the others. Zeros are counted apart, as nothing can be divided by them.
            let one = try Tensor.ones(Shape(), dy.dtype, on: dy.device)
            let (noX, noUpdate) = (try x.equals(zero), try updates.equals(zero))
            let product = try scattered(noUpdate.select(one, updates), onto: noX.select(one, x), .multiply)
            let zeros = try scattered(noUpdate.cast(to: dy.dtype), onto: noX.cast(to: dy.dtype), .add)
            let flow = try dy * product
            let (whole, single) = (try zeros.equals(zero).select(flow, zero), try zeros.equals(one).select(flow, zero))
            if g.wants(0) { try g.set(0, try noX.select(single, whole / noX.select(one, x))) }
            if g.wants(2) { try g.set(2, try noUpdate.select(taken(single), taken(whole) / noUpdate.select(one, updates))) }
        }
    }
}

private func checkPicks(of shape: Shape, _ indices: TensorSpec, _ axis: Int, _ name: String) throws(TensorError) {
    guard indices.dtype == .int64 || indices.dtype == .int32 else { throw .dtype(primitive: name, expected: "int64 or int32 indices", indices.dtype) }
    let place = try shape.place(of: axis, in: name)
    guard indices.shape.rank == shape.rank, (0..<shape.rank).allSatisfy({ $0 == place || indices.shape[$0] == shape[$0] }) else {
        throw .shape(primitive: name, expected: "indices \(shape) but for axis \(place)", indices.shape)
    }
}

extension Tensor {
    /// Hands these indices into an axis of `shape` to a kernel, after a look at each of them. An index that stands for many elements
    /// (a stretched one) is not copied.
    fileprivate func withPicks(
        from shape: Shape, _ axis: Int, _ name: String, _ body: (UnsafePointer<keel_picks>) -> Void
    ) throws(TensorError) {
        let place = try shape.place(of: axis, in: name)
        var indices = self
        if steps(splitAt: place) == nil { indices = try contiguous() }
        guard let steps = indices.steps(splitAt: place) else { preconditionFailure("a dense tensor has one step along any run of axes") }
        let (outer, n, inner) = shape.split(at: place)
        var picks = keel_picks(
            outer: Int64(outer), n: Int64(n), inner: Int64(inner), count: Int64(size(place)), steps: steps,
            is_64_bit: dtype == .int64 ? 1 : 0, indices: indices.bytes)
        let bad = indices.descriptor.isDense
            ? keel_first_bad_index(picks.is_64_bit, Int64(count), indices.bytes, picks.n) : keel_first_bad_pick(&picks)
        guard bad < 0 else {
            let plain = try contiguous()
            let index = dtype == .int64 ? Int(plain.pointer(Int64.self)[Int(bad)]) : Int(plain.pointer(Int32.self)[Int(bad)])
            throw TensorError(.indexOutOfRange(primitive: name, position: Int(bad), index: index, limit: n))
        }
        body(&picks)
        withExtendedLifetime(indices) {}
    }

    /// The steps in elements through the axes before `place`, along it, and through those after it, each taken as one; nil where a
    /// run of axes has no single step.
    private func steps(splitAt place: Int) -> (Int64, Int64, Int64)? {
        guard count > 0 else { return (0, 0, 0) }
        func step(through axes: Range<Int>) -> Int? {
            var (step, next): (Int?, Int) = (nil, 0)
            for axis in axes.reversed() where size(axis) != 1 {
                guard let first = step else {
                    (step, next) = (stride(axis), stride(axis) * size(axis))
                    continue
                }
                guard stride(axis) == next else { return nil }
                (step, next) = (first, next * size(axis))
            }
            return step ?? 0
        }
        guard let outer = step(through: 0..<place), let own = step(through: place..<(place + 1)), let inner = step(through: (place + 1)..<rank)
        else { return nil }
        return (Int64(outer), Int64(own), Int64(inner))
    }

    /// The elements that `indices`, equal in shape but for the axis, names along it, each for its own position: the probabilities of
    /// the labels, say.
    public func takenAlong(_ axis: Int, at indices: Tensor) throws(TensorError) -> Tensor { try apply(TakeAlong(axis: axis), self, indices) }

    /// With each of `updates` worked in at the place along an axis that its index names.
    ///
    /// - Shapes: `indices` and `updates` of one shape, equal to this tensor's but for the axis.
    public func scattered(_ updates: Tensor, along axis: Int, at indices: Tensor, _ rule: ScatterRule = .set) throws(TensorError) -> Tensor {
        try apply(Scatter(axis: axis, rule: rule), self, indices, updates)
    }

    /// With whole parts along an axis worked in: rows of a table. The way back of `gathered`.
    ///
    /// - Shapes: `indices [k]`; `parts` as this tensor, but with `k` along the axis.
    public func scattered(parts: Tensor, at indices: Tensor, axis: Int = 0, _ rule: ScatterRule = .set) throws(TensorError) -> Tensor {
        let place = try shape.place(of: axis, in: Scatter.name)
        guard indices.rank == 1 else { throw .rank(primitive: Scatter.name, expected: "indices of one axis", indices.shape) }
        var (lifted, full) = (shape, shape)
        for other in 0..<rank { lifted[other] = Dimension(1) }
        lifted[place] = indices.shape[0]
        full[place] = indices.shape[0]
        return try apply(Scatter(axis: place, rule: rule), self, indices.reshaped(lifted).expanded(to: full), parts)
    }
}
