import KeelKernels

/// Cross-entropy between logits and class labels; see `Tensor.softmaxCrossEntropy`.
///
/// - Shapes: `logits [..., classes]`, `labels [...]`, optionally `weights [classes]` → `[...]`, or a scalar. Residuals: each row's log-sum-exp,
///   and the sum of the weights of the rows' labels.
/// - Gradient: `SoftmaxCrossEntropyGradient`; labels and weights have none.
struct SoftmaxCrossEntropy: Primitive {
    let smoothing: Double
    let ignored: Int?
    let reduction: LossReduction
    static var onnxName: String? { "SoftmaxCrossEntropyLoss" }
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .residual(0), .residual(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (logits, labels) = (inputs[0], inputs[1])
        guard logits.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "float logits", logits.dtype) }
        guard logits.shape.rank >= 2, logits.shape[-1].number != 0 else { throw .rank(primitive: Self.name, expected: "logits [rows, classes]", logits.shape) }
        guard labels.dtype == .int64 || labels.dtype == .int32 else { throw .dtype(primitive: Self.name, expected: "int64 or int32 labels", labels.dtype) }
        let rows = logits.shape.dropLast(1), classes = logits.shape[-1]
        guard labels.shape == rows else { throw .shape(primitive: Self.name, expected: "labels \(rows)", labels.shape) }
        guard smoothing >= 0, smoothing < 1 else { throw .argument(primitive: Self.name, name: "smoothing", given: smoothing, allowed: "0..<1") }
        if inputs.count > 2, inputs[2].shape != Shape(classes) || inputs[2].dtype != logits.dtype {
            throw .shape(primitive: Self.name, expected: "\(logits.dtype) weights [\(classes)]", inputs[2].shape)
        }
        return SpecList(TensorSpec(reduction == .none ? rows : Shape(), logits.dtype))
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        SpecList([TensorSpec(inputs[1].shape, inputs[0].dtype), TensorSpec(Shape(), inputs[0].dtype)])
    }

    static var kernels: Kernels<SoftmaxCrossEntropy> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self, keel_reference_cross_entropy_f32)
                } else {
                    try p.compute(inputs, outputs, Double.self, keel_reference_cross_entropy_f64)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs, outputs, Float.self, keel_cross_entropy_f32)
                return true
            })
    }

    private typealias RowLosses<T> = (
        UnsafePointer<keel_cross_entropy>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafePointer<T>?
    ) -> Int64

    private func compute<T: TensorElement & BinaryFloatingPoint>(
        _ inputs: Operands, _ outputs: Operands, _: T.Type, _ body: RowLosses<T>
    ) throws(TensorError) {
        let logits = try inputs[0].contiguous(), labels = try inputs[1].contiguous()
        let weights = inputs.count > 2 ? try inputs[2].contiguous() : nil
        let perRow = TensorSpec(labels.shape, logits.dtype)
        let loss = reduction == .none ? outputs[0] : try Tensor(undefined: perRow, on: logits.device), mass = try Tensor(undefined: perRow, on: logits.device)
        let lse = outputs.count > 1 ? outputs[1] : try Tensor(undefined: perRow, on: logits.device)
        var sizes = kernelSizes(logits, labels, weights, smoothing: smoothing, ignored: ignored)
        let bad = Int(body(&sizes, loss.pointer(T.self), mass.pointer(T.self), lse.pointer(T.self), logits.pointer(T.self)))
        guard bad < 0 else {
            let label = labels.dtype == .int64 ? Int(labels.pointer(Int64.self)[bad]) : Int(labels.pointer(Int32.self)[bad])
            throw TensorError(.labelOutOfRange(row: bad, label: label, classes: logits.size(logits.rank - 1)))
        }
        var (total, weight) = (0.0, 0.0)
        for row in 0..<labels.count {
            total += Double(loss.pointer(T.self)[row])
            weight += Double(mass.pointer(T.self)[row])
        }
        if reduction != .none { outputs[0].pointer(T.self).pointee = T(reduction == .mean ? total / weight : total) }
        if outputs.count > 2 { outputs[2].pointer(T.self).pointee = T(weight) }
        withExtendedLifetime((logits, labels, weights)) {}
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard g.wants(0) else { return }
        var inputs = [g.outputGradient, g.input(0), g.input(1), g.residual(0), g.residual(1)]
        if g.inputCount > 2 { inputs.append(g.input(2)) }
        try g.set(0, try apply(SoftmaxCrossEntropyGradient(smoothing: smoothing, ignored: ignored, isMean: reduction == .mean), inputs))
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let logits = inputs[0], classes = try logits.shape.size(-1)
        var labels = try inputs[1].cast(to: .int64), counted: Tensor?
        if let ignored {
            let isIgnored = try labels.equals(Tensor(Int64(ignored)).moved(to: logits.device))
            labels = try labels.filled(with: 0, where: isIgnored)
            counted = try 1 - isIgnored.cast(to: logits.dtype)
        }
        var target = try labels.oneHot(classes, logits.dtype) * (1 - smoothing) + smoothing / Double(classes)
        var mass = try Tensor.ones(labels.shape, logits.dtype, on: logits.device)
        if inputs.count > 2 {
            target = try target * inputs[2]
            mass = try inputs[2].gathered(labels)
        }
        var losses = try (target * logits.logSoftmax()).sum([-1]).negated()
        if let counted {
            losses = try losses * counted
            mass = try mass * counted
        }
        return [try reduction == .mean ? losses.sum() / mass.sum() : reduction.of(losses)]
    }
}

