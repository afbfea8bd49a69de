import KeelKernels

/// One layer of long short-term memory over whole sequences, in one direction or in both; see `Tensor.lstm`.
///
/// - Shapes: `x [batch, time, features]`; for each direction `input [4 * hidden, features]`, `recurrent [4 * hidden, hidden]`,
///   `bias [4 * hidden]`; then, if `hasState`, `h` and `c [directions, batch, hidden]`; then, if `hasLengths`, `lengths [batch]` int64 →
///   `y [batch, time, directions * hidden]`, last `h` and `c [directions, batch, hidden]`. Residuals: the gates after their functions, what
///   the weights were multiplied by, and the state `c` before each step, laid out as `recurrent.h` has it.
/// - Gradient: `LSTMGradient` for what goes back through the steps; then one product a direction over all steps at once.
/// - Errors: `TensorError.rank`, `.shape`, `.dtype`, `.dtypesDiffer`; no step at all is a `.shape`.
/// - Source: Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000; gates in the order input, forget, cell, output.
struct LSTM: Primitive {
    let directions: Int
    let hasState, hasLengths: Bool

    /// x is read where the gradient is differentiated in its turn.
    static var gradientReads: Reads {
        var reads: Reads = [.residual(0), .residual(1), .residual(2)]
        for i in 0..<11 { reads.formUnion(.input(i)) }
        return reads
    }

