import KeelKernels

/// One layer of gated recurrent units over whole sequences, in one direction or in both; see `Tensor.gru`.
///
/// - Shapes: `x [batch, time, features]`; for each direction `input [3 * hidden, features]`, `recurrent [3 * hidden, hidden]`, and
///   `inputBias` and `recurrentBias [3 * hidden]`; then, if `hasState`, `h [directions, batch, hidden]`; then, if `hasLengths`, `lengths [batch]`
///   int64 → `y [batch, time, directions * hidden]`, last `h [directions, batch, hidden]`. Residuals: the gates after their functions, and the
///   state before each step, laid out as `gru.h` has it.
/// - Gradient: `GRUGradient` for what goes back through the steps; then one product a weight over all steps at once.
/// - Errors: `TensorError.rank`, `.shape`, `.dtype`, `.dtypesDiffer`; no step at all is a `.shape`.
/// - Source: Cho et al., 2014, with the reset gate after the recurrent product as in ONNX `GRU`, opset 14, with `linear_before_reset`.
struct GRU: Primitive {
    let directions: Int
    let hasState, hasLengths: Bool

    static var gradientReads: Reads {
        var reads: Reads = [.residual(0), .residual(1)]
        for i in 0..<11 { reads.formUnion(.input(i)) }
        return reads
    }

