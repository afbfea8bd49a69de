import KeelKernels

/// How a picture of another size is made of the numbers of the given one.
public enum Interpolation: Hashable, Sendable {
    /// The number at the nearest place, ties and all decided by the rounding.
    case nearest(Rounding)
    /// Between the two nearest along each axis, by their distances; places beyond the edge count as the edge.
    case linear

    /// How a place between two numbers is rounded; as ONNX `Resize` calls it in `nearest_mode`.
    public enum Rounding: Hashable, Sendable { case floor, ceil, roundPreferFloor, roundPreferCeil }

    /// The nearest with the place rounded down: `nearest` of most frameworks, which goes with `Coordinates.asymmetric`.
    public static var nearest: Interpolation { .nearest(.floor) }

    /// Which place of the given picture a place `i` of the wanted one is: as ONNX `Resize` calls it in `coordinate_transformation_mode`.
    public enum Coordinates: Hashable, Sendable {
        /// `(i + ½) · given / wanted - ½`: numbers stand in the middle of pixels.
        case halfPixel
        /// `i · (given - 1) / (wanted - 1)`: the corners' numbers stay where they are.
        case alignCorners
        /// `i · given / wanted`.
        case asymmetric
    }

    fileprivate var kernel: keel_resize_mode {
        switch self {
        case .linear: KEEL_LINEAR
        case .nearest(.floor): KEEL_NEAREST_FLOOR
        case .nearest(.ceil): KEEL_NEAREST_CEIL
        case .nearest(.roundPreferFloor): KEEL_NEAREST_PREFER_FLOOR
        case .nearest(.roundPreferCeil): KEEL_NEAREST_PREFER_CEIL
        }
    }
}

extension Interpolation.Coordinates {
    fileprivate var kernel: keel_resize_coordinates {
        switch self {
        case .halfPixel: KEEL_HALF_PIXEL
        case .alignCorners: KEEL_ALIGN_CORNERS
        case .asymmetric: KEEL_ASYMMETRIC
        }
    }
}

/// A picture in another size.
///
/// - Shapes: `[n, c, h, w]` → `[n, c, oh, ow]`.
/// - Gradient: `ResizeGradient`.
/// - Errors: `TensorError.rank`; `TensorError.shape` for a picture of nothing; `TensorError.argument` for a size of nothing.
/// - Source: ONNX `Resize`, opset 13, with `sizes`.
struct Resize: Primitive {
    let size: Pair
    let interpolation: Interpolation
    let coordinates: Interpolation.Coordinates
    static var onnxName: String? { "Resize" }
    static var isLinear: Bool { true }
    static var takesBlocked: Bool { true }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let x = inputs[0]
        guard x.dtype.isFloat else { throw .dtype(primitive: Self.name, expected: "floats", x.dtype) }
        guard x.shape.rank == 4 else { throw .rank(primitive: Self.name, expected: "a picture [n, c, h, w]", x.shape) }
        guard x.shape[2].number != 0, x.shape[3].number != 0 else { throw .shape(primitive: Self.name, expected: "a picture of one number at least", x.shape) }
        guard size.height >= 1, size.width >= 1, size.height <= Int(Int32.max), size.width <= Int(Int32.max) else {
            throw .argument(primitive: Self.name, name: "size", given: "\(size.height) x \(size.width)", allowed: "1 and more")
        }
        return SpecList(TensorSpec(Shape(x.shape[0], x.shape[1], Dimension(size.height), Dimension(size.width)), x.dtype))
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    fileprivate func kernel(_ h: Int, _ w: Int) -> keel_resize {
        keel_resize(
            mode: interpolation.kernel, coordinates: coordinates.kernel, h: Int64(h), w: Int64(w), oh: Int64(size.height), ow: Int64(size.width))
    }

    /// Memory for what the fast kernels know of each place of an axis.
    fileprivate func taps() throws(TensorError) -> Tensor { try Tensor(undefined: TensorSpec([3 * (size.height + size.width)], .float32), on: CPU.shared) }

    static var kernels: Kernels<Resize> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let x = try inputs[0].contiguous()
                var resize = p.kernel(x.size(2), x.size(3))
                let planes = Int64(x.size(0) * x.size(1))
                if x.dtype == .float32 {
                    keel_reference_resize_f32(&resize, planes, outputs[0].pointer(Float.self), x.pointer(Float.self))
                } else {
                    keel_reference_resize_f64(&resize, planes, outputs[0].pointer(Double.self), x.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let x = try inputs[0].poolable(), taps = try p.taps()
                var resize = p.kernel(x.size(2), x.size(3))
                let (planes, lanes) = x.planes
                keel_resize_f32(&resize, planes, lanes, taps.bytes, outputs[0].pointer(Float.self), x.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try apply(ResizeGradient(resize: self, input: g.shape(0)), g.outputGradient))
    }
}

/// `dy` shared out to the numbers that each was made of, by the same weights.
///
/// - Shapes: `[n, c, oh, ow]` → `[n, c, h, w]`.
/// - Gradient: `Resize`.
struct ResizeGradient: Primitive {
    static var isLinear: Bool { true }
    let resize: Resize
    let input: Shape
    static var takesBlocked: Bool { true }