/// The gradient of `SoftmaxCrossEntropy`, of `(dy, logits, labels, log-sum-exps, Σ weights of labels, weights?)`.
struct SoftmaxCrossEntropyGradient: Primitive {
    let smoothing: Double
    let ignored: Int?
    let isMean: Bool

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[1]) }

    static var kernels: Kernels<SoftmaxCrossEntropyGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self, keel_reference_cross_entropy_gradient_f32)
                } else {
                    try p.compute(inputs, outputs, Double.self, keel_reference_cross_entropy_gradient_f64)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[1].dtype == .float32 else { return false }
                try p.compute(inputs, outputs, Float.self, keel_cross_entropy_gradient_f32)
                return true
            })
    }

    private typealias RowSlopes<T> = (
        UnsafePointer<keel_cross_entropy>?, UnsafePointer<T>?, Int64, Double, UnsafeMutablePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?
    ) -> Void

    private func compute<T: TensorElement & BinaryFloatingPoint>(
        _ inputs: Operands, _ outputs: Operands, _: T.Type, _ body: RowSlopes<T>
    ) throws(TensorError) {
        let dy = try inputs[0].contiguous(), logits = try inputs[1].contiguous(), labels = try inputs[2].contiguous()
        let weights = inputs.count > 5 ? try inputs[5].contiguous() : nil
        var sizes = kernelSizes(logits, labels, weights, smoothing: smoothing, ignored: ignored)
        body(
            &sizes, dy.pointer(T.self), dy.rank == 0 ? 0 : 1, isMean ? Double(inputs[4].pointer(T.self).pointee) : 1, outputs[0].pointer(T.self),
            logits.pointer(T.self), inputs[3].pointer(T.self))
        withExtendedLifetime((dy, logits, labels, weights)) {}
    }
}

private func kernelSizes(_ logits: Tensor, _ labels: Tensor, _ weights: Tensor?, smoothing: Double, ignored: Int?) -> keel_cross_entropy {
    keel_cross_entropy(
        rows: Int64(labels.count), classes: Int64(logits.size(logits.rank - 1)), smoothing: smoothing, labels_are_64_bit: labels.dtype == .int64 ? 1 : 0,
        ignores: ignored == nil ? 0 : 1, ignored: Int64(ignored ?? 0), labels: labels.bytes, weight: weights.map { UnsafeRawPointer($0.bytes) })
}