    private var stateAt: Int { 1 + 3 * directions }
    private var lengthsAt: Int { stateAt + (hasState ? 2 : 0) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard x.shape.rank == 3 else { throw .rank(primitive: Self.name, expected: "x [batch, time, features]", x.shape) }
        guard x.shape[1].number != 0 else { throw .shape(primitive: Self.name, expected: "a step at least", x.shape) }
        guard inputs[2].shape.rank == 2 else { throw .rank(primitive: Self.name, expected: "recurrent weights [4 * hidden, hidden]", inputs[2].shape) }
        let hidden = try inputs[2].shape.size(1)
        guard hidden > 0 else { throw .shape(primitive: Self.name, expected: "a hidden unit at least", inputs[2].shape) }
        func check(_ i: Int, _ shape: Shape, _ what: String) throws(TensorError) {
            guard inputs[i].dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, inputs[i].dtype)) }
            guard inputs[i].shape == shape else { throw .shape(primitive: Self.name, expected: "\(what) \(shape)", inputs[i].shape) }
        }
        let gates = Dimension(4 * hidden)
        for d in 0..<directions {
            try check(1 + 3 * d, Shape(gates, x.shape[2]), "input weights")
            try check(2 + 3 * d, Shape(gates, Dimension(hidden)), "recurrent weights")
            try check(3 + 3 * d, Shape(gates), "a bias")
        }
        let state = Shape(Dimension(directions), x.shape[0], Dimension(hidden))
        if hasState { for i in 0..<2 { try check(stateAt + i, state, "a state") } }
        if hasLengths {
            let lengths = inputs[lengthsAt]
            guard lengths.dtype == .int64 else { throw .dtype(primitive: Self.name, expected: "int64 lengths", lengths.dtype) }
            guard lengths.shape == Shape(x.shape[0]) else { throw .shape(primitive: Self.name, expected: "lengths [\(x.shape[0])]", lengths.shape) }
        }
        return SpecList([
            TensorSpec(Shape(x.shape[0], x.shape[1], Dimension(directions * hidden)), x.dtype), TensorSpec(state, x.dtype), TensorSpec(state, x.dtype),
        ])
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0], padded = try inputs[2].shape.size(1).roundedUp(to: 16)
        let row = keel_lstm_row(Int64(try inputs[1].shape.size(1)), Int64(padded))
        func steps(_ width: Int) -> TensorSpec { TensorSpec(Shape(Dimension(directions), x.shape[1], x.shape[0], Dimension(width)), x.dtype) }
        return SpecList([steps(4 * padded), steps(Int(row)), steps(padded)])
    }

    static var kernels: Kernels<LSTM> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self, keel_reference_lstm_forward_f32)
                } else {
                    try p.compute(inputs, outputs, Double.self, keel_reference_lstm_forward_f64)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs, outputs)
                return true
            })
    }

    private typealias Forward<T> = (
        UnsafePointer<keel_lstm>?, UnsafePointer<T>?, UnsafePointer<UnsafePointer<T>?>?, UnsafePointer<UnsafePointer<T>?>?,
        UnsafePointer<UnsafePointer<T>?>?, UnsafePointer<T>?, UnsafePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?,
        UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?
    ) -> Void

    private func compute<T: TensorElement>(_ inputs: Operands, _ outputs: Operands, _: T.Type, _ forward: Forward<T>) throws(TensorError) {
        var parts: [Tensor] = []
        for i in 0..<inputs.count { parts.append(try inputs[i].detached().contiguous()) }
        let x = parts[0]
        var sizes = LSTMSizes(directions: directions, x: x, hidden: outputs[1].size(2), lengths: hasLengths ? parts[lengthsAt] : nil).kernel
        var residuals: [Tensor] = []
        if outputs.count > 3 {
            residuals = [outputs[3], outputs[4], outputs[5]]
        } else {
            let specs = try self.residuals(SpecList(of: inputs))
            for i in 0..<3 { residuals.append(try Tensor(undefined: specs[i], on: x.device)) }
        }
        func pointers(_ first: Int) -> [UnsafePointer<T>?] { (0..<directions).map { UnsafePointer(parts[first + 3 * $0].pointer(T.self)) } }
        forward(
            &sizes, x.pointer(T.self), pointers(1), pointers(2), pointers(3), hasState ? parts[stateAt].pointer(T.self) : nil,
            hasState ? parts[stateAt + 1].pointer(T.self) : nil, outputs[0].pointer(T.self), outputs[1].pointer(T.self), outputs[2].pointer(T.self),
            residuals[0].pointer(T.self), residuals[1].pointer(T.self), residuals[2].pointer(T.self))
        withExtendedLifetime(parts) {}
    }

    private func compute(_ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        let parts = try dense(inputs), x = parts[0]
        let sizes = LSTMSizes(directions: directions, x: x, hidden: outputs[1].size(2), lengths: hasLengths ? parts[lengthsAt] : nil)
        let (features, hidden, padded) = (x.size(2), sizes.hidden, sizes.padded)
        let rows = features + hidden
        let packed = try Tensor(undefined: TensorSpec([directions, rows, 4 * padded], .float32), on: x.device)
        let bias = try Tensor(undefined: TensorSpec([directions, 4 * padded], .float32), on: x.device)
        for d in 0..<directions {
            let target = packed.pointer(Float.self) + d * rows * 4 * padded
            keel_lstm_pack_f32(
                Int64(features), Int64(hidden), Int64(hidden), Int64(padded), target, parts[1 + 3 * d].pointer(Float.self), parts[2 + 3 * d].pointer(Float.self))
            keel_lstm_pack_f32(
                1, 0, Int64(hidden), Int64(padded), bias.pointer(Float.self) + d * 4 * padded, parts[3 + 3 * d].pointer(Float.self), nil)
        }
        let keeps = outputs.count > 3
        func steps(_ i: Int, _ width: Int) throws(TensorError) -> Tensor {
            keeps ? outputs[i] : try Tensor(undefined: TensorSpec([directions, 2, x.size(0), width], .float32), on: x.device)
        }
        let leftSides = try steps(4, Int(keel_lstm_row(Int64(features), Int64(padded)))), beforeC = try steps(5, padded)
        var job = keel_lstm_forward(
            s: sizes.kernel, x: x.pointer(Float.self), x_batch: Int64(x.stride(0)), x_time: Int64(x.stride(1)), packed: packed.pointer(Float.self),
            bias: bias.pointer(Float.self), first_h: hasState ? parts[stateAt].pointer(Float.self) : nil,
            first_c: hasState ? parts[stateAt + 1].pointer(Float.self) : nil, y: outputs[0].pointer(Float.self), last_h: outputs[1].pointer(Float.self),
            last_c: outputs[2].pointer(Float.self), gates: keeps ? outputs[3].pointer(Float.self) : nil, rows: leftSides.pointer(Float.self),
            before_c: beforeC.pointer(Float.self))
        keel_lstm_forward_f32(&job)
        withExtendedLifetime((parts, packed, bias, leftSides, beforeC)) {}
    }

    /// What the kernel reads: x by strides, all else dense.
    private func dense(_ inputs: Operands) throws(TensorError) -> [Tensor] {
        var parts: [Tensor] = []
        for i in 0..<inputs.count {
            let input = inputs[i].detached()
            parts.append(try i == 0 && input.stride(2) == 1 ? input : input.contiguous())
        }
        return parts
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (gates, leftSides, beforeC) = (g.residual(0), g.residual(1), g.residual(2)), weight = g.input(1)
        let (hidden, features) = (try g.input(2).shape.size(1), try weight.shape.size(1))
        let padded = hidden.roundedUp(to: 16), (time, batch) = (try gates.shape.size(1), try gates.shape.size(2)), rows = batch * time
        let state = Shape([directions, batch, hidden])
        let dy = try g.gradientOfOutput(0, orZeros: [batch, time, directions * hidden], like: weight)
        let dh = try g.gradientOfOutput(1, orZeros: state, like: weight), dc = try g.gradientOfOutput(2, orZeros: state, like: weight)
        var inputs = [dy, dh, dc, gates, beforeC]
        for d in 0..<directions { inputs.append(g.input(2 + 3 * d)) }
        if hasLengths { inputs.append(g.input(lengthsAt)) }
        let found = try applyMany(LSTMGradient(directions: directions, hidden: hidden, hasLengths: hasLengths), inputs)
        var dx: Tensor?
        for d in 0..<directions {
            let slopes = try found[0].at(d).reshaped([rows, 4 * padded])
            if g.wants(1 + 3 * d) || g.wants(2 + 3 * d) {
                // One product, which goes through the slopes once.
                let left = try leftSides.at(d).reshaped([rows, leftSides.shape.size(3)]).sliced(1, to: features + hidden)
                let both = try slopes.transposed().matmul(left).unfoldedGates(hidden)
                if g.wants(1 + 3 * d) { try g.set(1 + 3 * d, try both.sliced(1, to: features)) }
                if g.wants(2 + 3 * d) { try g.set(2 + 3 * d, try both.sliced(1, from: features, to: features + hidden)) }
            }
            if g.wants(3 + 3 * d) { try g.set(3 + 3 * d, try found[3].at(d).unfoldedGates(hidden)) }
            if g.wants(0) {
                let product = try slopes.matmul(g.input(1 + 3 * d).foldedGates(hidden))
                dx = if let sum = dx { try sum + product } else { product }
            }
        }
        if let dx { try g.set(0, try dx.reshaped([time, batch, features]).transposed(0, 1)) }
        if hasState { for i in 0..<2 where g.wants(stateAt + i) { try g.set(stateAt + i, try found[1 + i].sliced(2, to: hidden)) } }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let x = inputs[0], time = try x.shape.size(1), hidden = try inputs[2].shape.size(1)
        let zeros = try Tensor.zeros([try x.shape.size(0), hidden], x.dtype, on: x.device)
        var ys: [Tensor] = [], hs: [Tensor] = [], cs: [Tensor] = []
        for d in 0..<directions {
            let (input, recurrent, bias) = (try inputs[1 + 3 * d].transposed(), try inputs[2 + 3 * d].transposed(), inputs[3 + 3 * d])
            var h = hasState ? try inputs[stateAt].at(d) : zeros, c = hasState ? try inputs[stateAt + 1].at(d) : zeros
            var steps: [Tensor] = []
            for i in 0..<time {
                let t = d == 1 ? time - 1 - i : i
                let z = try x.at(t, axis: 1).matmul(input) + h.matmul(recurrent) + bias
                func gate(_ i: Int) throws(TensorError) -> Tensor { try z.sliced(1, from: i * hidden, to: (i + 1) * hidden) }
                var nextC = try gate(1).sigmoid() * c + gate(0).sigmoid() * gate(2).tanh()
                var nextH = try gate(3).sigmoid() * nextC.tanh(), y = nextH
                if hasLengths {
                    let isInside = try inputs[lengthsAt].isGreater(than: Tensor(Int64(t)).moved(to: x.device)).withAxis(1)
                    y = try isInside.select(nextH, zeros)
                    nextH = try isInside.select(nextH, h)
                    nextC = try isInside.select(nextC, c)
                }
                (h, c) = (nextH, nextC)
                steps.append(y)
            }
            if d == 1 { steps.reverse() }
            ys.append(try .stacked(steps, axis: 1))
            hs.append(h)
            cs.append(c)
        }
        return [try .concatenated(ys, axis: 2), try .stacked(hs), try .stacked(cs)]
    }
}

