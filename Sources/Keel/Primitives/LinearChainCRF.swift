import KeelKernels

/// The logarithm of the sum of `e^score` over all ways to tag each sequence, by the forward algorithm; see `Tensor.crfLogLikelihood`.
///
/// - Shapes: `emissions [batch, time, tags]`, `transitions [tags, tags]`, `start` and `end [tags]`, `lengths [batch]` int64 → `[batch]`, 0 for a
///   sequence without steps. Residuals: how likely, given the scores, a tag is at each step, `[batch, time, tags]`; a tag after another,
///   added up over the steps, `[batch, tags, tags]`; and a tag at the end, `[batch, tags]`.
/// - Gradient: these times `dy`.
/// - Numerics: in logarithms, the largest of each step taken off. A score of -infinity forbids.
/// - Errors: `TensorError.rank`, `.shape`, `.dtype`, `.dtypesDiffer`; `.argument` for a length out of range.
/// - Source: Lafferty, McCallum and Pereira, *Conditional random fields*, 2001; Sutton and McCallum, 2012, section 4.1.
struct CRFLogPartition: Primitive {
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .input(3), .input(4), .residual(0), .residual(1), .residual(2)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkChain(inputs, Self.name)
        return SpecList(TensorSpec(Shape(inputs[0].shape[0]), inputs[0].dtype))
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        return SpecList([
            x, TensorSpec(Shape(x.shape[0], x.shape[2], x.shape[2]), x.dtype), TensorSpec(Shape(x.shape[0], x.shape[2]), x.dtype),
        ])
    }

    static var kernels: Kernels<CRFLogPartition> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                try withChain(inputs, name) { (sizes, x) throws(TensorError) in
                    let scratch = try Tensor(undefined: TensorSpec([2, x[0].size(1), x[0].size(2)], .float64), on: x[0].device)
                    if x[0].dtype == .float32 {
                        let (sum, (unary, pairs, last)) = (outputs[0].pointer(Float.self), marginals(outputs, Float.self))
                        keel_reference_crf_f32(
                            &sizes, sum, unary, pairs, last, scratch.pointer(Double.self), x[0].pointer(Float.self), x[1].pointer(Float.self),
                            x[2].pointer(Float.self), x[3].pointer(Float.self))
                    } else {
                        let (sum, (unary, pairs, last)) = (outputs[0].pointer(Double.self), marginals(outputs, Double.self))
                        keel_reference_crf_f64(
                            &sizes, sum, unary, pairs, last, scratch.pointer(Double.self), x[0].pointer(Double.self), x[1].pointer(Double.self),
                            x[2].pointer(Double.self), x[3].pointer(Double.self))
                    }
                    withExtendedLifetime(scratch) {}
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try withChain(inputs, name) { (sizes, x) throws(TensorError) in
                    let numbers = Int(keel_crf_scratch(&sizes, outputs.count > 1 ? 1 : 0)), (unary, pairs, last) = marginals(outputs, Float.self)
                    let scratch = try Tensor(undefined: TensorSpec([numbers], .float32), on: x[0].device)
                    keel_crf_f32(
                        &sizes, outputs[0].pointer(Float.self), unary, pairs, last, scratch.pointer(Float.self), x[0].pointer(Float.self),
                        x[1].pointer(Float.self), x[2].pointer(Float.self), x[3].pointer(Float.self))
                    withExtendedLifetime(scratch) {}
                }
                return true
            })
    }

    private typealias Marginals<T> = (unary: UnsafeMutablePointer<T>?, pairs: UnsafeMutablePointer<T>?, last: UnsafeMutablePointer<T>?)

    private static func marginals<T>(_ outputs: Operands, _ type: T.Type) -> Marginals<T> {
        outputs.count > 1 ? (outputs[1].pointer(type), outputs[2].pointer(type), outputs[3].pointer(type)) : (nil, nil, nil)
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let row = try g.outputGradient.withAxis(-1), matrix = try row.withAxis(-1), unary = g.residual(0)
        if g.wants(0) { try g.set(0, try unary * matrix) }
        if g.wants(1) { try g.set(1, try (g.residual(1) * matrix).sum([0])) }
        if g.wants(2) { try g.set(2, try unary.shape.size(1) > 0 ? (unary.at(0, axis: 1) * row).sum([0]) : .zeros(g.shape(2), unary.dtype, on: unary.device)) }
        if g.wants(3) { try g.set(3, try (g.residual(2) * row).sum([0])) }
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let (x, lengths) = (inputs[0], inputs[4]), time = try x.shape.size(1)
        let zeros = try Tensor.zeros(Shape(x.shape[0]), x.dtype, on: x.device)
        guard time > 0 else { return [try (x.sum() + inputs[1].sum() + inputs[2].sum() + inputs[3].sum()) * 0 + zeros] }
        func isLonger(than t: Int) throws(TensorError) -> Tensor { try lengths.isGreater(than: Tensor(Int64(t)).moved(to: x.device)) }
        var forward = try inputs[2] + x.at(0, axis: 1)
        for t in 1..<time {
            let next = try (forward.withAxis(2) + inputs[1]).logSumExp([1]) + x.at(t, axis: 1)
            forward = try isLonger(than: t).withAxis(1).select(next, forward)
        }
        return [try isLonger(than: 0).select((forward + inputs[3]).logSumExp([1]), zeros)]
    }
}

