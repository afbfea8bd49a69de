import KeelKernels

/// Scaled dot-product attention of several heads; see `Tensor.attention` and `Tensor.selfAttention`.
///
/// - Shapes: either `qkv [batch, time, 3 * features]`, or `q [batch, queries, features]`, `k` and `v [batch, keys, features]`; then, if `hasMask`,
///   bool `[batch, keys]` or `[batch or 1, queries or 1, keys]` → `[batch, queries, features]`. Residual: the logarithm of each row's
///   sum of exponentials, `[batch, heads, queries]`.
/// - Gradient: `AttentionGradient`, which makes the probabilities again from it; a mask has none.
/// - Errors: `TensorError.rank`, `.shape`, `.dtype`, `.dtypesDiffer`; `.argument` unless the heads divide the features.
/// - Source: Vaswani et al., 2017, section 3.2; without the matrix of probabilities in memory: Dao et al., 2022.
struct Attention: Primitive {
    let heads: Int
    let isCausal, isPacked, hasMask: Bool
    /// Of the scores; the usual one unless given.
    var scale: Double?
    /// Whether the last input is added to the scaled scores: `[batch or 1, heads or 1, queries or 1, keys]`. Only programs have such, without gradients.
    var hasBias = false

    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .input(3), .output(0), .residual(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let q = inputs[0]
        guard q.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", q.dtype) }
        guard q.shape.rank == 3 else { throw .rank(primitive: Self.name, expected: "[batch, time, features]", q.shape) }
        let parts = isPacked ? 3 : 1, all = try q.shape.size(2), width = all / parts
        guard heads >= 1, width > 0, width % heads == 0, all % parts == 0 else {
            throw .argument(primitive: Self.name, name: "heads", given: heads, allowed: "a divisor of \(isPacked ? "a third of the " : "")features in \(q.shape)")
        }
        if !isPacked, inputs[1].shape.rank != 3 { throw .rank(primitive: Self.name, expected: "[batch, time, features]", inputs[1].shape) }
        let keys = isPacked ? q.shape[1] : inputs[1].shape[1]
        if !isPacked {
            for i in 1...2 {
                guard inputs[i].dtype == q.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, q.dtype, inputs[i].dtype)) }
                let expected = Shape(q.shape[0], keys, q.shape[2])
                guard inputs[i].shape == expected else { throw .shape(primitive: Self.name, expected: "\(expected)", inputs[i].shape) }
            }
        }
        if hasMask {
            let mask = inputs[inputs.count - (hasBias ? 2 : 1)], shape = mask.shape
            guard mask.dtype == .bool else { throw .dtype(primitive: Self.name, expected: "a bool mask", mask.dtype) }
            let isOfKeys = shape == Shape(q.shape[0], keys)
            let isWhole = shape.rank == 3 && (shape[0].number == 1 || shape[0] == q.shape[0]) && (shape[1].number == 1 || shape[1] == q.shape[1])
                && shape[2] == keys
            guard isOfKeys || isWhole else {
                throw .shape(primitive: Self.name, expected: "a mask [batch, \(keys)] or [batch or 1, queries or 1, \(keys)]", shape)
            }
        }
        if hasBias {
            let bias = inputs[inputs.count - 1], shape = bias.shape, wanted = [q.shape[0], Dimension(heads), q.shape[1], keys]
            guard bias.dtype == q.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, q.dtype, bias.dtype)) }
            guard shape.rank == 4, (0..<4).allSatisfy({ shape[$0] == wanted[$0] || $0 < 3 && shape[$0].number == 1 }) else {
                throw .shape(primitive: Self.name, expected: "a bias [batch or 1, \(heads) or 1, queries or 1, \(keys)]", shape)
            }
        }
        return SpecList(TensorSpec(Shape(q.shape[0], q.shape[1], Dimension(width)), q.dtype))
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        SpecList(TensorSpec(Shape(inputs[0].shape[0], Dimension(heads), inputs[0].shape[1]), inputs[0].dtype))
    }

    static var kernels: Kernels<Attention> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                var a = try AttentionOperands(p, inputs, from: 0)
                let (scale, sums) = (a.scale, try p.logSums(inputs, outputs))
                if inputs[0].dtype == .float32 {
                    let (q, k, v) = a.pointers(Float.self)
                    keel_reference_attention_forward_f32(&a.sizes, scale, outputs[0].pointer(Float.self), sums.pointer(Float.self), q, k, v)
                } else {
                    let (q, k, v) = a.pointers(Double.self)
                    keel_reference_attention_forward_f64(&a.sizes, scale, outputs[0].pointer(Double.self), sums.pointer(Double.self), q, k, v)
                }
                withExtendedLifetime((a, sums)) {}
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                var a = try AttentionOperands(p, inputs, from: 0)
                let sums = try p.logSums(inputs, outputs), scratch = try a.scratch()
                let (q, k, v) = a.pointers(Float.self)
                keel_attention_forward_f32(
                    &a.sizes, outputs[0].pointer(Float.self), sums.pointer(Float.self), q, k, v, scratch.pointer(Float.self))
                withExtendedLifetime((a, sums, scratch)) {}
                return true
            })
    }

    private func logSums(_ inputs: Operands, _ outputs: Operands) throws(TensorError) -> Tensor {
        if outputs.count > 1 { return outputs[1] }
        return try Tensor(undefined: try residuals(SpecList(of: inputs))[0], on: inputs[0].device)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        if hasBias { throw TensorError(.higherOrder(primitive: Self.name)) }
        var inputs = [g.outputGradient, g.output(0).detached(), g.residual(0)]
        for i in 0..<g.inputCount { inputs.append(g.input(i)) }
        let found = try applyMany(AttentionGradient(forward: self), inputs)
        for i in 0..<found.count where g.wants(i) { try g.set(i, found[i]) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        var parts = inputs
        if isPacked {
            let width = try inputs[0].shape.size(2) / 3
            parts = []
            for i in 0..<3 { parts.append(try inputs[0].sliced(2, from: i * width, to: (i + 1) * width)) }
        }
        let mask = hasMask ? inputs[inputs.count - (hasBias ? 2 : 1)] : nil, bias = hasBias ? inputs[inputs.count - 1] : nil
        return [
            try parts[0].composedAttention(to: parts[1], values: parts[2], heads: heads, mask: mask, isCausal: isCausal, bias: bias, scale: scale)
        ]
    }
}