/// What goes back through the steps of an `LSTM`: `(dy, dh, dc, gates, states c before each step, recurrent weights a direction, lengths?)` →
/// gradients before the gates' functions, of the first `h` and `c`, and of the biases.
struct LSTMGradient: Primitive {
    let directions, hidden: Int
    let hasLengths: Bool

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let padded = Dimension(hidden.roundedUp(to: 16)), directions = Dimension(directions)
        let state = TensorSpec(Shape(directions, inputs[0].shape[0], padded), inputs[0].dtype)
        return SpecList([inputs[3], state, state, TensorSpec(Shape(directions, padded * Dimension(4)), inputs[0].dtype)])
    }

    static var kernels: Kernels<LSTMGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self, keel_reference_lstm_backward_f32)
                } else {
                    try p.compute(inputs, outputs, Double.self, keel_reference_lstm_backward_f64)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs, outputs)
                return true
            })
    }

    private typealias Backward<T> = (
        UnsafePointer<keel_lstm>?, UnsafePointer<UnsafePointer<T>?>?, UnsafePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?,
        UnsafePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?
    ) -> Void

    private func sizes(_ inputs: Operands, _ lengths: Tensor?) -> LSTMSizes {
        LSTMSizes(directions: directions, x: inputs[0], hidden: hidden, lengths: lengths)
    }

    private func compute<T: TensorElement>(_ inputs: Operands, _ outputs: Operands, _: T.Type, _ backward: Backward<T>) throws(TensorError) {
        var parts: [Tensor] = []
        for i in 0..<inputs.count { parts.append(try inputs[i].contiguous()) }
        var sizes = sizes(inputs, hasLengths ? parts[5 + directions] : nil).kernel
        let recurrent = (0..<directions).map { Optional(UnsafePointer(parts[5 + $0].pointer(T.self))) }
        backward(
            &sizes, recurrent, parts[0].pointer(T.self), parts[1].pointer(T.self), parts[2].pointer(T.self), parts[3].pointer(T.self),
            parts[4].pointer(T.self), outputs[0].pointer(T.self), outputs[1].pointer(T.self), outputs[2].pointer(T.self), outputs[3].pointer(T.self))
        withExtendedLifetime(parts) {}
    }

    private func compute(_ inputs: Operands, _ outputs: Operands) throws(TensorError) {
        // The gradient of a mean over time is one row stretched: it is read as it lies.
        let dy = inputs[0].stride(2) == 1 ? inputs[0] : try inputs[0].contiguous()
        let dh = try inputs[1].contiguous(), dc = try inputs[2].contiguous()
        let gates = try inputs[3].contiguous(), before = try inputs[4].contiguous()
        let lengths = hasLengths ? try inputs[5 + directions].contiguous() : nil
        let sizes = sizes(inputs, lengths), padded = sizes.padded
        let packed = try Tensor(undefined: TensorSpec([directions, Int(keel_packed_count(Int64(4 * padded), Int64(hidden)))], .float32), on: dy.device)
        for d in 0..<directions {
            let folded = try inputs[5 + d].foldedGates(hidden).contiguous()
            keel_pack_f32(
                Int64(4 * padded), Int64(hidden), packed.pointer(Float.self) + d * packed.size(1), folded.pointer(Float.self), Int64(hidden), 1)
        }
        let spare = try Tensor(undefined: outputs[1].spec, on: dy.device)
        let parts = try Tensor(undefined: TensorSpec([directions, Swift.max(sizes.slices, 1), 4 * padded], .float32), on: dy.device)
        if sizes.slices == 0 { try parts.fill(0) }
        var job = keel_lstm_backward(
            s: sizes.kernel, packed: packed.pointer(Float.self), dy: dy.pointer(Float.self), dy_batch: Int64(dy.stride(0)), dy_time: Int64(dy.stride(1)),
            last_dh: dh.pointer(Float.self), last_dc: dc.pointer(Float.self), gates: gates.pointer(Float.self), before_c: before.pointer(Float.self),
            dgates: outputs[0].pointer(Float.self), dh: outputs[1].pointer(Float.self), dc: outputs[2].pointer(Float.self),
            spare: spare.pointer(Float.self), dbias: parts.pointer(Float.self))
        keel_lstm_backward_f32(&job)
        try update(Assign(), [outputs[3], try parts.sum([1])])
        withExtendedLifetime((dy, dh, dc, gates, before, lengths, packed, spare)) {}
    }
}

