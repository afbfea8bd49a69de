import KeelKernels

/// A set of axes, as bits, counted from the front.
public struct AxisSet: Hashable, Sendable {
    var bits: UInt8 = 0
    func contains(_ axis: Int) -> Bool { bits >> UInt8(axis) & 1 == 1 }
    mutating func insert(_ axis: Int) { bits |= 1 << UInt8(axis) }
}

/// What the reductions share: which axes go, and whether they stay as axes of size 1.
protocol Reduction: Primitive {
    static var function: keel_reduction_op { get }
    var axes: AxisSet { get }
    var keepsAxes: Bool { get }
    init(axes: AxisSet, keepsAxes: Bool)
}

extension Reduction {
    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let input = inputs[0]
        guard input.dtype != .bool else { throw .dtype(primitive: Self.name, expected: "numbers", input.dtype) }
        if Self.function == KEEL_MEAN, !input.dtype.isFloat { throw .dtype(primitive: Self.name, expected: "floats", input.dtype) }
        var shape = Shape()
        for axis in 0..<input.shape.rank {
            if !axes.contains(axis) {
                shape.append(input.shape[axis])
            } else {
                if Self.function == KEEL_MAX || Self.function == KEEL_MIN, input.shape[axis].number == 0 {
                    throw .shape(primitive: Self.name, expected: "an element at least along axis \(axis)", input.shape)
                }
                if keepsAxes { shape.append(Dimension(1)) }
            }
        }
        return SpecList(TensorSpec(shape, input.dtype))
    }

    static var kernels: Kernels<Self> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in
                try p.reduce(inputs[0], into: outputs[0]) { outer, n, inner, out, x in
                    keel_reference_reduce(function, inputs[0].dtype.kernel, outer, n, inner, out, x)
                }
            },
            cpu: { p, inputs, outputs throws(TensorError) in
                guard inputs[0].dtype == .float32 else { return false }
                try p.reduce(inputs[0], into: outputs[0]) { outer, n, inner, out, x in
                    keel_reduce_f32(
                        function, outer, n, inner, out.assumingMemoryBound(to: Float.self), x.assumingMemoryBound(to: Float.self))
                }
                return true
            })
    }

    /// Takes one run of neighbouring axes away after the other, the last run first. A mean of means of equally many is the mean.
    private func reduce(
        _ input: Tensor, into output: Tensor,
        with kernel: (Int64, Int64, Int64, UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Void
    ) throws(TensorError) {
        var current = try input.contiguous()
        var sizes = (0..<input.rank).map { input.size($0) }
        var axis = input.rank - 1
        var remaining = axes
        if output.count == 0 { return }
        while axis >= 0 {
            guard remaining.contains(axis) else {
                axis -= 1
                continue
            }
            var first = axis
            while first > 0, remaining.contains(first - 1) { first -= 1 }
            let outer = sizes[..<first].reduce(1, *), n = sizes[first...axis].reduce(1, *), inner = sizes[(axis + 1)...].reduce(1, *)
            for taken in first...axis {
                sizes[taken] = 1
                remaining.bits &= ~(1 << UInt8(taken))
            }
            let target = remaining.bits == 0 ? output : try Tensor(undefined: TensorSpec(Shape(sizes), input.dtype), on: input.device)
            kernel(Int64(outer), Int64(n), Int64(inner), target.bytes, current.bytes)
            current = target
            axis = first - 1
        }
        if axes.bits == 0 { move(current, to: output) }
    }

    /// The output, or its gradient, in the input's rank.
    func lifted(_ tensor: Tensor, to shape: Shape) throws(TensorError) -> Tensor {
        if keepsAxes { return tensor }
        var kept = shape
        for axis in 0..<shape.rank where axes.contains(axis) { kept[axis] = Dimension(1) }
        return try tensor.reshaped(kept)
    }
}

/// The sum over axes. In float32, runs of at most 4096 are added in float and these sums in double.
///
/// - Gradient: `dy` stretched back.
/// - Source: ONNX `ReduceSum`, opset 13.
struct Sum: Reduction {
    let axes: AxisSet
    let keepsAxes: Bool
    static var onnxName: String? { "ReduceSum" }
    static var isLinear: Bool { true }
    static var function: keel_reduction_op { KEEL_SUM }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        try g.set(0, try lifted(g.outputGradient, to: g.shape(0)).expanded(to: g.shape(0)))
    }
}

/// The mean over axes; NaN of nothing.
///
/// - Gradient: `dy / n` stretched back.
/// - Source: ONNX `ReduceMean`, opset 18.
struct Mean: Reduction {
    let axes: AxisSet
    let keepsAxes: Bool
    static var onnxName: String? { "ReduceMean" }
    static var isLinear: Bool { true }
    static var function: keel_reduction_op { KEEL_MEAN }

    func gradient(_ g: borrowing GradientContext) throws(TensorError) {
        let shape = g.shape(0)
        var n = Dimension(1)
        for axis in 0..<shape.rank where axes.contains(axis) { n = n * shape[axis] }
        let dy = try lifted(g.outputGradient, to: shape), division = DivideBySize(size: n)
        // A traced function's constant is stretched first: then dividing by a symbol is a step of the program.
        let isStretched = n.isSymbolic && !dy.isTraced
        try g.set(0, isStretched ? try apply(division, dy.expanded(to: shape)) : try apply(division, dy).expanded(to: shape))
    }
}

