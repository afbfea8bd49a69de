import KeelKernels

/// A fully connected layer with what usually follows it: `activation(x · weightᵀ + bias)`, of weights that are the same at each run. Programs are
/// rewritten to it.
///
/// - Shapes: as `Affine`: `x [..., k]`, `weight [n, k]`, optionally `bias [n]` → `[..., n]`.
/// - Gradient: none: a program that has gradients keeps what they read.
/// - Numerics: the sums have another order than those of `Affine`.
struct ActivatedAffine: Primitive {
    let activation: Finish
    /// Whether a single row's zeros are passed over, with the weights that they would be multiplied by: for inputs that have many, and finite weights. They lie in
    /// panels then, as for several rows.
    var skipsZeros = false

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { try Affine().outputs(inputs) }

    static var kernels: Kernels<ActivatedAffine> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                try Affine.kernels.reference(Affine(), inputs, outputs)
                try p.activation.runReference(outputs[0])
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                if outputs[0].count == 0 { return true }
                try p.compute(inputs, outputs[0])
                return true
            })
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? { [try activation(apply(Affine(), inputs))] }

    /// One band of the output, for one thread.
    private struct Bands {
        let m, n, k, bands: Int
        let cutsRows, isSparse: Bool
        let y: UnsafeMutablePointer<Float>
        let x, packed: UnsafePointer<Float>
        let bias: UnsafePointer<Float>?
        let activation: Finish.Pass

        func compute(_ band: Int) {
            // Columns are cut between panels.
            let step = cutsRows ? 1 : 64, all = (cutsRows ? m : n + step - 1) / step
            let from = all * band / bands * step, to = min(all * (band + 1) / bands * step, cutsRows ? m : n)
            guard from < to else { return }
            let (rows, columns) = cutsRows ? (from..<to, 0..<n) : (0..<m, from..<to)
            if isSparse {
                let (begin, count) = (columns.lowerBound, columns.count)
                if let bias { (y + begin).update(from: bias + begin, count: count) } else { (y + begin).update(repeating: 0, count: count) }
                keel_sparse_row_product_f32(Int64(count), Int64(k), y + begin, x, packed + begin * k)
                return activation.run(y + begin, count)
            }
            if let bias {
                for row in rows { (y + row * n + columns.lowerBound).update(from: bias + columns.lowerBound, count: columns.count) }
            }
            keel_packed_product_f32(
                Int64(rows.count), Int64(columns.count), Int64(k), y + rows.lowerBound * n + columns.lowerBound, Int64(n), x + rows.lowerBound * k, Int64(k), 1,
                packed + columns.lowerBound * k, Int64(k), bias == nil ? 0 : 1)
            if cutsRows {
                activation.run(y + rows.lowerBound * n, rows.count * n)
            } else {
                for row in rows { activation.run(y + row * n + columns.lowerBound, columns.count) }
            }
        }
    }

    /// One row of the output, of which a band is some numbers.
    private struct Row {
        let n, k, bands: Int
        let y: UnsafeMutablePointer<Float>
        let x, weight: UnsafePointer<Float>
        let bias: UnsafePointer<Float>?
        let activation: Finish.Pass

        func compute(_ band: Int) {
            // The kernel does four numbers at a time.
            let fours = (n + 3) / 4, from = fours * band / bands * 4, to = min(fours * (band + 1) / bands * 4, n)
            guard from < to else { return }
            keel_row_product_f32(Int64(to - from), Int64(k), y + from, x, weight + from * k, Int64(k), bias.map { $0 + from })
            activation.run(y + from, to - from)
        }
    }

    private func compute(_ inputs: Operands, _ y: Tensor) throws(TensorError) {
        let x = try inputs[0].contiguous(), weight = try inputs[1].contiguous(), bias = inputs.count > 2 ? try inputs[2].contiguous() : nil
        let (n, k) = (weight.size(0), weight.size(1)), m = y.count / n
        defer { withExtendedLifetime((x, weight, bias)) {} }
        // A band is worth a thread from about a million operations on.
        let threads = max(1, min(Threads.count, 2 * m * n * k / 1_000_000))
        // A thread makes 64 numbers at least.
        let isSparse = skipsZeros && m == 1 && weight.keepsForms && n >= 64 * threads
        if m == 1, !isSparse {
            var job = Row(
                n: n, k: k, bands: threads, y: y.pointer(Float.self), x: x.pointer(Float.self), weight: weight.pointer(Float.self),
                bias: bias.map { UnsafePointer($0.pointer(Float.self)) }, activation: activation.pass)
            withUnsafeMutablePointer(to: &job) { pointer in
                keel_parallel(
                    Int64(pointer.pointee.bands), 1,
                    { context, begin, end in
                        guard let context else { return }
                        let job = context.assumingMemoryBound(to: Row.self)
                        for band in Int(begin)..<Int(end) { job.pointee.compute(band) }
                    }, pointer)
            }
            return
        }
        let packed = try weight.packed(.panels, bytes: max(Int(keel_packed_count(Int64(k), Int64(n))), 1) * 4) { bytes in
            keel_pack_f32(Int64(k), Int64(n), bytes.assumingMemoryBound(to: Float.self), weight.pointer(Float.self), 1, Int64(k))
        }
        let cutsRows = m >= n && !isSparse
        var job = Bands(
            m: m, n: n, k: k, bands: max(1, min(threads, (cutsRows ? m : n) / 64)), cutsRows: cutsRows, isSparse: isSparse, y: y.pointer(Float.self),
            x: x.pointer(Float.self), packed: packed.base.assumingMemoryBound(to: Float.self), bias: bias.map { UnsafePointer($0.pointer(Float.self)) }, activation: activation.pass)
        withUnsafeMutablePointer(to: &job) { pointer in
            keel_parallel(
                Int64(pointer.pointee.bands), 1,
                { context, begin, end in
                    guard let context else { return }
                    let job = context.assumingMemoryBound(to: Bands.self)
                    for band in Int(begin)..<Int(end) { job.pointee.compute(band) }
                }, pointer)
        }
        withExtendedLifetime(packed) {}
    }
}