/// The sizes that the kernels ask for.
private struct LSTMSizes {
    let hidden, padded, slices: Int
    let kernel: keel_lstm

    init(directions: Int, x: Tensor, hidden: Int, lengths: Tensor?) {
        self.hidden = hidden
        padded = hidden.roundedUp(to: 16)
        let batch = Int64(x.size(0)), slices = keel_lstm_slices(Int64(directions), batch)
        self.slices = Int(slices)
        kernel = keel_lstm(
            directions: Int64(directions), time: Int64(x.size(1)), batch: batch, features: Int64(x.size(2)), hidden: Int64(hidden), padded: Int64(padded),
            lengths: lengths.map { UnsafePointer($0.pointer(Int64.self)) }, slices: slices)
    }
}

extension GradientContext {
    /// The gradient of output `i`, or zeros where nothing depends on that output.
    func gradientOfOutput(_ i: Int, orZeros shape: Shape, like x: Tensor) throws(TensorError) -> Tensor {
        if let gradient = gradientOfOutput(i) { return gradient }
        return try .zeros(shape, x.dtype, on: x.device)
    }
}

extension Int {
    func roundedUp(to unit: Int) -> Int { (self + unit - 1) / unit * unit }
}

extension Tensor {
    /// Rows `[4 * hidden, ...]` in the kernels' order, `[4 * padded, ...]`: the four gates of 16 units lie together; rows of padding are zero.
    fileprivate func foldedGates(_ hidden: Int) throws(TensorError) -> Tensor {
        let padded = hidden.roundedUp(to: 16), columns = count / (4 * hidden)
        let wide = try reshaped([4, hidden, columns]).padded(1, before: 0, after: padded - hidden)
        return try wide.reshaped([4, padded / 16, 16, columns]).permuted([1, 0, 2, 3]).reshaped([4 * padded, columns])
    }

