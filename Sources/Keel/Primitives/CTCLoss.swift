import KeelKernels

/// The negative log-probability of each sequence's labelling, over all its alignments; see `Tensor.ctcLoss`.
///
/// - Shapes: `logProbabilities [batch, time, classes]`, `targets [batch, room]`, `inputLengths` and `targetLengths [batch]`, int64 all three →
///   `[batch]`. Residual: for each step and class the probability, given the labelling, that an alignment is there.
/// - Gradient: `-dy` times the residual.
/// - Errors: `TensorError.rank`, `.shape`, `.dtype`; `.argument` for a length or a blank that is out of range; `.labelOutOfRange`.
/// - Source: Graves et al., *Connectionist temporal classification*, 2006.
struct CTCLoss: Primitive {
    let blank: Int
    let zeroesInfinity: Bool
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .input(3), .residual(0)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "float log-probabilities", x.dtype) }
        guard x.shape.rank == 3 else { throw .rank(primitive: Self.name, expected: "log-probabilities [batch, time, classes]", x.shape) }
        for i in 1...3 where inputs[i].dtype != .int64 {
            throw .dtype(primitive: Self.name, expected: "int64 \(i == 1 ? "targets" : "lengths")", inputs[i].dtype)
        }
        guard inputs[1].shape.rank == 2, inputs[1].shape[0] == x.shape[0] else {
            throw .shape(primitive: Self.name, expected: "targets [\(x.shape[0]), labels]", inputs[1].shape)
        }
        for i in 2...3 where inputs[i].shape != Shape(x.shape[0]) {
            throw .shape(primitive: Self.name, expected: "lengths [\(x.shape[0])]", inputs[i].shape)
        }
        if let classes = x.shape[2].number, !(0..<classes).contains(blank) {
            throw .argument(primitive: Self.name, name: "blank", given: blank, allowed: "0..<\(classes)")
        }
        return SpecList(TensorSpec(Shape(x.shape[0]), x.dtype))
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[0]) }

    static var kernels: Kernels<CTCLoss> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                try p.compute(inputs) { (sizes, x) throws(TensorError) in
                    let scratch = try Tensor(undefined: TensorSpec([2, x.size(1), 2 * Int(sizes.room) + 1], .float64), on: x.device)
                    let posterior = outputs.count > 1 ? outputs[1] : nil
                    if x.dtype == .float32 {
                        keel_reference_ctc_f32(
                            &sizes, outputs[0].pointer(Float.self), posterior?.pointer(Float.self), scratch.pointer(Double.self), x.pointer(Float.self))
                    } else {
                        keel_reference_ctc_f64(
                            &sizes, outputs[0].pointer(Double.self), posterior?.pointer(Double.self), scratch.pointer(Double.self), x.pointer(Double.self))
                    }
                    withExtendedLifetime(scratch) {}
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs) { (sizes, x) throws(TensorError) in
                    let numbers = Int(keel_ctc_scratch(&sizes, outputs.count > 1 ? 1 : 0))
                    let scratch = try Tensor(undefined: TensorSpec([numbers], .float32), on: x.device)
                    keel_ctc_f32(
                        &sizes, outputs[0].pointer(Float.self), outputs.count > 1 ? outputs[1].pointer(Float.self) : nil, scratch.pointer(Float.self),
                        x.pointer(Float.self))
                    withExtendedLifetime(scratch) {}
                }
                return true
            })
    }

    private func compute(_ inputs: Operands, _ body: (inout keel_ctc, Tensor) throws(TensorError) -> Void) throws(TensorError) {
        let x = try inputs[0].contiguous(), targets = try inputs[1].contiguous()
        let inputLengths = try inputs[2].contiguous(), targetLengths = try inputs[3].contiguous()
        let (labels, starts, ends) = (targets.pointer(Int64.self), inputLengths.pointer(Int64.self), targetLengths.pointer(Int64.self))
        let (time, classes, room) = (x.size(1), x.size(2), targets.size(1))
        for row in 0..<x.size(0) {
            guard (0...time).contains(Int(starts[row])) else {
                throw .argument(primitive: Self.name, name: "input length of row \(row)", given: starts[row], allowed: "0...\(time)")
            }
            guard (0...room).contains(Int(ends[row])) else {
                throw .argument(primitive: Self.name, name: "target length of row \(row)", given: ends[row], allowed: "0...\(room)")
            }
            for i in 0..<Int(ends[row]) {
                let label = Int(labels[row * room + i])
                guard (0..<classes).contains(label) else { throw TensorError(.labelOutOfRange(row: row, label: label, classes: classes)) }
                guard label != blank else {
                    throw .argument(primitive: Self.name, name: "label \(i) of row \(row)", given: label, allowed: "any class but the blank")
                }
            }
        }
        var sizes = keel_ctc(
            batch: Int64(x.size(0)), time: Int64(time), classes: Int64(classes), room: Int64(room), blank: Int64(blank),
            zero_infinity: zeroesInfinity ? 1 : 0, targets: labels, input_lengths: starts, target_lengths: ends)
        try body(&sizes, x)
        withExtendedLifetime((x, targets, inputLengths, targetLengths)) {}
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard g.wants(0) else { return }
        try g.set(0, try g.residual(0) * g.outputGradient.negated().withAxis(-1).withAxis(-1))
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let x = inputs[0], device = x.device, batch = try x.shape.size(0), time = try x.shape.size(1)
        let room = try inputs[1].shape.size(1), states = 2 * room + 1, none = -1e30
        let targets = try inputs[1].elements(Int64.self), counts = try inputs[3].elements(Int64.self).map { Int($0) }
        let starts = try inputs[2].elements(Int64.self)
        // For each state its class, and the logarithms of 1 or 0 of whether it may be reached by a skip, at the start, and be the last.
        var classes: [Int64] = [], skips: [Double] = [], first: [Double] = [], last: [Double] = []
        for row in 0..<batch {
            for i in 0..<states {
                let place = row * room + i / 2, isLabel = i % 2 == 1 && i / 2 < counts[row]
                classes.append(isLabel ? targets[place] : Int64(blank))
                skips.append(isLabel && i > 1 && targets[place] != targets[place - 1] ? 0 : none)
                first.append(i < 2 ? 0 : none)
                last.append(i == 2 * counts[row] || i == 2 * counts[row] - 1 ? 0 : none)
            }
        }
        func constant(_ numbers: [Double]) throws(TensorError) -> Tensor { try Tensor(numbers, [batch, states]).cast(to: x.dtype).moved(to: device) }
        let skip = try constant(skips), places = try Tensor(classes, [batch, 1, states]).moved(to: device).expanded(to: [batch, time, states]).contiguous()
        let emitted = try x.takenAlong(2, at: places)
        func back(_ x: Tensor, by n: Int) throws(TensorError) -> Tensor {
            let padded = try x.padded([(0, 0), (n, 0)], .constant(none))
            return try padded.sliced(1, to: states)
        }
        var forward = try constant(first)
        for t in 0..<time {
            let now = try emitted.at(t, axis: 1)
            if t == 0 {
                forward = try forward + now
                continue
            }
            let next = try Tensor.stacked([forward, back(forward, by: 1), back(forward, by: 2) + skip]).logSumExp([0]) + now
            forward = try inputs[2].isGreater(than: Tensor(Int64(t)).moved(to: device)).withAxis(1).select(next, forward)
        }
        let loss = try (forward + constant(last)).logSumExp([1]).negated()
        let hopeless = try loss.isGreater(than: Tensor.full(1e29, [], x.dtype, on: device))
        let infinity = try Tensor.full(zeroesInfinity ? 0 : .infinity, [], x.dtype, on: device), zero = try Tensor.zeros([], x.dtype, on: device)
        // Nothing was read of a sequence without steps.
        let empty = try Tensor((0..<batch).map { starts[$0] == 0 }).moved(to: device)
        let unread = try Tensor((0..<batch).map { counts[$0] == 0 }).moved(to: device).select(zero, infinity)
        return [try empty.select(unread, hopeless.select(infinity, loss))]
    }
}