/// What goes back through `Attention`: `(do, o, logarithms of sums, q, k, v or qkv, mask?)` → gradients as q, k and v or qkv lie.
struct AttentionGradient: Primitive {
    let forward: Attention

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        forward.isPacked ? SpecList(inputs[3]) : SpecList([inputs[3], inputs[4], inputs[5]])
    }

    static var kernels: Kernels<AttentionGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let slope = try inputs[0].contiguous(), o = try inputs[1].contiguous()
                var a = try AttentionOperands(p.forward, inputs, from: 3)
                let scale = a.scale
                if slope.dtype == .float32 {
                    let (q, k, v) = a.pointers(Float.self), (dq, dk, dv) = a.pointers(Float.self, outputs)
                    keel_reference_attention_backward_f32(
                        &a.sizes, scale, dq, dk, dv, slope.pointer(Float.self), o.pointer(Float.self), inputs[2].pointer(Float.self), q, k, v)
                } else {
                    let (q, k, v) = a.pointers(Double.self), (dq, dk, dv) = a.pointers(Double.self, outputs)
                    keel_reference_attention_backward_f64(
                        &a.sizes, scale, dq, dk, dv, slope.pointer(Double.self), o.pointer(Double.self), inputs[2].pointer(Double.self), q, k, v)
                }
                withExtendedLifetime((a, slope, o)) {}
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let slope = try inputs[0].contiguous(), o = try inputs[1].contiguous()
                var a = try AttentionOperands(p.forward, inputs, from: 3)
                let scratch = try a.scratch()
                let (q, k, v) = a.pointers(Float.self), (dq, dk, dv) = a.pointers(Float.self, outputs)
                keel_attention_backward_f32(
                    &a.sizes, dq, dk, dv, slope.pointer(Float.self), o.pointer(Float.self), inputs[2].pointer(Float.self), q, k, v,
                    scratch.pointer(Float.self))
                withExtendedLifetime((a, slope, o, scratch)) {}
                return true
            })
    }
}

