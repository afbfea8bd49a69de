import KeelKernels

/// Convolution over time; see `Tensor.temporalConv`.
///
/// - Shapes: `x [batch, time, features]`, `weight [filters, features, taps]`, optionally `bias [filters]` → `[batch, steps, filters]` with
///   `steps = (time + before + after - (taps - 1) * dilation - 1) / stride + 1`. With `isTransposed` the weights are
///   `[features, filters, taps]` and their taps run backwards: what a gradient goes back through.
/// - Gradient: `dx` is such a convolution of `dy` with the other padding; `dweight` is `TemporalConvWeightGradient`; `dbias` the sum over batch and steps.
/// - Errors: `TensorError.rank`, `.shape`, `.dtype`, `.dtypesDiffer`; `.argument` for a stride or dilation below 1, or for padding that goes
///   beyond the taps.
/// - Source: ONNX `Conv` with one spatial axis, opset 11, but for the order of axes.
struct TemporalConv: Primitive {
    let stride, dilation, before, after: Int
    let isTransposed: Bool
    static var gradientReads: Reads { [.input(0), .input(1), .input(2)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, weight) = (inputs[0], inputs[1])
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        for i in 1..<inputs.count where inputs[i].dtype != x.dtype { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, inputs[i].dtype)) }
        guard x.shape.rank == 3 else { throw .rank(primitive: Self.name, expected: "x [batch, time, features]", x.shape) }
        let (filtersAt, featuresAt) = isTransposed ? (1, 0) : (0, 1)
        guard weight.shape.rank == 3, weight.shape[featuresAt] == x.shape[2], weight.shape[2].number != 0 else {
            throw .shape(primitive: Self.name, expected: "weights [filters, \(x.shape[2]), taps]", weight.shape)
        }
        let filters = weight.shape[filtersAt]
        if inputs.count > 2, inputs[2].shape != Shape(filters) { throw .shape(primitive: Self.name, expected: "a bias [\(filters)]", inputs[2].shape) }
        guard stride >= 1 else { throw .argument(primitive: Self.name, name: "stride", given: stride, allowed: "1 and more") }
        guard dilation >= 1 else { throw .argument(primitive: Self.name, name: "dilation", given: dilation, allowed: "1 and more") }
        let span = (try weight.shape.size(2) - 1) * dilation
        guard before >= 0, after >= 0, before <= span, after <= span else {
            throw .argument(primitive: Self.name, name: "padding", given: "\(before), \(after)", allowed: "0...\(span)")
        }
        let change = before + after - span - 1
        if let time = x.shape[1].number, time + change < 0 {
            throw .shape(primitive: Self.name, expected: "\(-change) steps at least", x.shape)
        }
        let steps = x.shape[1].offset(by: change).divided(by: stride).offset(by: 1)
        return SpecList(TensorSpec(Shape(x.shape[0], steps, filters), x.dtype))
    }

    static var kernels: Kernels<TemporalConv> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), weight = try p.isTransposed ? inputs[1].turned() : inputs[1].contiguous()
                let bias = inputs.count > 2 ? try inputs[2].contiguous() : nil
                var s = p.sizes(x, outputs[0], taps: weight.size(2))
                if x.dtype == .float32 {
                    keel_reference_conv1d_f32(&s, outputs[0].pointer(Float.self), x.pointer(Float.self), weight.pointer(Float.self), bias?.pointer(Float.self))
                } else {
                    keel_reference_conv1d_f64(
                        &s, outputs[0].pointer(Double.self), x.pointer(Double.self), weight.pointer(Double.self), bias?.pointer(Double.self))
                }
                withExtendedLifetime((x, weight, bias)) {}
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].detached().contiguous(), weight = inputs[1].detached(), filters = outputs[0].size(2)
                let (taps, features) = (weight.size(2), x.size(2))
                var s = p.sizes(x, outputs[0], taps: taps)
                // Rows of the packed matrix are the features of the first tap, then those of the next.
                let rows = try (p.isTransposed ? weight.turned() : weight).permuted([2, 1, 0]).contiguous()
                let packed = try Tensor(undefined: TensorSpec([Int(keel_packed_count(Int64(taps * features), Int64(filters)))], .float32), on: x.device)
                keel_pack_f32(Int64(taps * features), Int64(filters), packed.pointer(Float.self), rows.pointer(Float.self), Int64(filters), 1)
                let bias = inputs.count > 2 ? try inputs[2].detached().padded(0, before: 0, after: filters.roundedUp(to: 16) - filters).contiguous() : nil
                let scratch = try Tensor(undefined: TensorSpec([Int(s.workers) * Int(keel_conv1d_scratch(&s))], .float32), on: x.device)
                keel_conv1d_f32(
                    &s, outputs[0].pointer(Float.self), x.pointer(Float.self), packed.pointer(Float.self), bias?.pointer(Float.self),
                    scratch.pointer(Float.self))
                withExtendedLifetime((x, packed, bias, scratch)) {}
                return true
            })
    }

    fileprivate func sizes(_ x: Tensor, _ y: Tensor, taps: Int) -> keel_conv1d {
        keel_conv1d(
            batch: Int64(x.size(0)), time: Int64(x.size(1)), features: Int64(x.size(2)), filters: Int64(y.size(2)), taps: Int64(taps),
            dilation: Int64(dilation), stride: Int64(stride), before: Int64(before), steps: Int64(y.size(1)), workers: Int64(Threads.count))
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, weight, dy) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try slope(dy, weight, time: x.shape.size(1))) }
        if g.wants(1) {
            let forward = isTransposed ? TemporalConv(stride: stride, dilation: dilation, before: before, after: after, isTransposed: false) : self
            let found = try apply(TemporalConvWeightGradient(forward: forward, taps: weight.shape.size(2)), dy, x)
            try g.set(1, try isTransposed ? found.turned() : found)
        }
        if g.wants(2) { try g.set(2, try dy.sum([0, 1])) }
    }

    /// The gradient of x: `dy` spread out to stride 1, and the taps backwards.
    fileprivate func slope(_ dy: Tensor, _ weight: Tensor, time: Int) throws(TensorError) -> Tensor {
        let span = (try weight.shape.size(2) - 1) * dilation, length = time + before + after - span
        var spread = dy
        if length != (try dy.shape.size(1)) { spread = try apply(Unslice(axis: 1, start: 0, step: stride, size: length), dy) }
        let back = TemporalConv(stride: 1, dilation: dilation, before: span - before, after: span - after, isTransposed: !isTransposed)
        return try apply(back, spread, weight)
    }
}

