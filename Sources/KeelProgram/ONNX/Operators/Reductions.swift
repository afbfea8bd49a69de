internal import Keel

/// A reduction over axes: an attribute at first, an input from `axesAsInput` on; all axes where none are named.
private func reduction(
    _ name: String, axesAsInput: Int = 18, ofNothing: Double? = nil, _ function: @escaping @Sendable (Tensor, [Int]) throws -> Tensor
) -> Operator {
    Operator(name) { call in
        var x = try call.tensor(0)
        let kind = try call.kind(0), keepsAxes = call.flag("keepdims", true)
        var axes = try call.opset >= axesAsInput ? call.axes(input: 1, rank: x.rank) : call.ints("axes").map { try call.axes($0, rank: x.rank) }
        if axes?.isEmpty ?? true {
            // Nothing named and nothing to do: what a reduction does with each number still is done.
            axes = call.flag("noop_with_empty_axes") ? [] : Array(0..<x.rank)
        }
        let places = (axes ?? []).sorted()
        if kind == .bool { x = try x.cast(to: .int32) }
        x = try call.inOrder(x, name == "ReduceMax" || name == "ReduceMin" ? kind : .float32)
        var y: Tensor
        if let ofNothing, places.contains(where: { x.shape[$0].number == 0 }) {
            var sizes = x.shape.dimensions
            for axis in places { sizes[axis] = Dimension(1) }
            let shape = try call.reserve(sizes, x.dtype)
            if kind.isFloat {
                y = try Tensor.filled(ofNothing, shape, x.dtype)
            } else {
                // uint64 is in the order of int64 here.
                let limits = kind == .bool ? 0...1 : kind == .uint64 ? ElementKind.int64.limits : kind.limits
                y = try Tensor(ofNothing > 0 ? limits.upperBound : limits.lowerBound).cast(to: x.dtype).expanded(to: shape)
            }
        } else {
            y = try function(x, places)
        }
        y = try call.inOrder(y, name == "ReduceMax" || name == "ReduceMin" ? kind : .float32)
        if !keepsAxes { y = try y.reshaped(Shape(of: (0..<y.rank).filter { !places.contains($0) }.map { y.shape[$0] })) }
        return try call.result(y, kind)
    }
}

/// Of whole numbers, too: their mean is a division that truncates.
@Sendable private func mean(_ x: Tensor, _ axes: [Int]) throws -> Tensor {
    if x.dtype.isFloat { return try x.mean(axes, keepingAxes: true) }
    let count = try axes.reduce(1) { try $0 * x.size(at: $1) }
    return try x.sum(axes, keepingAxes: true) / Tensor.full(Double(max(count, 1)), [], x.dtype)
}

private func extreme(_ name: String, largest: Bool) -> Operator {
    Operator(name) { call in
        let x = try call.inOrder(call.tensor(0), call.kind(0)), axis = try call.axis(call.int("axis", 0), rank: x.rank)
        let last = call.flag("select_last_index")
        let y = try last ? x.flipped([axis]) : x
        var places = try largest ? y.argMax(axis) : y.argMin(axis)
        if last { places = try (SizeExpression(x.shape[axis]) - .number(1)).tensor().reshaped([]) - places }
        return call.ints64(call.flag("keepdims", true) ? try places.withAxis(axis) : places)
    }
}

extension Operators {
    static let reductions: [Operator] = [
        reduction("ReduceSum", axesAsInput: 13) { try $0.sum($1, keepingAxes: true) },
        reduction("ReduceMean", mean),
        reduction("ReduceProd") { x, axes in
            x.dtype.isFloat ? try x.product(axes, keepingAxes: true) : try x.cast(to: .float64).product(axes, keepingAxes: true).cast(to: x.dtype)
        },
        reduction("ReduceMax", ofNothing: -.infinity) { try $0.max($1, keepingAxes: true) },
        reduction("ReduceMin", ofNothing: .infinity) { try $0.min($1, keepingAxes: true) },
        reduction("ReduceL1") { try $0.magnitude().sum($1, keepingAxes: true) },
        reduction("ReduceL2") { x, axes in
            x.dtype.isFloat ? try x.squared().sum(axes, keepingAxes: true).squareRoot()
                : try x.cast(to: .float64).squared().sum(axes, keepingAxes: true).squareRoot().cast(to: x.dtype)
        },
        reduction("ReduceSumSquare") { try ($0 * $0).sum($1, keepingAxes: true) },
        reduction("ReduceLogSum") { try $0.sum($1, keepingAxes: true).log() },
        reduction("ReduceLogSumExp", ofNothing: -.infinity) { try $0.logSumExp($1, keepingAxes: true) },
        extreme("ArgMax", largest: true),
        extreme("ArgMin", largest: false),
        Operator("CumSum", 11) { call in
            let x = try call.tensor(0), axis = try call.axis(call.int(1), rank: x.rank)
            return try call.result(x.cumulativeSum(axis, exclusive: call.flag("exclusive"), reversed: call.flag("reverse")), call.kind(0))
        },
        Operator("CumProd", 26) { call in
            let x = try call.tensor(0), axis = try call.axis(call.int(1), rank: x.rank)
            let wide = x.dtype.isFloat ? x : try x.cast(to: .float64)
            return try call.result(wide.cumulativeProduct(axis, exclusive: call.flag("exclusive"), reversed: call.flag("reverse")).cast(to: x.dtype), call.kind(0))
        },
    ]
}