/// Queries, keys, values and mask, dense, and what the kernels are told of them.
private struct AttentionOperands {
    private let tensors: [Tensor]
    private let mask, bias: Tensor?
    private let isPacked: Bool
    private let features: Int
    let scale: Double
    var sizes: keel_attention

    init(_ p: Attention, _ inputs: Operands, from first: Int) throws(TensorError) {
        var tensors: [Tensor] = []
        for i in 0..<(p.isPacked ? 1 : 3) { tensors.append(try inputs[first + i].detached().contiguous()) }
        let mask = p.hasMask ? try inputs[inputs.count - (p.hasBias ? 2 : 1)].contiguous() : nil
        let bias = p.hasBias ? try inputs[inputs.count - 1].contiguous() : nil
        let q = tensors[0], last = tensors[tensors.count - 1]
        features = q.size(2) / (p.isPacked ? 3 : 1)
        let width = features / p.heads
        scale = p.scale ?? 1 / Double(width).squareRoot()
        let (qRow, row) = (Int64(q.size(2)), Int64(last.size(2))), (queries, keys) = (Int64(q.size(1)), Int64(last.size(1)))
        var batchStep = 0, queryStep = 0
        if let mask {
            queryStep = mask.rank == 3 && mask.size(1) > 1 ? mask.size(2) : 0
            batchStep = mask.size(0) > 1 ? mask.count / mask.size(0) : 0
        }
        var steps: (batch: Int, head: Int, query: Int) = (0, 0, 0)
        if let bias {
            let rows = bias.size(2) * bias.size(3)
            steps = (bias.size(0) > 1 ? bias.size(1) * rows : 0, bias.size(1) > 1 ? rows : 0, bias.size(2) > 1 ? bias.size(3) : 0)
        }
        sizes = keel_attention(
            batch: Int64(q.size(0)), heads: Int64(p.heads), queries: queries, keys: keys, width: Int64(width), q_batch: queries * qRow, q_row: qRow,
            k_batch: keys * row, k_row: row, v_batch: keys * row, v_row: row, scale: Float(scale), is_causal: p.isCausal ? 1 : 0,
            mask: mask.map { UnsafePointer($0.pointer(UInt8.self)) }, mask_batch: Int64(batchStep), mask_query: Int64(queryStep),
            bias: bias.map { UnsafeRawPointer($0.bytes) }, bias_batch: Int64(steps.batch), bias_head: Int64(steps.head), bias_query: Int64(steps.query),
            workers: keel_attention_workers(Int64(q.size(0)), Int64(p.heads)))
        self.tensors = tensors
        self.mask = mask
        self.bias = bias
        isPacked = p.isPacked
    }

    func pointers<T>(_: T.Type) -> (UnsafePointer<T>, UnsafePointer<T>, UnsafePointer<T>) {
        let q = UnsafePointer(tensors[0].pointer(T.self))
        if isPacked { return (q, q + features, q + 2 * features) }
        return (q, UnsafePointer(tensors[1].pointer(T.self)), UnsafePointer(tensors[2].pointer(T.self)))
    }

    /// The same places in the gradients.
    func pointers<T>(_: T.Type, _ outputs: Operands) -> (UnsafeMutablePointer<T>, UnsafeMutablePointer<T>, UnsafeMutablePointer<T>) {
        let q = outputs[0].pointer(T.self)
        return isPacked ? (q, q + features, q + 2 * features) : (q, outputs[1].pointer(T.self), outputs[2].pointer(T.self))
    }

    mutating func scratch() throws(TensorError) -> Tensor {
        let floats = Int(keel_attention_scratch(&sizes)) * Int(sizes.workers)
        return try Tensor(undefined: TensorSpec([floats], .float32), on: CPU.shared)
    }
}