    private var stateAt: Int { 1 + 4 * directions }
    private var lengthsAt: Int { stateAt + (hasState ? 1 : 0) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard x.shape.rank == 3 else { throw .rank(primitive: Self.name, expected: "x [batch, time, features]", x.shape) }
        guard x.shape[1].number != 0 else { throw .shape(primitive: Self.name, expected: "a step at least", x.shape) }
        guard inputs[2].shape.rank == 2 else { throw .rank(primitive: Self.name, expected: "recurrent weights [3 * hidden, hidden]", inputs[2].shape) }
        let hidden = try inputs[2].shape.size(1)
        guard hidden > 0 else { throw .shape(primitive: Self.name, expected: "a hidden unit at least", inputs[2].shape) }
        func check(_ i: Int, _ shape: Shape, _ what: String) throws(TensorError) {
            guard inputs[i].dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, inputs[i].dtype)) }
            guard inputs[i].shape == shape else { throw .shape(primitive: Self.name, expected: "\(what) \(shape)", inputs[i].shape) }
        }
        let gates = Dimension(3 * hidden)
        for first in stride(from: 1, to: stateAt, by: 4) {
            try check(first, Shape(gates, x.shape[2]), "input weights")
            try check(first + 1, Shape(gates, Dimension(hidden)), "recurrent weights")
            for i in 2...3 { try check(first + i, Shape(gates), "a bias") }
        }
        let state = Shape(Dimension(directions), x.shape[0], Dimension(hidden))
        if hasState { try check(stateAt, state, "a state") }
        if hasLengths {
            let lengths = inputs[lengthsAt]
            guard lengths.dtype == .int64 else { throw .dtype(primitive: Self.name, expected: "int64 lengths", lengths.dtype) }
            guard lengths.shape == Shape(x.shape[0]) else { throw .shape(primitive: Self.name, expected: "lengths [\(x.shape[0])]", lengths.shape) }
        }
        return SpecList([TensorSpec(Shape(x.shape[0], x.shape[1], Dimension(directions * hidden)), x.dtype), TensorSpec(state, x.dtype)])
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0], padded = try inputs[2].shape.size(1).roundedUp(to: 16)
        func steps(_ width: Int) -> TensorSpec { TensorSpec(Shape(Dimension(directions), x.shape[1], x.shape[0], Dimension(width)), x.dtype) }
        return SpecList([steps(4 * padded), steps(padded)])
    }

    static var kernels: Kernels<GRU> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self, keel_reference_gru_forward_f32)
                } else {
                    try p.compute(inputs, outputs, Double.self, keel_reference_gru_forward_f64)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs, outputs)
                return true
            })
    }

    private typealias Forward<T> = (
        UnsafePointer<keel_gru>?, UnsafePointer<T>?, UnsafePointer<UnsafePointer<T>?>?, UnsafePointer<T>?, UnsafeMutablePointer<T>?,
        UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?
    ) -> Void

    private func compute<T: TensorElement>(_ inputs: Operands, _ outputs: Operands, _: T.Type, _ forward: Forward<T>) throws(TensorError) {
        let parts = try dense(inputs), x = try parts[0].stepsFirst()
        var sizes = GRUSizes(directions: directions, x: inputs[0], hidden: outputs[1].size(2), lengths: hasLengths ? parts[lengthsAt] : nil).kernel
        let specs = try residuals(SpecList(of: inputs)), keeps = outputs.count > 2
        let gates = keeps ? outputs[2] : try Tensor(undefined: specs[0], on: x.device)
        let before = keeps ? outputs[3] : try Tensor(undefined: specs[1], on: x.device)
        forward(
            &sizes, x.pointer(T.self), parts[1..<stateAt].map { UnsafePointer($0.pointer(T.self)) }, hasState ? parts[stateAt].pointer(T.self) : nil,
            outputs[0].pointer(T.self), outputs[1].pointer(T.self), gates.pointer(T.self), before.pointer(T.self))
        withExtendedLifetime(parts) {}
    }

    private func compute(_ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        let parts = try dense(inputs), x = try parts[0].stepsFirst()
        let sizes = GRUSizes(directions: directions, x: inputs[0], hidden: outputs[1].size(2), lengths: hasLengths ? parts[lengthsAt] : nil)
        var kernel = sizes.kernel
        let padded = sizes.padded, rows = inputs[0].size(2) + sizes.hidden
        let packed = try Tensor(undefined: TensorSpec([directions, rows, 3 * padded], .float32), on: x.device)
        let bias = try Tensor(undefined: TensorSpec([directions, 4 * padded], .float32), on: x.device)
        for d in 0..<directions {
            let weights = (0..<4).map { parts[1 + 4 * d + $0].pointer(Float.self) }
            keel_gru_pack_f32(
                &kernel, packed.pointer(Float.self) + d * rows * 3 * padded, bias.pointer(Float.self) + d * 4 * padded, weights[0], weights[1], weights[2],
                weights[3])
        }
        let keeps = outputs.count > 2
        let before = keeps ? outputs[3] : try Tensor(undefined: TensorSpec([directions, 2, inputs[0].size(0), padded], .float32), on: x.device)
        var job = keel_gru_forward(
            s: kernel, x: x.pointer(Float.self), packed: packed.pointer(Float.self), bias: bias.pointer(Float.self),
            first_h: hasState ? parts[stateAt].pointer(Float.self) : nil, y: outputs[0].pointer(Float.self), last_h: outputs[1].pointer(Float.self),
            gates: keeps ? outputs[2].pointer(Float.self) : nil, before: before.pointer(Float.self))
        keel_gru_forward_f32(&job)
        withExtendedLifetime((parts, packed, bias, before)) {}
    }

    private func dense(_ inputs: Operands) throws(TensorError) -> [Tensor] {
        var parts: [Tensor] = []
        for i in 0..<inputs.count { parts.append(try i == 0 ? inputs[i].detached() : inputs[i].detached().contiguous()) }
        return parts
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let x = g.input(0), hidden = try g.input(2).shape.size(1), padded = hidden.roundedUp(to: 16)
        let (batch, time, features) = (try x.shape.size(0), try x.shape.size(1), try x.shape.size(2)), rows = batch * time
        let dy = try g.gradientOfOutput(0, orZeros: [batch, time, directions * hidden], like: x)
        let dh = try g.gradientOfOutput(1, orZeros: [directions, batch, hidden], like: x)
        var inputs = [dy, dh, g.residual(0), g.residual(1)]
        for d in 0..<directions { inputs.append(g.input(2 + 4 * d)) }
        if hasLengths { inputs.append(g.input(lengthsAt)) }
        let found = try applyMany(GRUGradient(directions: directions, hidden: hidden, hasLengths: hasLengths), inputs)
        let steps = try x.stepsFirst().reshaped([rows, features]), before = g.residual(1)
        var dx: Tensor?
        for d in 0..<directions {
            let first = 1 + 4 * d
            let slopes = try found[0].at(d).reshaped([rows, 4 * padded]), bias = try found[2].at(d)
            let ofInput = try slopes.sliced(1, to: 3 * padded), ofState = try slopes.sliced(1, from: padded)
            if g.wants(first) { try g.set(first, try ofInput.transposed().matmul(steps).gateRows(hidden, isOfInput: true)) }
            if g.wants(first + 1) {
                let product = try ofState.transposed().matmul(before.at(d).reshaped([rows, padded])).sliced(1, to: hidden)
                try g.set(first + 1, try product.gateRows(hidden, isOfInput: false))
            }
            if g.wants(first + 2) { try g.set(first + 2, try bias.sliced(0, to: 3 * padded).gateRows(hidden, isOfInput: true)) }
            if g.wants(first + 3) { try g.set(first + 3, try bias.sliced(0, from: padded).gateRows(hidden, isOfInput: false)) }
            if g.wants(0) {
                let weights = try g.input(first).reshaped([3, hidden, features]).rolled(by: 1, axis: 0).padded(1, before: 0, after: padded - hidden)
                let product = try ofInput.matmul(weights.reshaped([3 * padded, features]))
                dx = if let sum = dx { try sum + product } else { product }
            }
        }
        if let dx { try g.set(0, try dx.reshaped([time, batch, features]).transposed(0, 1)) }
        if hasState, g.wants(stateAt) { try g.set(stateAt, try found[1].sliced(2, to: hidden)) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let x = inputs[0], time = try x.shape.size(1), hidden = try inputs[2].shape.size(1)
        let zeros = try Tensor.zeros([try x.shape.size(0), hidden], x.dtype, on: x.device)
        var ys: [Tensor] = [], hs: [Tensor] = []
        for d in 0..<directions {
            let weights = inputs[(1 + 4 * d)..<(5 + 4 * d)].map { $0 }
            let (input, recurrent) = (try weights[0].transposed(), try weights[1].transposed())
            var h = hasState ? try inputs[stateAt].at(d) : zeros, steps: [Tensor] = []
            for i in 0..<time {
                let t = d == 1 ? time - 1 - i : i
                let ofInput = try x.at(t, axis: 1).matmul(input) + weights[2], ofState = try h.matmul(recurrent) + weights[3]
                func gate(_ i: Int, _ part: Tensor) throws(TensorError) -> Tensor { try part.sliced(1, from: i * hidden, to: (i + 1) * hidden) }
                let reset = try (gate(0, ofInput) + gate(0, ofState)).sigmoid(), update = try (gate(1, ofInput) + gate(1, ofState)).sigmoid()
                let candidate = try (gate(2, ofInput) + reset * gate(2, ofState)).tanh()
                var next = try candidate + update * (h - candidate), y = next
                if hasLengths {
                    let isInside = try inputs[lengthsAt].isGreater(than: Tensor(Int64(t)).moved(to: x.device)).withAxis(1)
                    y = try isInside.select(next, zeros)
                    next = try isInside.select(next, h)
                }
                h = next
                steps.append(y)
            }
            if d == 1 { steps.reverse() }
            ys.append(try .stacked(steps, axis: 1))
            hs.append(h)
        }
        return [try .concatenated(ys, axis: 2), try .stacked(hs)]
    }
}

