import KeelKernels

/// Mean cross-entropy between logits and class labels; see `Tensor.softmaxCrossEntropy`.
///
/// - Shapes: `logits [rows, classes]`, `labels [rows]`, optionally `weights [classes]` → scalar. Residuals: each row's log-sum-exp,
///   and the sum of the rows' weights.
/// - Gradient: `SoftmaxCrossEntropyGradient`; labels and weights have none.
struct SoftmaxCrossEntropy: Primitive {
    let smoothing: Double
    static var onnxName: String? { "SoftmaxCrossEntropyLoss" }
    static var gradientReads: Reads { [.input(0), .input(1), .input(2), .residual(0), .residual(1)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (logits, labels) = (inputs[0], inputs[1])
        guard logits.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "float32 or float64 logits", logits.dtype) }
        guard logits.shape.rank == 2, logits.shape[1].number != 0 else { throw .rank(primitive: Self.name, expected: "logits [rows, classes]", logits.shape) }
        guard labels.dtype == .int64 || labels.dtype == .int32 else { throw .dtype(primitive: Self.name, expected: "int64 or int32 labels", labels.dtype) }
        guard labels.shape == Shape(logits.shape[0]) else { throw .shape(primitive: Self.name, expected: "labels [\(logits.shape[0])]", labels.shape) }
        guard smoothing >= 0, smoothing < 1 else { throw .argument(primitive: Self.name, name: "smoothing", given: smoothing, allowed: "0..<1") }
        if inputs.count > 2, inputs[2].shape != Shape(logits.shape[1]) || inputs[2].dtype != logits.dtype {
            throw .shape(primitive: Self.name, expected: "\(logits.dtype) weights [\(logits.shape[1])]", inputs[2].shape)
        }
        return SpecList(TensorSpec(Shape(), logits.dtype))
    }

    func residuals(_ inputs: SpecList) throws(TensorError) -> SpecList {
        SpecList([TensorSpec(Shape(inputs[0].shape[0]), inputs[0].dtype), TensorSpec(Shape(), inputs[0].dtype)])
    }

    static var kernels: Kernels<SoftmaxCrossEntropy> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                if inputs[0].dtype == .float32 {
                    try p.compute(inputs, outputs, Float.self) { rows, classes, is64, labels, weights, loss, mass, lse, x in
                        keel_reference_cross_entropy_f32(rows, classes, p.smoothing, is64, labels, weights, loss, mass, lse, x)
                    }
                } else {
                    try p.compute(inputs, outputs, Double.self) { rows, classes, is64, labels, weights, loss, mass, lse, x in
                        keel_reference_cross_entropy_f64(rows, classes, p.smoothing, is64, labels, weights, loss, mass, lse, x)
                    }
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.compute(inputs, outputs, Float.self) { rows, classes, is64, labels, weights, loss, mass, lse, x in
                    keel_cross_entropy_f32(rows, classes, Float(p.smoothing), is64, labels, weights, loss, mass, lse, x)
                }
                return true
            })
    }

    private typealias RowLosses<T> = (
        Int64, Int64, Int32, UnsafeRawPointer, UnsafePointer<T>?, UnsafeMutablePointer<T>, UnsafeMutablePointer<T>, UnsafeMutablePointer<T>,
        UnsafePointer<T>
    ) -> Int64

    private func compute<T: TensorElement & BinaryFloatingPoint>(
        _ inputs: Operands, _ outputs: Operands, _: T.Type, _ body: RowLosses<T>
    ) throws(TensorError) {
        let logits = try inputs[0].contiguous(), labels = try inputs[1].contiguous()
        let weights = inputs.count > 2 ? try inputs[2].contiguous() : nil
        let (rows, classes) = (logits.size(0), logits.size(1))
        let perRow = TensorSpec([rows], logits.dtype)
        let loss = try Tensor(undefined: perRow, on: logits.device), mass = try Tensor(undefined: perRow, on: logits.device)
        let lse = outputs.count > 1 ? outputs[1] : try Tensor(undefined: perRow, on: logits.device)
        let bad = Int(
            body(
                Int64(rows), Int64(classes), labels.dtype == .int64 ? 1 : 0, labels.bytes, weights.map { UnsafePointer($0.pointer(T.self)) },
                loss.pointer(T.self), mass.pointer(T.self), lse.pointer(T.self), logits.pointer(T.self)))
        guard bad < 0 else {
            let label = labels.dtype == .int64 ? Int(labels.pointer(Int64.self)[bad]) : Int(labels.pointer(Int32.self)[bad])
            throw TensorError(.labelOutOfRange(row: bad, label: label, classes: classes))
        }
        var (total, weight) = (0.0, 0.0)
        for row in 0..<rows {
            total += Double(loss.pointer(T.self)[row])
            weight += Double(mass.pointer(T.self)[row])
        }
        outputs[0].pointer(T.self).pointee = T(total / weight)
        if outputs.count > 2 { outputs[2].pointer(T.self).pointee = T(weight) }
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard g.wants(0) else { return }
        var inputs = [g.outputGradient, g.input(0), g.input(1), g.residual(0), g.residual(1)]
        if g.inputCount > 2 { inputs.append(g.input(2)) }
        try g.set(0, try apply(SoftmaxCrossEntropyGradient(smoothing: smoothing), inputs))
    }

    func decomposed(_ inputs: [Tensor]) throws(TensorError) -> [Tensor]? {
        let logits = inputs[0], classes = try logits.shape.size(1)
        let hot = try inputs[1].oneHot(classes, logits.dtype)
        let target = try hot * (1 - smoothing) + smoothing / Double(classes)
        var losses = try (target * logits.logSoftmax()).sum([1]).negated()
        guard inputs.count > 2 else { return [try losses.mean()] }
        let weights = try inputs[2].gathered(inputs[1])
        losses = try losses * weights
        return [try losses.sum() / weights.sum()]
    }
}