extension Tensor {
    /// Attention of these queries to keys and values: `softmax(q · kᵀ / √(features / heads)) · v`, each head with its own part of the features.
    ///
    /// - Shapes: `self [batch, queries, features]`, `keys` and `values [batch, keys, features]`; `mask` bool, true where a key is seen, `[batch, keys]`
    ///   or `[batch or 1, queries or 1, keys]` → `[batch, queries, features]`.
    /// - Parameters:
    ///   - isCausal: query `i` sees no key after `i + keys - queries`.
    ///   - bias: added to the scores before the softmax, as of relative positions: floats that broadcast to `[batch, heads, queries, keys]`. The
    ///     probabilities then are in memory, which otherwise they aren't.
    /// - Numerics: a row's largest score is subtracted before `exp`. A query that sees no key gets zeros, and gives no gradient.
    public func attention(
        to keys: Tensor, values: Tensor, heads: Int, mask: Tensor? = nil, isCausal: Bool = false, bias: Tensor? = nil
    ) throws(TensorError) -> Tensor {
        if let bias { return try composedAttention(to: keys, values: values, heads: heads, mask: mask, isCausal: isCausal, bias: bias) }
        let attention = Attention(heads: heads, isCausal: isCausal, isPacked: false, hasMask: mask != nil)
        return try run(attention, Operands(mask.map { [self, keys, values, $0] } ?? [self, keys, values]))
    }

    /// Attention of a sequence to itself, from queries, keys and values side by side, `[batch, time, 3 * features]` → `[batch, time, features]`;
    /// otherwise as `attention`.
    public func selfAttention(heads: Int, mask: Tensor? = nil, isCausal: Bool = false) throws(TensorError) -> Tensor {
        let attention = Attention(heads: heads, isCausal: isCausal, isPacked: true, hasMask: mask != nil)
        return try run(attention, Operands(mask.map { [self, $0] } ?? [self]))
    }

    /// As `attention`, of primitives, with all probabilities in memory: for second derivatives, biases and dropping some.
    package func composedAttention(
        to keys: Tensor, values: Tensor, heads: Int, mask: Tensor? = nil, isCausal: Bool = false, bias: Tensor? = nil,
        scale: Double? = nil, dropping: (Tensor) throws(TensorError) -> Tensor = { $0 }
    ) throws(TensorError) -> Tensor {
        // Its rule refuses what doesn't fit.
        let whole = Attention(heads: heads, isCausal: isCausal, isPacked: false, hasMask: mask != nil)
        _ = try whole.outputs(SpecList([spec, keys.spec, values.spec] + (mask.map { [$0.spec] } ?? [])))
        let count = (queries: try shape.size(1), keys: try keys.shape.size(1)), width = try shape.size(2) / heads
        func split(_ x: Tensor) throws(TensorError) -> Tensor {
            try x.reshaped([x.shape.size(0), x.shape.size(1), heads, width]).permuted([0, 2, 1, 3])
        }
        var scores = try split(self).matmul(split(keys).transposed()) * (scale ?? 1 / Double(width).squareRoot())
        if let bias {
            let given = scores.shape
            scores = try scores + bias
            guard scores.shape == given else { throw .shape(primitive: Attention.name, expected: "a bias that broadcasts to \(given)", bias.shape) }
        }
        var seen = try mask.map { mask throws(TensorError) in try (mask.rank == 2 ? mask.withAxis(1) : mask).withAxis(1) }
        if isCausal {
            let below = try Tensor.lowerTriangularMask(count.queries, columns: count.keys, diagonal: count.keys - count.queries, on: device)
            seen = try seen.map { seen throws(TensorError) in try seen.and(below) } ?? below
        }
        var shares: Tensor
        if let seen {
            // Far below any score, and finite: a query that sees nothing then has no NaN, and gets zeros.
            let lowest = try Tensor.full(dtype == .float16 ? -6e4 : -1e30, Shape(), dtype, on: device)
            shares = try seen.select(scores, lowest).softmax().filled(with: 0, where: seen.not())
        } else {
            shares = try scores.softmax()
        }
        return try dropping(shares).matmul(split(values)).permuted([0, 2, 1, 3]).reshaped(shape)
    }
}