    func resolved(_ sizes: SymbolSizes) throws(TensorError) -> ResizeGradient { ResizeGradient(resize: resize, input: try input.resolved(sizes)) }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let made = try resize.outputs(SpecList(TensorSpec(input, inputs[0].dtype)))
        guard made[0] == inputs[0] else { throw .shape(primitive: Self.name, expected: "\(made[0])", inputs[0].shape) }
        return SpecList(TensorSpec(input, inputs[0].dtype))
    }

    func layout(_ inputs: Operands, output: TensorSpec) -> Layout { inputs[0].layout }

    static var kernels: Kernels<ResizeGradient> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                let dy = try inputs[0].contiguous()
                var resize = p.resize.kernel(outputs[0].size(2), outputs[0].size(3))
                let planes = Int64(dy.size(0) * dy.size(1))
                if dy.dtype == .float32 {
                    keel_reference_resize_gradient_f32(&resize, planes, outputs[0].pointer(Float.self), dy.pointer(Float.self))
                } else {
                    keel_reference_resize_gradient_f64(&resize, planes, outputs[0].pointer(Double.self), dy.pointer(Double.self))
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                let dy = try inputs[0].poolable(), taps = try p.resize.taps()
                var resize = p.resize.kernel(outputs[0].size(2), outputs[0].size(3))
                let (planes, lanes) = dy.planes
                keel_resize_gradient_f32(&resize, planes, lanes, taps.bytes, outputs[0].pointer(Float.self), dy.pointer(Float.self))
                return true
            })
    }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try g.set(0, try apply(resize, g.outputGradient)) }
}

extension Tensor {
    /// The picture in another size.
    ///
    /// `resized(to: size)` is what PyTorch calls bilinear with `align_corners=False`, and with `.alignCorners` its `align_corners=True`;
    /// `.nearest` with `.asymmetric` is its `nearest`, `.nearest(.roundPreferCeil)` with `.halfPixel` its `nearest-exact`.
    ///
    /// - Shapes: self `[n, c, h, w]` → `[n, c, size.height, size.width]`.
    /// - Errors: `TensorError.rank`; `TensorError.shape` for a picture of nothing; `TensorError.argument` for a size of nothing.
    /// - Source: ONNX `Resize`, opset 13.
    public func resized(
        to size: (height: Int, width: Int), _ interpolation: Interpolation = .linear, coordinates: Interpolation.Coordinates = .halfPixel
    ) throws(TensorError) -> Tensor {
        try apply(Resize(size: Pair(height: size.height, width: size.width), interpolation: interpolation, coordinates: coordinates), self)
    }

    /// The sequence in another length: `[n, c, l]` → `[n, c, length]`, as a picture of height 1.
    public func resized(
        to length: Int, _ interpolation: Interpolation = .linear, coordinates: Interpolation.Coordinates = .halfPixel
    ) throws(TensorError) -> Tensor {
        try asPicture(Resize.name) { x throws(TensorError) in try x.resized(to: (1, length), interpolation, coordinates: coordinates) }
    }

    /// The picture `factor` times as high and wide, or the sequence `factor` times as long, with numbers in the middle of pixels.
    ///
    /// - Shapes: self `[n, c, h, w]` → `[n, c, factor·h, factor·w]`; `[n, c, l]` → `[n, c, factor·l]`.
    /// - Errors: as `resized`; `TensorError.symbolicDimension` for a picture whose size isn't known.
    public func upsampled(by factor: Int, _ interpolation: Interpolation = .nearest(.roundPreferFloor)) throws(TensorError) -> Tensor {
        guard rank == 3 || rank == 4 else { throw .rank(primitive: Resize.name, expected: "a picture [n, c, h, w]", shape) }
        guard factor >= 1 else { throw .argument(primitive: Resize.name, name: "factor", given: factor, allowed: "1 and more") }
        if rank == 3 { return try resized(to: try shape.size(2) * factor, interpolation) }
        return try resized(to: (try shape.size(2) * factor, try shape.size(3) * factor), interpolation)
    }
}