/// What goes back through the steps of a `GRU`: `(dy, dh, gates, states before each step, recurrent weights a direction, lengths?)` →
/// gradients before the gates' functions, of the first `h`, and of the biases.
struct GRUGradient: Primitive {
    let directions, hidden: Int
    let hasLengths: Bool

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let padded = Dimension(hidden.roundedUp(to: 16)), directions = Dimension(directions), dtype = inputs[0].dtype
        return SpecList([
            inputs[2], TensorSpec(Shape(directions, inputs[0].shape[0], padded), dtype), TensorSpec(Shape(directions, padded * Dimension(4)), dtype),
        ])
    }

    static var kernels: Kernels<GRUGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self, keel_reference_gru_backward_f32)
                } else {
                    try p.compute(inputs, outputs, Double.self, keel_reference_gru_backward_f64)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs, outputs)
                return true
            })
    }

    private typealias Backward<T> = (
        UnsafePointer<keel_gru>?, UnsafePointer<UnsafePointer<T>?>?, UnsafePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?,
        UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?
    ) -> Void

    private func compute<T: TensorElement>(_ inputs: Operands, _ outputs: Operands, _: T.Type, _ backward: Backward<T>) throws(TensorError) {
        var parts: [Tensor] = []
        for i in 0..<inputs.count { parts.append(try inputs[i].contiguous()) }
        var sizes = GRUSizes(directions: directions, x: inputs[0], hidden: hidden, lengths: hasLengths ? parts[4 + directions] : nil).kernel
        let recurrent = (0..<directions).map { Optional(UnsafePointer(parts[4 + $0].pointer(T.self))) }
        backward(
            &sizes, recurrent, parts[0].pointer(T.self), parts[1].pointer(T.self), parts[2].pointer(T.self), parts[3].pointer(T.self),
            outputs[0].pointer(T.self), outputs[1].pointer(T.self), outputs[2].pointer(T.self))
        withExtendedLifetime(parts) {}
    }

    private func compute(_ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        // The gradient of a mean over time is one row stretched: it is read as it lies.
        let dy = inputs[0].stride(2) == 1 ? inputs[0] : try inputs[0].contiguous()
        let dh = try inputs[1].contiguous(), gates = try inputs[2].contiguous(), before = try inputs[3].contiguous()
        let lengths = hasLengths ? try inputs[4 + directions].contiguous() : nil
        let sizes = GRUSizes(directions: directions, x: inputs[0], hidden: hidden, lengths: lengths), padded = sizes.padded
        let packed = try Tensor(undefined: TensorSpec([directions, Int(keel_packed_count(Int64(3 * padded), Int64(hidden)))], .float32), on: dy.device)
        for d in 0..<directions {
            let rows = try inputs[4 + d].reshaped([3, hidden, hidden]).padded(1, before: 0, after: padded - hidden).contiguous()
            keel_pack_f32(
                Int64(3 * padded), Int64(hidden), packed.pointer(Float.self) + d * packed.size(1), rows.pointer(Float.self), Int64(hidden), 1)
        }
        let spare = try Tensor(undefined: outputs[1].spec, on: dy.device)
        let parts = try Tensor(undefined: TensorSpec([directions, Swift.max(sizes.slices, 1), 4 * padded], .float32), on: dy.device)
        if sizes.slices == 0 { try parts.fill(0) }
        var job = keel_gru_backward(
            s: sizes.kernel, packed: packed.pointer(Float.self), dy: dy.pointer(Float.self), dy_batch: Int64(dy.stride(0)), dy_time: Int64(dy.stride(1)),
            last_dh: dh.pointer(Float.self), gates: gates.pointer(Float.self), before: before.pointer(Float.self), dgates: outputs[0].pointer(Float.self),
            dh: outputs[1].pointer(Float.self), spare: spare.pointer(Float.self), dbias: parts.pointer(Float.self))
        keel_gru_backward_f32(&job)
        try update(Assign(), [outputs[2], try parts.sum([1])])
        withExtendedLifetime((dy, dh, gates, before, lengths, packed, spare)) {}
    }
}