/// The largest along axes; NaN wins. Gradient: `dy` in equal shares to all that are largest. Source: ONNX `ReduceMax`, opset 18.
struct Max: Reduction {
    let axes: AxisSet
    let keepsAxes: Bool
    static var onnxName: String? { "ReduceMax" }
    static var function: keel_reduction_op { KEEL_MAX }
    static var gradientReads: Reads { [.input(0), .output(0)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try shareAmongWinners(self, g) }
}

/// The smallest along axes; NaN wins. Gradient: `dy` in equal shares to all that are smallest. Source: ONNX `ReduceMin`, opset 18.
struct Min: Reduction {
    let axes: AxisSet
    let keepsAxes: Bool
    static var onnxName: String? { "ReduceMin" }
    static var function: keel_reduction_op { KEEL_MIN }
    static var gradientReads: Reads { [.input(0), .output(0)] }
    func gradient(_ g: borrowing GradientContext) throws(TensorError) { try shareAmongWinners(self, g) }
}

private func shareAmongWinners(_ p: some Reduction, _ g: borrowing GradientContext) throws(TensorError) {
    let x = g.input(0)
    let wins = try x.equals(p.lifted(g.output(0), to: x.shape)).cast(to: x.dtype)
    let winners = try apply(Sum(axes: p.axes, keepsAxes: true), wins)
    try g.set(0, try p.lifted(g.outputGradient, to: x.shape) / winners * wins)
}

/// The first position of the largest (or smallest) number along an axis; a NaN counts as both.
///
/// - Shapes: as the input without the axis, int64.
/// - Source: ONNX `ArgMax` and `ArgMin`, opset 13.
struct ArgExtreme: Primitive {
    let axis: Int
    let isLargest: Bool
    static var name: String { "ArgMax" }

    func outputs(_ inputs: SpecList) throws(TensorError) -> SpecList {
        let shape = inputs[0].shape
        let place = try shape.place(of: axis, in: Self.name)
        guard shape[place].number != 0 else { throw .shape(primitive: Self.name, expected: "an element at least along axis \(axis)", shape) }
        return SpecList(TensorSpec(shape.axes(0..<place) + shape.axes((place + 1)..<shape.rank), .int64))
    }

    static var kernels: Kernels<ArgExtreme> {
        Kernels(
            reference: { p, inputs, outputs throws(TensorError) in try p.search(inputs[0], outputs[0]) },
            cpu: { p, inputs, outputs throws(TensorError) in
                try p.search(inputs[0], outputs[0])
                return true
            })
    }

    private func search(_ input: Tensor, _ output: Tensor) throws(TensorError) {
        let x = try input.contiguous()
        let place = try x.shape.place(of: axis, in: Self.name)
        let (outer, n, inner) = x.shape.split(at: place)
        keel_arg_extreme(isLargest ? 1 : 0, x.dtype.kernel, Int64(outer), Int64(n), Int64(inner), output.pointer(Int64.self), x.bytes)
    }
}

extension Shape {
    /// The sizes before, of and after an axis. Only of a shape without symbols.
    func split(at axis: Int) -> (outer: Int, n: Int, inner: Int) {
        var (outer, inner) = (1, 1)
        for i in 0..<axis { outer *= dimensions[i].bits }
        for i in (axis + 1)..<max(rank, axis + 1) { inner *= dimensions[i].bits }
        return (outer, dimensions[axis].bits, inner)
    }
}

extension Tensor {
    private func axisSet(_ axes: [Int]?, in primitive: String) throws(TensorError) -> AxisSet {
        var set = AxisSet()
        guard let axes else {
            for axis in 0..<rank { set.insert(axis) }
            return set
        }
        for axis in axes { set.insert(try shape.place(of: axis, in: primitive)) }
        return set
    }

    /// The sum over `axes`, or over all; with `keepingAxes` these stay, with size 1.
    public func sum(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try apply(Sum(axes: try axisSet(axes, in: Sum.name), keepsAxes: keepingAxes), self)
    }

    public func mean(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try apply(Mean(axes: try axisSet(axes, in: Mean.name), keepsAxes: keepingAxes), self)
    }

    public func max(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try apply(Max(axes: try axisSet(axes, in: Max.name), keepsAxes: keepingAxes), self)
    }

    public func min(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try apply(Min(axes: try axisSet(axes, in: Min.name), keepsAxes: keepingAxes), self)
    }

    /// The mean squared distance from the mean, over `axes` or all; divided by n, not n - 1.
    public func variance(_ axes: [Int]? = nil, keepingAxes: Bool = false) throws(TensorError) -> Tensor {
        try (self - mean(axes, keepingAxes: true)).squared().mean(axes, keepingAxes: keepingAxes)
    }

    /// The first position of the largest number along an axis, as int64.
    public func argMax(_ axis: Int = -1) throws(TensorError) -> Tensor { try apply(ArgExtreme(axis: axis, isLargest: true), self) }
    /// The first position of the smallest number along an axis, as int64.
    public func argMin(_ axis: Int = -1) throws(TensorError) -> Tensor { try apply(ArgExtreme(axis: axis, isLargest: false), self) }
}