/// The tags of the best score of each sequence; see `Tensor.crfDecoded`.
///
/// - Shapes: as those of `CRFLogPartition` → `[batch, time]` int64, 0 past the end.
/// - Source: Viterbi, 1967; Rabiner, 1989, section III.B.
struct Viterbi: Primitive {
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        try checkChain(inputs, Self.name)
        return SpecList(TensorSpec(Shape(inputs[0].shape[0], inputs[0].shape[1]), .int64))
    }

    static var kernels: Kernels<Viterbi> {
        Kernels(
            reference: { _, inputs, outputs throws(TensorError) in
                try withChain(inputs, name) { (sizes, x) throws(TensorError) in
                    let from = try backPointers(x[0]), path = outputs[0].pointer(Int64.self)
                    let scratch = try Tensor(undefined: TensorSpec([2, x[0].size(2)], x[0].dtype), on: x[0].device)
                    if x[0].dtype == .float32 {
                        keel_reference_viterbi_f32(
                            &sizes, path, scratch.pointer(Float.self), from.pointer(Int32.self), x[0].pointer(Float.self), x[1].pointer(Float.self),
                            x[2].pointer(Float.self), x[3].pointer(Float.self))
                    } else {
                        keel_reference_viterbi_f64(
                            &sizes, path, scratch.pointer(Double.self), from.pointer(Int32.self), x[0].pointer(Double.self), x[1].pointer(Double.self),
                            x[2].pointer(Double.self), x[3].pointer(Double.self))
                    }
                    withExtendedLifetime((from, scratch)) {}
                }
            },
            cpu: { _, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try withChain(inputs, name) { (sizes, x) throws(TensorError) in
                    let from = try backPointers(x[0])
                    let scratch = try Tensor(undefined: TensorSpec([2, x[0].size(0), x[0].size(2)], .float32), on: x[0].device)
                    keel_viterbi_f32(
                        &sizes, outputs[0].pointer(Int64.self), scratch.pointer(Float.self), from.pointer(Int32.self), x[0].pointer(Float.self),
                        x[1].pointer(Float.self), x[2].pointer(Float.self), x[3].pointer(Float.self))
                    withExtendedLifetime((from, scratch)) {}
                }
                return true
            })
    }

    private static func backPointers(_ x: Tensor) throws(TensorError) -> Tensor { try Tensor(undefined: TensorSpec(x.shape, .int32), on: x.device) }
}

private func checkChain(_ inputs: SpecList, _ name: String) throws(TensorError) {
    let x = inputs[0]
    guard x.dtype.isFloat else { throw .dtype(primitive: name, expected: "float emissions", x.dtype) }
    guard x.shape.rank == 3, x.shape[2].number != 0 else { throw .rank(primitive: name, expected: "emissions [batch, time, tags]", x.shape) }
    for (i, shape) in [(1, Shape(x.shape[2], x.shape[2])), (2, Shape(x.shape[2])), (3, Shape(x.shape[2]))] {
        guard inputs[i].dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: name, x.dtype, inputs[i].dtype)) }
        guard inputs[i].shape == shape else {
            throw .shape(primitive: name, expected: "\(i == 1 ? "transitions" : i == 2 ? "start" : "end") \(shape)", inputs[i].shape)
        }
    }
    guard inputs[4].dtype == .int64 else { throw .dtype(primitive: name, expected: "int64 lengths", inputs[4].dtype) }
    guard inputs[4].shape == Shape(x.shape[0]) else { throw .shape(primitive: name, expected: "lengths [\(x.shape[0])]", inputs[4].shape) }
}