    /// What `foldedGates` did, undone.
    fileprivate func unfoldedGates(_ hidden: Int) throws(TensorError) -> Tensor {
        let padded = hidden.roundedUp(to: 16), columns = count / (4 * padded)
        let wide = try reshaped([padded / 16, 4, 16, columns]).permuted([1, 0, 2, 3]).reshaped([4, padded, columns])
        let rows = try wide.sliced(1, to: hidden)
        return try rank == 1 ? rows.reshaped([4 * hidden]) : rows.reshaped([4 * hidden, columns])
    }

    /// One layer of long short-term memory over sequences `[batch, time, features]`.
    ///
    /// `i, f, g, o = x · inputᵀ + h · recurrentᵀ + bias` in four parts; `c' = σ(f) * c + σ(i) * tanh(g)`; `h' = σ(o) * tanh(c')`.
    ///
    /// - Shapes: `directions`, one or two of `input [4 * hidden, features]`, `recurrent [4 * hidden, hidden]`, `bias [4 * hidden]`: the first
    ///   reads from the front, the second from the back; `state` of `h` and `c [directions, batch, hidden]`, zeros if nil; `lengths [batch]`
    ///   int64 → `y [batch, time, directions * hidden]`, and the last states.
    /// - Lengths: past a sequence's end `y` is 0 and the state stays, so a backward direction begins at its last step. Lengths below 0 or above
    ///   `time` count as those.
    /// - Numerics: exact to rounding; the gates saturate and never overflow.
    public func lstm(
        _ directions: [(input: Tensor, recurrent: Tensor, bias: Tensor)], state: (h: Tensor, c: Tensor)? = nil, lengths: Tensor? = nil
    ) throws(TensorError) -> (y: Tensor, h: Tensor, c: Tensor) {
        guard (1...2).contains(directions.count) else {
            throw .argument(primitive: LSTM.name, name: "directions", given: directions.count, allowed: "1 or 2")
        }
        var inputs = [self]
        for direction in directions { inputs += [direction.input, direction.recurrent, direction.bias] }
        if let state { inputs += [state.h, state.c] }
        if let lengths { inputs.append(lengths) }
        let made = try applyMany(LSTM(directions: directions.count, hasState: state != nil, hasLengths: lengths != nil), inputs)
        return (made[0], made[1], made[2])
    }
}