/// The logistic loss of a logit and a target in 0...1, number by number: `max(x, 0) - x * t + ln(1 + e^-|x|)`.
///
/// - Gradient: `dy * (sigmoid(x) - t)` and `-dy * x`.
struct LogisticLoss: BinaryElementwise {
    static var function: keel_binary_op { KEEL_LOGISTIC_LOSS }
    static var gradientReads: Reads { [.input(0), .input(1)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let (x, target, dy) = (g.input(0), g.input(1), g.outputGradient)
        if g.wants(0) { try g.set(0, try (dy * (x.sigmoid() - target)).summed(to: x.shape)) }
        if g.wants(1) { try g.set(1, try (dy * x).negated().summed(to: target.shape)) }
    }
}

extension Tensor {
    /// Cross-entropy between logits and class labels.
    ///
    /// - Shapes: self `[..., classes]`, `labels [...]` int64 or int32 in `0..<classes`, `classWeights [classes]` → `[...]` for `.none`, else a scalar.
    /// - Unit: nats a row; guessing uniformly scores `ln(classes)`.
    /// - Parameters:
    ///   - axis: where the classes lie: 1 for pictures, `[n, classes, h, w]` with `labels [n, h, w]`.
    ///   - classWeights: how much the target's part in each class counts; the mean is then `Σ loss / Σ w` of the rows' labels.
    ///   - labelSmoothing: the share of the target that is spread evenly over all classes.
    ///   - ignoring: a label, in range or not, whose rows cost nothing and don't count; the mean of no rows is NaN.
    /// - Numerics: subtracts each row's maximum before `exp`, so large logits don't overflow.
    /// - Gradient: `(softmax(logits) - target) / rows`.
    /// - Errors: `TensorError.labelOutOfRange` with the row and the label.
    /// - Source: Goodfellow, Bengio and Courville, *Deep Learning*, 2016, section 6.2.2.3; smoothing: Szegedy et al., 2016.
    public func softmaxCrossEntropy(
        _ labels: Tensor, axis: Int = -1, classWeights: Tensor? = nil, labelSmoothing: Double = 0, ignoring: Int? = nil,
        reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        let loss = SoftmaxCrossEntropy(smoothing: labelSmoothing, ignored: ignoring, reduction: reduction), last = rank - 1
        let place = axis == -1 ? last : try shape.place(of: axis, in: SoftmaxCrossEntropy.name)
        let logits = place == last ? self : try permuted((0..<rank).filter { $0 != place } + [place])
        return if let classWeights { try apply(loss, logits, labels, classWeights) } else { try apply(loss, logits, labels) }
    }

    /// Cross-entropy between logits and probabilities: for mixed pictures, and for learning from another network.
    ///
    /// - Shapes: self `[..., classes]`, or with them along `axis`, `probabilities` alike → `[...]` for `.none`, else a scalar.
    /// - Unit: nats a row.
    /// - Errors: `TensorError.shape`.
    public func softmaxCrossEntropy(probabilities: Tensor, axis: Int = -1, reduction: LossReduction = .mean) throws(TensorError) -> Tensor {
        try checkAlike(probabilities, "softmaxCrossEntropy")
        return try reduction.of((probabilities * logSoftmax(axis)).sum([axis]).negated())
    }

    /// Logistic loss between logits and targets in 0...1, of any one shape.
    ///
    /// - Parameter positiveWeight: how much the targets' yes counts, broadcast: above 1 it makes up for their being rare.
    public func binaryCrossEntropy(
        _ targets: Tensor, positiveWeight: Tensor? = nil, reduction: LossReduction = .mean
    ) throws(TensorError) -> Tensor {
        var losses = try apply(LogisticLoss(), self, targets)
        if let positiveWeight {
            let yes = try apply(LogisticLoss(), self, Tensor.ones([], dtype, on: device))
            losses = try losses + targets * (positiveWeight - 1) * yes
        }
        return try reduction.of(losses)
    }

    func checkAlike(_ other: Tensor, _ name: String, _ what: String = "targets") throws(TensorError) {
        guard other.shape == shape else { throw .shape(primitive: name, expected: "\(what) \(shape)", other.shape) }
    }
}
