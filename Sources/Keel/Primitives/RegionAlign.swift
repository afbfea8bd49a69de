import KeelKernels

/// Regions of pictures in one size: each is cut into bins, and a bin's number is the mean of samples that are interpolated linearly.
///
/// - Shapes: `x [n, c, h, w]`, `boxes [regions, 4]` (left, top, right, bottom), `pictures [regions]` int64 → `[regions, c, oh, ow]`.
/// - Gradient: of `x` by `RegionAlignGradient`; boxes have none.
/// - Errors: `TensorError.rank`, `TensorError.shape`, `TensorError.dtype`, `TensorError.argument`; `TensorError.indexOutOfRange` for a
///   picture that isn't there.
/// - Source: He et al., *Mask R-CNN*, 2017. ONNX `RoiAlign`, opset 16, with `mode` avg.
struct RegionAlign: Primitive {
    let size: Pair
    let scale: Double
    let samples: Int
    let isHalfPixel: Bool
    static var onnxName: String? { "RoiAlign" }
    static var gradientReads: Reads { [.input(1), .input(2)] }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let (x, boxes, pictures) = (inputs[0], inputs[1], inputs[2])
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard boxes.dtype == x.dtype else { throw TensorError(.dtypesDiffer(primitive: Self.name, x.dtype, boxes.dtype)) }
        guard pictures.dtype == .int64 else { throw .dtype(primitive: Self.name, expected: "int64 pictures", pictures.dtype) }
        guard x.shape.rank == 4 else { throw .rank(primitive: Self.name, expected: "a picture [n, c, h, w]", x.shape) }
        guard x.shape[2].number != 0, x.shape[3].number != 0 else { throw .shape(primitive: Self.name, expected: "a picture of one number at least", x.shape) }
        guard boxes.shape.rank == 2, boxes.shape[1].number == 4 else { throw .shape(primitive: Self.name, expected: "boxes [regions, 4]", boxes.shape) }
        guard pictures.shape == Shape(boxes.shape[0]) else { throw .shape(primitive: Self.name, expected: "pictures [\(boxes.shape[0])]", pictures.shape) }
        guard size.height >= 1, size.width >= 1 else {
            throw .argument(primitive: Self.name, name: "size", given: "\(size.height) x \(size.width)", allowed: "1 and more")
        }
        guard samples >= 0, samples <= Int(KEEL_REGION_SAMPLES) else {
            throw .argument(primitive: Self.name, name: "samples", given: samples, allowed: "1...\(KEEL_REGION_SAMPLES)")
        }
        return SpecList(TensorSpec(Shape(boxes.shape[0], x.shape[1], Dimension(size.height), Dimension(size.width)), x.dtype))
    }

    fileprivate func kernel(_ x: Tensor, _ boxes: Tensor, _ pictures: Tensor) throws(TensorError) -> keel_regions {
        let bad = keel_first_bad_index(1, Int64(pictures.count), pictures.bytes, Int64(x.size(0)))
        if bad >= 0 {
            throw TensorError(
                .indexOutOfRange(primitive: Self.name, position: Int(bad), index: Int(pictures.pointer(Int64.self)[Int(bad)]), limit: x.size(0)))
        }
        return keel_regions(
            n: Int64(x.size(0)), c: Int64(x.size(1)), h: Int64(x.size(2)), w: Int64(x.size(3)), regions: Int64(boxes.size(0)),
            oh: Int64(size.height), ow: Int64(size.width), scale: scale, samples: Int32(samples), half_pixel: isHalfPixel ? 1 : 0)
    }

    static var kernels: Kernels<RegionAlign> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous(), boxes = try inputs[1].contiguous(), pictures = try inputs[2].contiguous()
                var at = try p.kernel(x, boxes, pictures)
                if x.dtype == .float32 {
                    keel_reference_region_align_f32(
                        &at, outputs[0].pointer(Float.self), x.pointer(Float.self), boxes.pointer(Float.self), pictures.pointer(Int64.self))
                } else {
                    keel_reference_region_align_f64(
                        &at, outputs[0].pointer(Double.self), x.pointer(Double.self), boxes.pointer(Double.self), pictures.pointer(Int64.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].contiguous(), boxes = try inputs[1].contiguous(), pictures = try inputs[2].contiguous()
                var at = try p.kernel(x, boxes, pictures)
                keel_region_align_f32(
                    &at, outputs[0].pointer(Float.self), x.pointer(Float.self), boxes.pointer(Float.self), pictures.pointer(Int64.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard !g.wants(1) else { throw TensorError(.noGradient("a region's box")) }
        try g.set(0, try apply(RegionAlignGradient(align: self, input: g.shape(0)), g.outputGradient, g.input(1), g.input(2)))
    }
}

/// `dy` shared out to the numbers that each bin's samples lie between; of `(dy, boxes, pictures)`.
struct RegionAlignGradient: Primitive {
    let align: RegionAlign
    let input: Shape
    static var gradientReads: Reads { [.input(1), .input(2)] }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> RegionAlignGradient { RegionAlignGradient(align: align, input: try input.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let made = try align.outputs(SpecList([TensorSpec(input, inputs[0].dtype), inputs[1], inputs[2]]))
        guard made[0] == inputs[0] else { throw .shape(primitive: Self.name, expected: "\(made[0])", inputs[0].shape) }
        return SpecList(TensorSpec(input, inputs[0].dtype))
    }

    static var kernels: Kernels<RegionAlignGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous(), boxes = try inputs[1].contiguous(), pictures = try inputs[2].contiguous()
                var at = try p.align.kernel(outputs[0], boxes, pictures)
                if dy.dtype == .float32 {
                    keel_reference_region_align_gradient_f32(
                        &at, outputs[0].pointer(Float.self), dy.pointer(Float.self), boxes.pointer(Float.self), pictures.pointer(Int64.self))
                } else {
                    keel_reference_region_align_gradient_f64(
                        &at, outputs[0].pointer(Double.self), dy.pointer(Double.self), boxes.pointer(Double.self), pictures.pointer(Int64.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let dy = try inputs[0].contiguous(), boxes = try inputs[1].contiguous(), pictures = try inputs[2].contiguous()
                var at = try p.align.kernel(outputs[0], boxes, pictures)
                keel_region_align_gradient_f32(
                    &at, outputs[0].pointer(Float.self), dy.pointer(Float.self), boxes.pointer(Float.self), pictures.pointer(Int64.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        guard !g.wants(1) else { throw TensorError(.noGradient("a region's box")) }
        try g.set(0, try apply(align, g.outputGradient, g.input(1), g.input(2)))
    }
}

extension Tensor {
    /// Regions of pictures in one size (RoI align): each region is cut into bins, and a bin's number is the mean of its samples.
    ///
    /// - Shapes: self `[n, c, h, w]`, `boxes [regions, 4]` (left, top, right, bottom), `pictures [regions]` int64 →
    ///   `[regions, c, size.height, size.width]`. What lies outside the picture by more than a pixel, or isn't a number, counts as 0.
    /// - Parameters:
    ///   - pictures: in which picture each region lies.
    ///   - scale: from the boxes' coordinates to the picture's, such as 1/16 for features of a sixteenth of the size.
    ///   - samples: along each axis of a bin, 1...64; nil for one a pixel of the bin, at most 64.
    ///   - isHalfPixel: whether the numbers stand in the middle of pixels (`half_pixel`, `aligned=True`); else at their corners, and a
    ///     region is a pixel long at least.
    /// - Gradient: of the picture; boxes get none.
    /// - Errors: `TensorError.indexOutOfRange` for a picture that isn't there; `TensorError.shape`, `TensorError.argument`.
    /// - Source: He et al., *Mask R-CNN*, 2017. ONNX `RoiAlign`, opset 16, with `mode` avg.
    public func regionAligned(
        boxes: Tensor, pictures: Tensor, to size: (height: Int, width: Int), scale: Double = 1, samples: Int? = nil, isHalfPixel: Bool = true
    ) throws(TensorError) -> Tensor {
        if samples == 0 { throw .argument(primitive: RegionAlign.name, name: "samples", given: 0, allowed: "1...\(KEEL_REGION_SAMPLES)") }
        let align = RegionAlign(size: Pair(height: size.height, width: size.width), scale: scale, samples: samples ?? 0, isHalfPixel: isHalfPixel)
        return try apply(align, self, boxes, pictures)
    }
}