/// `dy * w * (softmax(logits) - target) / Σ w` of `(dy, logits, labels, log-sum-exps, Σ w, weights?)`.
struct SoftmaxCrossEntropyGradient: Primitive {
    let smoothing: Double

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList { SpecList(inputs[1]) }

    static var kernels: Kernels<SoftmaxCrossEntropyGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let logits = try inputs[1].contiguous(), labels = try inputs[2].contiguous()
                let weights = inputs.count > 5 ? try inputs[5].contiguous() : nil
                let (rows, classes) = (Int64(logits.size(0)), Int64(logits.size(1)))
                let is64: Int32 = labels.dtype == .int64 ? 1 : 0
                if logits.dtype == .float32 {
                    let factor = Double(inputs[0].pointer(Float.self).pointee) / Double(inputs[4].pointer(Float.self).pointee)
                    keel_reference_cross_entropy_gradient_f32(
                        rows, classes, p.smoothing, is64, labels.bytes, weights?.pointer(Float.self), factor, outputs[0].pointer(Float.self),
                        logits.pointer(Float.self), inputs[3].pointer(Float.self))
                } else {
                    let factor = inputs[0].pointer(Double.self).pointee / inputs[4].pointer(Double.self).pointee
                    keel_reference_cross_entropy_gradient_f64(
                        rows, classes, p.smoothing, is64, labels.bytes, weights?.pointer(Double.self), factor, outputs[0].pointer(Double.self),
                        logits.pointer(Double.self), inputs[3].pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[1].dtype == .float32 else { return false }
                let logits = try inputs[1].contiguous(), labels = try inputs[2].contiguous()
                let weights = inputs.count > 5 ? try inputs[5].contiguous() : nil
                let factor = inputs[0].pointer(Float.self).pointee / inputs[4].pointer(Float.self).pointee
                keel_cross_entropy_gradient_f32(
                    Int64(logits.size(0)), Int64(logits.size(1)), Float(p.smoothing), labels.dtype == .int64 ? 1 : 0, labels.bytes,
                    weights?.pointer(Float.self), factor, outputs[0].pointer(Float.self), logits.pointer(Float.self),
                    inputs[3].pointer(Float.self))
                return true
            })
    }
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
    /// Mean cross-entropy between logits and class labels.
    ///
    /// - Shapes: self `[rows, classes]`, `labels [rows]` int64 or int32 in `0..<classes`, `classWeights [classes]` → scalar.
    /// - Unit: nats a row; guessing uniformly scores `ln(classes)`.
    /// - Parameters:
    ///   - classWeights: how much a row of each class counts; the mean is then `Σ w·loss / Σ w`.
    ///   - labelSmoothing: the share of the target that is spread evenly over all classes.
    /// - Numerics: subtracts each row's maximum before `exp`, so large logits don't overflow.
    /// - Gradient: `(softmax(logits) - target) / rows`.
    /// - Errors: `TensorError.labelOutOfRange` with the row and the label.
    /// - Source: Goodfellow, Bengio and Courville, *Deep Learning*, 2016, section 6.2.2.3; smoothing: Szegedy et al., 2016.
    public func softmaxCrossEntropy(_ labels: Tensor, classWeights: Tensor? = nil, labelSmoothing: Double = 0) throws(TensorError) -> Tensor {
        let loss = SoftmaxCrossEntropy(smoothing: labelSmoothing)
        return if let classWeights { try apply(loss, self, labels, classWeights) } else { try apply(loss, self, labels) }
    }

    /// Mean logistic loss between logits and targets in 0...1, of any one shape.
    public func binaryCrossEntropy(_ targets: Tensor) throws(TensorError) -> Tensor { try apply(LogisticLoss(), self, targets).mean() }

    /// Mean squared difference.
    public func meanSquaredError(_ targets: Tensor) throws(TensorError) -> Tensor { try (self - targets).squared().mean() }
}