/// Hands the kernels dense inputs whose lengths are in range.
private func withChain(
    _ inputs: Operands, _ name: String, _ body: (inout keel_crf, [Tensor]) throws(TensorError) -> Void
) throws(TensorError) {
    var parts: [Tensor] = []
    for i in 0..<5 { parts.append(try inputs[i].contiguous()) }
    let (batch, time, tags) = (parts[0].size(0), parts[0].size(1), parts[0].size(2)), lengths = parts[4].pointer(Int64.self)
    for row in 0..<batch where !(0...time).contains(Int(lengths[row])) {
        throw .argument(primitive: name, name: "length of row \(row)", given: lengths[row], allowed: "0...\(time)")
    }
    var sizes = keel_crf(batch: Int64(batch), time: Int64(time), tags: Int64(tags), lengths: lengths)
    try body(&sizes, parts)
    withExtendedLifetime(parts) {}
}

extension Tensor {
    /// How likely sequences of tags are under a linear-chain conditional random field: `score(tags) - ln Σ e^score` over all taggings, where a
    /// score is `start[first] + Σ emissions[t, tag] + Σ transitions[tag before, tag] + end[last]`. Its negative mean is the loss.
    ///
    /// - Shapes: self, the emissions, `[batch, time, tags]`; `tags [batch, time]` int64; `transitions [tags, tags]` from row to column; `start` and
    ///   `end [tags]`; `lengths [batch]` int64, all steps if nil → `[batch]`, 0 for a sequence without steps.
    /// - Unit: nats a sequence.
    /// - Errors: `TensorError.rank`, `.shape`, `.dtype`, `.dtypesDiffer`; `.argument` for a length out of range; `.labelOutOfRange`. What stands
    ///   past a sequence's end doesn't matter.
    /// - Source: Lafferty, McCallum and Pereira, 2001.
    public func crfLogLikelihood(
        _ tags: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Tensor? = nil
    ) throws(TensorError) -> Tensor {
        let lengths = try chainLengths(lengths)
        let partition = try apply(CRFLogPartition(), [self, transitions, start, end, lengths])
        return try crfScore(tags, transitions: transitions, start: start, end: end, lengths: lengths) - partition
    }

    /// The score of sequences of tags, as `crfLogLikelihood` defines it: `[batch]`.
    public func crfScore(
        _ tags: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Tensor? = nil
    ) throws(TensorError) -> Tensor {
        let name = "crfScore", lengths = try chainLengths(lengths), (time, count) = (try shape.size(1), try shape.size(2))
        guard tags.dtype == .int64 else { throw .dtype(primitive: name, expected: "int64 tags", tags.dtype) }
        guard tags.shape == shape.dropLast(1) else { throw .shape(primitive: name, expected: "tags \(shape.dropLast(1))", tags.shape) }
        guard time > 0 else { return try sum([1, 2]) }
        let ends = try lengths.elements(Int64.self)
        for (i, tag) in try tags.elements(Int64.self).enumerated() where i % time < ends[i / time] && !(0..<count).contains(Int(tag)) {
            throw TensorError(.labelOutOfRange(row: i / time, label: Int(tag), classes: count))
        }
        let isInside = try lengths.lengthMask(time), inside = try isInside.cast(to: dtype)
        let known = try isInside.select(tags, Tensor.zeros([], .int64, on: device))
        var score = try (takenAlong(2, at: known.withAxis(2)).withoutAxis(2) * inside).sum([1])
        let steps = try known.sliced(1, to: time - 1) * Tensor.full(Double(count), [], .int64, on: device) + known.sliced(1, from: 1)
        score = try score + (transitions.flattened().gathered(steps) * inside.sliced(1, from: 1)).sum([1])
        let last = try (lengths - Tensor.full(1, [], .int64, on: device)).clipped(from: 0, to: .infinity).withAxis(1)
        let edges = try start.gathered(known.at(0, axis: 1)) + end.gathered(known.takenAlong(1, at: last).withoutAxis(1))
        return try score + edges * inside.at(0, axis: 1)
    }

    /// The tags of the best score, by the Viterbi algorithm: `[batch, time]` int64, 0 past the end. Arguments as of `crfLogLikelihood`.
    public func crfDecoded(transitions: Tensor, start: Tensor, end: Tensor, lengths: Tensor? = nil) throws(TensorError) -> Tensor {
        try apply(Viterbi(), [self, transitions, start, end, try chainLengths(lengths)])
    }

    private func chainLengths(_ lengths: Tensor?) throws(TensorError) -> Tensor {
        guard rank == 3 else { throw .rank(primitive: "crf", expected: "emissions [batch, time, tags]", shape) }
        if let lengths { return lengths }
        return try .full(Double(shape.size(1)), Shape(shape[0]), .int64, on: device)
    }
}