/// The sizes that the kernels ask for.
private struct GRUSizes {
    let hidden, padded, slices: Int
    let kernel: keel_gru

    init(directions: Int, x: Tensor, hidden: Int, lengths: Tensor?) {
        self.hidden = hidden
        padded = hidden.roundedUp(to: 16)
        let batch = Int64(x.size(0)), slices = keel_gru_slices(Int64(directions), batch)
        self.slices = Int(slices)
        kernel = keel_gru(
            directions: Int64(directions), time: Int64(x.size(1)), batch: batch, features: Int64(x.size(2)), hidden: Int64(hidden), padded: Int64(padded),
            lengths: lengths.map { UnsafePointer($0.pointer(Int64.self)) }, slices: slices)
    }
}

extension Tensor {
    /// `[batch, time, ...]` as `[time, batch, ...]`, dense.
    fileprivate func stepsFirst() throws(TensorError) -> Tensor { try transposed(0, 1).contiguous() }

    /// Rows `[3 * padded, ...]` of the kernels' order as `[3 * hidden, ...]`; the input's have the candidate first.
    fileprivate func gateRows(_ hidden: Int, isOfInput: Bool) throws(TensorError) -> Tensor {
        let padded = hidden.roundedUp(to: 16), columns = count / (3 * padded)
        let gates = try reshaped([3, padded, columns]).sliced(1, to: hidden)
        return try (isOfInput ? gates.rolled(by: 2, axis: 0) : gates).reshaped(rank == 1 ? [3 * hidden] : [3 * hidden, columns])
    }

    /// One layer of gated recurrent units over sequences `[batch, time, features]`.
    ///
    /// In three parts `x · inputᵀ + inputBias` and `h · recurrentᵀ + recurrentBias`, of reset, update and candidate: `r = σ(xr + hr)`,
    /// `z = σ(xz + hz)`, `n = tanh(xn + r * hn)`; `h' = (1 - z) * n + z * h`.
    ///
    /// - Shapes: `directions`, one or two of `input [3 * hidden, features]`, `recurrent [3 * hidden, hidden]`, two biases `[3 * hidden]`: the
    ///   first reads from the front, the second from the back; `state [directions, batch, hidden]`, zeros if nil; `lengths [batch]` int64 →
    ///   `y [batch, time, directions * hidden]`, and the last states `h`, as `state`.
    /// - Lengths: past a sequence's end `y` is 0 and the state stays, so a backward direction begins at its last step. Lengths below 0 or above
    ///   `time` count as those.
    /// - Numerics: exact to rounding; the gates saturate and never overflow.
    public func gru(
        _ directions: [(input: Tensor, recurrent: Tensor, inputBias: Tensor, recurrentBias: Tensor)], state: Tensor? = nil, lengths: Tensor? = nil
    ) throws(TensorError) -> (y: Tensor, h: Tensor) {
        guard (1...2).contains(directions.count) else {
            throw .argument(primitive: GRU.name, name: "directions", given: directions.count, allowed: "1 or 2")
        }
        var inputs = [self]
        for direction in directions { inputs += [direction.input, direction.recurrent, direction.inputBias, direction.recurrentBias] }
        if let state { inputs.append(state) }
        if let lengths { inputs.append(lengths) }
        let made = try applyMany(GRU(directions: directions.count, hasState: state != nil, hasLengths: lengths != nil), inputs)
        return (made[0], made[1])
    }
}