extension Tensor {
    /// The connectionist temporal classification loss of log-probabilities at every step: `-ln` of the sum of the probabilities of all alignments
    /// that become the target once repeats are merged and blanks are dropped.
    ///
    /// - Shapes: self `[batch, time, classes]`, as `logSoftmax` gives it; `targets [batch, labels]` int64; `inputLengths` (all steps if nil) and
    ///   `targetLengths [batch]` int64 → `[batch]` for `.none`, else a scalar. `.mean` divides each by its target's length, at least 1, first.
    /// - Unit: nats a sequence.
    /// - Parameters:
    ///   - blank: the class that stands for no label.
    ///   - zeroesInfinity: where a target has no alignment, because its sequence is too short, its loss is 0 instead of infinite. It has no
    ///     gradient either way.
    /// - Numerics: in logarithms, the largest of each step taken off.
    /// - Errors: `TensorError.shape`, `.dtype`; `.argument` for lengths or a blank out of range; `.labelOutOfRange`.
    /// - Source: Graves et al., 2006.
    public func ctcLoss(
        _ targets: Tensor, inputLengths: Tensor? = nil, targetLengths: Tensor, blank: Int = 0, zeroesInfinity: Bool = false,
        reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        guard rank == 3 else { throw .rank(primitive: CTCLoss.name, expected: "log-probabilities [batch, time, classes]", shape) }
        let lengths = if let inputLengths { inputLengths } else {
            try Tensor.full(Double(shape.size(1)), [shape.size(0)], .int64, on: device)
        }
        let losses = try apply(CTCLoss(blank: blank, zeroesInfinity: zeroesInfinity), [self, targets, lengths, targetLengths])
        guard reduction == .mean else { return try reduction.of(losses) }
        return try (losses / targetLengths.clipped(from: 1, to: .infinity).cast(to: dtype)).mean()
    }
}
