import KeelKernels

/// The boxes with the best scores, without those that overlap a better one too much: greedily, best first.
///
/// - Shapes: `boxes [n, count, 4]` (left, top, right, bottom, in either order), `scores [n, classes, count]`, optionally
///   `labels [n, count]` int64 → `chosen [n, classes, most]` int64, best first and -1 after the last; `counts [n, classes]` int64.
///   A row of scores is worked on by itself; within it, boxes of different labels don't suppress each other.
/// - Errors: `TensorError.shape`, `TensorError.dtype`, `TensorError.argument`.
/// - Source: ONNX `NonMaxSuppression`, opset 11, whose result has one row a chosen box; here its size doesn't depend on the numbers.
struct NonMaximumSuppression: Primitive {
    let overlap: Double
    let leastScore: Double
    let most: Int

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (boxes, scores) = (inputs[0], inputs[1])
        guard boxes.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", boxes.dtype) }
        guard scores.dtype == boxes.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, boxes.dtype, scores.dtype)) }
        guard boxes.shape.rank == 3, boxes.shape[2].number == 4 else { throw .shape(primitive: Self.name, expected: "boxes [n, count, 4]", boxes.shape) }
        guard scores.shape.rank == 3, scores.shape[0] == boxes.shape[0], scores.shape[2] == boxes.shape[1] else {
            throw .shape(primitive: Self.name, expected: "scores [\(boxes.shape[0]), classes, \(boxes.shape[1])]", scores.shape)
        }
        if inputs.count > 2 {
            guard inputs[2].dtype == .int64 else { throw .dtype(primitive: Self.name, expected: "int64 labels", inputs[2].dtype) }
            guard inputs[2].shape == boxes.shape.dropLast(1) else {
                throw .shape(primitive: Self.name, expected: "labels \(boxes.shape.dropLast(1))", inputs[2].shape)
            }
        }
        guard (0...1).contains(overlap) else { throw .argument(primitive: Self.name, name: "overlap", given: overlap, allowed: "0...1") }
        guard most >= 1 else { throw .argument(primitive: Self.name, name: "most", given: most, allowed: "1 and more") }
        if let count = boxes.shape[1].number, count > Int(Int32.max) {
            throw .shape(primitive: Self.name, expected: "at most \(Int32.max) boxes a picture", boxes.shape)
        }
        return SpecList([
            TensorSpec(Shape(scores.shape[0], scores.shape[1], Dimension(most)), .int64), TensorSpec(scores.shape.dropLast(1), .int64),
        ])
    }

    static var kernels: Kernels<NonMaximumSuppression> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                try p.suppress(inputs) { (at, boxes, scores, memory) in
                    let (chosen, counts) = (outputs[0].pointer(Int64.self), outputs[1].pointer(Int64.self))
                    if boxes.dtype == .float32 {
                        keel_reference_suppress_f32(&at, chosen, counts, boxes.pointer(Float.self), scores.pointer(Float.self), memory)
                    } else {
                        keel_reference_suppress_f64(&at, chosen, counts, boxes.pointer(Double.self), scores.pointer(Double.self), memory)
                    }
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.suppress(inputs) { (at, boxes, scores, memory) in
                    keel_suppress_f32(
                        &at, outputs[0].pointer(Int64.self), outputs[1].pointer(Int64.self), boxes.pointer(Float.self), scores.pointer(Float.self),
                        memory)
                }
                return true
            })
    }

    private func suppress(
        _ inputs: Operands, with kernel: (inout keel_suppression, _ boxes: Tensor, _ scores: Tensor, UnsafeMutableRawPointer) -> Void
    ) throws(TensorError) {
        let boxes = try inputs[0].contiguous(), scores = try inputs[1].contiguous()
        let labels = inputs.count > 2 ? try inputs[2].contiguous() : nil
        var at = keel_suppression(
            pictures: Int64(scores.size(0)), classes: Int64(scores.size(1)), n: Int64(scores.size(2)), overlap: overlap, least: leastScore,
            most: Int64(most), labels: labels.map { UnsafePointer($0.pointer(Int64.self)) })
        let memory = try Tensor(undefined: TensorSpec([Int(keel_suppression_bytes(&at))], .uint8), on: boxes.device)
        kernel(&at, boxes, scores, memory.bytes)
        withExtendedLifetime(labels) {}
    }
}

extension Tensor {
    /// Non-maximum suppression, for each picture and class by itself: the boxes with the best scores, without those that overlap a better
    /// one too much.
    ///
    /// - Shapes: self `[n, count, 4]` (left, top, right, bottom), `scores [n, classes, count]`, `labels [n, count]` int64 →
    ///   `chosen [n, classes, most]`, places of boxes, best first and -1 after the last; `counts [n, classes]`, how many there are; both int64.
    /// - Parameters:
    ///   - labels: boxes of different labels don't suppress each other. With one row of scores, that of each box's best class, this
    ///     makes the usual class-wise suppression of detectors, and `most` counts over all classes.
    ///   - overlap: the intersection over union from which on, exclusively, a box gives way.
    ///   - leastScore: only scores above it count. NaN never does.
    ///   - most: boxes to choose at most.
    /// - Errors: `TensorError.shape`, `TensorError.dtype`, `TensorError.argument`.
    /// - Source: ONNX `NonMaxSuppression`, opset 11, in a form of bounded size.
    public func nonMaximumSuppression(
        scores: Tensor, labels: Tensor? = nil, overlap: Double = 0.5, leastScore: Double = -.infinity, most: Int
    ) throws(TensorError) -> (chosen: Tensor, counts: Tensor) {
        let inputs = [detached(), scores.detached()] + (labels.map { [$0] } ?? [])
        let made = try applyMany(NonMaximumSuppression(overlap: overlap, leastScore: leastScore, most: most), inputs)
        return (made[0], made[1])
    }
}