/// The gradient of a convolution's weights, `[filters, features, taps]`, of `(dy, x)`.
struct TemporalConvWeightGradient: Primitive {
    let forward: TemporalConv
    let taps: Int
    static var gradientReads: Reads { [.input(0), .input(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        SpecList(TensorSpec(Shape(inputs[0].shape[2], inputs[1].shape[2], Dimension(taps)), inputs[1].dtype))
    }

    static var kernels: Kernels<TemporalConvWeightGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous()
                let rows = try Tensor(undefined: TensorSpec([p.taps, dy.size(2), x.size(2)], x.dtype), on: x.device)
                var s = p.forward.sizes(x, dy, taps: p.taps)
                if x.dtype == .float32 {
                    keel_reference_conv1d_weight_gradient_f32(&s, rows.pointer(Float.self), dy.pointer(Float.self), x.pointer(Float.self))
                } else {
                    keel_reference_conv1d_weight_gradient_f64(&s, rows.pointer(Double.self), dy.pointer(Double.self), x.pointer(Double.self))
                }
                move(try rows.permuted([1, 2, 0]), to: outputs[0])
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[1].dtype == .float32 else { return false }
                let dy = try inputs[0].contiguous(), x = try inputs[1].contiguous()
                let rows = try Tensor(undefined: TensorSpec([p.taps, dy.size(2), x.size(2)], x.dtype), on: x.device)
                var s = p.forward.sizes(x, dy, taps: p.taps)
                if s.batch == 0 { try rows.fill(0) }
                let scratch = try Tensor(undefined: TensorSpec([Int(s.workers) * Int(keel_conv1d_scratch(&s))], .float32), on: x.device)
                keel_conv1d_weight_gradient_f32(&s, rows.pointer(Float.self), dy.pointer(Float.self), x.pointer(Float.self), scratch.pointer(Float.self))
                move(try rows.permuted([1, 2, 0]), to: outputs[0])
                withExtendedLifetime((dy, x, scratch)) {}
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (dy, x, d) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try apply(forward, x, d)) }
        if g.wants(1) { try g.set(1, try forward.slope(dy, d, time: x.shape.size(1))) }
    }
}

extension Tensor {
    /// Weights `[a, b, taps]` as `[b, a, taps]` with the taps backwards.
    fileprivate func turned() throws(TensorError) -> Tensor {
        var taps: [Tensor] = []
        for tap in Swift.stride(from: size(2) - 1, through: 0, by: -1) { taps.append(try at(tap, axis: 2).transposed()) }
        return try .stacked(taps, axis: 2)
    }

    /// Convolution over time of `[batch, time, features]`.
    ///
    /// `y[t] = bias + Σ_j x[t * stride + j * dilation - before] · weight[..., j]ᵀ`, with zeros in front of the sequence and after it.
    ///
    /// - Shapes: `weight [filters, features, taps]`, `bias [filters]` → `[batch, steps, filters]`.
    /// - Parameters:
    ///   - padding: how many zeros are before and after each sequence: at most `(taps - 1) * dilation`. All before make it causal: then no step
    ///     sees a later one.
    public func temporalConv(
        _ weight: Tensor, bias: Tensor? = nil, padding: (before: Int, after: Int) = (0, 0), dilation: Int = 1, stride: Int = 1
    ) throws(TensorError) -> Tensor {
        let conv = TemporalConv(stride: stride, dilation: dilation, before: padding.before, after: padding.after, isTransposed: false)
        return if let bias { try apply(conv, self, weight, bias) } else { try apply(conv, self, weight) }
    }
}