/// A function of one number that follows something else in the same pass.
struct Finish: Hashable, Sendable, CustomStringConvertible {
    /// Nil for none.
    let primitive: (any UnaryElementwise)?
    private let function: keel_unary_op
    private let constants: (Double, Double)

    init(_ primitive: (any UnaryElementwise)?) {
        self.primitive = primitive
        function = primitive.map { type(of: $0).function } ?? KEEL_SCALE
        constants = primitive?.constants ?? (1, 0)
    }

    init(_ rectifier: Rectifier) {
        let limits = rectifier.limits
        self.init(rectifier == .none ? nil : Clip(least: limits.least, most: limits.most))
    }

    var description: String { primitive.map { type(of: $0).name } ?? "none" }

    /// As kernels are told of it.
    struct Pass {
        let isThere: Bool, function: keel_unary_op, constants: (Float, Float)

        /// Writes over what lies there.
        func run(_ numbers: UnsafeMutablePointer<Float>, _ count: Int) {
            if isThere { keel_unary_row_f32(function, Int64(count), numbers, constants.0, constants.1) }
        }
    }

    var pass: Pass { Pass(isThere: primitive != nil, function: function, constants: (Float(constants.0), Float(constants.1))) }

    func runReference(_ y: Tensor) throws(TensorError) {
        guard primitive != nil else { return }
        var walk = keel_walk(y, Operands(y))
        keel_reference_unary(function, y.dtype.kernel, &walk, y.bytes, y.bytes, constants.0, constants.1)
    }

    func callAsFunction(_ y: Tensor) throws(TensorError) -> Tensor {
        func applied(_ primitive: some UnaryElementwise) throws(TensorError) -> Tensor { try apply(primitive, y) }
        return if let primitive { try applied(primitive) } else { y }
    }

    private var identity: AnyHashable? { primitive.map { AnyHashable($0) } }
    static func == (a: Finish, b: Finish) -> Bool { a.identity == b.identity }
    func hash(into hasher: inout Hasher) { hasher.combine(identity) }
}

extension Tensor {
    /// `rectifier(affine(...))` in one pass; it has no gradient.
    package func affine(_ weight: Tensor, bias: Tensor?, _ rectifier: Rectifier, skipsZeros: Bool = false) throws(TensorError) -> Tensor {
        try apply(ActivatedAffine(activation: Finish(rectifier), skipsZeros: skipsZeros), [self, weight] + [bias].compactMap { $0 })
    }
}
